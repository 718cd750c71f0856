package commitlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sort"
	"sync"
)

// AbortedTxn is an aborted transaction in a log.
type AbortedTxn struct {
	ProducerID  int64
	FirstOffset int64
	LastOffset  int64 // of its marker
}

// abortedEntry is an entry of N.txnindex, which belongs to the marker's
// segment, in the order of markers:
//
//	0 version i16 = 0       18 lastOffset i64
//	2 producerId i64        26 lastStableOffset i64
//	10 firstOffset i64
//
// lastStableOffset is that of the log without its high watermark, once the
// marker was appended: no later entry has a transaction that began below it.
type abortedEntry struct {
	AbortedTxn
	stable int64
}

const abortedWidth = 34

func (e abortedEntry) appendTo(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, 0)
	b = binary.BigEndian.AppendUint64(b, uint64(e.ProducerID))
	b = binary.BigEndian.AppendUint64(b, uint64(e.FirstOffset))
	b = binary.BigEndian.AppendUint64(b, uint64(e.LastOffset))
	return binary.BigEndian.AppendUint64(b, uint64(e.stable))
}

func parseAborted(b []byte) abortedEntry {
	at := func(i int) int64 { return int64(binary.BigEndian.Uint64(b[i:])) }
	return abortedEntry{AbortedTxn{at(2), at(10), at(18)}, at(26)}
}

// abortedIndex is the txnindex of a segment. As with index, the active
// segment's is in memory and a sealed one's in its file. There is no file
// without entries.
type abortedIndex struct {
	fs   FS
	path string

	mu     sync.RWMutex // guards below
	mem    []byte       // the file's bytes, while not sealed
	n      int          // entries
	sealed bool
}

func (x *abortedIndex) add(e abortedEntry) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.mem = e.appendTo(x.mem)
	x.n++
}

func (x *abortedIndex) len() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.n
}

// reset empties the index in memory and makes it one that is added to.
func (x *abortedIndex) reset() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.mem, x.n, x.sealed = nil, 0, false
}

// write puts the index in its file, not yet durably.
func (x *abortedIndex) write() error {
	x.mu.RLock()
	defer x.mu.RUnlock()
	switch {
	case x.sealed:
		return nil
	case x.n == 0:
		return removeFile(x.fs, x.path) // one from before a crash
	}
	return writeFile(x.fs, x.path, x.mem, false)
}

// sync makes a written index durable.
func (x *abortedIndex) sync() error {
	if x.len() == 0 {
		return nil
	}
	return syncFile(x.fs, x.path)
}

// seal gives up the memory of an index that has been written.
func (x *abortedIndex) seal() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.mem, x.sealed = nil, true
}

// load takes the file in, if there is one, and checks all of it: errIndex asks
// for a rebuild. keep holds it in memory, to be added to.
func (x *abortedIndex) load(keep bool) error {
	b, err := readOptional(x.fs, x.path)
	if err != nil {
		return err
	}
	if len(b)%abortedWidth != 0 {
		return fmt.Errorf("%s has %d bytes: %w", x.path, len(b), errIndex)
	}
	last := int64(-1)
	for i := 0; i < len(b); i += abortedWidth {
		e := parseAborted(b[i:])
		if binary.BigEndian.Uint16(b[i:]) != 0 || e.FirstOffset < 0 || e.LastOffset <= max(last, e.FirstOffset-1) {
			return fmt.Errorf("%s has a transaction from %d to %d after %d: %w", x.path, e.FirstOffset, e.LastOffset, last, errIndex)
		}
		last = e.LastOffset
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.mem, x.n, x.sealed = nil, len(b)/abortedWidth, !keep
	if keep {
		x.mem = b
	}
	return nil
}

// each calls f for the transactions that end at or after from, in order, until
// it returns false.
func (x *abortedIndex) each(from int64, f func(abortedEntry) bool) error {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.n == 0 {
		return nil
	}
	read := func(i int) (abortedEntry, error) { return parseAborted(x.mem[i*abortedWidth:]), nil }
	if x.sealed {
		file, err := x.fs.OpenFile(x.path, os.O_RDONLY, 0)
		if err != nil {
			return storage("open", x.path, err)
		}
		defer file.Close() // it was only read
		var buf [abortedWidth]byte
		read = func(i int) (abortedEntry, error) {
			_, err := file.ReadAt(buf[:], int64(i)*abortedWidth)
			return parseAborted(buf[:]), storage("read", x.path, err)
		}
	}
	var failed error
	i := sort.Search(x.n, func(i int) bool {
		e, err := read(i)
		failed = errors.Join(failed, err)
		return e.LastOffset >= from
	})
	for ; i < x.n && failed == nil; i++ {
		e, err := read(i)
		if failed = err; err == nil && !f(e) {
			return nil
		}
	}
	return failed
}

// aborted calls f for the aborted transactions that have offsets in
// [from, to), in the order of their markers. All of them must be decided: to
// is at most the last stable offset.
func aborted(segs []*segment, from, to int64, f func(AbortedTxn)) error {
	for _, s := range segs[floorSegment(segs, from):] {
		done := false
		err := s.aborted.each(from, func(e abortedEntry) bool {
			if e.FirstOffset < to {
				f(e.AbortedTxn)
			}
			done = e.stable >= to
			return !done
		})
		if err != nil || done {
			return err
		}
	}
	return nil
}

// ReadCommitted is Read up to bound, at most the last stable offset, with the
// aborted transactions that the chunk has records of. A reader leaves those of
// their producers out, from the first offset to the marker.
func (l *Log) ReadCommitted(offset int64, maxBytes int, bound int64, minOne bool) (Chunk, []AbortedTxn, error) {
	for {
		segs := l.segments.Load()
		c, err := l.Read(offset, maxBytes, bound, minOne)
		if err != nil || c.Len() == 0 {
			return c, nil, err
		}
		end, err := c.end()
		var out []AbortedTxn
		if err == nil {
			err = aborted(*segs, offset, end, func(a AbortedTxn) { out = append(out, a) })
		}
		if l.segments.Load() == segs && err == nil {
			return c, out, nil
		}
		// The chunk and the index may be of different segments, one of which
		// compaction made of the other.
		moved := l.segments.Load() != segs
		if err = errors.Join(err, c.Close()); err != nil && !(moved && errors.Is(err, fs.ErrNotExist)) {
			return Chunk{}, nil, err
		}
	}
}

// settleAborted ends the making again of indexes of aborted transactions:
// those of sealed segments go to disk, durably.
func (l *Log) settleAborted() error {
	segs := *l.segments.Load()
	for i, s := range segs {
		if !s.unindexed {
			continue
		}
		s.unindexed = false
		if i+1 == len(segs) {
			break
		}
		if err := s.aborted.write(); err != nil {
			return err
		}
		if err := s.aborted.sync(); err != nil {
			return err
		}
		s.aborted.seal()
	}
	return nil
}
