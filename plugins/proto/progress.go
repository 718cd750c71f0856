package proto

import (
	"math"
	"time"
)

// WorkProgress is how far a source task is in a piece of work that has an end,
// such as the reading of whole tables.
type WorkProgress struct {
	Work      string        // what it does, in a word or two; "" when there is none
	Records   int64         // handed over so far
	Done      float64       // from 0 to 1; below 0 when the end is not known
	PerSecond float64       // records
	Left      time.Duration // below 0 when it is not known
}

// maxWork bounds the text that a connector may have shown.
const maxWork = 200

// ProgressMessage is the message that tells of progress.
func ProgressMessage(p WorkProgress) *FromSource {
	return &FromSource{Message: &FromSource_Progress{Progress: &Progress{
		Work: p.Work, Records: p.Records, Done: p.Done, PerSecond: p.PerSecond, LeftMs: p.Left.Milliseconds(),
	}}}
}

// workProgress reads a message, which a connector may have filled with
// anything.
func workProgress(m *Progress) WorkProgress {
	p := WorkProgress{Work: m.GetWork(), Records: max(m.GetRecords(), 0), Done: -1, Left: -1}
	p.Work = p.Work[:min(len(p.Work), maxWork)]
	if d := m.GetDone(); d >= 0 {
		p.Done = min(d, 1)
	}
	if r := m.GetPerSecond(); r > 0 && !math.IsInf(r, 1) {
		p.PerSecond = r
	}
	if ms := m.GetLeftMs(); ms >= 0 {
		p.Left = time.Duration(min(ms, math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
	}
	return p
}

// Progress returns what the task told last; Work is "" when it has told
// nothing, or has nothing to tell any more.
func (s *Source) Progress() WorkProgress {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.progress
}
