package parse

import (
	"errors"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// scanner reads JSON. Its error sticks.
type scanner struct {
	b     []byte
	i     int
	depth int
	err   error
}

// maxDepth bounds the nesting of JSON.
const maxDepth = 512

var errJSON = errors.New("it is not JSON")

func (s *scanner) fail(what string) {
	if s.err == nil {
		s.err = fmt.Errorf("%w at byte %d: %s", errJSON, s.i, what)
	}
}

func (s *scanner) space() {
	for s.i < len(s.b) && (s.b[s.i] == ' ' || s.b[s.i] == '\t' || s.b[s.i] == '\n' || s.b[s.i] == '\r') {
		s.i++
	}
}

// peek returns the first byte of what is next, 0 at the end.
func (s *scanner) peek() byte {
	s.space()
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

func (s *scanner) open(c byte) bool {
	if s.err == nil && s.peek() != c {
		s.fail("an object is wanted")
	}
	if s.depth++; s.depth > maxDepth {
		s.fail("too deep")
	}
	s.i++
	return s.err == nil
}

// more reports whether the n-th element follows, and moves to it, or past the
// end that c is.
func (s *scanner) more(c byte, n int) bool {
	if s.err != nil {
		return false
	}
	switch k := s.peek(); {
	case k == c:
		s.i++
		return false
	case n == 0:
		return true
	case k == ',':
		s.i++
		return true
	}
	s.fail("a comma or the end is wanted")
	return false
}

func (s *scanner) name(scratch *[]byte) []byte {
	if s.peek() != '"' {
		s.fail("a name is wanted")
		return nil
	}
	name := s.text(scratch)
	if s.peek() != ':' {
		s.fail("a colon is wanted")
	}
	s.i++
	return name
}

// text reads a string. It is of the input, or of scratch if it has escapes.
func (s *scanner) text(scratch *[]byte) []byte {
	start := s.i + 1
	escaped := s.string()
	if s.err != nil {
		return nil
	}
	raw := s.b[start : s.i-1]
	if !escaped {
		return raw
	}
	at := len(*scratch)
	*scratch = unescape(*scratch, raw)
	return (*scratch)[at:len(*scratch):len(*scratch)]
}

// string passes over a string, whose first quote is next, and reports whether it
// has escapes, which are checked.
func (s *scanner) string() (escaped bool) {
	for s.i++; s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; {
		case c == '"':
			s.i++
			return escaped
		case c == '\\':
			escaped = true
			if s.i++; s.i == len(s.b) || !s.escape() {
				s.fail("escape")
				return false
			}
		case c < ' ':
			s.fail("control character in a string")
			return false
		}
	}
	s.fail("string without end")
	return false
}

// escape checks what follows a backslash.
func (s *scanner) escape() bool {
	switch s.b[s.i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
		if s.i+4 >= len(s.b) {
			return false
		}
		for _, c := range s.b[s.i+1 : s.i+5] {
			if hex(c) > 15 {
				return false
			}
		}
		s.i += 4
		return true
	}
	return false
}

func hex(c byte) rune {
	switch {
	case c >= '0' && c <= '9':
		return rune(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return rune(c|0x20-'a') + 10
	}
	return 16
}

// unescape appends the text of a string whose escapes were checked.
func unescape(dst, raw []byte) []byte {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			dst = append(dst, raw[i])
			continue
		}
		i++
		switch c := raw[i]; c {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r := hex4(raw[i+1:])
			i += 4
			if utf16.IsSurrogate(r) {
				if i+6 < len(raw) && raw[i+1] == '\\' && raw[i+2] == 'u' && utf16.DecodeRune(r, hex4(raw[i+3:])) != utf8.RuneError {
					r = utf16.DecodeRune(r, hex4(raw[i+3:]))
					i += 6
				} else {
					r = utf8.RuneError
				}
			}
			dst = utf8.AppendRune(dst, r)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

func hex4(b []byte) rune { return hex(b[0])<<12 | hex(b[1])<<8 | hex(b[2])<<4 | hex(b[3]) }

// skip passes over a value.
func (s *scanner) skip() {
	if s.err != nil {
		return
	}
	switch c := s.peek(); {
	case c == '"':
		s.string()
	case c == '{' || c == '[':
		s.compound(c)
	case c == '-' || c >= '0' && c <= '9':
		s.number()
	case c == 't':
		s.word("true")
	case c == 'f':
		s.word("false")
	case c == 'n':
		s.word("null")
	default:
		s.fail("a value is wanted")
	}
}

func (s *scanner) compound(c byte) {
	if !s.open(c) {
		return
	}
	end := c + 2 // of both kinds of brackets
	for n := 0; s.more(end, n); n++ {
		if c == '{' {
			if s.peek() != '"' {
				s.fail("a name is wanted")
				return
			}
			if s.string(); s.peek() != ':' {
				s.fail("a colon is wanted")
				return
			}
			s.i++
		}
		s.skip()
	}
	s.depth--
}

func (s *scanner) number() {
	if s.b[s.i] == '-' {
		s.i++
	}
	ok := s.digits()
	if ok && s.i < len(s.b) && s.b[s.i] == '.' {
		s.i++
		ok = s.digits()
	}
	if ok && s.i < len(s.b) && s.b[s.i]|0x20 == 'e' {
		s.i++
		if s.i < len(s.b) && (s.b[s.i] == '+' || s.b[s.i] == '-') {
			s.i++
		}
		ok = s.digits()
	}
	if !ok {
		s.fail("a number is wanted")
	}
}

func (s *scanner) digits() bool {
	start := s.i
	for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
		s.i++
	}
	return s.i > start
}

func (s *scanner) word(w string) {
	if len(s.b)-s.i < len(w) || string(s.b[s.i:s.i+len(w)]) != w {
		s.fail("a value is wanted")
		return
	}
	s.i += len(w)
}
