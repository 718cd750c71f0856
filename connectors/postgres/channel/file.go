package channel

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
)

// maxFile bounds the file of signals, in bytes.
const maxFile = 1 << 20

// fileReader reads a file to which others append lines, each a signal. It is
// emptied when all of it was acted on and that is stored.
type fileReader struct {
	path string
	log  *slog.Logger

	content []byte // as of the last look
	size    int64  // of the file, then
	settled int64  // the size when there was last nothing to show
	end     int64  // of the line that was shown
}

// next implements source. The file is read anew each time: it is small, and
// others write to it.
func (f *fileReader) next(p *Place) (s Signal, ok bool, err error) {
	if err := f.read(); err != nil {
		return s, false, err
	}
	defer func() {
		if !ok {
			f.settled = f.size
		}
	}()
	if p.Bytes > 0 && !f.has(*p) {
		p.Bytes, p.Sum = 0, "" // somebody has emptied it, or it is another file
	}
	for int(p.Bytes) < len(f.content) {
		line, _, whole := bytes.Cut(f.content[p.Bytes:], []byte{'\n'})
		f.end = p.Bytes + int64(len(line))
		if whole {
			f.end++
		} else if f.size != f.settled {
			return s, false, nil // the line may be being written
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			s, err := parse(line)
			if err == nil {
				return s, true, nil
			}
			f.log.Warn("a line of the file of signals is no signal and is passed over", "file", f.path, "at", p.Bytes, "err", err)
		}
		f.done(p)
	}
	return s, false, nil
}

// read takes in the whole file. One that is not there is empty.
func (f *fileReader) read() error {
	f.content, f.size = nil, 0
	file, err := os.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return err
	}
	if len(content) > maxFile {
		return fmt.Errorf("%s has more than %d bytes: no signals are read of it before it is smaller", f.path, maxFile)
	}
	f.content, f.size = content, int64(len(content))
	return nil
}

// has reports whether the file begins with what was acted on at a place.
func (f *fileReader) has(p Place) bool {
	return p.Bytes <= f.size && sum(f.content[:p.Bytes]) == p.Sum
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// done implements source.
func (f *fileReader) done(p *Place) {
	p.Bytes, p.Sum = f.end, sum(f.content[:f.end])
}

// empty empties the file if all of it was acted on at a place that is stored.
// What somebody appended since the last look stays: the size tells. Only a line
// that comes in the moment between the look at the size and the truncation is
// lost, as in Debezium, which truncates whatever there is.
func (f *fileReader) empty(p *Place, stored Place) error {
	if p.Bytes == 0 || stored.Bytes != p.Bytes || stored.Sum != p.Sum || f.size != p.Bytes {
		return nil
	}
	st, err := os.Stat(f.path)
	if err != nil || st.Size() != p.Bytes {
		return err
	}
	if err := os.Truncate(f.path, 0); err != nil {
		return err
	}
	p.Bytes, p.Sum, f.content, f.size = 0, "", nil, 0
	return nil
}
