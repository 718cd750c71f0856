// Package jsontext reads the JSON of schemas: values keep the order of members
// and numbers as they were written, and size and depth are bounded.
package jsontext

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Limits of a schema's text.
const (
	// MaxBytes bounds the text.
	MaxBytes = 1 << 20
	// MaxDepth bounds how deep JSON values may nest.
	MaxDepth = 200
)

// Value is a JSON value that keeps the order of members and numbers as they
// were written.
type Value struct {
	Kind    Kind
	Text    string // of a string, unquoted; of a number, as written
	Items   []Value
	Members []Member
	End     int // offset behind the value's first token, in bytes
}

// Kind is a value's type.
type Kind uint8

// The kinds. A truth value is of two.
const (
	Null Kind = iota
	False
	True
	Number
	String
	Array
	Object
)

// Member is a member of an object.
type Member struct {
	Key   string
	Value Value
}

// Member finds an object's member.
func (v *Value) Member(key string) (*Value, bool) {
	for i := range v.Members {
		if v.Members[i].Key == key {
			return &v.Members[i].Value, true
		}
	}
	return nil, false
}

// Str returns a member that is a string; any other is taken for absent.
func (v *Value) Str(key string) (string, bool) {
	m, ok := v.Member(key)
	if !ok || m.Kind != String {
		return "", false
	}
	return m.Text, true
}

// Strings returns the strings of an array, nil for what is none. What else is
// in it is left out.
func (v *Value) Strings() []string {
	var out []string
	for i := range v.Items {
		if v.Items[i].Kind == String {
			out = append(out, v.Items[i].Text)
		}
	}
	return out
}

// WithStrings returns a copy of members in which one is an array of strings, in
// its old place or else last. Without strings there is no such member.
func WithStrings(members []Member, key string, list []string) []Member {
	at := slices.IndexFunc(members, func(m Member) bool { return m.Key == key })
	if len(list) == 0 {
		return slices.DeleteFunc(slices.Clone(members), func(m Member) bool { return m.Key == key })
	}
	v := Value{Kind: Array}
	for _, s := range list {
		v.Items = append(v.Items, Value{Kind: String, Text: s})
	}
	if at < 0 {
		return append(slices.Clip(members), Member{key, v})
	}
	out := slices.Clone(members)
	out[at].Value = v
	return out
}

// Parse reads one JSON value and nothing after it. Errors are of type *Error.
func Parse(text string) (Value, error) {
	if len(text) > MaxBytes {
		return Value{}, &Error{Reason: "the schema has " + strconv.Itoa(len(text)) + " bytes, more than the limit of " + strconv.Itoa(MaxBytes), TooLarge: true}
	}
	if !utf8.ValidString(text) {
		return Value{}, &Error{Reason: "the schema is not UTF-8"}
	}
	d := decoder{json.NewDecoder(bytes.NewReader([]byte(text)))}
	d.dec.UseNumber()
	v, err := d.value(0)
	if err != nil {
		return Value{}, err
	}
	if _, err := d.dec.Token(); err != io.EOF {
		return Value{}, &Error{Reason: "there is more after the schema", Offset: int(d.dec.InputOffset())}
	}
	return v, nil
}

// Error says why a text is no JSON, or too much of it.
type Error struct {
	Reason   string
	Offset   int  // in bytes, where reading had come to; 0 if that means nothing
	TooLarge bool // the text is over MaxBytes
}

func (e *Error) Error() string {
	if e.Offset > 0 {
		return "at offset " + strconv.Itoa(e.Offset) + ": " + e.Reason
	}
	return e.Reason
}

type decoder struct{ dec *json.Decoder }

func (d decoder) value(depth int) (Value, error) {
	tok, err := d.dec.Token()
	if err != nil {
		return Value{}, d.fault(err)
	}
	if depth > MaxDepth {
		return Value{}, &Error{Reason: "the schema nests deeper than " + strconv.Itoa(MaxDepth) + " levels", Offset: int(d.dec.InputOffset())}
	}
	v := Value{End: int(d.dec.InputOffset())}
	switch t := tok.(type) {
	case nil:
		v.Kind = Null
	case bool:
		v.Kind = False
		if t {
			v.Kind = True
		}
	case json.Number:
		v.Kind, v.Text = Number, t.String()
	case string:
		v.Kind, v.Text = String, t
	case json.Delim:
		if t == '[' {
			return d.array(v, depth)
		}
		return d.object(v, depth)
	}
	return v, nil
}

func (d decoder) array(v Value, depth int) (Value, error) {
	v.Kind = Array
	for d.dec.More() {
		item, err := d.value(depth + 1)
		if err != nil {
			return Value{}, err
		}
		v.Items = append(v.Items, item)
	}
	return v, d.close()
}

func (d decoder) object(v Value, depth int) (Value, error) {
	v.Kind = Object
	index := map[string]int{}
	for d.dec.More() {
		tok, err := d.dec.Token()
		if err != nil {
			return Value{}, d.fault(err)
		}
		key, ok := tok.(string)
		if !ok {
			return Value{}, &Error{Reason: "an object's key is no string", Offset: int(d.dec.InputOffset())}
		}
		m, err := d.value(depth + 1)
		if err != nil {
			return Value{}, err
		}
		if i, twice := index[key]; twice { // the last one counts, in the place of the first
			v.Members[i].Value = m
			continue
		}
		index[key] = len(v.Members)
		v.Members = append(v.Members, Member{key, m})
	}
	return v, d.close()
}

// close reads the bracket that ends an array or object.
func (d decoder) close() error {
	if _, err := d.dec.Token(); err != nil {
		return d.fault(err)
	}
	return nil
}

func (d decoder) fault(err error) error {
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return &Error{Reason: "not JSON: " + syntax.Error(), Offset: int(syntax.Offset)}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &Error{Reason: "not JSON: the text ends too early", Offset: int(d.dec.InputOffset())}
	}
	return &Error{Reason: "not JSON: " + err.Error(), Offset: int(d.dec.InputOffset())}
}

// Append prints a value without blanks. With sorted, members are in the
// order of their keys.
func Append(dst []byte, v *Value, sorted bool) []byte {
	switch v.Kind {
	case Null:
		return append(dst, "null"...)
	case False:
		return append(dst, "false"...)
	case True:
		return append(dst, "true"...)
	case Number:
		return append(dst, v.Text...)
	case String:
		return AppendString(dst, v.Text)
	case Array:
		dst = append(dst, '[')
		for i := range v.Items {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = Append(dst, &v.Items[i], sorted)
		}
		return append(dst, ']')
	}
	members := v.Members
	if sorted {
		members = Sorted(members)
	}
	dst = append(dst, '{')
	for i := range members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(AppendString(dst, members[i].Key), ':')
		dst = Append(dst, &members[i].Value, sorted)
	}
	return append(dst, '}')
}

// AppendString quotes s as Java's JSON writers do: only what JSON demands is
// escaped, and control characters in upper-case hex.
func AppendString(dst []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	dst = append(dst, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c >= 0x20:
			dst = append(dst, c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c == '\b':
			dst = append(dst, '\\', 'b')
		case c == '\f':
			dst = append(dst, '\\', 'f')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(dst, '"')
}

// Sorted returns a copy in the order of the keys.
func Sorted(m []Member) []Member {
	m = slices.Clone(m)
	slices.SortFunc(m, func(a, b Member) int { return cmp.Compare(a.Key, b.Key) })
	return m
}
