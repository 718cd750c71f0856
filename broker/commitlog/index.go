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

// Entries of the two indexes, as in their files:
//
//	N.index     relativeOffset i32 (last offset of a batch), position i32 (of that batch)
//	N.timeindex timestamp i64, relativeOffset i32: all before that offset is not newer
const (
	offsetEntry = 8
	timeEntry   = 12
)

// Keys of entries, which rise throughout an index.
func relativeOffset(e []byte) int64 { return int64(int32(binary.BigEndian.Uint32(e))) }
func position(e []byte) int64       { return int64(int32(binary.BigEndian.Uint32(e[4:]))) }
func timestamp(e []byte) int64      { return int64(binary.BigEndian.Uint64(e)) }
func timeOffset(e []byte) int64     { return int64(int32(binary.BigEndian.Uint32(e[8:]))) }

// index is a sorted file of entries of one width. That of the active segment
// is in memory and written when the segment is sealed or the log closed; after
// a crash it is made again from the segment. That of a sealed segment is on
// disk only, and read by binary search.
type index struct {
	fs    FS
	path  string
	width int

	mu     sync.RWMutex // guards below
	mem    []byte       // the file's bytes, while not sealed
	n      int          // entries
	sealed bool
}

// entry is one entry of either kind, by value so that look-ups need no heap.
type entry [timeEntry]byte

// add appends an entry. The caller keeps keys rising.
func (x *index) add(e []byte) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.mem = append(x.mem, e...)
	x.n++
}

// len returns how many entries there are.
func (x *index) len() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.n
}

// last returns the last entry.
func (x *index) last() (e entry, ok bool, err error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.n == 0 {
		return e, false, nil
	}
	if !x.sealed {
		copy(e[:], x.mem[(x.n-1)*x.width:])
		return e, true, nil
	}
	f, err := x.fs.OpenFile(x.path, os.O_RDONLY, 0)
	if err != nil {
		return e, false, storage("open", x.path, err)
	}
	defer f.Close()
	buf := make([]byte, x.width)
	if _, err := f.ReadAt(buf, int64(x.n-1)*int64(x.width)); err != nil {
		return e, false, storage("read", x.path, err)
	}
	copy(e[:], buf)
	return e, true, nil
}

// floor returns the last entry whose key is at most target.
func (x *index) floor(key func([]byte) int64, target int64) (e entry, ok bool, err error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.sealed {
		return x.floorOnDisk(key, target)
	}
	i := sort.Search(x.n, func(i int) bool { return key(x.mem[i*x.width:(i+1)*x.width]) > target }) - 1
	if i < 0 {
		return e, false, nil
	}
	copy(e[:], x.mem[i*x.width:(i+1)*x.width])
	return e, true, nil
}

func (x *index) floorOnDisk(key func([]byte) int64, target int64) (e entry, ok bool, err error) {
	if x.n == 0 {
		return e, false, nil
	}
	f, err := x.fs.OpenFile(x.path, os.O_RDONLY, 0)
	if err != nil {
		return e, false, storage("open", x.path, err)
	}
	defer f.Close()
	buf := make([]byte, x.width)
	low, high := 0, x.n // the entry is in [low-1, high-1]
	for low < high {
		mid := int(uint(low+high) >> 1)
		if _, err := f.ReadAt(buf, int64(mid)*int64(x.width)); err != nil {
			return e, false, storage("read", x.path, err)
		}
		if key(buf) > target {
			high = mid
			continue
		}
		copy(e[:], buf)
		low, ok = mid+1, true
	}
	return e, ok, nil
}

// write puts the index in its file, not yet durably.
func (x *index) write() error {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.sealed {
		return nil
	}
	return writeFile(x.fs, x.path, x.mem, false)
}

// seal gives up the memory of an index that has been written.
func (x *index) seal() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.mem, x.sealed = nil, true
}

// errIndex means that an index does not fit its segment and must be rebuilt.
var errIndex = errors.New("corrupt index")

// open takes the index file as it is, sealed, if its size and its last entry
// are sound: keys not negative, the offset and position below the limits.
// errIndex, or that there is no file, asks for a rebuild.
func (x *index) open(maxOffset, maxPosition int64) error {
	f, err := x.fs.OpenFile(x.path, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	size, err := f.Size()
	if err = errors.Join(err, f.Close()); err != nil {
		return storage("stat", x.path, err)
	}
	if size%int64(x.width) != 0 || size > 1<<31 {
		return fmt.Errorf("%s has %d bytes: %w", x.path, size, errIndex)
	}
	x.mu.Lock()
	x.mem, x.n, x.sealed = nil, int(size)/x.width, true
	x.mu.Unlock()
	e, ok, err := x.last()
	if err != nil || !ok {
		return err
	}
	return x.check(e[:x.width], maxOffset, maxPosition)
}

func (x *index) check(e []byte, maxOffset, maxPosition int64) error {
	off, pos := relativeOffset(e), int64(0)
	if x.width == timeEntry {
		off = timeOffset(e)
	} else {
		pos = position(e)
	}
	if off < 0 || off > maxOffset || pos < 0 || pos >= maxPosition {
		return fmt.Errorf("%s ends at relative offset %d, position %d: %w", x.path, off, pos, errIndex)
	}
	return nil
}

// load brings a sealed index into memory, to be appended to, and checks that
// every key rises.
func (x *index) load(maxOffset, maxPosition int64) error {
	b, err := readFile(x.fs, x.path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return storage("read", x.path, err)
	}
	if err := x.checkAll(b, maxOffset, maxPosition); err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.mem, x.n, x.sealed = b, len(b)/x.width, false
	return nil
}

func (x *index) checkAll(b []byte, maxOffset, maxPosition int64) error {
	if len(b)%x.width != 0 {
		return fmt.Errorf("%s has %d bytes: %w", x.path, len(b), errIndex)
	}
	var before []byte
	for ; len(b) > 0; b = b[x.width:] {
		e := b[:x.width]
		if err := x.check(e, maxOffset, maxPosition); err != nil {
			return err
		}
		if before != nil && !x.rises(before, e) {
			return fmt.Errorf("%s does not rise: %w", x.path, errIndex)
		}
		before = e
	}
	return nil
}

func (x *index) rises(a, b []byte) bool {
	if x.width == timeEntry {
		return timestamp(a) < timestamp(b) && timeOffset(a) <= timeOffset(b)
	}
	return relativeOffset(a) < relativeOffset(b) && position(a) < position(b)
}

// reset empties the index, in memory.
func (x *index) reset() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.mem, x.n, x.sealed = x.mem[:0], 0, false
}

func encodeOffsetEntry(rel int32, pos int64) [offsetEntry]byte {
	var e [offsetEntry]byte
	binary.BigEndian.PutUint32(e[:], uint32(rel))
	binary.BigEndian.PutUint32(e[4:], uint32(pos))
	return e
}

func encodeTimeEntry(ts int64, rel int32) [timeEntry]byte {
	var e [timeEntry]byte
	binary.BigEndian.PutUint64(e[:], uint64(ts))
	binary.BigEndian.PutUint32(e[8:], uint32(rel))
	return e
}
