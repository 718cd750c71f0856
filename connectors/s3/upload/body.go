package upload

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
)

// body is the content of one part: what went to a file, then what is in memory.
//
// The pool may move a body's memory to disk while another file is written,
// until the body is settled: files of one pool are written by one goroutine.
type body struct {
	file   *File
	number int32
	size   int64
	crc    uint32
	disk   *os.File // nil as long as everything is in memory
	onDisk int64
	chunks []*chunk
	inLast int // bytes used of the last chunk
}

func (b *body) write(p []byte) error {
	for len(p) > 0 {
		if len(b.chunks) == 0 || b.inLast == chunkSize {
			c, err := b.file.pool.chunk(b)
			if err != nil {
				return err
			}
			b.chunks, b.inLast = append(b.chunks, c), 0
		}
		n := copy(b.chunks[len(b.chunks)-1][b.inLast:], p)
		if b.file.pool.cfg.Checksums {
			b.crc = crc32.Update(b.crc, crc32.IEEETable, p[:n])
		}
		b.inLast += n
		b.size += int64(n)
		p = p[n:]
	}
	return nil
}

// spill appends what is in memory to a temporary file. The file has no name any more
// and is gone with the process.
func (b *body) spill(dir string) error {
	if b.disk == nil {
		f, err := os.CreateTemp(dir, "millrace-s3-*")
		if err != nil {
			return fmt.Errorf("make a temporary file for what the memory cannot hold: %w", err)
		}
		if err := os.Remove(f.Name()); err != nil {
			return errors.Join(err, f.Close())
		}
		b.disk = f
	}
	for i, c := range b.chunks {
		n := chunkSize
		if i == len(b.chunks)-1 {
			n = b.inLast
		}
		if _, err := b.disk.WriteAt(c[:n], b.onDisk); err != nil {
			return fmt.Errorf("write a temporary file for what the memory cannot hold: make room in its directory, or lower flush.size: %w", err)
		}
		b.onDisk += int64(n)
	}
	return nil
}

// release gives back everything.
func (b *body) release() {
	b.file.pool.mu.Lock()
	b.file.pool.freeLocked(b)
	b.file.pool.mu.Unlock()
	if b.disk != nil {
		_ = b.disk.Close() // it was only read from
		b.disk = nil
	}
	b.size, b.onDisk = 0, 0
}

// content returns what was written. Several may be read one after the other.
func (b *body) content() Body { return Body{&bodyReader{b: b}, b.size, b.crc} }

type bodyReader struct {
	b  *body
	at int64
}

// Read implements io.Reader.
func (r *bodyReader) Read(p []byte) (int, error) {
	b := r.b
	if r.at >= b.size {
		return 0, io.EOF
	}
	if r.at < b.onDisk {
		p = p[:min(int64(len(p)), b.onDisk-r.at)]
		n, err := b.disk.ReadAt(p, r.at)
		r.at += int64(n)
		return n, err
	}
	rest := r.at - b.onDisk
	c, from := b.chunks[rest/chunkSize], rest%chunkSize
	to := min(chunkSize, from+b.size-r.at)
	n := copy(p, c[from:to])
	r.at += int64(n)
	return n, nil
}

// Seek implements io.Seeker.
func (r *bodyReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.b.size
	}
	if offset < 0 {
		return 0, errors.New("seek before the start of a part")
	}
	r.at = offset
	return offset, nil
}
