package transform

import (
	"math"

	"github.com/millrace/millrace/plugins/data"
)

// holder tells how a place's value is read.
type holder struct {
	typ    data.Type
	number bool // a decimal
	null   bool // may be null
}

func holderOf(s *data.Schema) holder {
	return holder{s.Type(), s.Name() == data.DecimalName, s.Optional()}
}

// held is a scalar between its reading and its writing.
type held struct {
	holder
	set  bool  // false for null
	bits int64 // an integer, the bits of a float, a boolean
	text []byte
}

// read takes the next value; bytes alias the row.
func (v *held) read(h holder, r *data.RowReader) {
	*v = held{holder: h}
	if h.null && r.Null() {
		return
	}
	v.set = true
	switch h.typ {
	case data.TypeInt8:
		v.bits = int64(r.Int8())
	case data.TypeInt16:
		v.bits = int64(r.Int16())
	case data.TypeInt32:
		v.bits = int64(r.Int32())
	case data.TypeInt64:
		v.bits = r.Int64()
	case data.TypeFloat32:
		v.bits = int64(math.Float32bits(r.Float32()))
	case data.TypeFloat64:
		v.bits = int64(math.Float64bits(r.Float64()))
	case data.TypeBoolean:
		if r.Boolean() {
			v.bits = 1
		}
	default:
		if h.number {
			v.text = r.Unscaled()
		} else {
			v.text = r.Bytes()
		}
	}
}

func (v *held) write(w *data.RowWriter) {
	if !v.set {
		w.Null()
		return
	}
	switch v.typ {
	case data.TypeInt8:
		w.Int8(int8(v.bits))
	case data.TypeInt16:
		w.Int16(int16(v.bits))
	case data.TypeInt32:
		w.Int32(int32(v.bits))
	case data.TypeInt64:
		w.Int64(v.bits)
	case data.TypeFloat32:
		w.Float32(math.Float32frombits(uint32(v.bits)))
	case data.TypeFloat64:
		w.Float64(math.Float64frombits(uint64(v.bits)))
	case data.TypeBoolean:
		w.Boolean(v.bits != 0)
	case data.TypeString:
		w.TextBytes(v.text)
	default:
		if v.number {
			w.DecimalBytes(v.text)
		} else {
			w.Bytes(v.text)
		}
	}
}
