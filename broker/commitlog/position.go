package commitlog

import "sync"

// positions remembers at which file positions a few offsets are, so that
// readers at the tail, and those who read on where they stopped, look nothing
// up. What is found is exact, not a hint: after a truncation all is forgotten, and
// a place in a segment that compaction replaced is in none of those there are.
type positions struct {
	mu    sync.Mutex // guards below
	epoch int        // counts truncations and replacements
	at    [64]place
}

// place is where the batch that begins with an offset is.
type place struct {
	offset int64
	seg    *segment
	pos    int64
	set    bool
}

func slot(offset int64) int { return int(uint64(offset) * 0x9e3779b97f4a7c15 >> 58) }

// find returns the place of an offset, and the count of truncations that put
// needs to be told.
func (p *positions) find(offset int64) (place, int, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.at[slot(offset)]
	return e, p.epoch, e.set && e.offset == offset
}

// put remembers a place that was worked out since find returned the epoch.
func (p *positions) put(offset int64, seg *segment, pos int64, epoch int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if epoch == p.epoch {
		p.at[slot(offset)] = place{offset, seg, pos, true}
	}
}

// add remembers a place; the caller holds Log.mu.
func (p *positions) add(offset int64, seg *segment, pos int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at[slot(offset)] = place{offset, seg, pos, true}
}

// forget drops all places, and those being worked out.
func (p *positions) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.epoch++
	p.at = [64]place{}
}
