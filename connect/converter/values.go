package converter

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/plugins/data"
)

// ParseValue guesses what a text is, as Connect's Values.parseString does for
// headers and for the values that transforms are given as text: nothing, a
// truth value, a date or time, a number of the smallest type that holds it, a
// list, a map, or else the text itself. A nil schema means null.
func ParseValue(text string) (*data.Schema, any) { return parseValue(text) }

func parseValue(text string) (*data.Schema, any) {
	p := valueParser{text: text}
	s, v, ok := p.value(0)
	p.space()
	if !ok || p.at < len(text) {
		return data.StringSchema, text
	}
	return s, v
}

// maxValueDepth bounds lists and maps within each other.
const maxValueDepth = 64

type valueParser struct {
	text string
	at   int
}

func (p *valueParser) space() {
	for p.at < len(p.text) && (p.text[p.at] == ' ' || p.text[p.at] == '\t' || p.text[p.at] == '\n' || p.text[p.at] == '\r') {
		p.at++
	}
}

// value parses one value; ok is false where the whole text must stay text.
func (p *valueParser) value(depth int) (s *data.Schema, v any, ok bool) {
	if depth > maxValueDepth || p.text == "" {
		return nil, nil, false
	}
	p.space()
	if p.at == len(p.text) {
		return nil, nil, false
	}
	switch p.text[p.at] {
	case '[':
		return p.list(depth)
	case '{':
		return p.mapping(depth)
	case '"':
		if depth == 0 {
			return nil, nil, false // only inside of others are quotes marks of text
		}
		return p.quoted()
	}
	return p.plain(depth)
}

// plain parses what has no marks: up to the next separator when inside of a
// list or map, else the rest.
func (p *valueParser) plain(depth int) (*data.Schema, any, bool) {
	if depth == 0 {
		token := p.text
		p.at = len(p.text)
		return plainValue(token, false)
	}
	start := p.at
	if s, v, n := instant(p.text[p.at:]); s != nil {
		p.at += n
		return s, v, true
	}
	for p.at < len(p.text) && !strings.ContainsRune(`,:]}[{"`, rune(p.text[p.at])) {
		if p.text[p.at] == '\\' {
			p.at++
		}
		p.at = min(p.at+1, len(p.text))
	}
	return plainValue(strings.TrimSpace(p.text[start:p.at]), true)
}

// plainValue types a token. Text without quotes inside of a list is still
// text.
func plainValue(token string, inside bool) (*data.Schema, any, bool) {
	trimmed := strings.TrimSpace(token)
	switch trimmed {
	case "":
		return nil, nil, false
	case "null":
		return nil, nil, true
	case "true":
		return data.BooleanSchema, true, true
	case "false":
		return data.BooleanSchema, false, true
	}
	if s, v, n := instant(trimmed); s != nil && n == len(trimmed) {
		return s, v, true
	}
	if c := trimmed[0]; c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.' {
		if s, v := number(trimmed); s != nil {
			return s, v, true
		}
	}
	if inside {
		return data.StringSchema, trimmed, true
	}
	return nil, nil, false
}

// instant recognises a date, time or timestamp at the start of a text.
func instant(text string) (s *data.Schema, v any, n int) {
	for _, f := range []struct {
		form   string
		schema *data.Schema
	}{{timestampForm, data.TimestampSchema}, {dateForm, data.DateSchema}, {timeForm, data.TimeSchema}} {
		n := len(f.form)
		if len(text) < n {
			continue
		}
		t, err := time.Parse(f.form, text[:n])
		if err != nil {
			continue
		}
		switch f.schema {
		case data.TimestampSchema:
			return f.schema, t.UnixMilli(), n
		case data.DateSchema:
			return f.schema, int32(t.Unix() / 86400), n
		default:
			midnight := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
			return f.schema, int32(t.Sub(midnight).Milliseconds()), n
		}
	}
	return nil, nil, 0
}

// number types a number: whole ones by the smallest type, also those written
// with a fraction of zero, others as a float, a double or a decimal.
func number(text string) (*data.Schema, any) {
	d, err := data.ParseDecimal(text)
	if err != nil {
		return nil, nil
	}
	if whole, err := d.Rescale(0); err == nil && whole.Unscaled.IsInt64() {
		return smallest(whole.Unscaled.Int64())
	}
	f, err := strconv.ParseFloat(d.String(), 64)
	switch {
	case err == nil && math.Abs(f) <= math.MaxFloat32:
		return data.Float32Schema, float32(f)
	case err == nil && !math.IsInf(f, 0):
		return data.Float64Schema, f
	default:
		return data.DecimalSchema(d.Scale), d
	}
}

func smallest(n int64) (*data.Schema, any) {
	switch {
	case n == int64(int8(n)):
		return data.Int8Schema, int8(n)
	case n == int64(int16(n)):
		return data.Int16Schema, int16(n)
	case n == int64(int32(n)):
		return data.Int32Schema, int32(n)
	default:
		return data.Int64Schema, n
	}
}

func (p *valueParser) quoted() (*data.Schema, any, bool) {
	var b strings.Builder
	for p.at++; p.at < len(p.text); p.at++ {
		switch c := p.text[p.at]; c {
		case '"':
			p.at++
			return data.StringSchema, b.String(), true
		case '\\':
			if p.at++; p.at < len(p.text) {
				b.WriteByte(p.text[p.at])
			}
		default:
			b.WriteByte(c)
		}
	}
	return nil, nil, false
}

// elements are the schemas and values of a list, or of one side of a map.
type elements struct {
	schemas []*data.Schema
	values  []any
}

func (e *elements) add(s *data.Schema, v any) {
	e.schemas, e.values = append(e.schemas, s), append(e.values, v)
}

// until reports whether the list or map goes on, past a comma after the first
// element. ok is false for text that is neither.
func (p *valueParser) until(end byte, n int) (more, ok bool) {
	p.space()
	switch {
	case p.at == len(p.text):
		return false, false
	case p.text[p.at] == end:
		p.at++
		return false, true
	case n == 0:
		return true, true
	case p.text[p.at] != ',':
		return false, false
	}
	p.at++
	return true, true
}

func (p *valueParser) list(depth int) (*data.Schema, any, bool) {
	p.at++
	var e elements
	for {
		more, ok := p.until(']', len(e.values))
		if !ok {
			return nil, nil, false
		}
		if !more {
			break
		}
		s, v, ok := p.value(depth + 1)
		if !ok {
			return nil, nil, false
		}
		e.add(s, v)
	}
	s, values, ok := e.merge()
	if !ok {
		return nil, nil, false
	}
	array, err := data.ArrayOf(s).Build()
	return array, values, err == nil
}

func (p *valueParser) mapping(depth int) (*data.Schema, any, bool) {
	p.at++
	var keys, values elements
	for {
		more, ok := p.until('}', len(keys.values))
		if !ok {
			return nil, nil, false
		}
		if !more {
			break
		}
		s, k, ok := p.value(depth + 1)
		if !ok || k == nil {
			return nil, nil, false
		}
		keys.add(s, k)
		if p.space(); p.at == len(p.text) || p.text[p.at] != ':' {
			return nil, nil, false
		}
		p.at++
		s, v, ok := p.value(depth + 1)
		if !ok {
			return nil, nil, false
		}
		values.add(s, v)
	}
	ks, kv, ok := keys.merge()
	vs, vv, ok2 := values.merge()
	if !ok || !ok2 {
		return nil, nil, false
	}
	m := make(data.Map, 0, len(kv))
	for i, k := range kv {
		if _, dup := m.Get(k); dup {
			return nil, nil, false
		}
		m = append(m, data.Entry{Key: k, Value: vv[i]})
	}
	s, err := data.MapOf(ks, vs).Build()
	return s, m, err == nil
}

// merge finds one schema for all elements, widening numbers. Elements of
// different kinds have none.
func (e *elements) merge() (*data.Schema, []any, bool) {
	var common *data.Schema
	null := false
	for _, s := range e.schemas {
		switch {
		case s == nil:
			null = true
		case common == nil || s.Equal(common):
			common = s
		case rank(s) > 0 && rank(common) > 0:
			if rank(s) > rank(common) {
				common = s
			}
		default:
			return nil, nil, false
		}
	}
	if common == nil {
		common = data.OptionalStringSchema // of an empty list, and one of nulls
	}
	out := make([]any, len(e.values))
	for i, v := range e.values {
		if v != nil {
			out[i] = widen(v, common)
		}
	}
	if null {
		common = data.AsOptional(common)
	}
	return common, out, true
}

// rank orders the number types by what they hold, 0 for others.
func rank(s *data.Schema) int {
	if s.IsLogical() || s.Type() > data.TypeFloat64 {
		return 0
	}
	return int(s.Type())
}

func widen(v any, s *data.Schema) any {
	var n int64
	switch v := v.(type) {
	case int8:
		n = int64(v)
	case int16:
		n = int64(v)
	case int32:
		n = int64(v)
	case int64:
		n = v
	case float32:
		if s.Type() == data.TypeFloat64 {
			return float64(v)
		}
		return v
	default:
		return v
	}
	if s.IsLogical() {
		return v
	}
	switch s.Type() {
	case data.TypeInt8:
		return int8(n)
	case data.TypeInt16:
		return int16(n)
	case data.TypeInt32:
		return int32(n)
	case data.TypeInt64:
		return n
	case data.TypeFloat32:
		return float32(n)
	case data.TypeFloat64:
		return float64(n)
	}
	return v
}
