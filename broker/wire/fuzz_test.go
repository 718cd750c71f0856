package wire

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func newReader(b []byte) *bufio.Reader { return bufio.NewReaderSize(bytes.NewReader(b), readAhead) }

// anything opens every key and version that the codec knows.
type anything struct{}

func (anything) Open(h Header) (kmsg.Request, bool) {
	m := kmsg.RequestForKey(h.Key)
	if m == nil || h.Version < 0 || h.Version > m.MaxVersion() {
		return nil, false
	}
	m.SetVersion(h.Version)
	return m, true
}

func (anything) Handle(context.Context, *Conn, *Request) (Reply, error) { return nil, nil }

// FuzzRequest feeds arbitrary frames to the decoder of requests.
func FuzzRequest(f *testing.F) {
	formatter := kmsg.NewRequestFormatter(kmsg.FormatterClientID("fuzz"))
	for key := range int16(93) {
		m := kmsg.RequestForKey(key)
		if m == nil {
			continue
		}
		for v := range m.MaxVersion() + 1 {
			m.SetVersion(v)
			f.Add(formatter.AppendRequest(nil, m, 1)[4:])
		}
	}
	p := kmsg.NewPtrProduceRequest()
	p.Version = 9
	p.Topics = []kmsg.ProduceRequestTopic{{Topic: "t", Partitions: []kmsg.ProduceRequestTopicPartition{{Records: []byte("abc")}}}}
	f.Add(formatter.AppendRequest(nil, p, 1)[4:])
	shared := new(Shared)
	f.Fuzz(func(t *testing.T, b []byte) {
		frame := bytes.Clone(b)
		r, err := parseRequest(anything{}, shared, frame)
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrUnsupported) {
				t.Fatalf("error is neither ErrMalformed nor ErrUnsupported: %v", err)
			}
			return
		}
		if len(b) < 64 {
			r.Body.AppendTo(nil) // what was decoded can be encoded
		}
	})
}
