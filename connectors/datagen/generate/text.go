package generate

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/millrace/millrace/plugins/data"
)

// text is a string: of a pattern, of letters, or a number that counts.
type text struct {
	prefix, suffix string
	size           span
	pattern        *pattern
	iter           *iteration
	values         []string
	buf            []byte
}

func newText(p properties) (*text, error) {
	out := &text{}
	out.prefix, _ = p["prefix"].(string)
	out.suffix, _ = p["suffix"].(string)
	var err error
	if out.size, err = p.length(); err != nil {
		return nil, err
	}
	switch {
	case p.has("options"): // the keys of a map; other options are choices
		list, err := p.options()
		if err != nil {
			return nil, err
		}
		for _, v := range list {
			s, ok := v.(string)
			if !ok {
				return nil, fmt.Errorf("option %v is not text", v)
			}
			out.values = append(out.values, s)
		}
	case p.has("regex"):
		return out, out.regex(p)
	case p.has("iteration"):
		out.iter, err = newIteration(p, math.MinInt64, 0)
	}
	return out, err
}

// regex compiles the pattern. A length that is one number is the least that is
// wanted, as in the original.
func (t *text) regex(p properties) error {
	s, ok := p["regex"].(string)
	if !ok {
		return errors.New("regex must be text")
	}
	bounds := span{0, maxLength}
	if m, object := p["length"].(map[string]any); object {
		bounds = t.size
		if m["max"] == nil {
			bounds.most = maxLength
		}
	} else if p.has("length") {
		bounds.least = t.size.least
	}
	var err error
	if t.pattern, err = newPattern(s, bounds); err != nil {
		return fmt.Errorf("regex %q: %w", s, err)
	}
	return nil
}

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

func (t *text) append(b []byte, r *run) []byte {
	b = append(b, t.prefix...)
	switch {
	case t.pattern != nil:
		b = t.pattern.append(b, r)
	case t.iter != nil:
		b = strconv.AppendInt(b, t.iter.at(r.number), 10)
	case t.values != nil:
		b = append(b, t.values[r.IntN(len(t.values))]...)
	default:
		for range t.size.pick(r) {
			b = append(b, letters[r.IntN(len(letters))])
		}
	}
	return append(b, t.suffix...)
}

func (t *text) next(r *run) string { return string(t.append(nil, r)) }

func (t *text) write(w *data.RowWriter, r *run) {
	t.buf = t.append(t.buf[:0], r)
	w.TextBytes(t.buf)
}

// value turns JSON into the Go value that package data has for a schema.
func value(s *data.Schema, v any) (any, error) {
	if v == nil {
		return nil, nil
	}
	mismatch := func() (any, error) { return nil, fmt.Errorf("%.80v is not of type %s", v, s.Type()) }
	switch x := v.(type) {
	case bool:
		return x, nil
	case string:
		if s.Type() == data.TypeBytes {
			return []byte(x), nil
		}
		if s.Type() == data.TypeStruct {
			return member(s, v)
		}
		return x, nil
	case []any:
		if s.Type() != data.TypeArray {
			return mismatch()
		}
		out := make([]any, len(x))
		for i, e := range x {
			var err error
			if out[i], err = value(s.ValueSchema(), e); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		return object(s, x)
	}
	if scale, ok := s.Scale(); ok {
		d, err := data.ParseDecimal(fmt.Sprint(v))
		if err != nil {
			return nil, err
		}
		return d.Rescale(scale)
	}
	n, whole := number(v)
	f, ok := fraction(v)
	if b, integer := bounds[s.Type()]; integer && (!whole || n < b[0] || n > b[1]) || !ok {
		return mismatch()
	}
	switch s.Type() {
	case data.TypeInt8:
		return int8(n), nil
	case data.TypeInt16:
		return int16(n), nil
	case data.TypeInt32:
		return int32(n), nil
	case data.TypeInt64:
		return n, nil
	case data.TypeFloat32:
		return float32(f), nil
	case data.TypeFloat64:
		return f, nil
	case data.TypeStruct:
		return member(s, v)
	}
	return mismatch()
}

func object(s *data.Schema, m map[string]any) (any, error) {
	switch s.Type() {
	case data.TypeMap:
		var out data.Map
		for k, e := range m {
			v, err := value(s.ValueSchema(), e)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", k, err)
			}
			out = append(out, data.Entry{Key: k, Value: v})
		}
		return out, nil
	case data.TypeStruct:
		if s.Name() == data.UnionName {
			return member(s, m)
		}
		out := data.NewStruct(s)
		for k, e := range m {
			f, ok := s.Field(k)
			if !ok {
				return nil, fmt.Errorf("there is no field %q", k)
			}
			v, err := value(f.Schema, e)
			if err == nil {
				err = out.Put(k, v)
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", k, err)
			}
		}
		return out, out.Validate()
	}
	return nil, fmt.Errorf("an object is not of type %s", s.Type())
}

// member puts a value into the first field of a union's struct that takes it.
func member(s *data.Schema, v any) (any, error) {
	if s.Name() != data.UnionName {
		return nil, fmt.Errorf("%.80v is not a record", v)
	}
	var tried []string
	for _, f := range s.Fields() {
		x, err := value(f.Schema, v)
		if err == nil {
			_, err = data.NewDatum(f.Schema, x)
		}
		out := data.NewStruct(s)
		if err == nil {
			err = out.Put(f.Name, x)
		}
		if err == nil {
			return out, nil
		}
		tried = append(tried, f.Name)
	}
	return nil, fmt.Errorf("%.80v is none of %s", v, strings.Join(tried, ", "))
}
