package logtail

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

func appendInt(b []byte, n int64) []byte { return strconv.AppendInt(b, n, 10) }

// shard is a part of the list of the files that have offsets, which the store
// of offsets cannot list: one offset with the ids of at most shardFiles files.
type shard struct {
	number  int
	ids     map[string]bool
	changed bool
}

// shardFiles keeps a shard's offset below 40 KB.
const shardFiles = 1000

func (t *task) partitionOf(id string) map[string]any {
	return map[string]any{"host": t.host, "file": id}
}

// shardPartition is where a shard is stored. The first has the number of them.
func (t *task) shardPartition(n int) map[string]any {
	if n == 0 {
		return map[string]any{"host": t.host, "index": true}
	}
	return map[string]any{"host": t.host, "index": n}
}

// register puts a file into the list, from where a later task finds its
// offset.
func (t *task) register(f *file) error {
	if f.partition != nil {
		return nil
	}
	var err error
	if f.partition, err = sdk.EncodeMap(t.partitionOf(f.id)); err != nil {
		return err
	}
	i := slices.IndexFunc(t.shards, func(s *shard) bool { return len(s.ids) < shardFiles })
	if i < 0 {
		i = len(t.shards)
		t.addShard(i)
		t.shards[0].changed = true
	}
	f.shard = i
	t.shards[i].ids[f.id], t.shards[i].changed = true, true
	return nil
}

func (t *task) addShard(n int) {
	t.shards = append(t.shards, &shard{number: n, ids: make(map[string]bool)})
}

// unregister has a file's offset removed.
func (t *task) unregister(f *file) {
	if f.partition == nil {
		return
	}
	t.gone = append(t.gone, f)
	s := t.shards[f.shard]
	delete(s.ids, f.id)
	s.changed = true
}

// load reads the offsets of the files of this host, and reports whether there
// was a task before this one.
func (t *task) load(ctx context.Context, offsets sdk.OffsetReader) (before bool, err error) {
	first, err := offsets.Offset(ctx, t.shardPartition(0))
	t.addShard(0)
	if err != nil || first == nil {
		return false, err
	}
	var ids []string
	for n := range max(1, int(min(first.Int64("shards"), 1<<20))) {
		o := first
		if n > 0 {
			t.addShard(n)
			if o, err = offsets.Offset(ctx, t.shardPartition(n)); err != nil {
				return true, err
			}
		}
		for id := range strings.SplitSeq(o.String("files"), ",") {
			if id != "" {
				ids = append(ids, id)
				t.shards[n].ids[id] = true
			}
		}
	}
	copies := make(map[*file]string)
	for part := range slices.Chunk(ids, shardFiles) {
		if err := t.loadFiles(ctx, offsets, part, copies); err != nil {
			return true, err
		}
	}
	for f, id := range copies {
		if i := slices.IndexFunc(t.files, func(o *file) bool { return o.id == id }); i >= 0 && t.files[i] != f {
			f.original, f.suspect = t.files[i], t.now()
		}
	}
	return true, nil
}

// loadFiles reads the offsets of files, and notes which are copies of which.
func (t *task) loadFiles(ctx context.Context, offsets sdk.OffsetReader, ids []string, copies map[*file]string) error {
	partitions := make([]map[string]any, len(ids))
	for i, id := range ids {
		partitions[i] = t.partitionOf(id)
	}
	stored, err := offsets.Offsets(ctx, partitions)
	if err != nil {
		return fmt.Errorf("read stored offsets: %w", err)
	}
	for i, o := range stored {
		shard := slices.IndexFunc(t.shards, func(s *shard) bool { return s.ids[ids[i]] })
		if o == nil { // of a file of which nothing was read
			delete(t.shards[shard].ids, ids[i])
			continue
		}
		f := &file{id: ids[i], lost: t.now(), ended: true, last: -1, shard: shard}
		if err := f.restore(o); err != nil {
			return sdk.Fatal(err)
		}
		if f.partition, err = sdk.EncodeMap(t.partitionOf(f.id)); err != nil {
			return err
		}
		if t.deleteAfter >= 0 {
			t.durable.note(f.id, o)
		}
		if id := o.String("copyOf"); id != "" {
			copies[f] = id
		}
		if old := t.nodes[f.node]; old != nil {
			if len(t.twins[f.node]) == 0 {
				t.twins[f.node] = []*file{old}
			}
			t.twins[f.node] = append(t.twins[f.node], f)
			delete(t.nodes, f.node)
		}
		t.add(f)
	}
	return nil
}

// position is the offset of a file. A group that is not finished begins again.
func (f *file) position() sdk.Offset {
	o := sdk.Offset{
		"position": f.pos, "prefix": hex.EncodeToString(f.head.sum[:]), "prefixLen": f.head.size, "path": f.path,
		"tail": hex.EncodeToString(f.tail[:]), "tailLen": f.tailSize, "mtime": f.confirmed,
		"dev": strconv.FormatUint(f.node.dev, 10), "inode": strconv.FormatUint(f.node.ino, 10),
	}
	if f.origin != f.path {
		o["origin"] = f.origin
	}
	if f.original != nil {
		o["copyOf"] = f.original.id
	}
	if f.skip {
		o["skip"] = true
	}
	if f.done {
		o["done"] = true
	}
	if f.packed != plain {
		o["compression"] = int64(f.packed)
	}
	return o
}

func (f *file) restore(o sdk.Offset) error {
	f.pos, f.head.size, f.mtime = o.Int64("position"), o.Int64("prefixLen"), o.Int64("mtime")
	f.tailSize, f.packed = int(o.Int64("tailLen")), compression(o.Int64("compression"))
	f.confirmed = f.mtime
	f.origin = cmp.Or(o.String("origin"), o.String("path"))
	f.path, f.skip, f.done = o.String("path"), o.Bool("skip"), o.Bool("done")
	var err1, err2 error
	f.node.dev, err1 = strconv.ParseUint(o.String("dev"), 10, 64)
	f.node.ino, err2 = strconv.ParseUint(o.String("inode"), 10, 64)
	head, err3 := hex.DecodeString(o.String("prefix"))
	tail, err4 := hex.DecodeString(o.String("tail"))
	copy(f.head.sum[:], head)
	copy(f.tail[:], tail)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return fmt.Errorf("stored offset of %s: %w", f.path, err)
	}
	if f.pos < 0 || f.head.size < 0 || f.head.size > 1<<20 || f.tailSize < 0 || f.tailSize > tailBytes || int64(f.tailSize) > f.pos {
		return fmt.Errorf("stored offset of %s: a size in it cannot be; remove the offset with DELETE /connectors/NAME/offsets", f.path)
	}
	return nil
}

// checkpoint gives the last record of a file's turn the offset after it, so
// that wherever a batch is cut between two turns offsets and records agree.
func (t *task) checkpoint(f *file) error {
	if !f.changed {
		return nil
	}
	record := f.last
	f.changed, f.last = false, -1
	return t.position(f.partition, f.position(), record)
}

// positions adds the offsets that moved without a record: the list of files,
// before any file of it has one, and those of files that have gone.
func (t *task) positions() error {
	for _, s := range t.shards {
		if !s.changed {
			continue
		}
		s.changed = false
		p, err := sdk.EncodeMap(t.shardPartition(s.number))
		if err != nil {
			return err
		}
		o := sdk.Offset{"files": strings.Join(slices.Sorted(maps.Keys(s.ids)), ",")}
		if s.number == 0 {
			o["shards"] = len(t.shards)
		}
		if err := t.position(p, o, -1); err != nil {
			return err
		}
	}
	for len(t.gone) > 0 && len(t.batch.Positions) < maxPositions {
		if err := t.position(t.gone[0].partition, nil, -1); err != nil {
			return err
		}
		t.gone = t.gone[1:]
	}
	for len(t.dirty) > 0 && len(t.batch.Positions) < maxPositions {
		f := t.dirty[0]
		t.dirty = t.dirty[1:]
		if err := t.checkpoint(f); err != nil {
			return err
		}
	}
	return nil
}

// position adds an offset to the batch: with a record, or after all of them if
// there is none for it.
func (t *task) position(partition []byte, o sdk.Offset, record int) error {
	p := data.Position{Partition: partition}
	if o != nil {
		var err error
		if p.Offset, err = sdk.EncodeMap(o); err != nil {
			return err
		}
	}
	t.batch.Positions = append(t.batch.Positions, p)
	t.size += len(p.Offset) + perRecord
	if record >= 0 && record < len(t.batch.Records) && t.batch.Records[record].Position == data.NoPosition {
		t.batch.Records[record].Position = int32(len(t.batch.Positions) - 1)
	}
	return nil
}
