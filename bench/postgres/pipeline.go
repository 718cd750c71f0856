package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/bench/harness"
)

// patience bounds each wait.
const patience = 15 * time.Minute

// streams measures changes that were made beforehand, from the slot to the
// topic, so that the database's own work on them is not in the figure. What the
// server alone takes to send them is measured beside it: it is the ceiling.
func (b *bench) streams(ctx context.Context) error {
	for _, l := range loads {
		for _, s := range b.subjects {
			if err := b.stream(ctx, l, s); err != nil {
				return fmt.Errorf("%s, %s: %w", l.name, s.name, err)
			}
		}
	}
	return nil
}

// prepared makes tables and a slot that a connector has begun to use and was
// stopped again.
func (b *bench) prepared(ctx context.Context, l load, s subject) (run string, config map[string]string, err error) {
	run = b.name()
	if err := b.exec(ctx, append([]string{"CREATE SCHEMA " + run}, l.create(run)...)...); err != nil {
		return "", nil, err
	}
	config = b.config(run, l.tables, map[string]string{"snapshot.mode": "no_data"})
	if err := s.worker.Put(ctx, run, config); err != nil {
		return "", nil, err
	}
	if err := b.slot(ctx, run, true); err != nil {
		return "", nil, fmt.Errorf("%w: %s", err, s.worker.Status(ctx, run))
	}
	if err := s.worker.Delete(ctx, run); err != nil {
		return "", nil, err
	}
	return run, config, b.slot(ctx, run, false)
}

func (b *bench) stream(ctx context.Context, l load, s subject) error {
	run, config, err := b.prepared(ctx, l, s)
	if err != nil {
		return err
	}
	if err := b.exec(ctx, fmt.Sprintf("SELECT pg_create_logical_replication_slot('%s_raw', 'pgoutput')", run)); err != nil {
		return err
	}
	if err := b.exec(ctx, l.change(run, b.rows)...); err != nil {
		return err
	}
	want := b.rows
	if l.name == "wide rows" {
		want = max(b.rows/10000, 1) * 1000
	}
	if s == b.subjects[0] {
		seconds, err := b.receive(ctx, run)
		if err != nil {
			return err
		}
		b.Row("the server alone, "+l.name, l.settings+", pg_recvlogical to nowhere", "rows/s").Add("server", float64(want)/seconds)
	}
	if err := b.exec(ctx, fmt.Sprintf("SELECT pg_drop_replication_slot('%s_raw')", run)); err != nil {
		return err
	}
	before, err := harness.CPU(s.pid)
	if err != nil {
		return err
	}
	if err := s.worker.Put(ctx, run, config); err != nil {
		return err
	}
	topics := make([]string, len(l.tables))
	for i, t := range l.tables {
		topics[i] = run + "." + run + "." + t
	}
	rate, memory, err := b.arrive(ctx, s, topics, int64(want))
	if err != nil {
		return fmt.Errorf("%w: %s", err, s.worker.Status(ctx, run))
	}
	b.Row("streaming, "+l.name, l.settings+", JSON without schemas, counted in the topic", "events/s").Add(s.name, rate)
	after, err := harness.CPU(s.pid)
	if err != nil {
		return err
	}
	sending, err := b.sending(ctx, run)
	if err != nil {
		return err
	}
	b.Row("processor of the server while streaming, "+l.name, "the walsender alone", "µs/event").Add(s.name, 1e6*sending/float64(want))
	b.Row("processor while streaming, "+l.name, "all processes of the worker and its tasks; Millrace's log is one of them, Kafka is not", "µs/event").Add(s.name, 1e6*(after-before)/float64(want))
	b.Row("memory while streaming, "+l.name, "all processes of the worker and its tasks", "MiB").Add(s.name, memory)
	return b.finish(ctx, s, run)
}

// sending returns the processor time, in seconds, that the walsender of a slot
// has used since its client connected.
func (b *bench) sending(ctx context.Context, slot string) (float64, error) {
	var pid int
	if err := b.db.QueryRow(ctx, "SELECT active_pid FROM pg_replication_slots WHERE slot_name = $1", slot).Scan(&pid); err != nil {
		return 0, err
	}
	return harness.CPU(pid)
}

// finish removes a connector and its slot.
func (b *bench) finish(ctx context.Context, s subject, run string) error {
	if err := s.worker.Delete(ctx, run); err != nil {
		return err
	}
	if err := b.slot(ctx, run, false); err != nil {
		return err
	}
	return b.exec(ctx, fmt.Sprintf("SELECT pg_drop_replication_slot('%s')", run), "DROP SCHEMA "+run+" CASCADE", "DROP PUBLICATION "+run)
}

// slot waits until somebody uses a slot that is ready, or nobody.
func (b *bench) slot(ctx context.Context, name string, active bool) error {
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		var is bool
		if err := b.db.QueryRow(ctx, "SELECT coalesce(bool_or(active AND confirmed_flush_lsn IS NOT NULL), false) FROM pg_replication_slots WHERE slot_name = $1", name).Scan(&is); err != nil {
			return err
		}
		if is == active {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("slot %s is in use: %v, want %v", name, is, active)
		}
	}
}

// arrive waits until topics have that many records, and returns records a
// second between the first and the last of them, as their producer dated them,
// and the most memory that was in use, in MiB.
func (b *bench) arrive(ctx context.Context, s subject, topics []string, want int64) (rate, memory float64, err error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(s.bootstrap), kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		return 0, 0, err
	}
	defer client.Close()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		offsets, err := kadm.NewClient(client).ListEndOffsets(ctx, topics...)
		if err != nil {
			return 0, 0, err
		}
		n := int64(0)
		offsets.Each(func(o kadm.ListedOffset) {
			if o.Err == nil {
				n += o.Offset
			}
		})
		if rss, err := harness.RSS(s.pid); err == nil {
			memory = max(memory, float64(rss)/(1<<20))
		}
		if n >= want {
			took, err := span(ctx, s, offsets)
			return float64(want) / took.Seconds(), memory, err
		}
		if time.Now().After(end) {
			return 0, 0, fmt.Errorf("%d of %d records after %s", n, want, patience)
		}
	}
}

// span is the time from the first record of some topics to the last.
func span(ctx context.Context, s subject, ends kadm.ListedOffsets) (time.Duration, error) {
	var first, last time.Time
	var failed error
	ends.Each(func(o kadm.ListedOffset) {
		if failed != nil || o.Err != nil || o.Offset == 0 {
			return
		}
		// The last offsets may be of the ends of transactions.
		for _, at := range []int64{0, max(o.Offset-5, 0)} {
			r, err := recordAt(ctx, s, o.Topic, o.Partition, at)
			if err != nil {
				failed = err
				return
			}
			if first.IsZero() || r.Before(first) {
				first = r
			}
			if r.After(last) {
				last = r
			}
		}
	})
	return max(last.Sub(first), time.Millisecond), failed
}

// recordAt returns the time of the first record from an offset on.
func recordAt(ctx context.Context, s subject, topic string, partition int32, offset int64) (time.Time, error) {
	ctx, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	client, err := kgo.NewClient(kgo.SeedBrokers(s.bootstrap), kgo.FetchMaxBytes(1<<20),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(offset)}}))
	if err != nil {
		return time.Time{}, err
	}
	defer client.Close()
	for {
		fetches := client.PollRecords(ctx, 1)
		if err := fetches.Err(); err != nil {
			return time.Time{}, fmt.Errorf("record %d of %s: %w", offset, topic, err)
		}
		if r := fetches.Records(); len(r) > 0 {
			return r[0].Timestamp, nil
		}
	}
}

// snapshots measures reading a table that is there, beside COPY of the same.
func (b *bench) snapshots(ctx context.Context) error {
	schema := b.name()
	if err := b.exec(ctx, "CREATE SCHEMA "+schema, smallTable(schema+".t"), smallInsert(schema+".t", "g", fmt.Sprintf("generate_series(1, %d) g", b.rows)), "VACUUM ANALYZE "+schema+".t"); err != nil {
		return err
	}
	for _, s := range b.subjects {
		run := b.name()
		config := b.config(run, []string{"t"}, map[string]string{"table.include.list": schema + ".t", "snapshot.mode": "initial_only", "snapshot.fetch.size": "10240"})
		if err := s.worker.Put(ctx, run, config); err != nil {
			return err
		}
		rate, _, err := b.arrive(ctx, s, []string{run + "." + schema + ".t"}, int64(b.rows))
		if err != nil {
			return fmt.Errorf("%s: %w: %s", s.name, err, s.worker.Status(ctx, run))
		}
		b.Row("snapshot", fmt.Sprintf("%d rows of 7 columns, JSON without schemas, counted in the topic", b.rows), "rows/s").Add(s.name, rate)
		if err := s.worker.Delete(ctx, run); err != nil {
			return err
		}
	}
	began := time.Now()
	if _, err := b.db.PgConn().CopyTo(ctx, io.Discard, "COPY "+schema+".t TO STDOUT (FORMAT binary)"); err != nil {
		return err
	}
	b.Row("snapshot", fmt.Sprintf("%d rows of 7 columns, COPY in binary to nowhere", b.rows), "rows/s").Add("server", float64(b.rows)/time.Since(began).Seconds())
	return b.exec(ctx, "DROP SCHEMA "+schema+" CASCADE")
}
