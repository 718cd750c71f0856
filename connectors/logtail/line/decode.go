package line

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/unicode"
)

// Encoding is how a file's text is written.
type Encoding struct {
	name string
	unit int
	enc  encoding.Encoding // nil for UTF-8
	mark []byte            // what begins a file and is no text
}

// The encodings that are known without a table.
var (
	utf8Encoding = Encoding{name: "utf-8", unit: 1, mark: []byte("\xef\xbb\xbf")}
	utf16le      = Encoding{name: "utf-16le", unit: 2, mark: []byte("\xff\xfe"), enc: unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)}
	utf16be      = Encoding{name: "utf-16be", unit: 2, mark: []byte("\xfe\xff"), enc: unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)}
)

// UTF16 is an encoding that files tell the byte order of by their first bytes.
const UTF16 = "utf-16"

// FindEncoding returns an encoding by the name that IANA or the WHATWG has for
// it: utf-8, utf-16le, utf-16be, latin1, windows-1252, shift_jis and others.
// utf-16 is little endian unless a file says otherwise, see ForFile.
func FindEncoding(name string) (Encoding, error) {
	lower := strings.ToLower(strings.TrimSpace(name))
	switch lower {
	case "", "utf-8", "utf8":
		return utf8Encoding, nil
	case UTF16:
		e := utf16le
		e.name = UTF16
		return e, nil
	case "utf-16le":
		return utf16le, nil
	case "utf-16be":
		return utf16be, nil
	case "latin1", "latin-1", "iso-8859-1":
		lower = "iso_8859-1:1987"
	}
	enc, err := ianaindex.IANA.Encoding(lower)
	if err != nil || enc == nil {
		enc, err = htmlindex.Get(lower)
	}
	if err != nil || enc == nil {
		return Encoding{}, fmt.Errorf("%q is no encoding that is known here: use a name of IANA, such as utf-8, utf-16le, iso-8859-1, windows-1252 or shift_jis", name)
	}
	if canonical, err := ianaindex.MIME.Name(enc); err == nil && strings.HasPrefix(strings.ToLower(canonical), "utf-") {
		return Encoding{}, fmt.Errorf("%q cannot be cut into lines here: use utf-8, utf-16, utf-16le or utf-16be", name)
	}
	return Encoding{name: lower, unit: 1, enc: enc}, nil
}

// ForFile returns the encoding of a file that begins with head, and how many
// bytes of it are a mark and no text.
func (e Encoding) ForFile(head []byte) (Encoding, int) {
	if e.name == UTF16 && bytes.HasPrefix(head, utf16be.mark) {
		return utf16be, len(utf16be.mark)
	}
	if len(e.mark) > 0 && bytes.HasPrefix(head, e.mark) {
		return e, len(e.mark)
	}
	return e, 0
}

// MarkSize is how many first bytes ForFile looks at.
const MarkSize = 3

// Name is the name that it was found by, or that a file's beginning gives it.
func (e Encoding) Name() string { return e.name }

// Unit is the size of the encoding's units in bytes.
func (e Encoding) Unit() int { return e.unit }

// UTF8 reports whether the encoding is UTF-8.
func (e Encoding) UTF8() bool { return e.enc == nil }

// Encode returns text in the encoding.
func (e Encoding) Encode(s string) ([]byte, error) {
	if e.enc == nil {
		return []byte(s), nil
	}
	b, err := e.enc.NewEncoder().Bytes([]byte(s))
	if err != nil {
		return nil, fmt.Errorf("%q in %s: %w", s, e.name, err)
	}
	return b, nil
}

// Decoder decodes lines. It is used by one goroutine.
type Decoder struct {
	decoder *encoding.Decoder // nil for UTF-8
	buf     []byte
}

// NewDecoder returns a decoder.
func (e Encoding) NewDecoder() *Decoder {
	d := &Decoder{}
	if e.enc != nil {
		d.decoder = e.enc.NewDecoder()
	}
	return d
}

var replacement = []byte("\uFFFD")

// Decode returns a line in UTF-8, in which U+FFFD is in the place of what is no
// character; valid is false if there is any. The line is valid until the next
// call.
func (d *Decoder) Decode(line []byte) (text []byte, valid bool) {
	if d.decoder == nil {
		if utf8.Valid(line) {
			return line, true
		}
		return bytes.ToValidUTF8(line, replacement), false
	}
	d.decoder.Reset()
	if need := 4*len(line) + 16; cap(d.buf) < need {
		d.buf = make([]byte, need)
	}
	buf := d.buf[:cap(d.buf)]
	n, _, err := d.decoder.Transform(buf, line, true)
	if err != nil { // decoders replace what they cannot read, and the buffer is large enough
		return bytes.ToValidUTF8(line, replacement), false
	}
	text = buf[:n]
	return text, !bytes.Contains(text, replacement)
}
