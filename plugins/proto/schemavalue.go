package proto

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"

	"github.com/millrace/millrace/plugins/data"
)

// A default value, drawn. What follows the first byte is told by the type of
// the schema it belongs to.
//
//	value := 0 null
//	       | 1 int8, int16, int32, int64:s
//	       | 1 float:4 | 1 double:8 (bits, little endian) | 1 boolean:1
//	       | 1 string, bytes:bytes
//	       | 1 decimal: scale:s unscaled:bytes (two's complement, big endian)
//	       | 1 array: count:u value* | 1 map: count:u (value value)*
//	       | 1 struct: one value for each field
func appendValue(dst []byte, v any) ([]byte, error) {
	if v == nil {
		return append(dst, 0), nil
	}
	dst = append(dst, 1)
	switch v := v.(type) {
	case int8:
		return binary.AppendVarint(dst, int64(v)), nil
	case int16:
		return binary.AppendVarint(dst, int64(v)), nil
	case int32:
		return binary.AppendVarint(dst, int64(v)), nil
	case int64:
		return binary.AppendVarint(dst, v), nil
	case float32:
		return binary.LittleEndian.AppendUint32(dst, math.Float32bits(v)), nil
	case float64:
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v)), nil
	case bool:
		if v {
			return append(dst, 1), nil
		}
		return append(dst, 0), nil
	case string:
		return appendText(dst, v), nil
	case []byte:
		return append(binary.AppendUvarint(dst, uint64(len(v))), v...), nil
	case data.Decimal:
		u := v.AppendUnscaled(nil)
		dst = binary.AppendVarint(dst, int64(v.Scale))
		return append(binary.AppendUvarint(dst, uint64(len(u))), u...), nil
	}
	return appendNested(dst, v)
}

func appendNested(dst []byte, v any) ([]byte, error) {
	var err error
	switch v := v.(type) {
	case []any:
		dst = binary.AppendUvarint(dst, uint64(len(v)))
		for _, e := range v {
			if dst, err = appendValue(dst, e); err != nil {
				return dst, err
			}
		}
	case data.Map:
		dst = binary.AppendUvarint(dst, uint64(len(v)))
		for _, e := range v {
			if dst, err = appendValue(dst, e.Key); err != nil {
				return dst, err
			}
			if dst, err = appendValue(dst, e.Value); err != nil {
				return dst, err
			}
		}
	case *data.Struct:
		for i := range v.Schema().Fields() {
			if dst, err = appendValue(dst, v.AtWithoutDefault(i)); err != nil {
				return dst, err
			}
		}
	default:
		return dst, fmt.Errorf("a default of Go type %T cannot cross the plugin boundary", v)
	}
	return dst, nil
}

// value reads a default of schema s, nil after an error.
func (p *defParser) value(s *data.Schema, depth int) any {
	present := p.byte()
	if present > 1 || depth >= maxNesting {
		p.failf("default value is malformed")
	}
	if p.err != nil || present == 0 {
		return nil
	}
	if s.Name() == data.DecimalName {
		scale := p.varint()
		if scale != int64(int32(scale)) {
			p.failf("decimal scale %d is out of range", scale)
		}
		return data.Decimal{Scale: int32(scale), Unscaled: twosComplement(p.bytes())}
	}
	switch s.Type() {
	case data.TypeInt8, data.TypeInt16, data.TypeInt32, data.TypeInt64:
		return p.integer(s.Type())
	case data.TypeFloat32:
		if b := p.take(4); b != nil {
			return math.Float32frombits(binary.LittleEndian.Uint32(b))
		}
	case data.TypeFloat64:
		if b := p.take(8); b != nil {
			return math.Float64frombits(binary.LittleEndian.Uint64(b))
		}
	case data.TypeBoolean:
		return p.byte() == 1
	case data.TypeString:
		return string(p.bytes())
	case data.TypeBytes:
		return append([]byte{}, p.bytes()...)
	default:
		return p.nested(s, depth)
	}
	return nil
}

func (p *defParser) integer(t data.Type) any {
	v := p.varint()
	switch {
	case t == data.TypeInt64:
		return v
	case t == data.TypeInt32 && v == int64(int32(v)):
		return int32(v)
	case t == data.TypeInt16 && v == int64(int16(v)):
		return int16(v)
	case t == data.TypeInt8 && v == int64(int8(v)):
		return int8(v)
	}
	p.failf("default %d is out of the range of %v", v, t)
	return nil
}

func (p *defParser) nested(s *data.Schema, depth int) any {
	switch s.Type() {
	case data.TypeArray:
		list := []any{}
		for range p.uvarint() {
			v := p.value(s.ValueSchema(), depth+1)
			if p.err != nil {
				return nil
			}
			list = append(list, v)
		}
		return list
	case data.TypeMap:
		m := data.Map{}
		for range p.uvarint() {
			e := data.Entry{Key: p.value(s.KeySchema(), depth+1)}
			if e.Value = p.value(s.ValueSchema(), depth+1); p.err != nil {
				return nil
			}
			m = append(m, e)
		}
		return m
	}
	st := data.NewStruct(s)
	for i, f := range s.Fields() {
		v := p.value(f.Schema, depth+1)
		if p.err != nil {
			return nil
		}
		if v == nil {
			continue // what NewStruct starts with; a required field may leave it to its default
		}
		if err := st.PutAt(i, v); err != nil {
			p.fail(err)
			return nil
		}
	}
	return st
}

// twosComplement reads an integer of any length, big endian. It never is nil.
func twosComplement(b []byte) *big.Int {
	v := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0]&0x80 != 0 {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(len(b))*8))
	}
	return v
}
