package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/twmb/franz-go/pkg/kgo"
)

// latencyFor is how long transactions are committed while latency is measured,
// the first part of it as a warm-up.
const (
	latencyFor    = 30 * time.Second
	latencyWarmup = 10 * time.Second
)

// latency measures from the commit, as the server dates it, to the consumer
// that has the record.
func (b *bench) latency(ctx context.Context) error {
	for _, s := range b.subjects {
		if err := b.latencyOf(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

func (b *bench) latencyOf(ctx context.Context, s subject) error {
	l := loads[0]
	run, config, err := b.prepared(ctx, l, s)
	if err != nil {
		return err
	}
	config["poll.interval.ms"] = "1" // Debezium's default waits half a second
	if err := s.worker.Put(ctx, run, config); err != nil {
		return err
	}
	if err := b.slot(ctx, run, true); err != nil {
		return err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(s.bootstrap), kgo.ConsumeTopics(run+"."+run+".t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxWait(100*time.Millisecond), kgo.MetadataMinAge(100*time.Millisecond), kgo.MetadataMaxAge(time.Second), kgo.UnknownTopicRetries(-1))
	if err != nil {
		return err
	}
	defer client.Close()
	load, stop := context.WithTimeout(ctx, latencyFor)
	defer stop()
	failed := make(chan error, 1)
	go func() { failed <- b.commits(load, run) }()
	var waits []time.Duration
	began := time.Now()
	for time.Since(began) < latencyFor {
		fetches := client.PollFetches(load)
		now := time.Now()
		fetches.EachRecord(func(r *kgo.Record) {
			if at, ok := committed(r.Value); ok && time.Since(began) > latencyWarmup {
				waits = append(waits, now.Sub(at))
			}
		})
	}
	if err := <-failed; err != nil {
		return err
	}
	if len(waits) == 0 {
		return errors.New("no record came: " + s.worker.Status(ctx, run))
	}
	slices.Sort(waits)
	settings := fmt.Sprintf("%d transactions of one row a second, commit to consumer", b.rate)
	for _, p := range []struct {
		name string
		at   float64
	}{{"p50", 0.5}, {"p99", 0.99}} {
		b.Row("latency, "+p.name, settings, "ms").Add(s.name, float64(waits[int(p.at*float64(len(waits)-1))].Microseconds())/1000)
	}
	b.Row("records while latency is measured", settings, "records/s").Add(s.name, float64(len(waits))/(latencyFor-latencyWarmup).Seconds())
	return b.finish(ctx, s, run)
}

// committed reads the time of the commit off an event.
func committed(value []byte) (time.Time, bool) {
	_, rest, ok := bytes.Cut(value, []byte(`"source":{`))
	_, rest, ok2 := bytes.Cut(rest, []byte(`"ts_us":`))
	digits, _, ok3 := bytes.Cut(rest, []byte(","))
	if !ok || !ok2 || !ok3 {
		return time.Time{}, false
	}
	us, err := strconv.ParseInt(string(digits), 10, 64)
	return time.UnixMicro(us), err == nil
}

// commits commits transactions at the rate, over a few connections.
func (b *bench) commits(ctx context.Context, run string) error {
	const connections = 4
	var all sync.WaitGroup
	errs := make([]error, connections)
	for i := range connections {
		all.Add(1)
		go func() {
			defer all.Done()
			errs[i] = b.commitLoop(ctx, run, time.Second*connections/time.Duration(b.rate))
		}()
	}
	all.Wait()
	return errors.Join(errs...)
}

func (b *bench) commitLoop(ctx context.Context, run string, every time.Duration) error {
	db, err := pgx.Connect(ctx, b.server.URL("postgres"))
	if err != nil {
		return err
	}
	defer db.Close(context.WithoutCancel(ctx))
	sql := smallInsert(run+".t", "nextval('"+run+".t_id')", "generate_series(1, 1) g")
	next := time.Now()
	for ctx.Err() == nil {
		if _, err := db.Exec(ctx, sql); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		next = next.Add(every)
		time.Sleep(time.Until(next))
	}
	return nil
}
