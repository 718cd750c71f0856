package postgres

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// tid is where a row is in its table: a block, and a line of it from 1.
type tid struct {
	block uint32
	line  uint16
}

func (t tid) after(o tid) bool {
	return t.block > o.block || t.block == o.block && t.line > o.line
}

// String returns the tid as PostgreSQL writes it: (12,3).
func (t tid) String() string { return fmt.Sprintf("(%d,%d)", t.block, t.line) }

func parseTID(s string) (t tid, err error) {
	block, line, ok := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(s, "("), ")"), ",")
	b, err := strconv.ParseUint(block, 10, 32)
	l, err2 := strconv.ParseUint(line, 10, 16)
	if !ok || err != nil || err2 != nil {
		return tid{}, fmt.Errorf("%.40q is not a row's place", s)
	}
	return tid{uint32(b), uint16(l)}, nil
}

// readProgress says what of the tables was handed over. It is pure.
type readProgress struct {
	done map[uint32]bool // by oid of what is read: a table or a partition
	open map[uint32]*unitProgress
}

// unitProgress is a table that was read in part: it is cut into ranges of
// blocks, each read in the order of its rows.
type unitProgress struct {
	node   uint32 // its file, which is another one when the table was rewritten
	size   uint32 // blocks of a range
	ranges int    // the last one has no end
	done   map[int]bool
	at     map[int]tid // the last row handed over, of ranges that are begun
}

func newProgress() *readProgress {
	return &readProgress{done: map[uint32]bool{}, open: map[uint32]*unitProgress{}}
}

// unit returns the entry of a table, made if there is none.
func (p *readProgress) unit(u *readUnit) *unitProgress {
	up := p.open[u.oid]
	if up == nil {
		up = &unitProgress{node: u.node, size: u.size, ranges: u.ranges, done: map[int]bool{}, at: map[int]tid{}}
		p.open[u.oid] = up
	}
	return up
}

// handed notes that the rows of a range up to one were handed over.
func (p *readProgress) handed(u *readUnit, index int, upTo tid) {
	if u.whole || upTo == (tid{}) {
		return // such a table is read anew
	}
	p.unit(u).at[index] = upTo
}

// finished notes that a range is read to its end.
func (p *readProgress) finished(u *readUnit, index int) {
	up := p.unit(u)
	delete(up.at, index)
	if up.done[index] = true; len(up.done) == up.ranges {
		delete(p.open, u.oid)
		p.done[u.oid] = true
	}
}

// The stored form.
type storedProgress struct {
	Done []uint32              `json:"done,omitempty"`
	Open map[string]storedUnit `json:"open,omitempty"`
}

type storedUnit struct {
	Node   uint32         `json:"node"`
	Size   uint32         `json:"size"`
	Ranges int            `json:"ranges"`
	Done   string         `json:"done,omitempty"` // 0-3,7
	At     map[int]string `json:"at,omitempty"`
}

// text returns the progress as it is stored.
func (p *readProgress) text() string {
	s := storedProgress{Done: slices.Sorted(maps.Keys(p.done)), Open: map[string]storedUnit{}}
	for oid, u := range p.open {
		su := storedUnit{Node: u.node, Size: u.size, Ranges: u.ranges, Done: formatRanges(slices.Sorted(maps.Keys(u.done))), At: map[int]string{}}
		for i, t := range u.at {
			su.At[i] = t.String()
		}
		s.Open[strconv.FormatUint(uint64(oid), 10)] = su
	}
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // nothing in it can fail
	}
	return string(b)
}

// maxRanges bounds what a stored progress may claim.
const maxRanges = 1 << 20

func parseProgress(text string) (*readProgress, error) {
	p := newProgress()
	if text == "" {
		return p, nil
	}
	var s storedProgress
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return nil, fmt.Errorf("progress of the snapshot: %w", err)
	}
	for _, oid := range s.Done {
		p.done[oid] = true
	}
	for name, su := range s.Open {
		oid, err := strconv.ParseUint(name, 10, 32)
		if err != nil || su.Ranges < 1 || su.Ranges > maxRanges || su.Size == 0 {
			return nil, fmt.Errorf("progress of the snapshot: table %.20q has %d ranges of %d blocks", name, su.Ranges, su.Size)
		}
		u := &unitProgress{node: su.Node, size: su.Size, ranges: su.Ranges, done: map[int]bool{}, at: map[int]tid{}}
		if err := parseRanges(su.Done, su.Ranges, u.done); err != nil {
			return nil, err
		}
		for i, at := range su.At {
			if u.at[i], err = parseTID(at); err != nil || i < 0 || i >= su.Ranges {
				return nil, fmt.Errorf("progress of the snapshot: range %d: %w", i, err)
			}
		}
		p.open[uint32(oid)] = u
	}
	return p, nil
}

// formatRanges writes sorted numbers as runs: 0-3,7.
func formatRanges(n []int) string {
	var b strings.Builder
	for i := 0; i < len(n); {
		j := i
		for j+1 < len(n) && n[j+1] == n[j]+1 {
			j++
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(n[i]))
		if j > i {
			b.WriteString("-" + strconv.Itoa(n[j]))
		}
		i = j + 1
	}
	return b.String()
}

func parseRanges(text string, limit int, into map[int]bool) error {
	for run := range strings.SplitSeq(text, ",") {
		if run == "" {
			continue
		}
		from, to, ok := strings.Cut(run, "-")
		if !ok {
			to = from
		}
		a, err := strconv.Atoi(from)
		b, err2 := strconv.Atoi(to)
		if err != nil || err2 != nil || a < 0 || b < a || b >= limit {
			return fmt.Errorf("progress of the snapshot: %.40q is not a run of ranges below %d", run, limit)
		}
		for i := a; i <= b; i++ {
			into[i] = true
		}
	}
	return nil
}
