package task

import (
	"sync/atomic"
	"time"
)

// Stats counts what a task does. Its methods are safe for concurrent use. The
// zero Stats has counted nothing.
type Stats struct {
	records, moved, failures, lost, skips, retries, logged    atomic.Int64
	deadLetters, deadLetterFailures, commits, commitFailures  atomic.Int64
	commitSkips, sequence, partitions, lag, lastError, active atomic.Int64
	seen                                                      atomic.Int64 // of moved, that passed has

	handed, passed window // records handed over by a source or put into a sink; written or read
	batches        window // sizes of batches
	calls, stores  window // milliseconds of polls or puts, and of writes of offsets
}

// Counts is what a Stats says at one moment. Rates, means and peaks are of the
// last 30 to 60 seconds, as Kafka Connect's are.
type Counts struct {
	Records            int64 // handed over by a source, or put into a sink
	Moved              int64 // written to the log by a source, or read from it by a sink
	Failures           int64 // failures of records, those included that a retry mended
	Errors             int64 // records that failed for good, skipped or not
	Skipped            int64 // records dropped by errors.tolerance
	Retries            int64 // of conversions
	Logged             int64 // failures written to the log
	DeadLetters        int64 // records written to the dead letter queue
	DeadLetterFailures int64
	LastError          time.Time // of the last failure of a record, zero for none
	Commits            int64     // successful writes of offsets
	CommitFailures     int64
	CommitSkips        int64 // sinks: commits for which there was nothing to commit
	CommitSequence     int64 // sinks: number of the last commit
	Partitions         int64 // sinks: assigned
	Lag                int64 // sinks: records that the partition furthest behind is behind
	Active             int64 // sources: records on their way into the log; sinks: records read and not committed

	RecordRate, MovedRate float64 // per second
	Batch                 Spread  // records
	Call                  Spread  // milliseconds of polls, or puts
	Store                 Spread  // milliseconds of writes of offsets
}

// Spread is the mean and the largest of some samples, both 0 without any.
type Spread struct{ Mean, Max float64 }

// Counts returns the present numbers.
func (s *Stats) Counts() Counts {
	now := time.Now()
	c := Counts{
		Records: s.records.Load(), Moved: s.moved.Load(), Failures: s.failures.Load(), Errors: s.lost.Load(), Skipped: s.skips.Load(),
		Retries: s.retries.Load(), Logged: s.logged.Load(), DeadLetters: s.deadLetters.Load(), DeadLetterFailures: s.deadLetterFailures.Load(),
		Commits: s.commits.Load(), CommitFailures: s.commitFailures.Load(), CommitSkips: s.commitSkips.Load(), CommitSequence: s.sequence.Load(),
		Partitions: s.partitions.Load(), Lag: s.lag.Load(), Active: s.active.Load(),
		RecordRate: s.handed.rate(now), MovedRate: s.passed.rate(now), Batch: s.batches.spread(now), Call: s.calls.spread(now), Store: s.stores.spread(now),
	}
	if at := s.lastError.Load(); at != 0 {
		c.LastError = time.UnixMilli(at)
	}
	return c
}

// Reset forgets what is only true while a task runs. It is called when a life
// of the task ends.
func (s *Stats) Reset() {
	for _, v := range []*atomic.Int64{&s.partitions, &s.lag, &s.active} {
		v.Store(0)
	}
}

// polled counts a batch that came from a source, and how long it was waited
// for.
func (s *Stats) polled(records int, took time.Duration) {
	s.handedOver(records)
	s.called(took)
	s.active.Add(int64(records))
	now := s.moved.Load() // of each record alone a window would cost too much
	if before := s.seen.Swap(now); now > before {
		s.passed.add(time.Now(), float64(now-before))
	}
}

// handedOver counts records that came from a source or went to a sink.
func (s *Stats) handedOver(records int) {
	s.records.Add(int64(records))
	if records > 0 {
		now := time.Now()
		s.handed.add(now, float64(records))
		s.batches.add(now, float64(records))
	}
}

// called counts a poll or a put.
func (s *Stats) called(took time.Duration) {
	s.calls.add(time.Now(), float64(took)/float64(time.Millisecond))
}

// written counts a source's record that is in the log, or was dropped.
func (s *Stats) written(inLog bool) {
	s.active.Add(-1)
	if inLog {
		s.moved.Add(1)
	}
}

// read counts records that a sink read from the log.
func (s *Stats) read(records int) {
	if records > 0 {
		s.moved.Add(int64(records))
		s.passed.add(time.Now(), float64(records))
	}
}

func (s *Stats) failedOnce() {
	s.failures.Add(1)
	s.lastError.Store(time.Now().UnixMilli())
}

func (s *Stats) failed() {
	s.failedOnce()
	s.lost.Add(1)
}

func (s *Stats) skipped()   { s.skips.Add(1) }
func (s *Stats) retried()   { s.failedOnce(); s.retries.Add(1) }
func (s *Stats) wasLogged() { s.logged.Add(1) }

// deadLettered counts what became of a record on its way to the dead letter
// queue.
func (s *Stats) deadLettered(err error) error {
	if err != nil {
		s.deadLetterFailures.Add(1)
		return err
	}
	s.deadLetters.Add(1)
	return nil
}

// committed counts a write of offsets that began then.
func (s *Stats) committed(began time.Time) {
	s.commits.Add(1)
	now := time.Now()
	s.stores.add(now, float64(now.Sub(began))/float64(time.Millisecond))
}

func (s *Stats) commitFailed() { s.commitFailures.Add(1) }
