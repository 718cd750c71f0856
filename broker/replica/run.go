package replica

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/broker/latency"
)

// Run does what logs need from time to time, until ctx ends: retention,
// checkpoints, flush.ms, the expiry of idempotent producers and, on a goroutine
// of its own, compaction. It is called once.
func (s *Set) Run(ctx context.Context) error {
	var cleaning sync.WaitGroup
	defer cleaning.Wait()
	if s.cfg.Broker.Bool("log.cleaner.enable") {
		cleaning.Go(func() { s.cleaner.run(ctx) })
	}
	b := s.cfg.Broker
	retention := time.NewTicker(b.Milliseconds("log.retention.check.interval.ms"))
	defer retention.Stop()
	checkpoint := time.NewTicker(b.Milliseconds("log.flush.offset.checkpoint.interval.ms"))
	defer checkpoint.Stop()
	producers := time.NewTicker(b.Milliseconds("producer.id.expiration.check.interval.ms"))
	defer producers.Stop()
	flush := time.NewTimer(s.flushInterval())
	defer flush.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-retention.C:
			s.each("retention not enforced", s.enforceRetention)
		case <-checkpoint.C:
			s.each("checkpoint not written", func(p *Partition) error { return p.log.Checkpoint() })
		case <-producers.C:
			s.each("", func(p *Partition) error { p.log.ExpireProducers(s.cfg.Clock()); return nil })
		case <-flush.C:
			s.each("log not flushed", func(p *Partition) error { return p.log.FlushDue(s.cfg.Clock()) })
			flush.Reset(s.flushInterval())
		case <-s.changed:
			flush.Reset(s.flushInterval())
		}
	}
}

// flushInterval returns how often to look for logs that flush.ms makes due.
func (s *Set) flushInterval() time.Duration {
	shortest := time.Hour
	for _, p := range s.all() {
		if age := p.Config().FlushAge; age >= 0 {
			shortest = min(shortest, max(age, 10*time.Millisecond))
		}
	}
	return shortest
}

func (s *Set) enforceRetention(p *Partition) error {
	n, err := p.log.EnforceRetention(s.cfg.Clock())
	if n > 0 {
		s.cfg.Logger.Info("segments deleted by retention", "topic", p.Topic, "partition", p.ID, "segments", n)
	}
	return err
}

// each calls f for every partition whose log is usable. A log that is closed
// meanwhile is not worth a line.
func (s *Set) each(failure string, f func(*Partition) error) {
	for _, p := range s.all() {
		if p.log == nil || p.log.Err() != nil {
			continue
		}
		if err := f(p); err != nil && !errors.Is(err, ErrClosed) {
			s.cfg.Logger.Warn(failure, "topic", p.Topic, "partition", p.ID, "err", err)
		}
	}
}

// Stats are the sizes of all partitions at one moment.
type Stats struct {
	Partitions int
	Offline    int // with an error of the disk
	Segments   int
	Bytes      int64
	Producers  int // idempotent producers that partitions remember
	Cleaner    CleanerStats
	Syncs      latency.Snapshot // how long fdatasync took
	Logs       []LogStats       // by topic and partition, without those out of use
}

// LogStats is one partition at one moment.
type LogStats struct {
	Topic                     string
	Partition                 int32
	Bytes                     int64
	Start, End, HighWatermark int64
}

// Stats adds up the sizes of all partitions.
func (s *Set) Stats() Stats {
	out := Stats{Cleaner: s.cleaner.statsNow(), Syncs: s.syncer.Took()}
	for _, p := range s.all() {
		out.Partitions++
		if p.log == nil || p.log.Err() != nil {
			out.Offline++
			continue
		}
		st := p.log.Stats()
		out.Segments += st.Segments
		out.Bytes += st.Bytes
		out.Producers += st.Producers
		out.Logs = append(out.Logs, LogStats{
			Topic: p.Topic, Partition: p.ID, Bytes: st.Bytes,
			Start: p.StartOffset(), End: p.EndOffset(), HighWatermark: p.HighWatermark(),
		})
	}
	slices.SortFunc(out.Logs, func(a, b LogStats) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return out
}
