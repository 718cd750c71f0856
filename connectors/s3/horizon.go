package s3

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// retentionKey says for how long offsets of objects are kept: Millrace's own.
const retentionKey = "offset.retention.ms"

// slots is the number of groups that objects fall into by a hash of their
// names, whatever the number of tasks: each task has some of them, and each has
// a horizon, whose offset is stored under the number of the slot.
const slots = 64

func slotOf(key string) uint32 { return uint32(hashOf(key)>>32) % slots }

// horizon keeps the stored offsets of a slot from growing with each object.
//
//	        pruned              done                    now
//	read, no |  read, offsets to  |  each with its offset |
//	offsets  |  be forgotten      |                       |
//
// Times are those at which objects were last modified, in milliseconds. An
// object of a time before done needs no reading, and what appears there later is
// not read. A listing of all objects forgets the offsets between the two; when
// it is over, pruned moves up to done, and done to the retention before the
// listing began: all that was there then was read.
type horizon struct{ pruned, done int64 }

// horizons are those of a task's slots.
type horizons struct {
	retention time.Duration // negative: never forget
	bySlot    map[uint32]horizon
	listing   bool      // of all objects, under way
	began     time.Time // that listing
	over      bool      // it has come to its end, but for what it found
	pending   []data.Position
}

func (t *genericTask) mine(key string) bool { return slotOf(key)%t.cfg.of == t.cfg.task }

// slot is the source partition of a slot.
func (t *genericTask) slot(n uint32) map[string]any {
	return map[string]any{"bucket": t.cfg.store.bucket, "prefix": t.cfg.prefixes()[0], "slot": int64(n)}
}

// loadHorizons reads those of the task's slots, once.
func (t *genericTask) loadHorizons(ctx context.Context) error {
	h := &t.horizons
	if h.bySlot != nil || h.retention < 0 {
		return nil
	}
	var own []uint32
	var partitions []map[string]any
	for n := t.cfg.task; n < slots; n += t.cfg.of {
		own, partitions = append(own, n), append(partitions, t.slot(n))
	}
	found := make(map[uint32]horizon)
	if len(own) > 0 {
		stored, err := t.offsets.Offsets(ctx, partitions)
		if err != nil {
			return fmt.Errorf("read up to when offsets of objects were forgotten: %w", err)
		}
		for i, o := range stored {
			found[own[i]] = horizon{pruned: o.Int64("pruned"), done: o.Int64("done")}
		}
	}
	h.bySlot = found
	return nil
}

// beyond reports whether an object is so old that it needs no look at its
// offset, and whether there may be one to forget.
func (h *horizons) beyond(o types.Object) (past, forget bool) {
	at := h.bySlot[slotOf(aws.ToString(o.Key))]
	if o.LastModified == nil {
		return false, false
	}
	ms := o.LastModified.UnixMilli()
	return ms < at.done, ms < at.done && ms >= at.pruned
}

// forget has the stored offsets of objects removed, of those that have one: they
// were read before this task began, or by it.
func (t *genericTask) forget(ctx context.Context, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	partitions := make([]map[string]any, len(keys))
	for i, key := range keys {
		partitions[i] = t.source(key)
	}
	stored, err := t.offsets.Offsets(ctx, partitions)
	if err != nil {
		return fmt.Errorf("read the stored offsets of %d objects: %w", len(keys), err)
	}
	for i, o := range stored {
		if _, ours := t.finished[hashOf(keys[i])]; o == nil && !ours {
			continue
		}
		partition, err := sdk.EncodeMap(partitions[i])
		if err != nil {
			return err
		}
		t.horizons.pending = append(t.horizons.pending, data.Position{Partition: partition})
	}
	return nil
}

// leastStep is how far a horizon moves at least, so that it is not stored with
// each listing.
const leastStep = time.Minute

// moveHorizons ends a listing of all objects of which everything was read.
func (t *genericTask) moveHorizons() error {
	h := &t.horizons
	h.over = false
	if h.retention < 0 {
		return nil
	}
	done, pruned := h.began.Add(-h.retention).UnixMilli(), int64(math.MaxInt64) // the least of all slots
	for n := t.cfg.task; n < slots; n += t.cfg.of {
		at := h.bySlot[n]
		next := horizon{pruned: at.done, done: at.done}
		pruned = min(pruned, next.pruned)
		if done-at.done >= leastStep.Milliseconds() {
			next.done = done
		}
		if next == at {
			continue
		}
		partition, err := sdk.EncodeMap(t.slot(n))
		if err != nil {
			return err
		}
		offset, err := sdk.EncodeMap(map[string]any{"pruned": next.pruned, "done": next.done})
		if err != nil {
			return err
		}
		h.bySlot[n] = next
		h.pending = append(h.pending, data.Position{Partition: partition, Offset: offset})
	}
	for key, f := range t.finished {
		if f.modified < pruned {
			delete(t.finished, key)
		}
	}
	return nil
}
