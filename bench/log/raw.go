package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"
)

// The load is made by a client that does as little as a client can: batches are
// encoded once and sent again and again, and what is fetched is counted by its
// batch headers. So the processor's time goes to the servers that are compared.

const (
	inFlight       = 5 // as the Java producer
	requestBytes   = 1 << 20
	produceVersion = 9
	fetchVersion   = 12
	ioTimeout      = time.Minute
)

// frame is a request with its length and header in front.
func frame(req kmsg.Request, version int16) []byte {
	req.SetVersion(version)
	out := make([]byte, 4, 64)
	out = binary.BigEndian.AppendUint16(out, uint16(req.Key()))
	out = binary.BigEndian.AppendUint16(out, uint16(version))
	out = binary.BigEndian.AppendUint32(out, 0) // correlation id: answers come in order
	out = binary.BigEndian.AppendUint16(out, 5)
	out = append(out, "bench"...)
	if req.IsFlexible() {
		out = append(out, 0)
	}
	out = req.AppendTo(out)
	binary.BigEndian.PutUint32(out, uint32(len(out)-4))
	return out
}

// readFrame reads one response into buf, which grows as need be, and returns
// its body.
func readFrame(r io.Reader, buf *[]byte) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(size[:]))
	if n > 256<<20 || n < 5 {
		return nil, fmt.Errorf("a response of %d bytes", n)
	}
	if cap(*buf) < n {
		*buf = make([]byte, n)
	}
	body := (*buf)[:n]
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	return body[5:], nil // correlation id, no tags: both versions used are flexible
}

// producing is a load of produce requests.
type producing struct {
	topic       string
	partitions  int32
	connections int
	acks        int16
	batch       []byte
	records     int // in a batch
}

// run sends for as long as ctx allows and returns how many records were
// acknowledged within [from, until).
func (p producing) run(ctx context.Context, addr string, from, until time.Time) (int64, error) {
	var acknowledged atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for i := range p.connections {
		g.Go(func() error {
			return p.connection(ctx, addr, i, until, func(records int64) {
				if now := time.Now(); !now.Before(from) && now.Before(until) {
					acknowledged.Add(records)
				}
			})
		})
	}
	err := g.Wait()
	return acknowledged.Load(), err
}

// frames are the requests that one connection sends in turn.
func (p producing) frames(connection int) ([][]byte, []int64) {
	var out [][]byte
	var counts []int64
	flush := func(partitions []int32) {
		if len(partitions) == 0 {
			return
		}
		req := kmsg.NewPtrProduceRequest()
		req.Acks, req.TimeoutMillis = p.acks, 30_000
		t := kmsg.NewProduceRequestTopic()
		t.Topic = p.topic
		for _, n := range partitions {
			rp := kmsg.NewProduceRequestTopicPartition()
			rp.Partition, rp.Records = n, p.batch
			t.Partitions = append(t.Partitions, rp)
		}
		req.Topics = append(req.Topics, t)
		out = append(out, frame(req, produceVersion))
		counts = append(counts, int64(p.records*len(partitions)))
	}
	var group []int32
	for n := int32(connection); n < p.partitions; n += int32(p.connections) {
		if group = append(group, n); (len(group)+1)*len(p.batch) > requestBytes {
			flush(group)
			group = nil
		}
	}
	flush(group)
	return out, counts
}

func (p producing) connection(ctx context.Context, addr string, index int, until time.Time, count func(int64)) error {
	frames, counts := p.frames(index)
	if len(frames) == 0 {
		return nil
	}
	conn, err := dial(ctx, addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	sent := make(chan int64, inFlight)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(sent)
		for i := 0; time.Now().Before(until); i = (i + 1) % len(frames) {
			select {
			case sent <- counts[i]:
			case <-ctx.Done():
				return ctx.Err()
			}
			if _, err := conn.Write(frames[i]); err != nil {
				return err
			}
		}
		return nil
	})
	g.Go(func() error {
		r := bufio.NewReader(conn)
		var buf []byte
		for n := range sent {
			if err := conn.SetReadDeadline(time.Now().Add(ioTimeout)); err != nil {
				return err
			}
			body, err := readFrame(r, &buf)
			if err != nil {
				return err
			}
			resp := kmsg.NewPtrProduceResponse()
			resp.SetVersion(produceVersion)
			if err := resp.ReadFrom(body); err != nil {
				return err
			}
			for _, t := range resp.Topics {
				for _, rp := range t.Partitions {
					if err := kerr.ErrorForCode(rp.ErrorCode); err != nil {
						return fmt.Errorf("produce to partition %d: %w", rp.Partition, err)
					}
				}
			}
			count(n)
		}
		return nil
	})
	return g.Wait()
}

func dial(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}

// fetching reads a topic from its beginning, a connection for each share of
// its partitions.
type fetching struct {
	topic       string
	partitions  int32
	connections int
	ends        []int64 // by partition
}

// run returns the records and bytes that arrived.
func (f fetching) run(ctx context.Context, addr string) (records, bytes int64, err error) {
	var r, b atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for i := range f.connections {
		g.Go(func() error {
			n, size, err := f.connection(ctx, addr, i)
			r.Add(n)
			b.Add(size)
			return err
		})
	}
	err = g.Wait()
	return r.Load(), b.Load(), err
}

func (f fetching) connection(ctx context.Context, addr string, index int) (records, size int64, err error) {
	next := map[int32]int64{}
	for n := int32(index); n < f.partitions; n += int32(f.connections) {
		if f.ends[n] > 0 {
			next[n] = 0
		}
	}
	conn, err := dial(ctx, addr)
	if err != nil {
		return 0, 0, err
	}
	defer conn.Close()
	var buf []byte
	resp := kmsg.NewPtrFetchResponse()
	for len(next) > 0 {
		if err := errors.Join(conn.SetDeadline(time.Now().Add(ioTimeout)), ctx.Err()); err != nil {
			return records, size, err
		}
		if _, err := conn.Write(frame(f.request(next), fetchVersion)); err != nil {
			return records, size, err
		}
		body, err := readFrame(conn, &buf)
		if err != nil {
			return records, size, err
		}
		*resp = kmsg.NewFetchResponse()
		resp.SetVersion(fetchVersion)
		if err := resp.ReadFrom(body); err != nil {
			return records, size, err
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return records, size, fmt.Errorf("fetch partition %d: %w", p.Partition, err)
				}
				n, to := countBatches(p.RecordBatches, next[p.Partition])
				records, size = records+n, size+int64(len(p.RecordBatches))
				if next[p.Partition] = to; to >= f.ends[p.Partition] {
					delete(next, p.Partition)
				}
			}
		}
	}
	return records, size, nil
}

func (f fetching) request(next map[int32]int64) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = 500, 1, 50<<20
	req.SessionEpoch = -1
	t := kmsg.NewFetchRequestTopic()
	t.Topic = f.topic
	for n, offset := range next {
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes = n, offset, 1<<20
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	return req
}

// countBatches counts the records of whole batches and returns the offset after
// the last of them.
func countBatches(raw []byte, next int64) (records, to int64) {
	for len(raw) >= 61 {
		length := 12 + int(binary.BigEndian.Uint32(raw[8:]))
		if length > len(raw) {
			break // cut off at the limit
		}
		records += int64(binary.BigEndian.Uint32(raw[57:]))
		next = int64(binary.BigEndian.Uint64(raw)) + int64(binary.BigEndian.Uint32(raw[23:])) + 1
		raw = raw[length:]
	}
	return records, next
}
