package filesink

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/millrace/millrace/connectors/objectfile/partition"
	"github.com/millrace/millrace/connectors/objectfile/rotation"
	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// task is a running sink task. Each partition of the log has a writer.
type task struct {
	sdk.UnimplementedSinkTask
	settings
	control                  sdk.Control
	log                      *slog.Logger
	places                   *partition.Partitioner
	now                      func() time.Time
	fs                       fileSystem
	writers                  map[sdk.TopicPartition]*writer
	records, files, failures *sdk.Counter
}

var (
	_ sdk.PreCommitter    = (*task)(nil)
	_ sdk.PartitionOpener = (*task)(nil)
)

// Put takes records into the open files of their partitions.
func (t *task) Put(_ context.Context, b *data.Batch) error {
	for i := range b.Records {
		r := &b.Records[i]
		tp := sdk.TopicPartition{Topic: r.OriginalTopic, Partition: r.OriginalPartition}
		w := t.writers[tp]
		if w == nil {
			return sdk.Fatal(fmt.Errorf("a record of %s-%d, which the task was not given", tp.Topic, tp.Partition))
		}
		if err := w.take(r); err != nil {
			return err
		}
	}
	var due time.Duration
	for _, w := range t.writers {
		if w.first < 0 || w.behind || len(w.limits) > 0 {
			continue // nothing to end, or the records up to the end are on their way
		}
		left := t.interval - t.now().Sub(w.since)
		if left <= 0 {
			if err := w.commit(); err != nil {
				return err
			}
		} else if due == 0 || left < due {
			due = left
		}
	}
	if due > 0 {
		t.control.Timeout(max(due, time.Millisecond))
	}
	return nil
}

// OpenPartitions takes the partitions' files over from whoever had them.
func (t *task) OpenPartitions(_ context.Context, offsets sdk.Offsets) error {
	for tp, offset := range offsets {
		if old := t.writers[tp]; old != nil {
			old.close()
		}
		w := &writer{task: t, tp: tp, state: rotation.New(t.rotation, t.now()), committed: offset, next: offset, first: -1, base: -1, open: make(map[string]*openFile)}
		if err := w.claim(); err != nil { // the first record tries again, and says so
			t.failures.Add(1)
			t.log.Warn("files cannot be written yet", "topic", tp.Topic, "partition", tp.Partition, "directory", t.root, "err", err)
		}
		t.writers[tp] = w
	}
	return nil
}

// ClosePartitions implements sdk.PartitionOpener. The next owner reads what is
// in the open files again.
func (t *task) ClosePartitions(_ context.Context, partitions []sdk.TopicPartition, _ bool) error {
	for _, tp := range partitions {
		if w := t.writers[tp]; w != nil {
			w.close()
			delete(t.writers, tp)
		}
	}
	return nil
}

// PreCommit returns the offsets after the last complete files.
func (t *task) PreCommit(_ context.Context, offsets sdk.Offsets) (sdk.Offsets, error) {
	out := make(sdk.Offsets)
	for tp, limit := range offsets {
		w := t.writers[tp]
		if w == nil {
			continue
		}
		if w.first < 0 && !w.behind { // what was passed over since needs no file
			w.committed = max(w.committed, w.next)
		}
		if w.committed >= 0 {
			out[tp] = min(w.committed, limit)
		}
	}
	return out, nil
}

// Close forgets what is not committed. It will be put again.
func (t *task) Close() error {
	for _, w := range t.writers {
		w.close()
	}
	return nil
}
