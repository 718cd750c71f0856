package replica

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/broker/metadata"
)

// fill appends n records of one key, and closes their segments.
func fill(t testing.TB, p *Partition, key string, n int) {
	t.Helper()
	for i := range n {
		if _, err := p.Append(batch(t, time.Now().UnixMilli(), key, strings.Repeat("v", 90)+fmt.Sprint(i)), true); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.WaitCommitted(within(t), p.EndOffset()); err != nil {
		t.Fatal(err)
	}
	// The recovery point follows a roll on the log's own goroutine.
	if err := p.log.Checkpoint(); err != nil {
		t.Fatal(err)
	}
}

var compactTopic = map[string]string{"cleanup.policy": "compact", "segment.bytes": "1024"}

// settled waits until closed segments can be compacted.
func settled(t testing.TB, r *rig, ps ...*Partition) {
	t.Helper()
	limit := within(t)
	for _, p := range ps {
		for p.log.Cleanable(r.cfg.Clock()).DirtyBytes == 0 {
			if limit.Err() != nil {
				t.Fatalf("%s never becomes cleanable", p.Topic)
			}
			runtime.Gosched()
		}
	}
}

func TestDirtiestFirst(t *testing.T) {
	r := newRig(t, t.TempDir(), &disk{})
	plain := r.create(t, "plain", map[string]string{"segment.bytes": "1024"})
	a, b := r.create(t, "a", compactTopic), r.create(t, "b", compactTopic)
	fill(t, plain, "k", 40)
	if p := r.cleaner.dirtiest(); p != nil {
		t.Fatalf("%s is to be compacted, nothing should be", p.Topic)
	}
	fill(t, a, "k", 40)
	settled(t, r, a)
	if p := r.cleaner.dirtiest(); p != a {
		t.Fatalf("dirtiest is %+v, want a", p)
	}
	before := a.Size()
	r.cleaner.clean(t.Context(), a)
	if a.Size() > before/4 {
		t.Errorf("%d bytes became %d", before, a.Size())
	}
	if p := r.cleaner.dirtiest(); p != nil {
		t.Errorf("%s is to be compacted again", p.Topic)
	}
	// Less than half of a log of different keys is dirty.
	for i := range 40 {
		fill(t, b, fmt.Sprint("k", i), 1)
	}
	settled(t, r, b)
	r.cleaner.clean(t.Context(), b)
	fill(t, b, "more", 20)
	settled(t, r, b)
	if p := r.cleaner.dirtiest(); p != nil {
		t.Errorf("%s is to be compacted below its dirty ratio", p.Topic)
	}
	r.apply(t, &metadata.AlterTopicConfigs{ID: b.TopicID, Set: map[string]string{"min.cleanable.dirty.ratio": "0.1"}})
	if p := r.cleaner.dirtiest(); p != b {
		t.Errorf("dirtiest with a ratio of 0.1 is %+v, want b", p)
	}
	r.apply(t, &metadata.AlterTopicConfigs{ID: b.TopicID, Set: map[string]string{"min.cleanable.dirty.ratio": "1", "max.compaction.lag.ms": "60000"}})
	if p := r.cleaner.dirtiest(); p != nil {
		t.Errorf("%s is to be compacted before its lag", p.Topic)
	}
	r.now.Store(time.Now().Add(2 * time.Minute).UnixMilli())
	if p := r.cleaner.dirtiest(); p != b {
		t.Errorf("dirtiest after max.compaction.lag.ms is %+v, want b", p)
	}
	r.apply(t, &metadata.AlterTopicConfigs{ID: b.TopicID, Set: map[string]string{"min.cleanable.dirty.ratio": "0.1", "min.compaction.lag.ms": "600000", "max.compaction.lag.ms": "700000"}})
	if p := r.cleaner.dirtiest(); p != nil {
		t.Errorf("%s is to be compacted within min.compaction.lag.ms", p.Topic)
	}
	if s := r.Stats().Cleaner; s.Rounds != 2 || s.BytesFreed == 0 || s.BytesCleaned <= s.BytesFreed || s.MapFill == 0 || s.LastClean.IsZero() {
		t.Errorf("Stats = %+v", s)
	}
}

// A log that cannot be compacted is left alone; the others are compacted and
// it goes on taking records.
func TestUncleanableLog(t *testing.T) {
	r := newRig(t, t.TempDir(), &disk{})
	bad, good := r.create(t, "bad", compactTopic), r.create(t, "good", compactTopic)
	fill(t, bad, "k", 40)
	fill(t, good, "k", 40)
	settled(t, r, bad, good)
	segment := filepath.Join(r.cfg.Dir, "bad-0", fmt.Sprintf("%020d.log", 0))
	b, err := os.ReadFile(segment)
	if err != nil {
		t.Fatal(err)
	}
	b[80] ^= 1
	if err := os.WriteFile(segment, b, 0o644); err != nil {
		t.Fatal(err)
	}
	before := good.Size()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	r.cleaner.backoff = time.Millisecond
	running.Go(func() { r.Run(ctx) })
	for limit := within(t); r.Stats().Cleaner.Uncleanable == 0 || good.Size() > before/4; runtime.Gosched() {
		if limit.Err() != nil {
			t.Fatalf("Stats = %+v, good has %d bytes of %d", r.Stats().Cleaner, good.Size(), before)
		}
	}
	cancel()
	running.Wait()
	if err := bad.Err(); err != nil {
		t.Errorf("the damaged partition is offline: %v", err)
	}
	fill(t, bad, "k", 1)
	r.now.Store(time.Now().Add(100 * time.Hour).UnixMilli())
	if !r.cleaner.resting(bad.log, r.cfg.Clock()) {
		t.Error("a damaged log is tried again")
	}
}

// A full disk is tried again after a while.
func TestCleanerOnAFullDisk(t *testing.T) {
	d := &disk{}
	r := newRig(t, t.TempDir(), d)
	p := r.create(t, "a", compactTopic)
	fill(t, p, "k", 40)
	settled(t, r, p)
	d.full.Store(true)
	r.cleaner.clean(t.Context(), p)
	if s := r.Stats().Cleaner; s.Uncleanable != 1 || s.Rounds != 0 || p.Err() != nil {
		t.Fatalf("on a full disk: %+v, %v", s, p.Err())
	}
	if q := r.cleaner.dirtiest(); q != nil {
		t.Error("tried again at once")
	}
	d.full.Store(false)
	r.now.Store(time.Now().Add(2 * firstRest).UnixMilli())
	if q := r.cleaner.dirtiest(); q != p {
		t.Fatal("not tried again")
	}
	r.cleaner.clean(t.Context(), p)
	if s := r.Stats().Cleaner; s.Uncleanable != 0 || s.Rounds != 1 {
		t.Errorf("with room again: %+v", s)
	}
}

func TestThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := throttle{rate: 1000}
		began := time.Now()
		for range 11 {
			if err := x.wait(t.Context(), 1000); err != nil {
				t.Fatal(err)
			}
		}
		// Ten of eleven had to have had their second, less the burst.
		if took := time.Since(began); took != 10*time.Second-burst {
			t.Errorf("11000 bytes at 1000 a second took %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if err := x.wait(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("wait beyond its context = %v", err)
		}
	})
}
