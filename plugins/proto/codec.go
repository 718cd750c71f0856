package proto

import (
	"errors"
	"io"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto" // registers the codec that this one is based on
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// codec is gRPC's codec for protocol buffers, less the copies of payloads: one
// that is sent goes to the transport as it is, and one that is received is put
// together once, in memory that is used again. What is on the wire is the same.
type codec struct{ encoding.CodecV2 }

func newCodec() encoding.CodecV2 { return codec{encoding.GetCodecV2(proto.Name)} }

// handover is a message that puts, and that owns its payload: nobody may use
// that any more.
type handover struct{ put *Payload }

// The numbers of fields on the wire. TestNumbers holds them to the .proto file.
const (
	fieldPut      = 4 // of ToSink
	fieldBatch    = 3 // of FromSource
	fieldSequence = 1 // of Payload, as those below
	fieldPayload  = 2
	fieldLast     = 3
	fieldMore     = 4
)

// Marshal implements encoding.CodecV2.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	h, ok := v.(*handover)
	if !ok {
		return c.CodecV2.Marshal(v)
	}
	inner := make([]byte, 0, 32)
	inner = protowire.AppendTag(inner, fieldSequence, protowire.VarintType)
	inner = protowire.AppendVarint(inner, h.put.Sequence)
	if h.put.Last {
		inner = protowire.AppendTag(inner, fieldLast, protowire.VarintType)
		inner = protowire.AppendVarint(inner, 1)
	}
	inner = protowire.AppendTag(inner, fieldPayload, protowire.BytesType)
	inner = protowire.AppendVarint(inner, uint64(len(h.put.Payload)))
	head := protowire.AppendTag(make([]byte, 0, 48), fieldPut, protowire.BytesType)
	head = protowire.AppendVarint(head, uint64(len(inner)+len(h.put.Payload)))
	return mem.BufferSlice{mem.SliceBuffer(append(head, inner...)), mem.NewBuffer(&h.put.Payload, recycled)}, nil
}

// Unmarshal implements encoding.CodecV2.
func (c codec) Unmarshal(b mem.BufferSlice, v any) error {
	var field protowire.Number
	switch v.(type) {
	case *ToSink:
		field = fieldPut
	case *FromSource:
		field = fieldBatch
	default:
		return c.CodecV2.Unmarshal(b, v)
	}
	p, ok := readPayload(b, field)
	if !ok {
		return c.CodecV2.Unmarshal(b, v)
	}
	switch m := v.(type) {
	case *ToSink:
		*m = ToSink{Message: &ToSink_Put{Put: p}}
	case *FromSource:
		*m = FromSource{Message: &FromSource_Batch{Batch: p}}
	}
	return nil
}

// readPayload reads a message that consists of a payload in a field, not ok if
// it is anything else: the codec beneath knows what to say of it.
func readPayload(b mem.BufferSlice, field protowire.Number) (p *Payload, ok bool) {
	r := b.Reader()
	defer r.Close()
	if !readField(r, field, protowire.BytesType) {
		return nil, false
	}
	if size, err := readVarint(r); err != nil || size != uint64(r.Remaining()) {
		return nil, false
	}
	p = &Payload{}
	for r.Remaining() > 0 {
		tag, err := readVarint(r)
		number, kind := protowire.DecodeTag(tag)
		if err != nil {
			return nil, false
		}
		value, err := readVarint(r) // or a length
		switch {
		case err != nil:
			return nil, false
		case number == fieldPayload && kind == protowire.BytesType && p.Payload == nil && value <= uint64(r.Remaining()):
			p.Payload = *recycled.Get(int(value))
			if _, err := io.ReadFull(r, p.Payload); err != nil {
				return nil, false
			}
		case kind != protowire.VarintType:
			return nil, false
		case number == fieldSequence:
			p.Sequence = value
		case number == fieldLast:
			p.Last = value != 0
		case number == fieldMore:
			p.More = value != 0
		default:
			return nil, false
		}
	}
	return p, true
}

func readField(r *mem.Reader, field protowire.Number, kind protowire.Type) bool {
	tag, err := readVarint(r)
	return err == nil && tag == protowire.EncodeTag(field, kind)
}

var errVarint = errors.New("a number of more than 64 bits")

func readVarint(r *mem.Reader) (v uint64, err error) {
	for shift := 0; shift < 64; shift += 7 {
		b, err := r.ReadByte()
		if err != nil {
			return 0, err
		}
		if shift == 63 && b > 1 {
			break
		}
		if v |= uint64(b&0x7f) << shift; b < 0x80 {
			return v, nil
		}
	}
	return 0, errVarint
}

// recycled is the memory of payloads that is used again.
var recycled = &pool{spoils: true}

// Recycle gives back the memory of a payload that was received: nothing refers
// to it any more.
func Recycle(p *Payload) {
	if cap(p.GetPayload()) == 0 {
		return
	}
	b := p.Payload[:0]
	p.Payload = nil
	recycled.Put(&b)
}
