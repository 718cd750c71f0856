package generate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
)

// properties are a type's "arg.properties".
type properties map[string]any

func newProperties(t map[string]any) (properties, error) {
	switch p := t["arg.properties"].(type) {
	case nil:
		return nil, nil
	case map[string]any:
		return p, nil
	default:
		return nil, fmt.Errorf("arg.properties is a %T, not an object", p)
	}
}

func (p properties) has(name string) bool { return p[name] != nil }

// object returns a property that is an object, nil if there is none.
func (p properties) object(name string) any {
	if m, ok := p[name].(map[string]any); ok {
		return m
	}
	return nil
}

// number reads a whole number, also one written as 1e3 or 5.0.
func number(v any) (int64, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	if i, err := n.Int64(); err == nil {
		return i, true
	}
	f, err := n.Float64()
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<62 {
		return 0, false
	}
	return int64(f), true
}

func fraction(v any) (float64, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	f, err := n.Float64()
	return f, err == nil
}

// The length of texts, bytes, arrays and maps that do not say theirs, and the
// longest that they may say.
const (
	defaultLeast, defaultMost = 8, 15
	maxLength                 = 1 << 20
)

// length reads "length": a number, or an object with min, which is included,
// and max, which is not.
func (p properties) length() (span, error) {
	out := span{defaultLeast, defaultMost}
	bad := func() (span, error) {
		return span{}, fmt.Errorf("length must be a number up to %d, or an object with min and max, min being less", maxLength)
	}
	switch l := p["length"].(type) {
	case nil:
		return out, nil
	case json.Number:
		n, ok := number(l)
		if !ok || n < 0 || n > maxLength {
			return bad()
		}
		return span{int(n), int(n)}, nil
	case map[string]any:
		least, hasLeast := number(l["min"])
		most, hasMost := number(l["max"])
		if !hasLeast && !hasMost || least < 0 || hasMost && (most <= least || most > maxLength) || least > maxLength {
			return bad()
		}
		if !hasMost {
			most = least + defaultMost
		}
		return span{int(least), int(most) - 1}, nil
	}
	return bad()
}

// maxOptions bounds a file of options in bytes.
const maxOptions = 16 << 20

// options reads "options": a list, or a file of JSON values.
func (p properties) options() ([]any, error) {
	for _, other := range []string{"regex", "range", "iteration", "length", "odds"} {
		if p.has(other) {
			return nil, fmt.Errorf("options and %s exclude each other", other)
		}
	}
	list, ok := p["options"].([]any)
	if m, file := p["options"].(map[string]any); file {
		var err error
		if list, err = optionsFile(m); err != nil {
			return nil, err
		}
	} else if !ok {
		return nil, errors.New("options must be a list, or an object with file and encoding")
	}
	if len(list) == 0 {
		return nil, errors.New("options is empty")
	}
	return list, nil
}

func optionsFile(m map[string]any) ([]any, error) {
	path, _ := m["file"].(string)
	if path == "" || m["encoding"] != "json" {
		return nil, errors.New(`options must name a file, and "json" as its encoding: binary files are not read here`)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read options: %w: the file must be on the worker", err)
	}
	defer f.Close()
	d := json.NewDecoder(io.LimitReader(f, maxOptions))
	d.UseNumber()
	var out []any
	for {
		var v any
		err := d.Decode(&v)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read options from %s, of which %d bytes are the most: %w", path, maxOptions, err)
		}
		out = append(out, v)
	}
	if len(out) == 1 {
		if list, ok := out[0].([]any); ok {
			return list, nil
		}
	}
	return out, nil
}
