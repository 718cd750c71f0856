package wire

import (
	"bufio"
	"bytes"
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func newReader(b []byte) *bufio.Reader { return bufio.NewReaderSize(bytes.NewReader(b), readAhead) }

// FuzzDecode feeds arbitrary frames to the decoder of requests. The keys that
// are really served are fuzzed in package api.
func FuzzDecode(f *testing.F) {
	f.Add(heartbeat(0, 1)[4:])
	f.Add(heartbeat(4, 1)[4:])
	f.Add(kmsg.NewRequestFormatter().AppendRequest(nil, &kmsg.ProduceRequest{Version: 9}, 1)[4:])
	shared := new(Shared)
	f.Fuzz(func(t *testing.T, b []byte) {
		_, err := Decode(stub{echo}, shared, bytes.Clone(b))
		if err != nil && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrUnsupported) {
			t.Fatalf("error is neither ErrMalformed nor ErrUnsupported: %v", err)
		}
	})
}
