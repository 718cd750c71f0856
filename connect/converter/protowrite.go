package converter

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/millrace/millrace/plugins/data"
)

// protoWriter writes rows of one schema as messages, without building a value.
type protoWriter struct {
	r       *data.RowReader
	message *protoMessage
	root    data.Type
	err     error
}

func newProtoWriter(s *data.Schema, m *protoMessage) *protoWriter {
	return &protoWriter{r: data.NewRowReader(s), message: m, root: s.Type()}
}

// append appends the message of a row.
func (w *protoWriter) append(dst, row []byte) ([]byte, error) {
	w.r.Reset(row)
	w.err = nil
	if w.root == data.TypeStruct {
		dst = w.fields(dst, w.message.fields)
	} else {
		dst = w.field(dst, &w.message.fields[0]) // in its wrapper
	}
	if w.err != nil {
		return dst, w.err
	}
	return dst, w.r.Finish()
}

// fields writes the struct that comes next.
func (w *protoWriter) fields(dst []byte, fields []protoField) []byte {
	w.r.EnterStruct()
	for i := range fields {
		if w.r.Err() != nil || w.err != nil {
			return dst
		}
		dst = w.field(dst, &fields[i])
	}
	w.r.Leave()
	return dst
}

func (w *protoWriter) field(dst []byte, f *protoField) []byte {
	if f.optional && w.r.Null() {
		return dst
	}
	switch {
	case f.members != nil:
		return w.fields(dst, f.members)
	case f.key != nil:
		return w.entries(dst, f)
	case f.repeated:
		return w.elements(dst, f)
	}
	return w.single(dst, f.tag, f)
}

// single writes a value with its tag, or nothing for a zero that needs none.
func (w *protoWriter) single(dst []byte, tag int, f *protoField) []byte {
	switch f.wellKnow {
	case "":
	case "wrapper":
		dst = protowire.AppendTag(dst, protowire.Number(tag), protowire.BytesType)
		at := len(dst)
		return closed(w.single(dst, 1, f.elem), at)
	default:
		return w.logical(dst, tag, f)
	}
	if f.message != nil {
		dst = protowire.AppendTag(dst, protowire.Number(tag), protowire.BytesType)
		at := len(dst)
		return closed(w.fields(dst, f.message.fields), at)
	}
	if f.typ == data.TypeBytes || f.typ == data.TypeString && f.enum == nil {
		b := w.r.Bytes()
		if len(b) == 0 && !f.presence {
			return dst
		}
		dst = protowire.AppendTag(dst, protowire.Number(tag), protowire.BytesType)
		return protowire.AppendBytes(dst, b)
	}
	v := w.number(f)
	if v == 0 && !f.presence {
		return dst
	}
	return appendNumber(protowire.AppendTag(dst, protowire.Number(tag), wireTypes[f.scalar]), f.scalar, v)
}

// closed puts the length before what was written behind at.
func closed(dst []byte, at int) []byte {
	var length [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(length[:], uint64(len(dst)-at))
	size := len(dst)
	dst = append(dst, length[:n]...)
	copy(dst[at+n:], dst[at:size])
	copy(dst[at:], length[:n])
	return dst
}

// wireTypes are how scalars stand on the wire.
var wireTypes = map[string]protowire.Type{
	"int32": protowire.VarintType, "int64": protowire.VarintType, "uint32": protowire.VarintType, "uint64": protowire.VarintType,
	"sint32": protowire.VarintType, "sint64": protowire.VarintType, "bool": protowire.VarintType, "enum": protowire.VarintType,
	"fixed32": protowire.Fixed32Type, "sfixed32": protowire.Fixed32Type, "float": protowire.Fixed32Type,
	"fixed64": protowire.Fixed64Type, "sfixed64": protowire.Fixed64Type, "double": protowire.Fixed64Type,
	"string": protowire.BytesType, "bytes": protowire.BytesType,
}

// number reads the next value as the bits that stand for it.
func (w *protoWriter) number(f *protoField) uint64 {
	switch f.typ {
	case data.TypeInt8:
		return uint64(int64(w.r.Int8()))
	case data.TypeInt16:
		return uint64(int64(w.r.Int16()))
	case data.TypeInt32:
		return uint64(int64(w.r.Int32()))
	case data.TypeInt64:
		return uint64(w.r.Int64())
	case data.TypeFloat32:
		return uint64(math.Float32bits(w.r.Float32()))
	case data.TypeFloat64:
		return math.Float64bits(w.r.Float64())
	case data.TypeBoolean:
		if w.r.Boolean() {
			return 1
		}
		return 0
	}
	symbol := w.r.Bytes()
	n, ok := f.enum[string(symbol)]
	if !ok && w.err == nil && w.r.Err() == nil {
		w.err = fmt.Errorf("field %s: %.40q is no symbol of the enum", f.name, symbol)
	}
	return uint64(int64(n))
}

func appendNumber(dst []byte, scalar string, v uint64) []byte {
	switch wireTypes[scalar] {
	case protowire.Fixed32Type:
		return protowire.AppendFixed32(dst, uint32(v))
	case protowire.Fixed64Type:
		return protowire.AppendFixed64(dst, v)
	}
	if scalar == "sint32" || scalar == "sint64" {
		v = protowire.EncodeZigZag(int64(v))
	}
	return protowire.AppendVarint(dst, v)
}

// elements writes an array: numbers packed, others one by one.
func (w *protoWriter) elements(dst []byte, f *protoField) []byte {
	e := f.elem
	packed := e.message == nil && e.wellKnow == "" && wireTypes[e.scalar] != protowire.BytesType
	at := 0
	if packed {
		dst = protowire.AppendTag(dst, protowire.Number(f.tag), protowire.BytesType)
		at = len(dst)
	}
	w.r.EnterArray()
	n := 0
	for ; w.r.More() && w.err == nil; n++ {
		if e.optional && w.r.Null() {
			w.err = fmt.Errorf("field %s: a null in an array has no form in Protocol Buffers", f.name)
			return dst
		}
		if packed {
			dst = appendNumber(dst, e.scalar, w.number(e))
		} else {
			dst = w.single(dst, f.tag, e)
		}
	}
	w.r.Leave()
	switch {
	case packed && n == 0:
		return dst[:at-protowire.SizeTag(protowire.Number(f.tag))]
	case packed:
		return closed(dst, at)
	}
	return dst
}

// entries writes a map as messages of key and value.
func (w *protoWriter) entries(dst []byte, f *protoField) []byte {
	w.r.EnterMap()
	for w.r.More() && w.err == nil {
		dst = protowire.AppendTag(dst, protowire.Number(f.tag), protowire.BytesType)
		at := len(dst)
		dst = w.single(dst, 1, f.key)
		if f.elem.optional && w.r.Null() {
			w.err = fmt.Errorf("field %s: a null in a map has no form in Protocol Buffers", f.name)
			return dst
		}
		dst = closed(w.single(dst, 2, f.elem), at)
	}
	w.r.Leave()
	return dst
}

// logical writes what has a message of its own.
func (w *protoWriter) logical(dst []byte, tag int, f *protoField) []byte {
	dst = protowire.AppendTag(dst, protowire.Number(tag), protowire.BytesType)
	at := len(dst)
	put := func(tag protowire.Number, v int64) {
		if v != 0 {
			dst = protowire.AppendVarint(protowire.AppendTag(dst, tag, protowire.VarintType), uint64(v))
		}
	}
	switch f.wellKnow {
	case data.DecimalName:
		unscaled := w.r.Unscaled()
		dst = protowire.AppendBytes(protowire.AppendTag(dst, 1, protowire.BytesType), unscaled)
		put(3, int64(f.scale))
	case data.DateName:
		y, m, d := time.Unix(int64(w.r.Int32())*86400, 0).UTC().Date()
		put(1, int64(y))
		put(2, int64(m))
		put(3, int64(d))
	case data.TimeName:
		ms := int64(w.r.Int32())
		put(1, ms/3600000)
		put(2, ms/60000%60)
		put(3, ms/1000%60)
		put(4, ms%1000*1e6)
	case data.TimestampName:
		ms := w.r.Int64()
		seconds, rest := ms/1000, ms%1000
		if rest < 0 {
			seconds, rest = seconds-1, rest+1000
		}
		put(1, seconds)
		put(2, rest*1e6)
	}
	return closed(dst, at)
}
