package line

import (
	"regexp"
	"time"
)

// Grouping says which lines make one record.
type Grouping struct {
	// Start matches the first line of a group; nil is any line.
	Start *regexp.Regexp
	// Condition decides, by Mode, which lines follow.
	Condition *regexp.Regexp
	Mode      string // continue_through, continue_past, halt_before or halt_with
	// Partial, where it is set, takes the place of the patterns: it tells lines
	// that go on in the next one of the same stream.
	Partial func(line []byte) (partial bool, stream byte)

	Timeout  time.Duration
	MaxLines int
}

// Group is an unfinished group of lines. The zero Group has none. Lines, Size and
// Since are the caller's to keep, after what Next says.
type Group struct {
	Lines  int
	Size   int       // bytes in the file, delimiters included
	Since  time.Time // when its last line came
	stream byte
}

// Verdict is where a line belongs.
type Verdict int

// The verdicts.
const (
	Alone    Verdict = iota // the group ends before the line, which is a record of its own
	Begins                  // the group ends before the line, which begins the next
	Joins                   // the line belongs to the group
	Finishes                // and is its last
)

// Next says where the next line belongs.
func (r *Grouping) Next(g *Group, line []byte) Verdict {
	if r.Partial != nil {
		return r.piece(g, line)
	}
	if g.Lines > 0 && g.Lines < r.MaxLines {
		match := r.Condition.Match(line)
		switch r.Mode {
		case "continue_through":
			if match {
				return Joins
			}
		case "continue_past":
			if !match {
				return Finishes
			}
			return Joins
		case "halt_before":
			if !match {
				return Joins
			}
		default: // halt_with
			if match {
				return Finishes
			}
			return Joins
		}
	}
	if r.Start == nil || r.Start.Match(line) {
		return Begins
	}
	return Alone
}

func (r *Grouping) piece(g *Group, line []byte) Verdict {
	partial, stream := r.Partial(line)
	switch {
	case g.Lines > 0 && g.Lines < r.MaxLines && stream == g.stream && partial:
		return Joins
	case g.Lines > 0 && g.Lines < r.MaxLines && stream == g.stream:
		return Finishes
	case partial:
		g.stream = stream
		return Begins
	}
	return Alone
}
