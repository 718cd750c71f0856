package api

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/latency"
	"github.com/millrace/millrace/broker/txn"
)

// RequestStats count the requests of one API key since the start.
type RequestStats struct {
	Name     string // such as "Produce"
	BytesIn  int64
	BytesOut int64
	Errors   []ErrorCount     // that there were, by code
	Took     latency.Snapshot // from request to response, long polls included
}

// Transactions counts the transactions that this broker coordinates.
func (a *API) Transactions() txn.Stats { return a.txns.Stats() }

// ErrorCount is how often responses had one error code, for the whole or for
// one topic or partition.
type ErrorCount struct {
	Error string // Kafka's name of it
	Count int64
}

// errorCodes is how many codes are counted one by one: from -1 on, which is
// the first. Those that are not known here are counted as that.
const errorCodes = 160

type meter struct {
	in, out atomic.Int64
	errors  [errorCodes]atomic.Int64
	took    latency.Histogram
}

// fail counts an error code.
func (m *meter) fail(code int16) {
	i := int(code) + 1
	if i < 0 || i >= errorCodes {
		i = 0
	}
	m.errors[i].Add(1)
}

// Done records a request and its response, with their sizes in bytes; it is
// wire.Config.Done.
func (a *API) Done(key int16, took time.Duration, in, out int64) {
	m := &a.meters[key]
	m.in.Add(in)
	m.out.Add(out)
	m.took.Observe(took)
}

// Stats returns the counts of every key that is served, by key.
func (a *API) Stats() []RequestStats {
	var out []RequestStats
	for key := range a.routes {
		if a.routes[key].handle == nil {
			continue
		}
		m := &a.meters[key]
		s := RequestStats{Name: kmsg.NameForKey(int16(key)), BytesIn: m.in.Load(), BytesOut: m.out.Load(), Took: m.took.Snapshot()}
		for i := range m.errors {
			if n := m.errors[i].Load(); n > 0 {
				s.Errors = append(s.Errors, ErrorCount{errorName(int16(i - 1)), n})
			}
		}
		out = append(out, s)
	}
	return out
}

func errorName(code int16) string {
	var e *kerr.Error
	if errors.As(kerr.ErrorForCode(code), &e) {
		return e.Message
	}
	return "NONE"
}

// SessionStats are the fetch sessions at one moment.
type SessionStats struct {
	Sessions   int
	Partitions int   // of all of them
	Evicted    int64 // since the start
}

// Sessions returns the fetch sessions.
func (a *API) Sessions() SessionStats {
	n, partitions, evicted := a.sessions.stats()
	return SessionStats{n, partitions, evicted}
}
