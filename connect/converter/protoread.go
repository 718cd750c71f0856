package converter

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/millrace/millrace/plugins/data"
)

// protoReader reads messages of one type into rows.
type protoReader struct {
	w     *data.RowWriter
	root  *readField
	spans []span // of the open messages
	err   error
}

// span is a field as it stands on the wire.
type span struct {
	number protowire.Number
	typ    protowire.Type
	bits   uint64 // of a number
	raw    []byte // of what has a length
}

func newProtoReader(s *data.Schema, root *readField) *protoReader {
	return &protoReader{w: data.NewRowWriter(s), root: root}
}

var errProto = errors.New("not a message of the schema")

// row returns the row of a message.
func (p *protoReader) row(raw []byte) (row []byte, nullDefault bool, err error) {
	p.w.Reset(make([]byte, 0, 2*len(raw)+16))
	p.spans, p.err = p.spans[:0], nil
	if p.root.typ == data.TypeStruct {
		p.structure(p.root.message, raw)
	} else {
		from := p.open(raw)
		p.value(p.root, p.last(from, 1))
	}
	if p.err != nil {
		return nil, false, p.err
	}
	return p.w.Finish()
}

func (p *protoReader) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}

// open takes a message apart, and returns where its fields begin.
func (p *protoReader) open(raw []byte) int {
	from := len(p.spans)
	for len(raw) > 0 {
		number, typ, n := protowire.ConsumeTag(raw)
		if n < 0 {
			p.fail(fmt.Errorf("%w: %w", errProto, protowire.ParseError(n)))
			return from
		}
		raw = raw[n:]
		s := span{number: number, typ: typ}
		switch typ {
		case protowire.VarintType:
			s.bits, n = protowire.ConsumeVarint(raw)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(raw)
			s.bits = uint64(v)
		case protowire.Fixed64Type:
			s.bits, n = protowire.ConsumeFixed64(raw)
		case protowire.BytesType:
			s.raw, n = protowire.ConsumeBytes(raw)
		default:
			n = protowire.ConsumeFieldValue(number, typ, raw)
		}
		if n < 0 {
			p.fail(fmt.Errorf("%w: field %d: %w", errProto, number, protowire.ParseError(n)))
			return from
		}
		raw = raw[n:]
		p.spans = append(p.spans, s)
	}
	return from
}

// last returns the last occurrence of a field, nil without any: it is the one
// that counts.
func (p *protoReader) last(from int, number protoreflect.FieldNumber) *span {
	for i := len(p.spans) - 1; i >= from; i-- {
		if p.spans[i].number == number {
			return &p.spans[i]
		}
	}
	return nil
}

func (p *protoReader) structure(fields []readField, raw []byte) {
	from := p.open(raw)
	to := len(p.spans)
	p.w.BeginStruct()
	for i := range fields {
		if p.err != nil || p.w.Err() != nil {
			return
		}
		p.field(&fields[i], from, to)
	}
	p.w.End()
	p.spans = p.spans[:from]
}

// within runs f with the spans of the innermost message only.
func (p *protoReader) field(f *readField, from, to int) {
	switch {
	case f.members != nil:
		p.oneof(f, from, to)
	case f.key != nil:
		p.entries(f, from, to)
	case f.list:
		p.elements(f, from, to)
	default:
		var s *span
		for i := to - 1; i >= from && s == nil; i-- {
			if p.spans[i].number == f.number {
				s = &p.spans[i]
			}
		}
		p.value(f, s)
	}
}

// oneof writes the struct that stands for one: the member that came last.
func (p *protoReader) oneof(f *readField, from, to int) {
	set := -1
	for i := to - 1; i >= from && set < 0; i-- {
		for j := range f.members {
			if p.spans[i].number == f.members[j].number {
				set = j
			}
		}
	}
	if set < 0 {
		p.w.Null()
		return
	}
	p.w.BeginStruct()
	for j := range f.members {
		if j == set {
			p.field(&f.members[j], from, to)
		} else {
			p.w.Null()
		}
	}
	p.w.End()
}

func (p *protoReader) elements(f *readField, from, to int) {
	packable := f.elem.wellKnow == "" && f.elem.message == nil && f.elem.typ != data.TypeStruct &&
		f.elem.kind != protoreflect.StringKind && f.elem.kind != protoreflect.BytesKind
	p.w.BeginArray()
	for i := from; i < to && p.err == nil; i++ {
		s := p.spans[i]
		switch {
		case s.number != f.number:
		case packable && s.typ == protowire.BytesType:
			p.packed(f.elem, s.raw)
		default:
			p.value(f.elem, &s)
		}
	}
	p.w.End()
}

// packed writes numbers that stand in one field.
func (p *protoReader) packed(f *readField, raw []byte) {
	want := wireTypes[f.kind.String()]
	for len(raw) > 0 && p.err == nil {
		s := span{number: f.number, typ: want}
		var n int
		switch want {
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(raw)
			s.bits = uint64(v)
		case protowire.Fixed64Type:
			s.bits, n = protowire.ConsumeFixed64(raw)
		default:
			s.bits, n = protowire.ConsumeVarint(raw)
		}
		if n < 0 {
			p.fail(fmt.Errorf("%w: packed numbers: %w", errProto, protowire.ParseError(n)))
			return
		}
		raw = raw[n:]
		p.value(f, &s)
	}
}

func (p *protoReader) entries(f *readField, from, to int) {
	p.w.BeginMap()
	for i := from; i < to && p.err == nil; i++ {
		s := p.spans[i]
		if s.number != f.number {
			continue
		}
		if s.typ != protowire.BytesType {
			p.fail(fmt.Errorf("%w: field %d is no map entry", errProto, s.number))
			return
		}
		at := p.open(s.raw)
		end := len(p.spans)
		p.field(f.key, at, end)
		p.entryValue(f.elem, at, end)
		p.spans = p.spans[:at]
	}
	p.w.End()
}

// entryValue writes a map's value: a message that is missing is an empty one.
func (p *protoReader) entryValue(f *readField, at, end int) {
	for i := end - 1; i >= at; i-- {
		if s := p.spans[i]; s.number == f.number {
			p.value(f, &s)
			return
		}
	}
	zero := span{number: f.number, typ: wireTypes[f.kind.String()]}
	if f.kind == protoreflect.MessageKind {
		zero.typ = protowire.BytesType
	}
	p.value(f, &zero)
}

// value writes a value, or what stands for a missing one.
func (p *protoReader) value(f *readField, s *span) {
	if s == nil {
		if f.presence && f.optional || f.kind == protoreflect.MessageKind && f.optional {
			p.w.Null()
			return
		}
		s = &span{number: f.number, typ: wireTypes[f.kind.String()]}
		if f.kind == protoreflect.MessageKind {
			s.typ = protowire.BytesType
		}
	}
	want, scalar := wireTypes[f.kind.String()]
	if !scalar {
		want = protowire.BytesType
	}
	if s.typ != want {
		p.fail(fmt.Errorf("%w: field %d has wire type %d, not %d", errProto, s.number, s.typ, want))
		return
	}
	raw, bits := s.raw, s.bits // s may move when a message is opened
	switch {
	case f.wellKnow == "wrapper":
		from := p.open(raw)
		p.value(f.elem, p.last(from, 1))
		p.spans = p.spans[:from]
	case f.wellKnow != "":
		p.logical(f, raw)
	case f.kind == protoreflect.MessageKind:
		p.structure(f.message, raw)
	case f.kind == protoreflect.StringKind:
		p.w.TextBytes(raw)
	case f.kind == protoreflect.BytesKind:
		p.w.Bytes(raw)
	default:
		p.number(f, bits)
	}
}

func (p *protoReader) number(f *readField, bits uint64) {
	v := int64(bits)
	switch f.kind {
	case protoreflect.Sint32Kind, protoreflect.Sint64Kind:
		v = protowire.DecodeZigZag(bits)
	case protoreflect.Int32Kind, protoreflect.Sfixed32Kind, protoreflect.EnumKind:
		v = int64(int32(bits))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		v = int64(uint32(bits))
	}
	switch f.typ {
	case data.TypeInt8:
		p.w.Int8(int8(v))
	case data.TypeInt16:
		p.w.Int16(int16(v))
	case data.TypeInt32:
		p.w.Int32(int32(v))
	case data.TypeInt64:
		p.w.Int64(v)
	case data.TypeFloat32:
		p.w.Float32(math.Float32frombits(uint32(bits)))
	case data.TypeFloat64:
		p.w.Float64(math.Float64frombits(bits))
	case data.TypeBoolean:
		p.w.Boolean(bits != 0)
	case data.TypeString:
		symbol, ok := f.symbols[int32(v)]
		if !ok { // of a newer schema
			symbol = strconv.FormatInt(v, 10)
		}
		p.w.Text(symbol)
	}
}

// logical reads the messages that stand for logical types.
func (p *protoReader) logical(f *readField, raw []byte) {
	from := p.open(raw)
	n := func(number protoreflect.FieldNumber) int64 {
		if s := p.last(from, number); s != nil && s.typ == protowire.VarintType {
			return int64(s.bits)
		}
		return 0
	}
	switch f.wellKnow {
	case data.DecimalName:
		var unscaled []byte
		if s := p.last(from, 1); s != nil {
			unscaled = s.raw
		}
		p.decimal(f, unscaled, int32(n(3)))
	case data.DateName:
		days := time.Date(int(n(1)), time.Month(n(2)), int(n(3)), 0, 0, 0, 0, time.UTC).Unix() / 86400
		p.w.Int32(int32(days))
	case data.TimeName:
		p.w.Int32(int32(n(1)*3600000 + n(2)*60000 + n(3)*1000 + n(4)/1e6))
	case data.TimestampName:
		p.w.Int64(n(1)*1000 + n(2)/1e6)
	}
	p.spans = p.spans[:from]
}

// decimal writes a number at the scale of its schema.
func (p *protoReader) decimal(f *readField, unscaled []byte, scale int32) {
	if len(unscaled) == 0 {
		unscaled = []byte{0}
	}
	if scale == f.scale {
		p.w.DecimalBytes(unscaled)
		return
	}
	if d := f.scale - scale; d > 1000 || d < -1000 {
		p.fail(fmt.Errorf("a decimal has the scale %d where the schema has %d", scale, f.scale))
		return
	}
	v := new(big.Int).SetBytes(unscaled)
	if unscaled[0]&0x80 != 0 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(8*len(unscaled))))
	}
	ten := func(n int32) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }
	if f.scale > scale {
		v.Mul(v, ten(f.scale-scale))
	} else if rest := new(big.Int); true {
		if v.QuoRem(v, ten(scale-f.scale), rest); rest.Sign() != 0 {
			p.fail(fmt.Errorf("a decimal of scale %d does not fit the schema's scale %d", scale, f.scale))
			return
		}
	}
	p.w.DecimalText([]byte(decimalText(v, f.scale)))
}

// decimalText writes an unscaled number with its point.
func decimalText(v *big.Int, scale int32) string {
	text := new(big.Rat).SetFrac(v, big.NewInt(1))
	if scale <= 0 {
		return new(big.Int).Mul(v, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(-scale)), nil)).String()
	}
	text.Quo(text, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)))
	return text.FloatString(int(scale))
}
