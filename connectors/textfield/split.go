package textfield

import "bytes"

// Splitter splits a record of separated values.
type Splitter struct {
	Separator byte
	// Quote encloses values with separators in them; it is doubled within. 0 is
	// for none.
	Quote byte
	// Escape, behind which Quote and itself are text within quotes; 0 for none.
	Escape byte
	// Escaped values have \t, \n, \r and \\ for what cannot stand in them, as
	// files of tab-separated values have.
	Escaped bool
	// TrimLeading drops blanks before a value and before its opening quote.
	TrimLeading bool

	values  []Value
	text    []byte
	unended bool
}

// Unended reports whether Split failed because a quoted value does not end:
// with what follows the record it may.
func (s *Splitter) Unended() bool { return s.unended }

// Value is one of a record's values.
type Value struct {
	Text   []byte
	Quoted bool
}

// Split returns the values of a record. They are valid until the next call. ok
// is false if a quoted value does not end, or something follows its end.
func (s *Splitter) Split(b []byte) (values []Value, ok bool) {
	s.values, s.text, s.unended = s.values[:0], s.text[:0], false
	for {
		if s.TrimLeading {
			b = bytes.TrimLeft(b, " ")
		}
		var v Value
		if s.Quote != 0 && len(b) > 0 && b[0] == s.Quote {
			v.Quoted = true
			if v.Text, b, ok = s.quoted(b[1:]); !ok {
				return nil, false
			}
		} else {
			end := bytes.IndexByte(b, s.Separator)
			if end < 0 {
				end = len(b)
			}
			v.Text, b = b[:end], b[end:]
			if s.Escaped && bytes.IndexByte(v.Text, '\\') >= 0 {
				v.Text = s.unescape(v.Text)
			}
		}
		s.values = append(s.values, v)
		switch {
		case len(b) == 0:
			return s.values, true
		case b[0] != s.Separator:
			return nil, false
		}
		b = b[1:]
	}
}

// quoted reads a value whose opening quote was passed.
func (s *Splitter) quoted(b []byte) (text, rest []byte, ok bool) {
	at, plain := len(s.text), true
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case s.Escape != 0 && s.Escape != s.Quote && c == s.Escape && i+1 < len(b) && (b[i+1] == s.Quote || b[i+1] == s.Escape):
			if plain {
				s.text, plain = append(s.text, b[:i]...), false
			}
			i++
			s.text = append(s.text, b[i])
		case c != s.Quote:
			if !plain {
				s.text = append(s.text, c)
			}
		case i+1 < len(b) && b[i+1] == s.Quote:
			if plain {
				s.text, plain = append(s.text, b[:i]...), false
			}
			i++
			s.text = append(s.text, c)
		case plain:
			return b[:i], b[i+1:], true
		default:
			return s.text[at:len(s.text):len(s.text)], b[i+1:], true
		}
	}
	s.unended = true
	return nil, nil, false
}

func (s *Splitter) unescape(b []byte) []byte {
	at := len(s.text)
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c == '\\' && i+1 < len(b) {
			switch b[i+1] {
			case 't':
				c = '\t'
			case 'n':
				c = '\n'
			case 'r':
				c = '\r'
			case '\\':
			default:
				s.text = append(s.text, c)
				continue
			}
			i++
		}
		s.text = append(s.text, c)
	}
	return s.text[at:len(s.text):len(s.text)]
}
