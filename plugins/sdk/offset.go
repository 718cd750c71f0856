package sdk

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/millrace/millrace/plugins/data"
)

// Offset says where a source stands in one of its partitions. Numbers read
// back are int64 where they are whole, else float64. Nil is no offset.
type Offset map[string]any

// Int64 returns a number, 0 if there is none of that name.
func (o Offset) Int64(name string) int64 {
	switch v := o[name].(type) {
	case int64:
		return v
	case int:
		return int64(v)
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int64(v)
		}
	}
	return 0
}

// String returns a text, "" if there is none of that name.
func (o Offset) String(name string) string {
	s, _ := o[name].(string)
	return s
}

// Bool returns a truth value, false if there is none of that name.
func (o Offset) Bool(name string) bool {
	b, _ := o[name].(bool)
	return b
}

// Position is a source partition and where the source stands in it.
type Position struct {
	Partition map[string]any
	Offset    Offset // nil removes what is stored
}

// EncodeMap returns a source partition or offset as the JSON object that is
// stored, with sorted keys, so that equal maps have equal bytes. Values are
// nil, text, truth values and numbers.
func EncodeMap(m map[string]any) ([]byte, error) {
	for k, v := range m {
		switch v := v.(type) {
		case nil, bool, string, int, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float32, float64, json.Number:
		default:
			return nil, fmt.Errorf("%q is a %T: partitions and offsets hold text, numbers, truth values and nil", k, v)
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(m); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// DecodeMap reads a JSON object. No bytes and null are a nil map.
func DecodeMap(b []byte) (map[string]any, error) {
	if len(b) == 0 {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var m map[string]any
	if err := d.Decode(&m); err != nil {
		return nil, fmt.Errorf("read %.80q: %w", b, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read %.80q: more than one value", b)
	}
	for k, v := range m {
		m[k] = plainNumber(v)
	}
	return m, nil
}

func plainNumber(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		if f, err := v.Float64(); err == nil {
			return f
		}
		return v.String()
	case map[string]any:
		for k, e := range v {
			v[k] = plainNumber(e)
		}
	case []any:
		for i, e := range v {
			v[i] = plainNumber(e)
		}
	}
	return v
}

func decodePositions(in []data.Position) ([]Position, error) {
	out := make([]Position, len(in))
	for i, p := range in {
		partition, err := DecodeMap(p.Partition)
		if err != nil {
			return nil, fmt.Errorf("source partition: %w", err)
		}
		offset, err := DecodeMap(p.Offset)
		if err != nil {
			return nil, fmt.Errorf("source offset: %w", err)
		}
		out[i] = Position{partition, offset}
	}
	return out, nil
}
