package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// recordLog is where a store's records are: a topic, or this process.
type recordLog interface {
	// write returns when the records are where they stay.
	write(ctx context.Context, recs ...*kgo.Record) error
	// writeAndRead returns when they have been applied as well.
	writeAndRead(ctx context.Context, recs ...*kgo.Record) error
	// readToEnd returns when all that was written before has been applied.
	readToEnd(ctx context.Context) error
	// readCommitted is readToEnd without waiting for open transactions.
	readCommitted(ctx context.Context) error
	// partitions returns how many there are.
	partitions() int
	close()
}

// openLog opens the log that cfg describes.
func openLog(ctx context.Context, cfg Config, apply func(*kgo.Record)) (recordLog, error) {
	if cfg.Local {
		return openLocal(cfg.File, apply)
	}
	return openTopic(ctx, cfg, apply)
}

// localLog is the log of a standalone worker: records are applied as they are
// written, and kept in a file if there is one.
type localLog struct {
	path  string
	apply func(*kgo.Record)

	mu     sync.Mutex // guards below, and is held over apply and the file
	latest map[string][]byte
	next   int64
}

// openLocal replays the file, if it is there.
func openLocal(path string, apply func(*kgo.Record)) (*localLog, error) {
	l := &localLog{path: path, apply: apply, latest: map[string][]byte{}}
	if path == "" {
		return l, nil
	}
	raw, err := readJavaFile(path)
	if err != nil {
		return nil, fmt.Errorf("offset file %s: %w", path, err)
	}
	for _, e := range raw {
		l.put(&kgo.Record{Key: e.key, Value: e.value})
	}
	return l, nil
}

// readJavaFile returns the entries of an offset file. One that does not exist,
// or is empty, has none.
func readJavaFile(path string) ([]javaEntry, error) {
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if st.Size() > maxJavaBytes {
		return nil, fmt.Errorf("larger than %d MiB", maxJavaBytes>>20)
	}
	b, err := os.ReadFile(path)
	if err != nil || len(b) == 0 {
		return nil, err
	}
	return parseJavaMap(b)
}

// put applies a record. The caller holds mu, or is alone.
func (l *localLog) put(r *kgo.Record) {
	r.Offset = l.next
	l.next++
	if r.Value == nil {
		delete(l.latest, string(r.Key))
	} else {
		l.latest[string(r.Key)] = r.Value
	}
	l.apply(r)
}

func (l *localLog) write(_ context.Context, recs ...*kgo.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range recs {
		l.put(r)
	}
	if l.path == "" {
		return nil
	}
	if err := l.save(); err != nil {
		return fmt.Errorf("offset file %s: %w", l.path, err)
	}
	return nil
}

// save replaces the file. The caller holds mu.
func (l *localLog) save() error {
	entries := make([]javaEntry, 0, len(l.latest))
	for k, v := range l.latest {
		entries = append(entries, javaEntry{[]byte(k), v})
	}
	f, err := os.CreateTemp(filepath.Dir(l.path), filepath.Base(l.path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(appendJavaMap(nil, entries))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), l.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

func (l *localLog) writeAndRead(ctx context.Context, recs ...*kgo.Record) error {
	return l.write(ctx, recs...)
}
func (l *localLog) readToEnd(context.Context) error { return nil }

func (l *localLog) readCommitted(context.Context) error { return nil }
func (l *localLog) partitions() int                     { return 1 }
func (l *localLog) close()                              {}
