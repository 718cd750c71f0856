package commitlog

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
)

// epochStart is where the first batch of a leader epoch is, or would have been.
type epochStart struct {
	epoch int32
	start int64
}

// epochs is the leader epoch cache (KIP-101): epochs and starts both rise.
// It is on disk before any batch of the epoch is.
type epochs struct {
	fs   FS
	path string

	mu      sync.RWMutex // guards entries
	entries []epochStart
}

func loadEpochs(fsys FS, dir string) (*epochs, error) {
	e := &epochs{fs: fsys, path: filepath.Join(dir, epochFile)}
	b, err := readFile(fsys, e.path)
	if errors.Is(err, fs.ErrNotExist) {
		return e, nil
	}
	if err != nil {
		return nil, storage("read", e.path, err)
	}
	if e.entries, err = parseEpochs(b); err != nil {
		return nil, fmt.Errorf("parse %s: %w", e.path, err)
	}
	return e, nil
}

func parseEpochs(b []byte) ([]epochStart, error) {
	lines, err := checkpointEntries(b)
	if err != nil {
		return nil, err
	}
	var out []epochStart
	for _, l := range lines {
		epoch, err1 := strconv.ParseInt(l[0], 10, 32)
		start, err2 := strconv.ParseInt(l[1], 10, 64)
		if err1 != nil || err2 != nil || epoch < 0 || start < 0 {
			return nil, fmt.Errorf("malformed entry %q %q", l[0], l[1])
		}
		if n := len(out); n > 0 && (int32(epoch) <= out[n-1].epoch || start < out[n-1].start) {
			return nil, fmt.Errorf("epoch %d at offset %d does not rise", epoch, start)
		}
		out = append(out, epochStart{int32(epoch), start})
	}
	return out, nil
}

func encodeEpochs(entries []epochStart) []byte {
	b := fmt.Appendf(nil, "0\n%d\n", len(entries))
	for _, e := range entries {
		b = fmt.Appendf(b, "%d %d\n", e.epoch, e.start)
	}
	return b
}

// latest returns the newest epoch, -1 if there is none.
func (e *epochs) latest() int32 {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if len(e.entries) == 0 {
		return -1
	}
	return e.entries[len(e.entries)-1].epoch
}

// assign notes that epoch starts at offset and makes it durable. An epoch that
// is not newer than the latest is known already. Epochs that never got a
// record give way to one that starts where they did.
func (e *epochs) assign(epoch int32, start int64) error {
	if epoch <= e.latest() {
		return nil
	}
	return e.update(func(es []epochStart) []epochStart {
		for len(es) > 0 && es[len(es)-1].start >= start {
			es = es[:len(es)-1]
		}
		return append(es, epochStart{epoch, start})
	})
}

// truncateEnd forgets the epochs that start at or after end.
func (e *epochs) truncateEnd(end int64) error {
	return e.update(func(es []epochStart) []epochStart {
		return slices.DeleteFunc(es, func(s epochStart) bool { return s.start >= end })
	})
}

// truncateStart forgets the epochs that end at or before start, and lets the
// oldest that is left begin there.
func (e *epochs) truncateStart(start int64) error {
	return e.update(func(es []epochStart) []epochStart {
		for len(es) > 1 && es[1].start <= start {
			es = es[1:]
		}
		if len(es) > 0 {
			es[0].start = max(es[0].start, start)
		}
		return es
	})
}

// update replaces the entries by edit's, on disk first.
func (e *epochs) update(edit func([]epochStart) []epochStart) error {
	e.mu.RLock()
	old := e.entries
	e.mu.RUnlock()
	next := edit(slices.Clone(old))
	if slices.Equal(old, next) {
		return nil
	}
	if err := replaceFile(e.fs, e.path, encodeEpochs(next)); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.entries = next
	return nil
}

// endOf returns the largest epoch at or below the one asked for, and where it
// ended: where the next began, or logEnd. -1, -1 if nothing is known.
func (e *epochs) endOf(epoch int32, logEnd int64) (int32, int64) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	i, found := slices.BinarySearchFunc(e.entries, epoch, func(s epochStart, x int32) int { return int(s.epoch) - int(x) })
	if !found {
		i--
	}
	switch {
	case epoch < 0 || len(e.entries) == 0:
		return -1, -1
	case i == len(e.entries)-1 && found:
		return epoch, logEnd
	case i == len(e.entries)-1: // newer than all we know
		return -1, -1
	case i < 0: // older than all we know: it ended where the first began
		return epoch, e.entries[0].start
	}
	return e.entries[i].epoch, e.entries[i+1].start
}
