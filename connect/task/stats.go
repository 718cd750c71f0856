package task

import "sync/atomic"

// Stats counts what a task does. Its methods are safe for concurrent use.
type Stats struct {
	records, failures, skips, deadLetters, commits, commitFailures atomic.Int64
}

// Counts is what a Stats says at one moment.
type Counts struct {
	Records        int64 // handed over by a source, or put into a sink
	Failures       int64 // records that failed, skipped or not
	Skipped        int64 // records dropped by errors.tolerance
	DeadLetters    int64 // of them written to the dead letter queue
	Commits        int64 // successful writes of offsets
	CommitFailures int64
}

// Counts returns the present numbers.
func (s *Stats) Counts() Counts {
	return Counts{s.records.Load(), s.failures.Load(), s.skips.Load(), s.deadLetters.Load(), s.commits.Load(), s.commitFailures.Load()}
}

// Polled counts records that came from a source or went to a sink.
func (s *Stats) Polled(n int) { s.records.Add(int64(n)) }

func (s *Stats) failed()       { s.failures.Add(1) }
func (s *Stats) skipped()      { s.skips.Add(1) }
func (s *Stats) deadLettered() { s.deadLetters.Add(1) }
func (s *Stats) committed()    { s.commits.Add(1) }
func (s *Stats) commitFailed() { s.commitFailures.Add(1) }
