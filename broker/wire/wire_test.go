package wire

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/net/nettest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	for deadline := time.Now().Add(2 * time.Second); ; runtime.Gosched() {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		if !strings.Contains(string(stacks), "wire.(*Conn)") {
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

// stub serves Heartbeat 0 to 4 with what handle returns, and Produce 3 to 9
// without responses.
type stub struct {
	handle func(r *Request) (Reply, error)
}

var (
	heartbeatLayout = NewLayout("s 4 s s@3")
	produceLayout   = NewLayout("s@3 2 4 [ s [ 4 b ] ]")
)

func (s stub) Open(h Header) (m kmsg.Request, l *Layout) {
	switch {
	case h.Key == 12 && h.Version <= 4:
		m, l = kmsg.NewPtrHeartbeatRequest(), heartbeatLayout
	case h.Key == 0 && h.Version >= 3 && h.Version <= 9:
		m, l = kmsg.NewPtrProduceRequest(), produceLayout
	default:
		return nil, nil
	}
	m.SetVersion(h.Version)
	return m, l
}

func (s stub) Handle(_ context.Context, _ *Conn, r *Request) (Reply, error) { return s.handle(r) }

// echo answers Heartbeat with its generation as the throttle time.
func echo(r *Request) (Reply, error) { return Ready(echoed(r)), nil }

func echoed(r *Request) kmsg.Response {
	req := r.Body.(*kmsg.HeartbeatRequest)
	resp := req.ResponseKind().(*kmsg.HeartbeatResponse)
	resp.ThrottleMillis = req.Generation
	return resp
}

// heartbeat encodes a request with a generation and itself as correlation id.
func heartbeat(version int16, generation int32) []byte {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Version, req.Group, req.Generation = version, "g", generation
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("test")).AppendRequest(nil, req, generation)
}

// server runs Serve on one end of a connection. The cleanup ends it.
type server struct {
	client     net.Conn
	stop, kill context.CancelFunc
	done       chan error
	shared     *Shared
	log        *bytes.Buffer // read after done
}

func serve(t *testing.T, h Handler, cfg Config) *server {
	t.Helper()
	client, conn := Pipe()
	return serveOn(t, client, conn, h, cfg)
}

func serveOn(t *testing.T, client, conn net.Conn, h Handler, cfg Config) *server {
	s := &server{client: client, done: make(chan error, 1), shared: new(Shared), log: new(bytes.Buffer)}
	cfg.Shared, cfg.Logger = s.shared, slog.New(slog.NewTextHandler(s.log, nil))
	var ctx, hard context.Context
	ctx, s.stop = context.WithCancel(context.Background())
	hard, s.kill = context.WithCancel(context.Background())
	go func() { s.done <- Serve(ctx, hard, conn, "TEST", h, cfg) }()
	t.Cleanup(func() { s.kill(); s.stop(); client.Close() })
	return s
}

func (s *server) send(t *testing.T, b ...[]byte) {
	t.Helper()
	if _, err := s.client.Write(bytes.Join(b, nil)); err != nil {
		t.Fatalf("send: %v", err)
	}
}

// receive reads one Heartbeat response and returns correlation id and throttle
// time.
func (s *server) receive(t *testing.T, version int16) (correlation, throttle int32) {
	t.Helper()
	s.client.SetReadDeadline(time.Now().Add(5 * time.Second))
	size := make([]byte, 4)
	if _, err := io.ReadFull(s.client, size); err != nil {
		t.Fatalf("receive: %v", err)
	}
	b := make([]byte, binary.BigEndian.Uint32(size))
	if _, err := io.ReadFull(s.client, b); err != nil {
		t.Fatalf("receive: %v", err)
	}
	correlation, b = int32(binary.BigEndian.Uint32(b)), b[4:]
	resp := kmsg.NewPtrHeartbeatResponse()
	if resp.Version = version; resp.IsFlexible() {
		b = b[1:]
	}
	if err := resp.ReadFrom(b); err != nil {
		t.Fatalf("decode response: %v", err)
	}
	return correlation, resp.ThrottleMillis
}

func (s *server) wantEnd(t *testing.T, want error) {
	t.Helper()
	select {
	case err := <-s.done:
		if !errors.Is(err, want) {
			t.Errorf("Serve returned %v, want %v", err, want)
		}
		s.done <- err
	case <-time.After(5 * time.Second):
		t.Fatal("Serve still runs")
	}
	s.client.SetReadDeadline(time.Now().Add(5 * time.Second))
	if n, err := s.client.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("the closed connection gave %d bytes, %v", n, err)
	}
}

func TestEveryHeaderVersion(t *testing.T) {
	s := serve(t, stub{echo}, Config{})
	for v := range int16(5) {
		s.send(t, heartbeat(v, 7))
		if c, got := s.receive(t, v); c != 7 || v > 0 && got != 7 {
			t.Errorf("version %d: correlation %d, answer %d; want 7 and 7", v, c, got)
		}
	}
	s.client.Close()
	s.wantEnd(t, nil)
	if s.shared.BytesIn.Load() == 0 || s.shared.BytesOut.Load() == 0 || s.shared.Requests.Load() != 5 {
		t.Errorf("counted %d bytes in, %d out, %d requests", s.shared.BytesIn.Load(), s.shared.BytesOut.Load(), s.shared.Requests.Load())
	}
}

// Replies that become ready in reverse order leave in the order of requests.
func TestOrder(t *testing.T) {
	const n = 20
	gates := make([]chan struct{}, n)
	arrived := make(chan int32, n)
	for i := range gates {
		gates[i] = make(chan struct{})
	}
	s := serve(t, stub{func(r *Request) (Reply, error) {
		g := r.Body.(*kmsg.HeartbeatRequest).Generation
		arrived <- g
		return func(context.Context) (Response, error) {
			<-gates[g]
			return Response{Message: echoed(r)}, nil
		}, nil
	}}, Config{})
	for i := range int32(n) {
		s.send(t, heartbeat(3, i))
	}
	for i := range int32(n) {
		if got := <-arrived; got != i {
			t.Fatalf("request %d was handled when %d was due", got, i)
		}
	}
	for i := range gates {
		close(gates[n-1-i])
	}
	for i := range int32(n) {
		if c, _ := s.receive(t, 3); c != i {
			t.Fatalf("response %d came when %d was due", c, i)
		}
	}
}

// No more requests are read ahead than MaxInFlight allows.
func TestPipelineIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handled := 0
		gate := make(chan struct{})
		s := serve(t, stub{func(r *Request) (Reply, error) {
			handled++
			return func(context.Context) (Response, error) {
				<-gate
				return Response{Message: echoed(r)}, nil
			}, nil
		}}, Config{MaxInFlight: 4})
		for i := range int32(50) {
			s.send(t, heartbeat(0, i))
		}
		synctest.Wait()
		// One is with the writer, four are queued, one waits to be.
		if handled != 6 {
			t.Errorf("%d requests were handled, want 6", handled)
		}
		close(gate)
		for i := range int32(50) {
			if c, _ := s.receive(t, 0); c != i {
				t.Fatalf("response %d came when %d was due", c, i)
			}
		}
		s.client.Close()
		s.wantEnd(t, nil)
	})
}

func TestNoResponse(t *testing.T) {
	s := serve(t, stub{func(r *Request) (Reply, error) {
		if r.Key == 0 {
			return nil, nil
		}
		return echo(r)
	}}, Config{})
	silent := kmsg.NewRequestFormatter().AppendRequest(nil, &kmsg.ProduceRequest{Version: 7}, 99)
	s.send(t, silent, heartbeat(0, 1))
	if c, _ := s.receive(t, 0); c != 1 {
		t.Errorf("the first response has correlation id %d, want that of the second request", c)
	}
}

func TestBadFrames(t *testing.T) {
	frame := func(body ...byte) []byte {
		return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
	}
	big := binary.BigEndian.AppendUint32(nil, 1001)
	other := append(binary.BigEndian.AppendUint32(nil, 901), 0, 12) // a Heartbeat
	produce := append([]byte{0, 0, 0, 7, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0, 1, 0, 0, 0, 0}, 0, 0, 0, 9)
	for _, tt := range []struct {
		name string
		b    []byte
		want error
	}{
		{"negative size", []byte{0xff, 0xff, 0xff, 0xff}, ErrFrameSize},
		{"no header", []byte{0, 0, 0, 9}, ErrFrameSize},
		{"above socket.request.max.bytes", big, ErrFrameSize},
		{"large for its key", other, ErrFrameSize},
		{"unknown key", frame(0, 99, 0, 0, 0, 0, 0, 1, 0xff, 0xff), ErrUnsupported},
		{"unknown version", frame(0, 12, 0, 9, 0, 0, 0, 1, 0xff, 0xff), ErrUnsupported},
		{"client id too long", frame(0, 12, 0, 0, 0, 0, 0, 1, 0, 9), ErrMalformed},
		{"negative client id", frame(0, 12, 0, 0, 0, 0, 0, 1, 0x80, 0), ErrMalformed},
		{"short body", frame(0, 12, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0, 5, 'g'), ErrMalformed},
		{"bad tags", frame(0, 12, 0, 4, 0, 0, 0, 1, 0xff, 0xff, 1, 0, 9), ErrMalformed},
		{"produce claims topics", frame(produce...), ErrMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serve(t, stub{echo}, Config{MaxRequestBytes: 1000, MaxOtherBytes: 900})
			s.send(t, tt.b)
			s.wantEnd(t, tt.want)
			if n := strings.Count(s.log.String(), "\n"); n != 1 || s.shared.Malformed.Load() != 1 {
				t.Errorf("%d log lines, %d counted, want 1 and 1:\n%s", n, s.shared.Malformed.Load(), s.log)
			}
		})
	}
}

// A frame that is announced but never sent costs little memory.
func TestClaimedSizeIsNotAllocated(t *testing.T) {
	if got := cap(getFrame(100 << 20)); got > 1<<trustClass && got > 1<<maxClass {
		t.Errorf("a claim of 100 MiB got %d bytes at once", got)
	}
	for _, n := range []int{0, 1, 4096, 4097, 1 << 20, 1<<20 + 1, 5 << 20} {
		want := bytes.Repeat([]byte("0123456789abcdef"), n/16+1)[:n]
		for range 2 { // once with fresh memory, once with pooled
			got, err := readBody(newReader(want), n)
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("readBody of %d bytes gave %d, %v", n, len(got), err)
			}
			putFrame(got)
		}
	}
}

// A body is refused at whatever byte it ends early.
func TestLayout(t *testing.T) {
	req := kmsg.NewPtrProduceRequest()
	req.TransactionID = kmsg.StringPtr("tx")
	for i := range 3 {
		topic := kmsg.NewProduceRequestTopic()
		topic.Topic = fmt.Sprint("t", i)
		for j := range i + 1 {
			p := kmsg.NewProduceRequestTopicPartition()
			p.Partition, p.Records = int32(j), bytes.Repeat([]byte{1}, 300*j)
			topic.Partitions = append(topic.Partitions, p)
		}
		req.Topics = append(req.Topics, topic)
	}
	for v := int16(3); v <= 12; v++ {
		req.Version = v
		b := req.AppendTo(nil)
		if rest, err := produceLayout.Check(v, req.IsFlexible(), append(b, 7)); err != nil || len(rest) != 1 {
			t.Errorf("version %d: %d bytes left, %v; want 1", v, len(rest), err)
		}
		for n := range len(b) {
			if _, err := produceLayout.Check(v, req.IsFlexible(), b[:n]); err == nil {
				t.Errorf("version %d: %d of %d bytes pass", v, n, len(b))
			}
		}
	}
	for _, bad := range []string{"[ s", "s ]", "x", "4@y", "<z 4 >"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("layout %q was accepted", bad)
				}
			}()
			NewLayout(bad)
		}()
	}
}

func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		s := serve(t, stub{func(r *Request) (Reply, error) {
			return func(context.Context) (Response, error) {
				<-gate
				return Response{Message: echoed(r)}, nil
			}, nil
		}}, Config{IdleTimeout: time.Minute})
		s.send(t, heartbeat(0, 1))
		time.Sleep(10 * time.Minute) // fake time: a response is owed, so nobody is idle
		synctest.Wait()
		select {
		case err := <-s.done:
			t.Fatalf("closed with a request in flight: %v", err)
		default:
		}
		close(gate)
		s.receive(t, 0)
		began := time.Now()
		err := <-s.done
		if idle := time.Since(began); !errors.Is(err, ErrIdle) || idle < time.Minute || idle > 2*time.Minute {
			t.Errorf("closed with %v after %v", err, idle)
		}
	})
}

// Stopping answers what was read and reads nothing more.
func TestStopDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate, handled := make(chan struct{}), 0
		s := serve(t, stub{func(r *Request) (Reply, error) {
			handled++
			return func(context.Context) (Response, error) {
				<-gate
				return Response{Message: echoed(r)}, nil
			}, nil
		}}, Config{})
		s.send(t, heartbeat(0, 5))
		synctest.Wait()
		s.stop()
		synctest.Wait()
		s.send(t, heartbeat(0, 6))
		synctest.Wait()
		close(gate)
		if c, _ := s.receive(t, 0); c != 5 || handled != 1 {
			t.Errorf("drained response has correlation id %d, %d requests handled; want 5 and 1", c, handled)
		}
		s.wantEnd(t, nil)
	})
}

// The end of the hard context ends replies that wait.
func TestKill(t *testing.T) {
	arrived := make(chan struct{})
	s := serve(t, stub{func(*Request) (Reply, error) {
		return func(ctx context.Context) (Response, error) {
			close(arrived)
			<-ctx.Done()
			return Response{}, context.Cause(ctx)
		}, nil
	}}, Config{})
	s.send(t, heartbeat(0, 5))
	<-arrived
	s.kill()
	s.wantEnd(t, nil)
}

// A peer that leaves ends the long poll that it waited for.
func TestClientLeaves(t *testing.T) {
	ended := make(chan struct{})
	s := serve(t, stub{func(*Request) (Reply, error) {
		return func(ctx context.Context) (Response, error) {
			<-ctx.Done()
			close(ended)
			return Response{}, context.Cause(ctx)
		}, nil
	}}, Config{})
	s.send(t, heartbeat(0, 5))
	s.client.Close()
	<-ended
	s.wantEnd(t, nil)
}

// What a handler or a reply fails with closes the connection and is logged.
func TestHandlerErrors(t *testing.T) {
	broken := errors.New("broken")
	for name, handle := range map[string]func(*Request) (Reply, error){
		"handler": func(*Request) (Reply, error) { return nil, broken },
		"reply": func(*Request) (Reply, error) {
			return func(context.Context) (Response, error) { return Response{}, broken }, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, stub{handle}, Config{})
			s.send(t, heartbeat(0, 1))
			s.wantEnd(t, broken)
			if n := strings.Count(s.log.String(), "broken"); n != 1 || s.shared.Malformed.Load() != 0 {
				t.Errorf("%d log lines, %d counted as malformed, want 1 and 0:\n%s", n, s.shared.Malformed.Load(), s.log)
			}
		})
	}
}

// fileChunk is a range of a file, as commitlog's are.
type fileChunk struct {
	*io.SectionReader
	closed *int
}

func (c fileChunk) Len() int64 { return c.Size() }
func (c fileChunk) AppendTo(dst []byte) ([]byte, error) {
	b := make([]byte, c.Size())
	_, err := c.ReadAt(b, 0)
	if err == io.EOF {
		err = nil
	}
	return append(dst, b...), err
}
func (c fileChunk) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, c.SectionReader) }
func (c fileChunk) Close() error                       { *c.closed++; return nil }

func TestStream(t *testing.T) {
	data := make([]byte, 3*copyBelow)
	for i := range data {
		data[i] = byte(i * 7)
	}
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	closed := 0
	ranges := [][2]int64{{5, 10}, {100, 2 * copyBelow}, {0, copyBelow - 1}, {1, copyBelow}}
	var want []byte
	s := serve(t, stub{func(*Request) (Reply, error) {
		return func(context.Context) (Response, error) {
			st := new(Stream)
			for i, r := range ranges {
				st.Bytes = fmt.Appendf(st.Bytes, "<%d>", i)
				st.Chunk(fileChunk{io.NewSectionReader(f, r[0], r[1]), &closed})
			}
			st.Bytes = append(st.Bytes, "end"...)
			return Response{Stream: st}, nil
		}, nil
	}}, Config{})
	for i, r := range ranges {
		want = append(fmt.Appendf(want, "<%d>", i), data[r[0]:r[0]+r[1]]...)
	}
	want = append(want, "end"...)
	s.send(t, heartbeat(0, 3))
	b := make([]byte, 8+len(want))
	s.client.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.ReadFull(s.client, b); err != nil {
		t.Fatal(err)
	}
	if size := binary.BigEndian.Uint32(b); int(size) != 4+len(want) || !bytes.Equal(b[8:], want) {
		t.Errorf("frame of %d bytes, want %d with the ranges in place", size, 4+len(want))
	}
	s.client.Close()
	s.wantEnd(t, nil)
	if closed != len(ranges) {
		t.Errorf("%d of %d chunks closed", closed, len(ranges))
	}
}

func TestPipeIsAConn(t *testing.T) {
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		a, b := Pipe()
		return a, b, func() { a.Close(); b.Close() }, nil
	})
}

func TestPipeListener(t *testing.T) {
	l := NewPipeListener()
	accepted := make(chan net.Conn, 1)
	go func() {
		c, _ := l.Accept()
		accepted <- c
	}()
	client, err := l.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	go client.Write([]byte("hi"))
	b := make([]byte, 2)
	if _, err := io.ReadFull(<-accepted, b); err != nil || string(b) != "hi" {
		t.Errorf("accepted end read %q, %v", b, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Dial(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Dial with nobody accepting and a dead context: %v", err)
	}
	l.Close()
	if _, err := l.Dial(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Dial after Close: %v", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept after Close: %v", err)
	}
}
