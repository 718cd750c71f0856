package store

import (
	"time"

	"github.com/millrace/millrace/connect/connector"
)

// Bounds of what is remembered of one connector.
const (
	historyEntries = 200
	historyTrace   = 4 << 10 // bytes
)

// history is what the records of the status topic said of one connector, the
// oldest first. It goes as far back as the topic does when it is replayed, and
// compaction takes the older words of each task away.
type history struct {
	entries []connector.HistoryEntry // a ring once it is full
	next    int
}

// add appends a record's word. task is -1 for the connector itself.
func (h *history) add(at time.Time, task int, st connector.Status) {
	e := connector.HistoryEntry{Time: at.UnixMilli(), State: st.State, WorkerID: st.WorkerID, Generation: st.Generation, Trace: st.Trace}
	if task >= 0 {
		e.Task = &task
	}
	if len(e.Trace) > historyTrace {
		e.Trace = e.Trace[:historyTrace]
	}
	if len(h.entries) < historyEntries {
		h.entries = append(h.entries, e)
		return
	}
	h.entries[h.next] = e
	h.next = (h.next + 1) % historyEntries
}

func (h *history) all() []connector.HistoryEntry {
	out := make([]connector.HistoryEntry, 0, len(h.entries))
	return append(append(out, h.entries[h.next:]...), h.entries[:h.next]...)
}

// History returns what the records of the status topic said of a connector and
// its tasks, the oldest first; nothing for one that is not known, or deleted.
// The words of several workers are in the order of the topic's partitions.
func (s *Statuses) History(name string) []connector.HistoryEntry {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.past[name]
	if h == nil {
		return nil
	}
	return h.all()
}

// remember notes a record's word. The caller holds mu.
func (s *Statuses) remember(name string, at time.Time, task int, st connector.Status) {
	if s.past[name] == nil {
		s.past[name] = &history{}
	}
	if at.IsZero() {
		at = time.Now() // of a standalone worker's log
	}
	s.past[name].add(at, task, st)
}
