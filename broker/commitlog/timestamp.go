package commitlog

import (
	"errors"
	"io"
	"math"

	"github.com/millrace/millrace/broker/recordbatch"
)

// maxLookupBytes bounds what a batch may decompress to when a single record is
// looked for in it.
const maxLookupBytes = 256 << 20

// TimestampOffset is a record found by its time.
type TimestampOffset struct {
	Offset      int64
	Timestamp   int64 // Unix milliseconds
	LeaderEpoch int32
}

// OffsetForTimestamp returns the first record at or after the log start offset
// whose timestamp is at least ms (Unix milliseconds), false if there is none.
func (l *Log) OffsetForTimestamp(ms int64) (TimestampOffset, bool, error) {
	return l.findTime(ms)
}

// MaxTimestampOffset returns the first record with the largest timestamp in
// the log, false if no record has one.
func (l *Log) MaxTimestampOffset() (TimestampOffset, bool, error) {
	newest := int64(math.MinInt64)
	for _, s := range *l.segments.Load() {
		newest = max(newest, s.maxTimestamp.Load())
	}
	if newest < 0 {
		return TimestampOffset{}, false, nil
	}
	return l.findTime(newest)
}

// findTime looks through the segments whose largest timestamp is high enough.
func (l *Log) findTime(ms int64) (TimestampOffset, bool, error) {
	start, end := l.start.Load(), l.end.Load()
	for _, s := range *l.segments.Load() {
		if s.maxTimestamp.Load() < ms || s.base >= end || !s.acquire() {
			continue
		}
		found, ok, err := l.findInSegment(s, ms, start, end)
		if err = errors.Join(err, s.release()); err != nil {
			return TimestampOffset{}, false, l.readError(s.base, err)
		}
		if ok {
			return found, true, nil
		}
	}
	return TimestampOffset{}, false, nil
}

// findInSegment begins at the last entry of the time index that is older than
// ms: nothing before it is new enough.
func (l *Log) findInSegment(s *segment, ms, start, end int64) (TimestampOffset, bool, error) {
	from := start
	e, ok, err := s.times.floor(timestamp, ms-1)
	if err != nil {
		return TimestampOffset{}, false, err
	}
	if ok {
		from = max(from, s.base+timeOffset(e[:]))
	}
	size := s.size.Load()
	pos, err := s.seek(from, size)
	if err != nil {
		return TimestampOffset{}, false, err
	}
	c := s.scan(pos, size)
	defer c.release()
	for {
		pos := c.pos
		h, n, err := c.next()
		if errors.Is(err, io.EOF) || err == nil && h.BaseOffset() >= end {
			return TimestampOffset{}, false, nil
		}
		if err != nil {
			return TimestampOffset{}, false, err
		}
		if h.MaxTimestamp() < ms || h.LastOffset() < start {
			continue
		}
		v, err := s.readBatch(pos, n)
		if err != nil {
			return TimestampOffset{}, false, err
		}
		if found, ok, err := findInBatch(v, ms, start); ok || err != nil {
			return found, ok, err
		}
	}
}

func findInBatch(v recordbatch.View, ms, start int64) (TimestampOffset, bool, error) {
	for r, err := range v.Records(maxLookupBytes) {
		if err != nil {
			return TimestampOffset{}, false, err
		}
		if r.Timestamp >= ms && r.Offset >= start {
			return TimestampOffset{r.Offset, r.Timestamp, v.LeaderEpoch()}, true, nil
		}
	}
	return TimestampOffset{}, false, nil
}
