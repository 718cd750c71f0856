package data

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxJSONDepth bounds the nesting of JSON text.
const maxJSONDepth = 512

// ErrJSON is text that is not JSON, or not what was asked for.
var ErrJSON = errors.New("invalid JSON")

// scanner pulls values out of JSON text in order, which encoding/json cannot
// do without losing the order of members or allocating per token. Its error
// sticks. It takes what Jackson takes with leading zeros allowed.
type scanner struct {
	b     []byte
	i     int
	depth int
	err   error
}

func newScanner(b []byte) scanner {
	s := scanner{b: b}
	if !utf8.Valid(b) {
		s.fail("text is not UTF-8")
	}
	return s
}

func (s *scanner) fail(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf("%w at byte %d: %s", ErrJSON, s.i, fmt.Sprintf(format, args...))
	}
}

// kind returns what comes next: { [ " t f n, 0 for a number, or 'x' for
// anything else.
func (s *scanner) kind() byte {
	for s.i < len(s.b) {
		switch c := s.b[s.i]; c {
		case ' ', '\t', '\n', '\r':
			s.i++
		case '{', '[', '"', 't', 'f', 'n', ']', '}', ',', ':':
			return c
		case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
			return '0'
		default:
			return 'x'
		}
	}
	return 'x'
}

// open enters an object or array.
func (s *scanner) open(c byte) {
	if s.err != nil {
		return
	}
	if s.kind() != c {
		s.fail("want %q", c)
		return
	}
	if s.depth++; s.depth > maxJSONDepth {
		s.fail("more than %d levels of nesting", maxJSONDepth)
		return
	}
	s.i++
}

// more reports whether the object or array that ends with c has another
// element, the n-th, and leaves it otherwise.
func (s *scanner) more(c byte, n *int) bool {
	if s.err != nil {
		return false
	}
	k := s.kind()
	if k == c {
		s.i++
		s.depth--
		return false
	}
	if *n > 0 {
		if k != ',' {
			s.fail("want a comma or %q", c)
			return false
		}
		s.i++
	}
	*n++
	return true
}

// key reads a member's name and colon.
func (s *scanner) key() []byte {
	k := s.text()
	if s.err == nil && s.kind() != ':' {
		s.fail("want a colon")
	}
	s.i++
	return k
}

// text reads a string, which aliases the input unless it has escapes.
func (s *scanner) text() []byte {
	if s.err != nil {
		return nil
	}
	if s.kind() != '"' {
		s.fail("want a string")
		return nil
	}
	s.i++
	start := s.i
	for s.i = plain(s.b, s.i); s.i < len(s.b); s.i = plain(s.b, s.i+1) {
		switch c := s.b[s.i]; {
		case c == '"':
			s.i++
			return s.b[start : s.i-1 : s.i-1]
		case c == '\\':
			return s.escaped(append(make([]byte, 0, 2*(s.i-start)+32), s.b[start:s.i]...))
		case c < 0x20:
			s.fail("control character in a string")
			return nil
		}
	}
	s.fail("string without end")
	return nil
}

// escaped reads the rest of a string from its first escape on.
func (s *scanner) escaped(out []byte) []byte {
	for s.i < len(s.b) {
		c := s.b[s.i]
		s.i++
		switch {
		case c == '"':
			return out
		case c < 0x20:
			s.fail("control character in a string")
			return nil
		case c != '\\':
			out = append(out, c)
			continue
		}
		if s.i == len(s.b) {
			break
		}
		e := s.b[s.i]
		s.i++
		switch e {
		case '"', '\\', '/':
			out = append(out, e)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			out = utf8.AppendRune(out, s.unicode())
		default:
			s.fail("escape \\%c", e)
			return nil
		}
	}
	s.fail("string without end")
	return nil
}

// unicode reads the digits after \u, of two escapes where they are a surrogate
// pair. Half a pair is U+FFFD.
func (s *scanner) unicode() rune {
	r := s.hex4()
	if !utf16.IsSurrogate(r) {
		return r
	}
	if s.i+6 <= len(s.b) && s.b[s.i] == '\\' && s.b[s.i+1] == 'u' {
		back := s.i
		s.i += 2
		if pair := utf16.DecodeRune(r, s.hex4()); pair != utf8.RuneError {
			return pair
		}
		s.i = back
	}
	return utf8.RuneError
}

func (s *scanner) hex4() rune {
	if s.i+4 > len(s.b) {
		s.fail("short \\u escape")
		return utf8.RuneError
	}
	n, err := strconv.ParseUint(string(s.b[s.i:s.i+4]), 16, 16)
	if err != nil {
		s.fail("bad \\u escape")
	}
	s.i += 4
	return rune(n)
}

// number reads a number's text.
func (s *scanner) number() []byte {
	if s.err != nil {
		return nil
	}
	if s.kind() != '0' {
		s.fail("want a number")
		return nil
	}
	start := s.i
	if s.b[s.i] == '-' {
		s.i++
	}
	ok := s.digits()
	if ok && s.i < len(s.b) && s.b[s.i] == '.' {
		s.i++
		ok = s.digits()
	}
	if ok && s.i < len(s.b) && (s.b[s.i] == 'e' || s.b[s.i] == 'E') {
		s.i++
		if s.i < len(s.b) && (s.b[s.i] == '+' || s.b[s.i] == '-') {
			s.i++
		}
		ok = s.digits()
	}
	if !ok {
		s.fail("bad number")
		return nil
	}
	return s.b[start:s.i]
}

func (s *scanner) digits() bool {
	start := s.i
	for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
		s.i++
	}
	return s.i > start
}

// literal reads true, false or null, and returns its first letter.
func (s *scanner) literal() byte {
	if s.err != nil {
		return 'x'
	}
	word := ""
	k := s.kind()
	switch k {
	case 't':
		word = "true"
	case 'f':
		word = "false"
	case 'n':
		word = "null"
	}
	if word == "" || len(s.b)-s.i < len(word) || string(s.b[s.i:s.i+len(word)]) != word {
		s.fail("want a value")
		return 'x'
	}
	s.i += len(word)
	return k
}

// raw reads any value and returns its text.
func (s *scanner) raw() []byte {
	k := s.kind()
	start := s.i
	s.skip(k)
	if s.err != nil {
		return nil
	}
	return s.b[start:s.i:s.i]
}

func (s *scanner) skip(k byte) {
	n := 0
	switch k {
	case '{':
		s.open('{')
		for s.more('}', &n) {
			s.key()
			s.skip(s.kind())
		}
	case '[':
		s.open('[')
		for s.more(']', &n) {
			s.skip(s.kind())
		}
	case '"':
		s.text()
	case '0':
		s.number()
	default:
		s.literal()
	}
}

// end reports the first error, or that something follows the value.
func (s *scanner) end() error {
	if s.err == nil {
		if s.kind(); s.i < len(s.b) {
			s.fail("text after the value")
		}
	}
	return s.err
}

// member is one member of an object; value is its text.
type member struct {
	key   string
	value []byte
}

// members reads an object's members in order.
func (s *scanner) members() []member {
	var out []member
	n := 0
	s.open('{')
	for s.more('}', &n) {
		out = append(out, member{string(s.key()), s.raw()})
	}
	return out
}

// find returns the last member of a name, as Jackson's objects do.
func find(ms []member, key string) (value []byte, ok bool) {
	for _, m := range ms {
		if m.key == key {
			value, ok = m.value, true
		}
	}
	return value, ok
}

// stringOf reads text that is one JSON string.
func stringOf(raw []byte) (string, error) {
	s := scanner{b: raw}
	t := s.text()
	return string(t), s.end()
}

// compactJSON copies a valid value without the space between its parts.
func compactJSON(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	quoted := false
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch {
		case quoted && c == '\\':
			out = append(out, c)
			i++
			c = raw[i]
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			continue
		}
		out = append(out, c)
	}
	return out
}
