package logtail

import (
	"bytes"
	"regexp"
	"time"
)

// lineRules say what becomes of long lines.
type lineRules struct {
	max  int
	long string // truncate, skip, split
}

// cut takes the next line off b, whose first bytes may belong to a line that
// is being skipped. size is how many bytes it took, 0 if more is needed; ok
// says whether line is one to send, and skipping whether the rest of it is to
// be passed over.
func (r lineRules) cut(b []byte, skip bool) (line []byte, size int, ok, skipping bool) {
	i := bytes.IndexByte(b, '\n')
	switch {
	case skip && i >= 0:
		return nil, i + 1, false, false
	case skip:
		return nil, len(b), false, true
	case i >= 0 && i <= r.max:
		return bytes.TrimSuffix(b[:i], []byte("\r")), i + 1, true, false
	case i < 0 && len(b) <= r.max:
		return nil, 0, false, false
	case r.long == "skip":
		return nil, r.max, false, true
	case r.long == "split":
		return b[:r.max], r.max, true, false
	}
	return b[:r.max], r.max, true, true
}

// groupRules say which lines belong together.
type groupRules struct {
	start, condition *regexp.Regexp
	mode             string
	timeout          time.Duration
	maxLines         int
}

// group is an unfinished group of lines.
type group struct {
	text  []byte
	lines int
	begin int64     // where it begins in the file
	since time.Time // when its last line came
}

// takes reports whether a line belongs to the group that is open, and whether
// it is its last.
func (r *groupRules) takes(g *group, line []byte) (joins, last bool) {
	match := r.condition.Match(line)
	switch r.mode {
	case "continue_through":
		return match, false
	case "continue_past":
		return true, !match
	case "halt_before":
		return !match, false
	}
	return true, match
}
