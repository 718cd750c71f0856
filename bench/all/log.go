package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/bench/harness"
)

const logPartitions = 6

// benchLog measures producing, consuming and the time from one to the other.
func benchLog(ctx context.Context, o options, r *harness.Report) error {
	return harness.WithNode(ctx, o.bin, "", func(n *harness.Node) error {
		for _, size := range []int{100, 1024} {
			if err := benchThroughput(ctx, o, r, n, size); err != nil {
				return err
			}
		}
		return benchLatency(ctx, o, r, n)
	})
}

func benchThroughput(ctx context.Context, o options, r *harness.Report, n *harness.Node, size int) error {
	settings := fmt.Sprintf("%d-byte records, %d partitions, acks=all, idempotent, batches to 1 MB, linger 5 ms, no compression", size, logPartitions)
	topic := fmt.Sprintf("throughput-%d", size)
	if err := r.Twice("produce", settings, "records/s", func() (float64, error) { return produceFor(ctx, o, n, topic, size) }); err != nil {
		return err
	}
	settings = fmt.Sprintf("%d-byte records, %d partitions, no group", size, logPartitions)
	return r.Twice("consume", settings, "records/s", func() (float64, error) { return consumeAll(ctx, n, topic) })
}

func freshTopic(ctx context.Context, n *harness.Node, topic string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(n.Kafka))
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	if _, err := admin.DeleteTopics(ctx, topic); err != nil {
		return err
	}
	resp, err := admin.CreateTopic(ctx, logPartitions, 1, nil, topic)
	return errors.Join(err, resp.Err)
}

// spans returns how many offsets a topic's partitions hold together.
func spans(ctx context.Context, client *kgo.Client, topic string) (int64, error) {
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, topic)
	if err != nil {
		return 0, err
	}
	var total int64
	for _, e := range ends[topic] {
		total += e.Offset
	}
	return total, ends.Error()
}

// produceFor counts by the log's end offsets, not by what the client believes.
func produceFor(ctx context.Context, o options, n *harness.Node, topic string, size int) (float64, error) {
	if err := freshTopic(ctx, n, topic); err != nil {
		return 0, err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(n.Kafka), kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(5*time.Millisecond),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.MaxBufferedRecords(200_000))
	if err != nil {
		return 0, err
	}
	defer client.Close()
	payload := make([]byte, size)
	for i := range payload {
		payload[i] = byte(rand.Uint32())
	}
	var failure atomic.Pointer[error]
	promise := func(_ *kgo.Record, err error) {
		if err != nil {
			failure.CompareAndSwap(nil, &err)
		}
	}
	pump := func(d time.Duration) {
		for end := time.Now().Add(d); time.Now().Before(end) && failure.Load() == nil; {
			for range 1000 {
				client.Produce(ctx, &kgo.Record{Value: payload}, promise)
			}
		}
	}
	pump(o.warmup)
	before, err := spans(ctx, client, topic)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	pump(o.duration)
	after, err := spans(ctx, client, topic)
	took := time.Since(began)
	if err == nil {
		err = client.Flush(ctx)
	}
	if f := failure.Load(); f != nil {
		err = errors.Join(err, *f)
	}
	return float64(after-before) / took.Seconds(), err
}

// consumeAll reads a whole topic and counts the records that arrive.
func consumeAll(ctx context.Context, n *harness.Node, topic string) (float64, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(n.Kafka), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxBytes(64<<20), kgo.FetchMaxPartitionBytes(8<<20))
	if err != nil {
		return 0, err
	}
	defer client.Close()
	total, err := spans(ctx, client, topic)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	for got := int64(0); got < total; {
		fetches := client.PollFetches(ctx)
		if errs := fetches.Errors(); len(errs) > 0 {
			return 0, errs[0].Err
		}
		got += int64(fetches.NumRecords())
	}
	return float64(total) / time.Since(began).Seconds(), nil
}

// benchLatency sends at a steady rate well below what the log can take, and
// measures from the moment a record was due to its arrival at a consumer.
func benchLatency(ctx context.Context, o options, r *harness.Report, n *harness.Node) error {
	const rate = 1000
	settings := fmt.Sprintf("%d records/s of 100 bytes, %d partitions, acks=all, no linger, end to end", rate, logPartitions)
	var p50, p99 [2]float64
	for i := range 2 {
		times, err := latencies(ctx, o, n, rate)
		if err != nil {
			return err
		}
		p50[i], p99[i] = percentile(times, 0.50), percentile(times, 0.99)
	}
	r.Add("latency p50", settings, "ms", p50[0], p50[1])
	r.Add("latency p99", settings, "ms", p99[0], p99[1])
	return nil
}

func percentile(times []time.Duration, p float64) float64 {
	slices.Sort(times)
	return float64(times[int(p*float64(len(times)-1))].Microseconds()) / 1000
}

func latencies(ctx context.Context, o options, n *harness.Node, rate int) ([]time.Duration, error) {
	const topic = "latency"
	if err := freshTopic(ctx, n, topic); err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(n.Kafka), kgo.DefaultProduceTopic(topic), kgo.ProducerLinger(0),
		kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	total := int(o.duration.Seconds()) * rate
	skip := int(o.warmup.Seconds()) * rate
	failed := make(chan error, 1)
	began := time.Now()
	go func() {
		gap := time.Second / time.Duration(rate)
		for i := range total + skip {
			due := began.Add(time.Duration(i) * gap)
			time.Sleep(time.Until(due))
			value := make([]byte, 100)
			binary.BigEndian.PutUint64(value, uint64(due.UnixNano()))
			client.Produce(ctx, &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
				if err != nil {
					select {
					case failed <- err:
					default:
					}
				}
			})
		}
	}()
	var times []time.Duration
	for got := 0; got < total+skip; {
		fetches := client.PollFetches(ctx)
		if errs := fetches.Errors(); len(errs) > 0 {
			return nil, errs[0].Err
		}
		now := time.Now().UnixNano()
		fetches.EachRecord(func(rec *kgo.Record) {
			if got++; got > skip {
				times = append(times, time.Duration(now-int64(binary.BigEndian.Uint64(rec.Value))))
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
