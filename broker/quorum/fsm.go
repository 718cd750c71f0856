package quorum

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"github.com/millrace/millrace/broker/metadata"
)

// maxSnapshot bounds the snapshot that is read into memory.
const maxSnapshot = 1 << 30

// fsm feeds committed log entries to the image. Raft calls it from one
// goroutine; Persist runs beside it on an image that does not change.
type fsm struct {
	image  atomic.Pointer[metadata.Image]
	notify atomic.Pointer[func()] // called after each new image
	failed chan struct{}          // closed when an entry could not be applied

	mu  sync.Mutex // guards below
	err error
}

// result is what Apply hands to the proposer.
type result struct {
	value any
	err   error
}

func newFSM() *fsm {
	f := &fsm{failed: make(chan struct{})}
	f.image.Store(new(metadata.Image))
	return f
}

// Apply implements raft.FSM. An entry that cannot be decoded was written by a
// newer program; going on without it would let this node's image drift from
// the others', so nothing is applied after it.
func (f *fsm) Apply(l *raft.Log) any {
	if err := f.failure(); err != nil {
		return result{err: err}
	}
	c, err := metadata.Decode(l.Data)
	if err != nil {
		return result{err: f.fail(fmt.Errorf("metadata log entry %d, written by another version of this program? %w", l.Index, err))}
	}
	next, value, err := f.image.Load().Apply(l.Index, c)
	f.store(next)
	return result{value, err}
}

func (f *fsm) store(m *metadata.Image) {
	f.image.Store(m)
	if notify := f.notify.Load(); notify != nil {
		(*notify)()
	}
}

func (f *fsm) fail(err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
		close(f.failed)
	}
	return f.err
}

func (f *fsm) failure() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// Snapshot implements raft.FSM.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	if err := f.failure(); err != nil {
		return nil, err
	}
	return snapshot{f.image.Load()}, nil
}

// Restore implements raft.FSM.
func (f *fsm) Restore(r io.ReadCloser) error {
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxSnapshot+1))
	if err != nil {
		return fmt.Errorf("read metadata snapshot: %w", err)
	}
	if len(b) > maxSnapshot {
		return fmt.Errorf("metadata snapshot is larger than %d bytes", maxSnapshot)
	}
	m, err := metadata.Restore(b)
	if err != nil {
		return err
	}
	f.store(m)
	return nil
}

type snapshot struct{ image *metadata.Image }

// Persist implements raft.FSMSnapshot.
func (s snapshot) Persist(sink raft.SnapshotSink) error {
	if _, err := sink.Write(s.image.Snapshot()); err != nil {
		sink.Cancel() // the write's error is the one to report
		return fmt.Errorf("write metadata snapshot: %w", err)
	}
	return sink.Close()
}

// Release implements raft.FSMSnapshot.
func (snapshot) Release() {}
