package logtail

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"syscall"
	"time"

	"github.com/millrace/millrace/connectors/logtail/line"
	"github.com/millrace/millrace/plugins/data"
)

// inode is a file as the file system tells it from others at one time.
type inode struct{ dev, ino uint64 }

func inodeOf(fi os.FileInfo) inode {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return inode{uint64(st.Dev), st.Ino}
	}
	return inode{}
}

// links returns how many names a file has.
func links(fi os.FileInfo) uint64 {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Nlink)
	}
	return 1
}

// sum is a hash of a part of a file.
type sum [sha256.Size]byte

// tailBytes is how much of a file before its position is remembered by a hash.
const tailBytes = 256

// head is the hash of a file's first bytes.
type head struct {
	size int64
	sum  sum
}

// file is one file that is or was followed. Neither its path nor its first
// bytes are its name in the offsets, since both change: that is id, given at
// first sight. Positions count bytes of content: of a compressed file those
// that it holds.
//
// What is before the position is known by the hashes of its beginning and of
// its last bytes. Every read begins with the latter, so that a file that was
// truncated or replaced is noticed before a byte of it is sent.
type file struct {
	id   string
	path string
	// origin is the followed path that it has or had.
	origin string
	node   inode
	size   int64 // on the disk, when it was last looked at
	mtime  int64 // milliseconds since the epoch
	// confirmed is when what was read was certainly in the file: the mtime that
	// it had when that was looked at. What was rotated away since is later.
	confirmed int64

	pos      int64 // after the last record that was handed over
	skip     bool  // pos is inside a line whose rest is passed over
	done     bool  // a compressed file that was read to its end
	head     head
	tail     sum // of the tailSize bytes before pos
	tailSize int
	packed   compression

	content content       // nil while it is closed
	decoder *line.Decoder // nil while the encoding is not known
	cutter  *line.Cutter
	group   line.Group // after pos
	scanned int        // bytes after the group that hold no end of a line
	partial time.Time  // since when the line at the end has not grown
	after   *file      // read that one to its end first

	found    bool // by the last scan, among the files to follow
	readable bool // path leads to it, though it may not be one to follow any more
	ended    bool // at the end when last read
	final    bool // nothing more will come: what is at the end is handed over
	deleted  bool
	queued   bool
	read     time.Time // when there was something to read
	lost     time.Time // when it was not found any more
	original *file     // whose copy it seems to be: it is not read
	suspect  time.Time // since when, or since it grew
	copied   int64     // size at which it was seen to be a copy
	refused  inode     // what turned out to be no copy of this one
	searched bool      // for where it was renamed to
	retry    time.Time // not before that after an error
	failures int

	changed   bool // the offset is to be handed over
	last      int  // its last record in the batch at hand, -1 for none
	partition []byte
	shard     int // of the index
	meta      *meta
}

// meta is what records have of their file, made once for each path.
type meta struct {
	topic   string
	headers [3]data.Header // path, name, host
	key     data.Datum
	size    int
}

func newID() string {
	b := make([]byte, 16)
	// Read never returns an error (crypto/rand).
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

// heads finds files by their beginnings, which are of several sizes while files
// are short.
type heads struct {
	files map[head][]*file
	sizes map[int64]int
}

func newHeads() heads { return heads{make(map[head][]*file), make(map[int64]int)} }

func (h *heads) add(f *file) {
	if f.head.size > 0 {
		h.files[f.head] = append(h.files[f.head], f)
		h.sizes[f.head.size]++
	}
}

func (h *heads) remove(f *file) {
	list := h.files[f.head]
	for i, other := range list {
		if other == f {
			list[i] = list[len(list)-1]
			if list = list[:len(list)-1]; len(list) == 0 {
				delete(h.files, f.head)
			} else {
				h.files[f.head] = list
			}
			if h.sizes[f.head.size]--; h.sizes[f.head.size] == 0 {
				delete(h.sizes, f.head.size)
			}
			return
		}
	}
}

// find returns the files that begin as b does, those first of which more is
// known.
func (h *heads) find(b []byte) []*file {
	var out []*file
	hash := sha256.New()
	at := 0
	var room sum
	for n := 1; n <= len(b); n++ {
		if h.sizes[int64(n)] == 0 {
			continue
		}
		hash.Write(b[at:n])
		at = n
		k := head{size: int64(n)}
		copy(k.sum[:], hash.Sum(room[:0]))
		out = append(append([]*file(nil), h.files[k]...), out...)
	}
	return out
}

// extendHead remembers more of a file's beginning while it is short.
func (t *task) extendHead(f *file, b []byte) {
	if int64(len(b)) <= f.head.size {
		return
	}
	t.heads.remove(f)
	f.head = head{int64(len(b)), sha256.Sum256(b)}
	t.heads.add(f)
}

// moveTo sets the position, before which b is.
func (f *file) moveTo(pos int64, b []byte) {
	b = b[max(0, len(b)-tailBytes):]
	f.pos, f.tail, f.tailSize = pos, sha256.Sum256(b), len(b)
	f.changed = true
}

// sameTail reports whether b is what was before the position.
func (f *file) sameTail(b []byte) bool { return f.tailSize == 0 || f.tail == sha256.Sum256(b) }

// begins reports whether b, the beginning of a file, is that of f.
func (f *file) begins(b []byte) bool {
	return int64(len(b)) >= f.head.size && sha256.Sum256(b[:f.head.size]) == f.head.sum || f.head.size == 0
}

// holds reports whether content begins as f does and has all that was read of
// it. Errors of reading are as good as no.
func (f *file) holds(c content) bool {
	b := make([]byte, max(int64(f.tailSize), f.head.size))
	n, err := c.readAt(b[:f.head.size], 0)
	if err != nil || !f.begins(b[:n]) {
		return false
	}
	n, err = c.readAt(b[:f.tailSize], f.pos-int64(f.tailSize))
	return err == nil && n == f.tailSize && f.sameTail(b[:n])
}
