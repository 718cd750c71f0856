package data

import (
	"fmt"
	"strconv"
)

// avroDefault reads a default in Avro's JSON form for a schema that may still
// be in the making.
func avroDefault(s *Schema, n *AvroNode, raw []byte) (any, error) {
	in := newScanner(raw)
	if in.kind() == 'n' {
		return nil, nil
	}
	v, err := readDefault(s, n, &in)
	if err == nil {
		err = in.end()
	}
	return v, err
}

func readDefault(s *Schema, n *AvroNode, in *scanner) (any, error) {
	if n.kind == AvroUnion {
		return readUnionDefault(s, n, in)
	}
	switch s.typ {
	case TypeInt8, TypeInt16, TypeInt32, TypeInt64, TypeFloat32, TypeFloat64:
		return readNumber(s.typ, in)
	case TypeBoolean:
		return in.literal() == 't', in.err
	case TypeString:
		return string(in.text()), in.err
	case TypeBytes:
		b, err := latin1(in.text())
		if in.err != nil || err != nil {
			return nil, fmt.Errorf("bytes as text: %w", firstError(in.err, err))
		}
		if scale, ok := s.Scale(); ok {
			return Decimal{unscaledFrom(b), scale}, nil
		}
		return b, nil
	case TypeArray:
		out := []any{}
		count := 0
		in.open('[')
		for in.more(']', &count) {
			v, err := readNullable(s.value, n.items, in)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		return out, in.err
	case TypeMap:
		return readMapDefault(s, n, in)
	default:
		return readStructDefault(s, n, in)
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// readNullable reads a default within a default, where null is a value.
func readNullable(s *Schema, n *AvroNode, in *scanner) (any, error) {
	if in.kind() == 'n' {
		in.literal()
		return nil, in.err
	}
	return readDefault(s, n, in)
}

// readUnionDefault reads a default of a union's first type that is not null:
// in a default within a default any branch may be meant, and all but one of
// two is null.
func readUnionDefault(s *Schema, n *AvroNode, in *scanner) (any, error) {
	for i, b := range n.branches {
		if b.kind == AvroNull {
			continue
		}
		if !isUnion(s) {
			return readDefault(s, b, in)
		}
		if i > 0 {
			break
		}
		v, err := readDefault(s.fields[0].Schema, b, in)
		if err != nil {
			return nil, err
		}
		out := &Struct{schema: s, values: make([]any, len(s.fields))}
		out.values[0] = v
		return out, nil
	}
	return nil, schemaErrorf("a default must be of a union's first type")
}

func readNumber(t Type, in *scanner) (any, error) {
	if in.kind() == '"' && (t == TypeFloat32 || t == TypeFloat64) {
		return specialFloat(t, string(in.text()), in.err)
	}
	text := string(in.number())
	if in.err != nil {
		return nil, in.err
	}
	switch t {
	case TypeFloat32:
		f, err := strconv.ParseFloat(text, 32)
		return float32(f), err
	case TypeFloat64:
		return strconv.ParseFloat(text, 64)
	}
	bits := map[Type]int{TypeInt8: 8, TypeInt16: 16, TypeInt32: 32, TypeInt64: 64}[t]
	v, err := strconv.ParseInt(text, 10, bits)
	switch t {
	case TypeInt8:
		return int8(v), err
	case TypeInt16:
		return int16(v), err
	case TypeInt32:
		return int32(v), err
	default:
		return v, err
	}
}

// specialFloat reads the floats that JSON has no number for.
func specialFloat(t Type, text string, err error) (any, error) {
	f, ok := nonNumbers[text]
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, fmt.Errorf("%w: %.20q is not a number", ErrJSON, text)
	case t == TypeFloat32:
		return float32(f), nil
	default:
		return f, nil
	}
}

// latin1 turns text of one character per byte into the bytes.
func latin1(text []byte) ([]byte, error) {
	out := []byte{}
	for _, r := range string(text) {
		if r > 0xff {
			return nil, fmt.Errorf("character %q is not a byte", r)
		}
		out = append(out, byte(r))
	}
	return out, nil
}

func readMapDefault(s *Schema, n *AvroNode, in *scanner) (any, error) {
	out := Map{}
	count := 0
	if n.kind == AvroMap {
		in.open('{')
		for in.more('}', &count) {
			key := string(in.key())
			v, err := readNullable(s.value, n.items, in)
			if err != nil {
				return nil, err
			}
			out = append(out, Entry{key, v})
		}
		return out, in.err
	}
	in.open('[')
	for in.more(']', &count) {
		pair := 0
		var e Entry
		var err error
		in.open('[')
		for in.more(']', &pair) {
			switch pair {
			case 1:
				e.Key, err = readNullable(s.key, n.items.fields[0].typ, in)
			case 2:
				e.Value, err = readNullable(s.value, n.items.fields[1].typ, in)
			default:
				err = schemaErrorf("a map entry of %d values", pair)
			}
			if err != nil {
				return nil, err
			}
		}
		out = append(out, e)
	}
	return out, in.err
}

func readStructDefault(s *Schema, n *AvroNode, in *scanner) (any, error) {
	if n.kind != AvroRecord || len(n.fields) != len(s.fields) {
		return nil, schemaErrorf("a default of a struct that is no record")
	}
	out := &Struct{schema: s, values: make([]any, len(s.fields))}
	count := 0
	in.open('{')
	for in.more('}', &count) {
		i, ok := s.byName[string(in.key())]
		if !ok {
			in.raw()
			continue
		}
		v, err := readNullable(s.fields[i].Schema, n.fields[i].typ, in)
		if err != nil {
			return nil, err
		}
		out.values[i] = v
	}
	return out, in.err
}
