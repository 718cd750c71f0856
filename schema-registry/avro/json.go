package avro

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
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

// value is a JSON value that keeps the order of members and numbers as they
// were written.
type value struct {
	kind    kindOfValue
	text    string // of a string, unquoted; of a number, as written
	items   []value
	members []member
	end     int // offset behind the value's first token
}

type kindOfValue uint8

const (
	jsonNull kindOfValue = iota
	jsonFalse
	jsonTrue
	jsonNumber
	jsonString
	jsonArray
	jsonObject
)

type member struct {
	key   string
	value value
}

// member finds an object's member.
func (v *value) member(key string) (*value, bool) {
	for i := range v.members {
		if v.members[i].key == key {
			return &v.members[i].value, true
		}
	}
	return nil, false
}

// str returns a member that is a string; any other is taken for absent, as
// Avro's parser does.
func (v *value) str(key string) (string, bool) {
	m, ok := v.member(key)
	if !ok || m.kind != jsonString {
		return "", false
	}
	return m.text, true
}

// readJSON reads one JSON value and nothing after it.
func readJSON(text string) (value, error) {
	if len(text) > MaxBytes {
		return value{}, &Error{Reason: "the schema has " + strconv.Itoa(len(text)) + " bytes, more than the limit of " + strconv.Itoa(MaxBytes), TooLarge: true}
	}
	if !utf8.ValidString(text) {
		return value{}, &Error{Reason: "the schema is not UTF-8"}
	}
	d := decoder{json.NewDecoder(bytes.NewReader([]byte(text)))}
	d.dec.UseNumber()
	v, err := d.value(0)
	if err != nil {
		return value{}, err
	}
	if _, err := d.dec.Token(); err != io.EOF {
		return value{}, &Error{Reason: "there is more after the schema", Offset: int(d.dec.InputOffset())}
	}
	return v, nil
}

type decoder struct{ dec *json.Decoder }

func (d decoder) value(depth int) (value, error) {
	tok, err := d.dec.Token()
	if err != nil {
		return value{}, d.fault(err)
	}
	if depth > MaxDepth {
		return value{}, &Error{Reason: "the schema nests deeper than " + strconv.Itoa(MaxDepth) + " levels", Offset: int(d.dec.InputOffset())}
	}
	v := value{end: int(d.dec.InputOffset())}
	switch t := tok.(type) {
	case nil:
		v.kind = jsonNull
	case bool:
		v.kind = jsonFalse
		if t {
			v.kind = jsonTrue
		}
	case json.Number:
		v.kind, v.text = jsonNumber, t.String()
	case string:
		v.kind, v.text = jsonString, t
	case json.Delim:
		if t == '[' {
			return d.array(v, depth)
		}
		return d.object(v, depth)
	}
	return v, nil
}

func (d decoder) array(v value, depth int) (value, error) {
	v.kind = jsonArray
	for d.dec.More() {
		item, err := d.value(depth + 1)
		if err != nil {
			return value{}, err
		}
		v.items = append(v.items, item)
	}
	return v, d.close()
}

func (d decoder) object(v value, depth int) (value, error) {
	v.kind = jsonObject
	index := map[string]int{}
	for d.dec.More() {
		tok, err := d.dec.Token()
		if err != nil {
			return value{}, d.fault(err)
		}
		key, ok := tok.(string)
		if !ok {
			return value{}, &Error{Reason: "an object's key is no string", Offset: int(d.dec.InputOffset())}
		}
		m, err := d.value(depth + 1)
		if err != nil {
			return value{}, err
		}
		if i, twice := index[key]; twice { // the last one counts, in the place of the first
			v.members[i].value = m
			continue
		}
		index[key] = len(v.members)
		v.members = append(v.members, member{key, m})
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

// appendValue prints a value without blanks. With sorted, members are in the
// order of their keys.
func appendValue(dst []byte, v *value, sorted bool) []byte {
	switch v.kind {
	case jsonNull:
		return append(dst, "null"...)
	case jsonFalse:
		return append(dst, "false"...)
	case jsonTrue:
		return append(dst, "true"...)
	case jsonNumber:
		return append(dst, v.text...)
	case jsonString:
		return appendString(dst, v.text)
	case jsonArray:
		dst = append(dst, '[')
		for i := range v.items {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendValue(dst, &v.items[i], sorted)
		}
		return append(dst, ']')
	}
	members := v.members
	if sorted {
		members = sortMembers(members)
	}
	dst = append(dst, '{')
	for i := range members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, members[i].key), ':')
		dst = appendValue(dst, &members[i].value, sorted)
	}
	return append(dst, '}')
}

// appendString quotes s as Java's JSON writers do: only what JSON demands is
// escaped, and control characters in upper-case hex.
func appendString(dst []byte, s string) []byte {
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
