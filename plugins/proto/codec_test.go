package proto

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
)

// pieces cuts bytes as a transport does.
func pieces(b []byte, size int) mem.BufferSlice {
	var out mem.BufferSlice
	for len(b) > 0 {
		n := min(size, len(b))
		out = append(out, mem.SliceBuffer(b[:n]))
		b = b[n:]
	}
	return out
}

// samples are messages with payloads of different shapes.
func samples() []*Payload {
	random := rand.NewChaCha8([32]byte{1})
	big := make([]byte, 300_000)
	random.Read(big)
	return []*Payload{
		{}, {Sequence: 1}, {Sequence: 1, Last: true}, {Sequence: 1 << 63, Payload: []byte("x"), Last: true},
		{Sequence: 300, Payload: big[:127]}, {Sequence: 300, Payload: big}, {Sequence: 300, Payload: big, More: true},
		{Sequence: 3, Payload: big, More: true, End: TransactionEnd(1)},
	}
}

// TestCodecSaysTheSame holds what the codec writes and reads to what the
// library does.
func TestCodecSaysTheSame(t *testing.T) {
	c := newCodec()
	for i, p := range samples() {
		for _, size := range []int{1, 16384, 1 << 20} {
			put, batch := &ToSink{Message: &ToSink_Put{Put: p}}, &FromSource{Message: &FromSource_Batch{Batch: p}}
			for _, m := range []proto.Message{put, batch} {
				wire, err := proto.Marshal(m)
				if err != nil {
					t.Fatal(err)
				}
				got := m.ProtoReflect().New().Interface()
				if err := c.Unmarshal(pieces(wire, size), got); err != nil || !proto.Equal(got, m) {
					t.Errorf("sample %d of %T in pieces of %d is read as another, %v", i, m, size, err)
				}
			}
			if p.More || p.End != 0 {
				continue // puts have neither
			}
			own := proto.Clone(p).(*Payload)
			wire, err := c.Marshal(&handover{own})
			if err != nil {
				t.Fatal(err)
			}
			got := &ToSink{}
			if err := proto.Unmarshal(bytes.Clone(wire.Materialize()), got); err != nil || !proto.Equal(got, put) {
				t.Errorf("sample %d is written as another message, %v", i, err)
			}
			wire.Free()
		}
	}
}

// TestOtherMessagesPass has the codec read messages that are no payloads.
func TestOtherMessagesPass(t *testing.T) {
	c := newCodec()
	for _, m := range []proto.Message{
		&ToSink{}, &ToSink{Message: &ToSink_Close{Close: &Empty{}}}, &ToSink{Message: &ToSink_PreCommit{PreCommit: &OffsetList{Request: 4}}},
		&FromSource{Message: &FromSource_Stopped{Stopped: &Empty{}}}, &FromSink{Message: &FromSink_Credit{Credit: 9}},
	} {
		wire, err := c.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		got := m.ProtoReflect().New().Interface()
		if err := c.Unmarshal(wire, got); err != nil || !proto.Equal(got, m) {
			t.Errorf("%T is read as %v, %v", m, got, err)
		}
	}
}

// TestRecycledMemoryIsUsedAgain checks that a payload given back does not stay
// with its message.
func TestRecycledMemoryIsUsedAgain(t *testing.T) {
	p := &Payload{Payload: []byte("rows")}
	Recycle(p)
	if p.Payload != nil {
		t.Error("the message keeps memory that is given back")
	}
	Recycle(p)
	Recycle(nil)
}

// FuzzCodec holds the codec to the library on bytes of any kind: both read the
// same, or both fail.
func FuzzCodec(f *testing.F) {
	for _, p := range samples()[:5] {
		wire, err := proto.Marshal(&ToSink{Message: &ToSink_Put{Put: p}})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(wire, 3)
	}
	f.Add([]byte{0x22, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01}, 4)
	f.Add([]byte{0x22, 0x06, 0x12, 0xff, 0xff, 0xff, 0xff, 0x0f}, 100)
	c := newCodec()
	f.Fuzz(func(t *testing.T, wire []byte, size int) {
		want, got := &ToSink{}, &ToSink{}
		wantErr := proto.Unmarshal(wire, want)
		err := c.Unmarshal(pieces(wire, 1+max(0, size)%1000), got)
		if (err == nil) != (wantErr == nil) || err == nil && !proto.Equal(got, want) {
			t.Errorf("%x is read as %v, %v; the library reads %v, %v", wire, got, err, want, wantErr)
		}
	})
}
