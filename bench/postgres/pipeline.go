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
// topic, so that the database's own work on them is not in the figure.
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
	if err := b.exec(ctx, l.change(run, b.rows)...); err != nil {
		return err
	}
	want := b.rows
	if l.name == "wide rows" {
		want = max(b.rows/10000, 1) * 1000
	}
	if err := s.worker.Put(ctx, run, config); err != nil {
		return err
	}
	rate, memory, err := b.arrive(ctx, s, run, l.tables, int64(want))
	if err != nil {
		return fmt.Errorf("%w: %s", err, s.worker.Status(ctx, run))
	}
	b.Row("streaming, "+l.name, l.settings+", JSON without schemas, counted in the topic", "events/s").Add(s.name, rate)
	b.Row("memory while streaming, "+l.name, "all processes of the worker and its tasks", "MiB").Add(s.name, memory)
	return b.finish(ctx, s, run)
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

// slot waits until somebody uses a slot, or nobody.
func (b *bench) slot(ctx context.Context, name string, active bool) error {
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		var is bool
		if err := b.db.QueryRow(ctx, "SELECT coalesce(bool_or(active), false) FROM pg_replication_slots WHERE slot_name = $1", name).Scan(&is); err != nil {
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

// arrive waits until the topics of some tables have that many records, and
// returns records a second between the first and the last of them, and the
// most memory that was in use, in MiB.
func (b *bench) arrive(ctx context.Context, s subject, run string, tables []string, want int64) (rate, memory float64, err error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(s.bootstrap))
	if err != nil {
		return 0, 0, err
	}
	defer client.Close()
	topics := make([]string, len(tables))
	for i, t := range tables {
		topics[i] = run + "." + run + "." + t
	}
	var began time.Time
	var first int64
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
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
		switch {
		case n == 0:
		case first == 0:
			began, first = time.Now(), n
		case n >= want:
			return float64(n-first) / time.Since(began).Seconds(), memory, nil
		}
		if time.Now().After(end) {
			return 0, 0, fmt.Errorf("%d of %d records after %s", n, want, patience)
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
		rate, err := b.snapshot(ctx, s, run, schema)
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

func (b *bench) snapshot(ctx context.Context, s subject, run, schema string) (float64, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(s.bootstrap))
	if err != nil {
		return 0, err
	}
	defer client.Close()
	began := time.Time{}
	var first int64
	topic := run + "." + schema + ".t"
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		offsets, err := kadm.NewClient(client).ListEndOffsets(ctx, topic)
		if err != nil {
			return 0, err
		}
		n := int64(0)
		offsets.Each(func(o kadm.ListedOffset) {
			if o.Err == nil {
				n += o.Offset
			}
		})
		if n > 0 && first == 0 {
			began, first = time.Now(), n
		}
		if n >= int64(b.rows) {
			return float64(n-first) / time.Since(began).Seconds(), nil
		}
		if time.Now().After(end) {
			return 0, fmt.Errorf("%d of %d rows after %s", n, b.rows, patience)
		}
	}
}
