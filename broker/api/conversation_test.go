package api_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/brokertest"
	"github.com/millrace/millrace/broker/recordbatch"
)

func TestMain(m *testing.M) {
	code := m.Run()
	for deadline := time.Now().Add(5 * time.Second); ; runtime.Gosched() {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		if !strings.Contains(string(stacks), "wire.(*Conn)") && !strings.Contains(string(stacks), "replica.(*Set)") && !strings.Contains(string(stacks), "quorum.(*") {
			break
		}
		if time.Now().After(deadline) {
			fmt.Fprintf(os.Stderr, "goroutines left:\n%s", stacks)
			code = 1
			break
		}
	}
	os.Exit(code)
}

// peer is a client that sends exactly what it is told.
type peer struct {
	t    testing.TB
	conn net.Conn
	next int32
}

func dial(t testing.TB, c *brokertest.Cluster) *peer {
	t.Helper()
	conn, err := net.Dial("tcp", c.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &peer{t: t, conn: conn}
}

func (p *peer) send(req kmsg.Request) {
	p.t.Helper()
	p.next++
	b := kmsg.NewRequestFormatter(kmsg.FormatterClientID("peer")).AppendRequest(nil, req, p.next)
	if _, err := p.conn.Write(b); err != nil {
		p.t.Fatalf("send %T: %v", req, err)
	}
}

// body reads the next response and returns what follows its header.
func (p *peer) body(correlation int32, flexible bool) []byte {
	p.t.Helper()
	p.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	head := make([]byte, 8)
	if _, err := io.ReadFull(p.conn, head); err != nil {
		p.t.Fatalf("receive: %v", err)
	}
	b := make([]byte, binary.BigEndian.Uint32(head)-4)
	if _, err := io.ReadFull(p.conn, b); err != nil {
		p.t.Fatalf("receive: %v", err)
	}
	if got := int32(binary.BigEndian.Uint32(head[4:])); got != correlation {
		p.t.Fatalf("correlation id is %d, want %d", got, correlation)
	}
	if flexible {
		if b[0] != 0 {
			p.t.Fatalf("response header has %d tagged fields", b[0])
		}
		b = b[1:]
	}
	return b
}

// ask sends a request and decodes its response, and checks that the response
// is to the byte what its version prescribes: decoding and encoding it again
// gives the same bytes.
func (p *peer) ask(req kmsg.Request) kmsg.Response {
	p.t.Helper()
	p.send(req)
	b := p.body(p.next, req.IsFlexible() && req.Key() != 18)
	resp := req.ResponseKind()
	if err := resp.ReadFrom(b); err != nil {
		p.t.Fatalf("decode %T version %d: %v", resp, req.GetVersion(), err)
	}
	if again := resp.AppendTo(nil); !bytes.Equal(again, b) {
		p.t.Fatalf("%T version %d: the response has %d bytes, its decoded form %d:\n%x\n%x", resp, req.GetVersion(), len(b), len(again), b, again)
	}
	return resp
}

// wantClosed checks that the broker closes the connection without a byte.
func (p *peer) wantClosed() {
	p.t.Helper()
	p.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	if n, err := p.conn.Read(make([]byte, 1)); n != 0 || err == nil || os.IsTimeout(err) {
		p.t.Errorf("connection gave %d bytes, %v; want it closed", n, err)
	}
}

// as sets a message's version and returns it.
func as[R interface{ SetVersion(int16) }](r R, version int16) R {
	r.SetVersion(version)
	return r
}

func wantCode(t testing.TB, what string, got int16, want *kerr.Error) {
	t.Helper()
	code := int16(0)
	if want != nil {
		code = want.Code
	}
	if got != code {
		t.Errorf("%s: error %v, want %v", what, kerr.ErrorForCode(got), kerr.ErrorForCode(code))
	}
}

// records makes a batch of one record per value, from an idempotent producer
// unless id is -1.
func records(t testing.TB, id int64, sequence int32, values ...string) recordbatch.View {
	t.Helper()
	var b recordbatch.Builder
	for i, v := range values {
		if err := b.Add(time.Now().UnixMilli(), fmt.Append(nil, "k", i), []byte(v)); err != nil {
			t.Fatal(err)
		}
	}
	p := recordbatch.NoProducer
	if id >= 0 {
		p = recordbatch.Producer{ID: id, BaseSequence: sequence}
	}
	return b.Batch(p)
}

// produceTo makes a Produce request for partition 0 of a topic.
func produceTo(version int16, topic string, acks int16, batch []byte) *kmsg.ProduceRequest {
	req := as(kmsg.NewPtrProduceRequest(), version)
	req.Acks, req.TimeoutMillis = acks, 10000
	rp := kmsg.NewProduceRequestTopicPartition()
	rp.Records = batch
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic, rt.Partitions = topic, []kmsg.ProduceRequestTopicPartition{rp}
	req.Topics = append(req.Topics, rt)
	return req
}

// produced sends a Produce request and returns its one partition.
func (p *peer) produced(req *kmsg.ProduceRequest) kmsg.ProduceResponseTopicPartition {
	p.t.Helper()
	return p.ask(req).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
}

// fetchFrom makes a Fetch request for partition 0 of a topic.
func fetchFrom(version int16, topic string, id [16]byte, offset int64) *kmsg.FetchRequest {
	req := as(kmsg.NewPtrFetchRequest(), version)
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = 10000, 1, 1<<20
	rp := kmsg.NewFetchRequestTopicPartition()
	rp.FetchOffset, rp.PartitionMaxBytes = offset, 1<<20
	rt := kmsg.NewFetchRequestTopic()
	rt.Topic, rt.TopicID, rt.Partitions = topic, id, []kmsg.FetchRequestTopicPartition{rp}
	req.Topics = append(req.Topics, rt)
	return req
}

func (p *peer) fetched(req *kmsg.FetchRequest) kmsg.FetchResponseTopicPartition {
	p.t.Helper()
	return p.ask(req).(*kmsg.FetchResponse).Topics[0].Partitions[0]
}

// values returns the values of the records of stored batches.
func values(t testing.TB, b []byte) []string {
	t.Helper()
	var out []string
	for len(b) > 0 {
		v, rest, err := recordbatch.Parse(b)
		if err == nil {
			err = v.CheckCRC()
		}
		if err != nil {
			t.Fatalf("stored batch: %v", err)
		}
		for r, err := range v.Records(1 << 20) {
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, string(r.Value))
		}
		b = rest
	}
	return out
}
