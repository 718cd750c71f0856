package postgres

import (
	"time"

	"github.com/millrace/millrace/plugins/sdk"
)

// workMeter measures a piece of work: how much of it is done, and how fast it
// goes since it began in this process.
type workMeter struct {
	began time.Time
	first float64 // how much was done then
	rows  int64   // that were handed over then
}

// progress says how far it is. done is from 0 to 1, below 0 when the end is not
// known.
func (m *workMeter) progress(now time.Time, work string, rows int64, done float64) sdk.Progress {
	if m.began.IsZero() {
		*m = workMeter{now, max(done, 0), rows}
	}
	p := sdk.Progress{Work: work, Records: rows, Done: min(done, 1), Left: -1}
	took := now.Sub(m.began).Seconds()
	if took <= 0 {
		return p
	}
	p.PerSecond = float64(rows-m.rows) / took
	if speed := (p.Done - m.first) / took; speed > 0 {
		p.Left = time.Duration((1 - p.Done) / speed * float64(time.Second)).Round(time.Second)
	}
	return p
}

// Progress tells how far a snapshot is.
func (t *task) Progress() sdk.Progress {
	if p := t.work.Load(); p != nil {
		return *p
	}
	return sdk.Progress{}
}

// atWork notes the progress of a snapshot for those who ask.
func (t *task) atWork(work string, rows int64, done float64) {
	p := t.meter.progress(time.Now(), work, rows, done)
	t.work.Store(&p)
}

// rested notes that there is no snapshot.
func (t *task) rested() {
	t.meter = workMeter{}
	t.work.Store(nil)
}
