package sdk

import (
	"context"

	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/proto"
)

// Source makes tasks that read from somewhere.
type Source interface {
	// ConfigDef defines the keys of the connector and of its tasks. It is
	// called often and returns the same each time.
	ConfigDef() ConfigDef
	// Open starts a task. cfg is the task's configuration: what Plan returned
	// for it, or the connector's own. The task may ask offsets for where it
	// stood, now and later. ctx bounds Open alone.
	Open(ctx context.Context, cfg Config, offsets OffsetReader) (Task, error)
}

// Task is a running source. Poll and Close are called by one goroutine.
type Task interface {
	// Poll returns the next records in order, and blocks until there are some
	// or ctx ends, whose cause it then returns: the task is being stopped.
	// Records returned beside an error are lost.
	//
	// After a Retry error Poll is called again, later; any other error ends
	// the task. Returning nothing means that there is nothing just now: Poll
	// is called again after a short wait.
	Poll(ctx context.Context) ([]Record, error)
	// Close releases what the task holds. It is called once, after Poll has
	// returned for the last time and all acknowledgements were given.
	Close() error
}

// BatchPoller is a task that fills batches itself, which costs nothing per
// record. Its Poll is not called: embed UnimplementedTask.
type BatchPoller interface {
	// PollBatch appends to b, which is empty, as Poll returns records. Rows
	// and everything else it refers to may be reused at the next call.
	// Partition and Offset of Positions are JSON objects.
	PollBatch(ctx context.Context, b *data.Batch) error
}

// Acker is a task that is told how many of its records, counted from its
// start, are durably in the log. Acked is called by a goroutine of its own,
// beside Poll, and not after Close. An error ends the task.
type Acker interface {
	Acked(ctx context.Context, records uint64) error
}

// Committer is a task that acknowledges upstream: it is told the source
// offsets that are now durably stored, the latest one of each source partition
// that moved. Only these are safe to let go of upstream; after a failure the
// task starts from them. Committed is called by a goroutine of its own, beside
// Poll, and not after Close. An error ends the task.
type Committer interface {
	Committed(ctx context.Context, positions []Position) error
}

// ProgressReporter is a task that tells how far it is in a piece of work that
// has an end, such as the reading of whole tables. Users see it in the task's
// status and in metrics. Progress is called every second by a goroutine of its
// own, beside Poll, and not after Close.
type ProgressReporter interface {
	// Progress returns a Work of "" when there is no such work.
	Progress() Progress
}

// Progress is how far a task is in a piece of work.
type Progress = proto.WorkProgress

// ExactlyOncer is a source that says whether it delivers exactly once with a
// configuration, given that records and offsets are stored together: whether a
// task that starts from an offset always continues right after it.
type ExactlyOncer interface {
	ExactlyOnce(cfg Config) bool
}

// TransactionDefiner is a source that can say where transactions end, given a
// configuration with transaction.boundary set to connector: by the End of its
// records. Its task finds out with TransactionsDefined whether it is to; if
// not, the worker decides, and End has no effect.
type TransactionDefiner interface {
	DefinesTransactions(cfg Config) bool
}

// TransactionEnd says whether a transaction ends after a record, and how.
type TransactionEnd = data.TransactionEnd

// The ends of a transaction. What was not committed when a task stops is read
// again.
const (
	GoesOn            = data.GoesOn
	CommitTransaction = data.Commit
	// AbortTransaction drops the transaction's records. The source offsets move
	// past them all the same, so that they are not read again.
	AbortTransaction = data.Abort
)

// TransactionsDefined reports whether the task whose Open, Poll or PollBatch
// was called with ctx is to say where transactions end.
func TransactionsDefined(ctx context.Context) bool {
	defined, _ := ctx.Value(definesTransactions{}).(bool)
	return defined
}

type definesTransactions struct{}

// OffsetAlterer is a source that checks changes of its stored offsets, or
// makes them in the system it reads from as well. It returns whether it vouches
// for them.
type OffsetAlterer interface {
	AlterOffsets(ctx context.Context, cfg Config, changes []Position) (bool, error)
}

// OffsetReader tells where a source stood. It may be used by any goroutine
// until the task is closed.
type OffsetReader interface {
	// Offset returns the offset stored for a source partition, nil if none is.
	Offset(ctx context.Context, partition map[string]any) (Offset, error)
	// Offsets returns several at once, which costs as much as one.
	Offsets(ctx context.Context, partitions []map[string]any) ([]Offset, error)
}

// UnimplementedTask has the methods of a Task. Embed it to have later ones as
// well.
type UnimplementedTask struct{}

// Poll fails: the task has no way to poll.
func (UnimplementedTask) Poll(context.Context) ([]Record, error) { return nil, errNoPoll }

// Close does nothing.
func (UnimplementedTask) Close() error { return nil }
