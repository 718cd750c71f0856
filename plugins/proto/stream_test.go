package proto

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/plugins/data"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
)

// fakePlugin answers streams by a script, as no SDK would.
type fakePlugin struct {
	UnimplementedConnectorServer
	source   func(grpc.BidiStreamingServer[ToSource, FromSource]) error
	sink     func(grpc.BidiStreamingServer[ToSink, FromSink]) error
	describe *DescribeResponse
	validate *ValidateResponse
}

func (f *fakePlugin) SourceTask(s grpc.BidiStreamingServer[ToSource, FromSource]) error {
	if _, err := s.Recv(); err != nil {
		return err
	}
	return f.source(s)
}

func (f *fakePlugin) SinkTask(s grpc.BidiStreamingServer[ToSink, FromSink]) error {
	if _, err := s.Recv(); err != nil {
		return err
	}
	return f.sink(s)
}

func (f *fakePlugin) Describe(context.Context, *DescribeRequest) (*DescribeResponse, error) {
	return f.describe, nil
}

func (f *fakePlugin) Validate(context.Context, *ValidateRequest) (*ValidateResponse, error) {
	return f.validate, nil
}

func connect(t *testing.T, f *fakePlugin) *grpc.ClientConn {
	t.Helper()
	l := bufconn.Listen(1 << 20)
	s := grpc.NewServer(ServerOptions()...)
	RegisterConnectorServer(s, f)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	dial := func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }
	conn, err := grpc.NewClient("passthrough:///plugin", append(DialOptions(),
		grpc.WithContextDialer(dial), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		s.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return conn
}

func opened() *FromSource { return &FromSource{Message: &FromSource_Opened{Opened: &Empty{}}} }

func batchMessage(sequence uint64, payload []byte) *FromSource {
	return &FromSource{Message: &FromSource_Batch{Batch: &Payload{Sequence: sequence, Payload: payload}}}
}

func payloadOf(t *testing.T, n int) []byte {
	t.Helper()
	p, _, err := AppendBatch(nil, &data.Batch{Records: []data.Record{{Topic: "t", Position: data.NoPosition,
		Value: data.Datum{State: data.Present, Row: make([]byte, n)}}}}, 0, &Table{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A plugin that breaks the protocol ends its own task and nothing else.
func TestSourceBreaksTheProtocol(t *testing.T) {
	big, small := payloadOf(t, 5000), payloadOf(t, 10)
	for name, tt := range map[string]struct {
		messages []*FromSource
		want     error
	}{
		"sequence that jumps":      {[]*FromSource{opened(), batchMessage(2, small)}, ErrProtocol},
		"beyond its credit":        {[]*FromSource{opened(), batchMessage(1, big), batchMessage(2, small)}, ErrProtocol},
		"payload that is garbage":  {[]*FromSource{opened(), batchMessage(1, []byte("garbage"))}, ErrPayload},
		"message of no kind":       {[]*FromSource{opened(), {}}, ErrProtocol},
		"batch after the end":      {[]*FromSource{opened(), {Message: &FromSource_Stopped{Stopped: &Empty{}}}, batchMessage(1, small)}, ErrProtocol},
		"too many offsets to read": {[]*FromSource{opened(), {Message: &FromSource_Offsets{Offsets: &OffsetsRequest{Partitions: make([][]byte, MaxRecords+1)}}}}, ErrProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			conn := connect(t, &fakePlugin{source: func(s grpc.BidiStreamingServer[ToSource, FromSource]) error {
				for _, m := range tt.messages {
					if err := s.Send(m); err != nil {
						return nil
					}
				}
				<-s.Context().Done()
				return nil
			}})
			s, err := OpenSource(t.Context(), conn, SourceSpec{Window: 4096})
			if err != nil { // it may break before it was seen to be open
				if !errors.Is(err, tt.want) {
					t.Errorf("opening: %v, want %v", err, tt.want)
				}
				return
			}
			defer s.Abort(errClosed)
			for err == nil || errors.Is(err, io.EOF) {
				if err = s.Err(); err == nil {
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
					_, err = s.Next(ctx)
					if cancel(); errors.Is(err, context.DeadlineExceeded) {
						err = nil
					}
				}
			}
			if !errors.Is(err, tt.want) || !errors.As(err, new(*StreamError)) {
				t.Errorf("error is %v, want %v", err, tt.want)
			}
		})
	}
}

func TestStreamThatEndsEarly(t *testing.T) {
	conn := connect(t, &fakePlugin{
		source: func(grpc.BidiStreamingServer[ToSource, FromSource]) error { return errors.New("goodbye") },
		sink: func(s grpc.BidiStreamingServer[ToSink, FromSink]) error {
			return s.Send(&FromSink{Message: &FromSink_Opened{Opened: 1 << 20}})
		},
	})
	if _, err := OpenSource(t.Context(), conn, SourceSpec{}); !errors.As(err, new(*StreamError)) || !strings.Contains(err.Error(), "goodbye") {
		t.Errorf("opening a source: %v", err)
	}
	s, err := OpenSink(t.Context(), conn, SinkSpec{})
	if err == nil {
		_, err = s.Put(t.Context(), &data.Batch{Records: []data.Record{{Topic: "t"}}})
		defer s.Abort(errClosed)
	}
	if !errors.As(err, new(*StreamError)) {
		t.Errorf("putting: %v", err)
	}
}

// A sink that answers a put with less than all, and gives no reason, does not
// make records disappear.
func TestPutThatIsAnsweredShort(t *testing.T) {
	conn := connect(t, &fakePlugin{sink: func(s grpc.BidiStreamingServer[ToSink, FromSink]) error {
		if err := s.Send(&FromSink{Message: &FromSink_Opened{Opened: 1 << 20}}); err != nil {
			return err
		}
		m, err := s.Recv()
		if err != nil {
			return err
		}
		done := &PutDone{Sequence: m.GetPut().Sequence, Accepted: 1}
		if err := s.Send(&FromSink{Message: &FromSink_PutDone{PutDone: done}}); err != nil {
			return err
		}
		<-s.Context().Done()
		return nil
	}})
	s, err := OpenSink(t.Context(), conn, SinkSpec{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Abort(errClosed)
	n, err := s.Put(t.Context(), &data.Batch{Records: []data.Record{{Topic: "t"}, {Topic: "t"}}})
	if n != 1 || !errors.Is(err, ErrProtocol) {
		t.Errorf("put took %d records, error %v", n, err)
	}
}

func TestDescriptionsAreChecked(t *testing.T) {
	good := func() *ConnectorDescription {
		return &ConnectorDescription{Name: "n", Kind: Kind_KIND_SINK, Classes: []string{"C"}, Config: []byte(`[{"Name":"a","Type":"INT"}]`)}
	}
	for name, change := range map[string]func(*ConnectorDescription){
		"kind":        func(c *ConnectorDescription) { c.Kind = Kind_KIND_UNSPECIFIED },
		"name":        func(c *ConnectorDescription) { c.Name = "" },
		"classes":     func(c *ConnectorDescription) { c.Classes = nil },
		"config":      func(c *ConnectorDescription) { c.Config = []byte("{") },
		"config keys": func(c *ConnectorDescription) { c.Config = []byte(`[{"Name":"a","Type":"duration"}]`) },
	} {
		c := good()
		change(c)
		conn := connect(t, &fakePlugin{describe: &DescribeResponse{Connectors: []*ConnectorDescription{c}}})
		if _, err := Describe(t.Context(), conn); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
	conn := connect(t, &fakePlugin{
		describe: &DescribeResponse{Connectors: []*ConnectorDescription{good()}},
		validate: &ValidateResponse{Infos: []byte(`[{"definition":null,"value":null}]`)},
	})
	if d, err := Describe(t.Context(), conn); err != nil || len(d) != 1 || !d[0].Sink || d[0].Config[0].Name != "a" {
		t.Errorf("described as %+v, error %v", d, err)
	}
	if _, err := Validate(t.Context(), conn, "C", nil); !errors.Is(err, ErrProtocol) {
		t.Errorf("validate: error is %v", err)
	}
}

func TestErrorsCrossWithTheirClass(t *testing.T) {
	for _, e := range []*Error{
		{Class: Fatal, Err: errors.New("f"), Index: -1},
		{Class: Transient, Err: errors.New("t"), RetryAfter: time.Second, Index: -1},
		{Class: Record, Err: errors.New("r"), Index: 70000},
		{Class: Record, Err: errors.New("r"), Index: -1},
	} {
		got, ok := failed(NewFailure(e)).(*Error)
		if !ok || got.Class != e.Class || got.RetryAfter != e.RetryAfter || got.Index != e.Index || got.Error() != e.Error() {
			t.Errorf("%+v crossed as %+v", e, got)
		}
	}
	text := failed(NewFailure(errors.New(strings.Repeat("long", 1<<20) + "\xff"))).Error()
	if len(text) > maxErrorText+100 {
		t.Errorf("a long error crosses with %d bytes", len(text))
	}
	if text := failed(NewFailure(errors.New("a\xffb"))).Error(); text != "a\uFFFDb" {
		t.Errorf("text that is not UTF-8 crosses as %q", text)
	}
	if failed(nil) != nil || NewFailure(nil) != nil {
		t.Error("no error becomes one")
	}
}
