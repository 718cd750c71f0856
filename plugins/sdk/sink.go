package sdk

import (
	"context"
	"time"

	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/proto"
)

// Sink makes tasks that write to somewhere.
type Sink interface {
	// ConfigDef defines the keys of the connector and of its tasks. It is
	// called often and returns the same each time.
	ConfigDef() ConfigDef
	// Open starts a task. control is how the task asks for things later. ctx
	// bounds Open alone.
	Open(ctx context.Context, cfg Config, control Control) (SinkTask, error)
}

// SinkTask is a running sink. Its methods, and those of the interfaces below,
// are called by one goroutine.
type SinkTask interface {
	// Put takes records, in order for each partition, which it may buffer. An
	// empty batch says that time has passed. The batch and all it refers to
	// are valid until Put returns.
	//
	// After a Retry error the same records come again. A RecordError says
	// which record is bad. Any other error ends the task.
	Put(ctx context.Context, b *data.Batch) error
	// Close releases what the task holds. Data that was not committed will be
	// put again, to this task or another.
	Close() error
}

// PreCommitter is a task that buffers: PreCommit returns the offsets up to
// which data is durably written, at most those given and of no other
// partitions. A task without it or Flusher has written all that it was given.
type PreCommitter interface {
	PreCommit(ctx context.Context, offsets Offsets) (Offsets, error)
}

// Flusher is a task that buffers and can write everything out at once.
type Flusher interface {
	Flush(ctx context.Context, offsets Offsets) error
}

// PartitionOpener is a task that is told which partitions it gets records of.
// Only the partitions that come or go are named; the others stay. lost says
// that another task may have the partition already: what is not committed
// cannot be any more.
type PartitionOpener interface {
	OpenPartitions(ctx context.Context, offsets Offsets) error
	ClosePartitions(ctx context.Context, partitions []TopicPartition, lost bool) error
}

// SinkOffsetAlterer is a sink that checks changes of its consumed offsets, an
// offset of -1 being a removal. It returns whether it vouches for them.
type SinkOffsetAlterer interface {
	AlterSinkOffsets(ctx context.Context, cfg Config, changes Offsets) (bool, error)
}

// TopicPartition names a partition of the log.
type TopicPartition = proto.TopicPartition

// Offsets holds by partition the next offset to consume.
type Offsets = proto.Offsets

// Control is how a sink task asks for things. It may be used by any goroutine
// until the task is closed; nothing it does waits.
type Control interface {
	// Report sets a bad record aside, as the connector's configuration says:
	// to the dead letter queue, or failing the task. Put goes on with the rest
	// and returns no error because of it.
	Report(r *data.Record, err error)
	// Rewind asks for the records from these offsets on again.
	Rewind(Offsets)
	// Pause asks for no more records of partitions until Resume.
	Pause(...TopicPartition)
	// Resume undoes Pause.
	Resume(...TopicPartition)
	// Timeout asks for the next Put, or the repetition of one that failed,
	// after d at the latest. It holds once.
	Timeout(d time.Duration)
	// RequestCommit asks for offsets to be committed soon.
	RequestCommit()
}

// UnimplementedSinkTask has the methods of a SinkTask. Embed it to have later
// ones as well.
type UnimplementedSinkTask struct{}

// Put fails: the task has no way to take records.
func (UnimplementedSinkTask) Put(context.Context, *data.Batch) error { return errNoPut }

// Close does nothing.
func (UnimplementedSinkTask) Close() error { return nil }
