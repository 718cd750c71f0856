package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/bench/harness"
	"github.com/millrace/millrace/bench/peers"
)

const (
	batchBytes  = 64 << 10
	partitions  = 6
	connections = 2
	mib         = 1 << 20
)

// starts measures from the start of a process on an empty directory to the
// first record it acknowledges, and what it then holds of memory.
func (b *bench) starts(ctx context.Context) error {
	row := func(subject string, took time.Duration, pid int) error {
		rss, err := harness.RSS(pid)
		b.Row("cold start to first record", "empty directory", "ms").Add(subject, float64(took.Microseconds())/1000)
		b.Row("memory at rest", "after the first record", "MiB").Add(subject, float64(rss)/mib)
		return err
	}
	for range b.turns {
		if b.haveKafka() {
			kafka, err := b.startKafka(ctx)
			if err != nil {
				return err
			}
			if err := row("kafka", kafka.StartTime, kafka.PID()); err != nil {
				return err
			}
			if err := kafka.Stop(); err != nil {
				return err
			}
		}
		began := time.Now()
		node, err := b.startMillrace(ctx)
		if err != nil {
			return err
		}
		for !peers.Acknowledges(ctx, node.Kafka) {
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		if err := row("millrace", time.Since(began), node.PID()); err != nil {
			return err
		}
		if err := node.Stop(); err != nil {
			return err
		}
	}
	return nil
}

// throughput measures producing for each size, acknowledgement and codec.
func (b *bench) throughput(ctx context.Context) error {
	for _, size := range []int{100, 1024, 10 * 1024} {
		for _, acks := range []int16{1, -1} {
			for _, c := range []codec{none, lz4, zstd} {
				if err := b.produceRow(ctx, "produce", size, acks, c, partitions); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (b *bench) produceRow(ctx context.Context, name string, size int, acks int16, c codec, parts int32) error {
	records := max(1, batchBytes/size)
	if parts > 100 {
		records = max(1, records/4)
	}
	batch, err := makeBatch(records, size, c)
	if err != nil {
		return err
	}
	settings := fmt.Sprintf("%d B records, acks=%d, %s, %d partitions, batches of %d records", size, acks, c, parts, records)
	return b.eachTurn(func(s subject) error {
		return b.withTopic(ctx, s, parts, func(topic string, admin *kadm.Client) error {
			p := producing{topic: topic, partitions: parts, connections: connections, acks: acks, batch: batch, records: records}
			from := time.Now().Add(b.warmup)
			rate, rss, err := b.produce(ctx, s, admin, p, from, from.Add(b.duration))
			if err != nil {
				return err
			}
			b.Row(name, settings, "records/s").Add(s.name, rate)
			if rss > 0 {
				b.Row("memory under load", name+": "+settings, "MiB").Add(s.name, rss)
			}
			return nil
		})
	})
}

// produce runs a load and returns the records acknowledged per second, and the
// most memory that the server held, in MiB.
func (b *bench) produce(ctx context.Context, s subject, admin *kadm.Client, p producing, from, until time.Time) (rate, rss float64, err error) {
	peak := watchMemory(s.pid)
	acknowledged, err := p.run(ctx, s.addr, from, until)
	rss = peak()
	if err != nil {
		return 0, 0, err
	}
	_, total, err := offsets(ctx, admin, p.topic)
	if err == nil && total < acknowledged {
		err = fmt.Errorf("%d records acknowledged and %d in the log", acknowledged, total)
	}
	return float64(acknowledged) / until.Sub(from).Seconds(), rss, err
}

// watchMemory samples a process until the function it returns is called, which
// tells the most it saw, in MiB.
func watchMemory(pid int) func() float64 {
	if pid == 0 {
		return func() float64 { return 0 }
	}
	var peak atomic.Int64
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			if rss, err := harness.RSS(pid); err == nil {
				peak.Store(max(peak.Load(), rss))
			}
			select {
			case <-done:
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	return func() float64 {
		close(done)
		<-ended
		return float64(peak.Load()) / mib
	}
}

// catchUp fills a topic and reads it from the page cache.
func (b *bench) catchUp(ctx context.Context) error {
	for _, size := range []int{100, 1024, 10 * 1024} {
		records := max(1, batchBytes/size)
		batch, err := makeBatch(records, size, none)
		if err != nil {
			return err
		}
		settings := fmt.Sprintf("%d B records, %d partitions, from the page cache", size, partitions)
		err = b.eachTurn(func(s subject) error {
			return b.withTopic(ctx, s, partitions, func(topic string, admin *kadm.Client) error {
				p := producing{topic: topic, partitions: partitions, connections: connections, acks: 1, batch: batch, records: records}
				now := time.Now()
				if _, _, err := b.produce(ctx, s, admin, p, now, now.Add(b.duration/3)); err != nil {
					return err
				}
				ends, total, err := offsets(ctx, admin, topic)
				if err != nil {
					return err
				}
				f := fetching{topic: topic, partitions: partitions, connections: connections, ends: ends}
				// Once to have it in the cache, then for the figure until the
				// time is up.
				if _, _, err := f.run(ctx, s.addr); err != nil {
					return err
				}
				var got, bytes int64
				began := time.Now()
				for time.Since(began) < b.duration/2 {
					r, n, err := f.run(ctx, s.addr)
					if err != nil {
						return err
					}
					if r < total {
						return fmt.Errorf("%d of %d records arrived", r, total)
					}
					got, bytes = got+r, bytes+n
				}
				took := time.Since(began).Seconds()
				b.Row("consume", settings, "records/s").Add(s.name, float64(got)/took)
				b.Row("consume", settings, "MiB/s").Add(s.name, float64(bytes)/mib/took)
				return nil
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// manyPartitions measures producing to 1, 100 and 1,000 partitions.
func (b *bench) manyPartitions(ctx context.Context) error {
	for _, n := range []int32{1, 100, 1000} {
		if err := b.produceRow(ctx, "produce to partitions", 1024, -1, none, n); err != nil {
			return err
		}
	}
	return nil
}

// latency sends at a steady rate and measures from the moment a record was due
// to its arrival at a consumer.
func (b *bench) latency(ctx context.Context) error {
	const rate = 10_000
	settings := fmt.Sprintf("%d records/s of 1 KB, %d partitions, acks=all, no linger", rate, partitions)
	return b.eachTurn(func(s subject) error {
		return b.withTopic(ctx, s, partitions, func(topic string, _ *kadm.Client) error {
			times, err := endToEnd(ctx, s.addr, topic, rate, b.warmup, b.duration)
			if err != nil {
				return err
			}
			slices.Sort(times)
			for _, p := range []struct {
				name string
				q    float64
			}{{"p50", 0.5}, {"p99", 0.99}, {"p99.9", 0.999}} {
				at := times[int(p.q*float64(len(times)-1))]
				b.Row("end-to-end latency "+p.name, settings, "ms").Add(s.name, float64(at.Microseconds())/1000)
			}
			return nil
		})
	})
}

func endToEnd(ctx context.Context, addr, topic string, rate int, warmup, duration time.Duration) ([]time.Duration, error) {
	ctx, stop := context.WithTimeoutCause(ctx, warmup+duration+time.Minute, fmt.Errorf("records did not arrive"))
	defer stop()
	producer, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(0),
		kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		return nil, err
	}
	defer producer.Close()
	consumer, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	defer consumer.Close()
	total, skip := int(duration.Seconds()*float64(rate)), int(warmup.Seconds()*float64(rate))
	failed := make(chan error, 1)
	began := time.Now()
	go func() {
		gap := time.Second / time.Duration(rate)
		for i := 0; i < total+skip && ctx.Err() == nil; i++ {
			due := began.Add(time.Duration(i) * gap)
			if wait := time.Until(due); wait > 0 {
				time.Sleep(wait) // the load's own clock
			}
			value := make([]byte, 1024)
			binary.BigEndian.PutUint64(value, uint64(due.UnixNano()))
			producer.Produce(ctx, &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
				if err != nil {
					select {
					case failed <- err:
					default:
					}
				}
			})
		}
	}()
	times := make([]time.Duration, 0, total)
	for got := 0; got < total+skip; {
		fetches := consumer.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		now := time.Now().UnixNano()
		fetches.EachRecord(func(r *kgo.Record) {
			if got++; got > skip {
				times = append(times, time.Duration(now-int64(binary.BigEndian.Uint64(r.Value))))
			}
		})
		select {
		case err := <-failed:
			return nil, err
		default:
		}
	}
	return times, nil
}

// idleConnections measures what a connection costs that does nothing but keep
// itself known.
func (b *bench) idleConnections(ctx context.Context) error {
	for _, n := range []int{1000, 5000} {
		err := b.eachTurn(func(s subject) error {
			if s.pid == 0 || s.name == unsynced {
				return nil
			}
			before, err := harness.RSS(s.pid)
			if err != nil {
				return err
			}
			conns := make([]net.Conn, 0, n)
			defer func() {
				for _, c := range conns {
					_ = c.Close() // nothing was written that could be lost
				}
			}()
			for range n {
				c, err := dial(ctx, s.addr)
				if err != nil {
					return err
				}
				if conns = append(conns, c); len(conns) > 0 {
					if err := ask(c); err != nil {
						return err
					}
				}
			}
			after, err := harness.RSS(s.pid)
			b.Row("memory of an idle connection", fmt.Sprintf("%d connections, each has asked for ApiVersions", n), "KiB").
				Add(s.name, float64(after-before)/1024/float64(n))
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
