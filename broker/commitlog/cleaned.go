package commitlog

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/millrace/millrace/broker/recordbatch"
)

// cleaned is a segment that compaction writes, with those it is made of.
type cleaned struct {
	*segment
	from    []taken
	pos     int64
	buf     []byte
	written time.Time // when the newest of its sources was last written
}

// fits reports whether what is left of a further segment, whose last offset is
// at most last, has room.
func (c *cleaned) fits(s *segment, last int64, cfg *Config) bool {
	return last-c.base <= math.MaxInt32 &&
		c.pos+s.size.Load() <= int64(cfg.SegmentBytes) &&
		(c.offsets.len()+s.offsets.len()+1)*offsetEntry <= cfg.SegmentIndexBytes &&
		(c.times.len()+s.times.len()+2)*timeEntry <= cfg.SegmentIndexBytes
}

// add takes in a further source, before its batches are appended, with the
// aborted transactions that end at or after clean: no record is left of others.
func (c *cleaned) add(s *segment, clean int64) error {
	c.from = append(c.from, taken{s, s.size.Load()})
	err := s.aborted.each(clean, func(e abortedEntry) bool {
		c.aborted.add(e)
		return true
	})
	if err != nil {
		return err
	}
	at, err := s.fs.ModTime(s.name)
	if err != nil {
		return storage("stat", s.name, err)
	}
	if at.After(c.written) {
		c.written = at
	}
	if s.created.After(c.created) || len(c.from) == 1 {
		c.created = s.created
	}
	return nil
}

func (c *cleaned) append(v recordbatch.View, interval int, flush func(*cleaned) error) error {
	if c.pos > math.MaxInt32-int64(len(v)) {
		return fmt.Errorf("compacted segment at offset %d passes 2 GiB: %w", c.base, recordbatch.ErrTooLarge)
	}
	c.note(v, c.pos, int64(len(v)), interval)
	c.buf = append(c.buf, v...)
	c.pos += int64(len(v))
	if len(c.buf) < readAhead {
		return nil
	}
	return flush(c)
}

// flush writes what was appended.
func (c *cleaned) flush() error {
	at := c.pos - int64(len(c.buf))
	n, err := c.file.WriteAt(c.buf, at)
	if err == nil && n < len(c.buf) {
		err = errors.New("short write")
	}
	c.buf = c.buf[:0]
	c.size.Store(c.pos)
	return storage("write", c.name+cleanedSuffix, err)
}

// finish makes the flushed segment and its indexes durable. It looks as old as
// what it was made of.
func (c *cleaned) finish() error {
	path := c.name + cleanedSuffix
	if err := c.file.Datasync(); err != nil {
		return storage("fdatasync", path, err)
	}
	if err := storage("set time of", path, c.fs.SetModTime(path, c.written)); err != nil {
		return err
	}
	c.noteTime()
	if err := writeFile(c.fs, c.offsets.path+cleanedSuffix, c.offsets.mem, true); err != nil {
		return err
	}
	if err := writeFile(c.fs, c.times.path+cleanedSuffix, c.times.mem, true); err != nil {
		return err
	}
	if c.aborted.len() == 0 {
		return nil
	}
	return writeFile(c.fs, c.aborted.path+cleanedSuffix, c.aborted.mem, true)
}
