// Package line cuts bytes into lines, groups lines into records, and decodes
// them to UTF-8. It reads nothing itself: bytes go in, lines come out.
package line

import (
	"bytes"
	"unicode/utf8"
)

// Policy says what becomes of lines that are longer than allowed.
type Policy int

// The policies.
const (
	Truncate Policy = iota // send the beginning
	Skip                   // send nothing of it
	Split                  // send it in pieces
	Fail                   // end the task
)

// Cutter cuts lines. It is immutable.
type Cutter struct {
	// Delimiter ends a line, in the file's encoding.
	Delimiter []byte
	// Unit is the size of the encoding's units: delimiters begin at multiples
	// of it.
	Unit int
	// Max is the most bytes of a line, a multiple of Unit.
	Max  int
	Long Policy
	// UTF8 has pieces of long lines end where characters do.
	UTF8 bool
}

// Kind says what Cut has found.
type Kind int

// The kinds.
const (
	None      Kind = iota // more bytes are needed
	Whole                 // a line
	Truncated             // the beginning of a long line, whose rest is passed over
	Piece                 // a piece of a long line, more of which follows
	Dropped               // the beginning of a long line that is left out
	Passed                // a part of the rest that is passed over
	TooLong               // a line that is too long where that is an error
)

// Cut takes the next line off b, whose first bytes may belong to a line that is
// being passed over. size is how many bytes to move on, 0 with None and TooLong.
// scanned bytes of b are known to hold no delimiter. skipping says whether what
// follows belongs to the rest of the line.
func (c *Cutter) Cut(b []byte, scanned int, skip bool) (line []byte, size int, kind Kind, skipping bool) {
	i := c.find(b, scanned)
	switch {
	case skip && i >= 0:
		return nil, i + len(c.Delimiter), Passed, false
	case skip:
		if n := c.sure(b); n > 0 {
			return nil, n, Passed, true
		}
		return nil, 0, None, true
	case i >= 0 && i <= c.Max:
		return b[:i], i + len(c.Delimiter), Whole, false
	case i < 0 && len(b) <= c.Max+len(c.Delimiter)-1:
		return nil, 0, None, false
	}
	n := c.Max
	if c.UTF8 {
		n = runeEnd(b, n)
	}
	switch c.Long {
	case Skip:
		return nil, n, Dropped, true
	case Split:
		return b[:n], n, Piece, false
	case Fail:
		return nil, 0, TooLong, false
	}
	return b[:n], n, Truncated, true
}

// find returns where the delimiter begins, -1 if it is not there.
func (c *Cutter) find(b []byte, scanned int) int {
	if scanned = max(0, scanned-len(c.Delimiter)+1); scanned >= len(b) {
		return -1
	}
	if len(c.Delimiter) == 1 {
		if i := bytes.IndexByte(b[scanned:], c.Delimiter[0]); i >= 0 {
			return scanned + i
		}
		return -1
	}
	for at := scanned; ; {
		i := bytes.Index(b[at:], c.Delimiter)
		if i < 0 {
			return -1
		}
		if i += at; i%c.Unit == 0 {
			return i
		}
		at = i + 1
	}
}

// sure is how much of b, which has no delimiter, cannot be the beginning of
// one.
func (c *Cutter) sure(b []byte) int {
	n := len(b) - len(c.Delimiter) + 1
	return n - n%c.Unit
}

// runeEnd moves n back to where a character ends, if b is UTF-8 there.
func runeEnd(b []byte, n int) int {
	for i := 0; i < utf8.UTFMax && n-i > 0; i++ {
		if n-i == len(b) || utf8.RuneStart(b[n-i]) {
			return n - i
		}
	}
	return n
}
