package logtail

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/millrace/millrace/plugins/sdk"
)

// inode is a file as the file system tells it from others at one time.
type inode struct{ dev, ino uint64 }

func inodeOf(fi os.FileInfo) inode {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return inode{uint64(st.Dev), st.Ino}
	}
	return inode{}
}

// file is one file that is or was followed. Neither its path nor its first
// bytes are its name in the offsets, since both change: that is id, given at
// first sight.
type file struct {
	id   string
	path string
	node inode

	pos  int64 // after the last line that was handed over
	skip bool  // pos is inside a line whose rest is passed over
	head string
	size int64 // bytes that head is the hash of

	handle  *os.File
	buf     []byte // what was read; pos is at off
	off     int
	group   group
	grouped int   // bytes after pos that are in the group
	after   *file // read that one to its end first

	found    bool      // by the last scan, among the files to follow
	readable bool      // path leads to it, though it may not be one to follow any more
	ended    bool      // at the end when last read
	lost     time.Time // when it was not found any more
	seen     int64     // size at the last scan
	suspect  time.Time // first seen as the copy of a file that is followed
	changed  bool      // the offset is to be handed over
	last     int       // its last record in the batch at hand, -1 for none

	partition []byte
}

// links returns how many names a file has.
func links(fi os.FileInfo) uint64 {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Nlink)
	}
	return 1
}

func newID() string {
	b := make([]byte, 16)
	// Read never returns an error (crypto/rand).
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

// headOf hashes the first n bytes.
func headOf(f io.ReaderAt, n int64) (string, error) {
	b := make([]byte, n)
	if _, err := f.ReadAt(b, 0); err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

// sameHead reports whether a file begins with what f began with.
func (f *file) sameHead(r io.ReaderAt) bool {
	if f.size == 0 {
		return false
	}
	head, err := headOf(r, f.size)
	return err == nil && head == f.head
}

// extendHead hashes more of the file while it is short.
func (f *file) extendHead(most, have int64) error {
	n := min(most, have)
	if n <= f.size {
		return nil
	}
	head, err := headOf(f.handle, n)
	if err != nil {
		return err
	}
	f.head, f.size = head, n
	return nil
}

func (t *task) partitionOf(id string) map[string]any {
	return map[string]any{"host": t.host, "file": id}
}

// position is the offset of a file. A group that is not finished begins again.
func (f *file) position() sdk.Offset {
	o := sdk.Offset{
		"position": f.pos, "prefix": f.head, "prefixLen": f.size, "path": f.path,
		"dev": fmt.Sprint(f.node.dev), "inode": fmt.Sprint(f.node.ino),
	}
	if f.skip {
		o["skip"] = true
	}
	return o
}

func (f *file) restore(o sdk.Offset) error {
	f.pos, f.head, f.size = o.Int64("position"), o.String("prefix"), o.Int64("prefixLen")
	f.path, f.skip = o.String("path"), o.Bool("skip")
	if _, err := fmt.Sscan(o.String("dev")+" "+o.String("inode"), &f.node.dev, &f.node.ino); err != nil {
		return fmt.Errorf("stored offset of %s: %w", f.path, err)
	}
	if f.pos < 0 || f.size < 0 || f.size > 1<<20 {
		return errors.New("stored offset of " + f.path + ": a negative position or a prefix too long")
	}
	return nil
}

// indexOffset lists the files that have offsets: the store cannot.
func (t *task) indexOffset() sdk.Offset {
	ids := make([]string, 0, len(t.files))
	for _, f := range t.files {
		if f.partition != nil {
			ids = append(ids, f.id)
		}
	}
	return sdk.Offset{"files": strings.Join(ids, ",")}
}
