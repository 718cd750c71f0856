package wire

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// Layout says how the body of a request is built, in all its versions. Bodies
// are walked along it before they are decoded, because the decoder (kmsg)
// believes what it reads: it allocates arrays by their claimed counts and
// loops over claimed tagged fields long after the bytes have ended, which lets
// a frame of 30 bytes keep a processor busy for a minute.
//
// The notation is that of NewLayout.
type Layout struct{ fields []field }

// field is one field, or one tagged field that is a structure itself.
type field struct {
	kind     byte // '#' fixed, 's' string, 'b' bytes, '[' structures, '(' elements, '{' nullable structure, '<' tagged structure
	size     int  // of a fixed field, or the number of a tagged one
	from, to int16
	sub      []field
}

// maxElements bounds the elements of all arrays of a request together. The
// decoder takes up to a hundred bytes for each.
const maxElements = 1 << 20

// NewLayout parses a layout and panics if it is none; it is for tables that
// are built at start. Fields stand in their order, with blanks between:
//
//	4          a field of so many bytes
//	s, b       a string, bytes; null or not
//	[ ... ]    an array of structures
//	( x )      an array of strings or fixed fields
//	{ ... }    a structure that may be null
//	<1 ... >   a structure that is tagged field 1 of the one around it
//	x@3, x@3-5, x@-5  the field x from version 3, from 3 to 5, up to 5
//
// Tagged fields without structure need no mention.
func NewLayout(text string) *Layout {
	p := layoutParser{words: strings.Fields(text)}
	l := &Layout{p.fields()}
	if len(p.words) > 0 {
		panic("wire: layout " + text + ": " + p.words[0] + " closes nothing")
	}
	return l
}

type layoutParser struct{ words []string }

// fields parses up to a word that closes a group.
func (p *layoutParser) fields() []field {
	var out []field
	for len(p.words) > 0 {
		w := p.words[0]
		if strings.ContainsRune("])}>", rune(w[0])) {
			break
		}
		p.words = p.words[1:]
		out = append(out, p.field(w))
	}
	return out
}

func (p *layoutParser) field(w string) field {
	closing := map[byte]string{'[': "]", '(': ")", '{': "}", '<': ">"}[w[0]]
	if closing == "" {
		name, versions, _ := strings.Cut(w, "@")
		f := field{kind: name[0]}
		f.from, f.to = parseVersions(versions)
		if name != "s" && name != "b" {
			f.kind, f.size = '#', number(name)
		}
		return f
	}
	f := field{kind: w[0]}
	if w[0] == '<' {
		f.size = number(w[1:])
	}
	f.sub = p.fields()
	if len(p.words) == 0 || p.words[0][:1] != closing {
		panic("wire: layout: " + w + " is not closed")
	}
	_, versions, _ := strings.Cut(p.words[0], "@")
	f.from, f.to = parseVersions(versions)
	p.words = p.words[1:]
	return f
}

func parseVersions(s string) (from, to int16) {
	low, high, bounded := strings.Cut(s, "-")
	to = 1<<15 - 1
	if low != "" {
		from = int16(number(low))
	}
	if bounded {
		to = int16(number(high))
	}
	return from, to
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic("wire: layout: " + err.Error())
	}
	return n
}

// Check walks a body and returns what is left behind it, which Kafka ignores
// and so may be anything. The error is ErrMalformed when the body ends early,
// or when its arrays have more elements than any client sends.
func (l *Layout) Check(version int16, flexible bool, b []byte) (rest []byte, err error) {
	w := walker{b: b, version: version, flexible: flexible}
	w.structure(l.fields)
	if w.bad {
		return nil, fmt.Errorf("body of %d bytes ends early or claims too much: %w", len(b), ErrMalformed)
	}
	return w.b, nil
}

// walker skips over fields. bad is set, and stays, once one does not fit.
type walker struct {
	b        []byte
	version  int16
	flexible bool
	elements int
	bad      bool
}

func (w *walker) structure(fields []field) {
	for i := range fields {
		if f := &fields[i]; f.kind != '<' && w.version >= f.from && w.version <= f.to {
			w.field(f)
		}
	}
	if w.flexible {
		w.tags(fields)
	}
}

func (w *walker) field(f *field) {
	switch f.kind {
	case '#':
		w.skip(f.size)
	case 's':
		w.skip(w.length(2))
	case 'b':
		w.skip(w.length(4))
	case '[':
		for n := w.count(); n > 0 && !w.bad; n-- {
			w.structure(f.sub)
		}
	case '(':
		for n := w.count(); n > 0 && !w.bad; n-- {
			w.field(&f.sub[0])
		}
	case '{':
		if len(w.b) == 0 {
			w.fail()
			return
		}
		null := int8(w.b[0]) < 0
		if w.skip(1); !null {
			w.structure(f.sub)
		}
	}
}

func (w *walker) fail() {
	w.bad, w.b = true, nil
}

func (w *walker) skip(n int) {
	if n < 0 || n > len(w.b) {
		w.fail()
		return
	}
	w.b = w.b[n:]
}

func (w *walker) uvarint() int {
	v, n := binary.Uvarint(w.b)
	if n <= 0 || v > 1<<31 {
		w.fail()
		return 0
	}
	w.b = w.b[n:]
	return int(v)
}

// length reads the length of a string (size 2), or of bytes or an array (size
// 4); null is 0.
func (w *walker) length(size int) int {
	if w.flexible {
		return max(w.uvarint()-1, 0)
	}
	if len(w.b) < size {
		w.fail()
		return 0
	}
	n := int(int16(binary.BigEndian.Uint16(w.b)))
	if size == 4 {
		n = int(int32(binary.BigEndian.Uint32(w.b)))
	}
	w.b = w.b[size:]
	return max(n, 0)
}

// count reads the length of an array.
func (w *walker) count() int {
	n := w.length(4)
	if w.elements += n; w.elements > maxElements || n > len(w.b) {
		w.fail()
		return 0
	}
	return n
}

// tags walks the tagged fields of a structure with those fields.
func (w *walker) tags(fields []field) {
	for n := w.uvarint(); n > 0 && !w.bad; n-- {
		tag, size := w.uvarint(), w.uvarint()
		if size > len(w.b) {
			w.fail()
			return
		}
		for i := range fields {
			if fields[i].kind == '<' && fields[i].size == tag {
				inner := walker{b: w.b[:size], version: w.version, flexible: true, elements: w.elements}
				inner.structure(fields[i].sub)
				if w.elements = inner.elements; inner.bad {
					w.fail()
					return
				}
			}
		}
		w.skip(size)
	}
}
