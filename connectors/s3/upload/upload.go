// Package upload streams files to an object store in bounded memory.
//
// A Pool holds the memory and the limits that all files of a task share. A File
// takes bytes without waiting for the network: what is more than the memory
// allows goes to temporary files. Between records its owner calls Advance,
// which sends parts that are full; Commit sends the rest and makes the object
// visible, all or nothing. Both may be called again after an error that passes:
// what has been sent is not sent again. Abort forgets a file.
//
// A file that fits one part becomes one PutObject; a larger one a multipart
// upload, begun when its first part is full.
//
// A File is used by one goroutine at a time, different files by different ones.
package upload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"sync"
)

// Object is what a file becomes.
type Object struct {
	Key      string
	Metadata map[string]string
	Tags     map[string]string
	// IfAbsent refuses to replace an object (If-None-Match).
	IfAbsent bool
	// Doubtful says that it was completed before, with an outcome that nobody
	// knows: what the store says now may be of that attempt.
	Doubtful bool
}

// Part is a part that was sent.
type Part struct {
	Number         int32
	ETag, Checksum string
}

// Store is an object store. Its methods are safe for concurrent use. body can
// be read more than once, by seeking to its start.
type Store interface {
	Put(ctx context.Context, o Object, body io.ReadSeeker, size int64) error
	Create(ctx context.Context, o Object) (id string, err error)
	SendPart(ctx context.Context, o Object, id string, number int32, body io.ReadSeeker, size int64) (Part, error)
	Complete(ctx context.Context, o Object, id string, parts []Part) error
	Abort(ctx context.Context, o Object, id string) error
}

// maxParts is the most parts that S3 takes in one upload.
const maxParts = 10000

// ErrTooLarge is a file of more than 10000 parts.
var ErrTooLarge = errors.New("the object is larger than 10000 parts: raise s3.part.size or lower flush.size")

// File is an object in the making.
type File struct {
	pool   *Pool
	object Object
	hold   bool
	id     string  // of the multipart upload, once begun
	full   []*body // parts that are full and not sent, in order
	last   *body   // the part that is being filled
	number int32   // of parts begun
	parts  []Part  // sent
	done   bool
	flying sync.WaitGroup

	mu   sync.Mutex // guards below
	sent []Part
	back []*body // parts that could not be sent
	err  error   // why
}

// NewFile starts a file. With hold nothing is sent before Commit, so that
// Describe can still add to its metadata.
func (p *Pool) NewFile(o Object, hold bool) *File {
	o.Metadata = maps.Clone(o.Metadata)
	f := &File{pool: p, object: o, hold: hold}
	f.begin()
	return f
}

func (f *File) begin() {
	f.number++
	f.last = f.pool.newBody(f.number)
}

// Describe sets the object's tags, and adds to its metadata unless that has
// been sent already.
func (f *File) Describe(metadata, tags map[string]string) {
	if f.id == "" {
		maps.Copy(f.object.Metadata, metadata)
	}
	f.object.Tags = tags
}

// Replace allows the object to replace one that is there.
func (f *File) Replace() { f.object.IfAbsent = false }

// Write implements io.Writer. It fails only if a temporary file cannot be
// written, which nothing can be done about.
func (f *File) Write(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		room := f.pool.cfg.PartSize - f.last.size
		if room == 0 {
			f.full = append(f.full, f.last)
			f.begin()
			continue
		}
		take := min(room, int64(len(p)-n))
		if err := f.last.write(p[n : n+int(take)]); err != nil {
			return n, err
		}
		n += int(take)
	}
	return n, nil
}

// Advance begins to send the parts that are full, waiting while too many are
// on their way. An error is of a part that could not be sent; calling again
// tries that again.
func (f *File) Advance(ctx context.Context) error {
	if f.hold || f.id == "" && len(f.full) == 0 {
		return nil
	}
	if err := f.collect(); err != nil {
		return err
	}
	return f.send(ctx)
}

// collect takes over what came back.
func (f *File) collect() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.parts = append(f.parts, f.sent...)
	f.full = append(f.back, f.full...)
	err := f.err
	f.sent, f.back, f.err = nil, nil, nil
	return err
}

func (f *File) send(ctx context.Context) error {
	for len(f.full) > 0 {
		if f.id == "" {
			id, err := f.pool.store.Create(ctx, f.object)
			if err != nil {
				return err
			}
			f.id = id
		}
		b := f.full[0]
		if b.number > maxParts {
			return fmt.Errorf("object %s: %w", f.object.Key, ErrTooLarge)
		}
		release, err := f.pool.takeOff(ctx, b)
		if err != nil {
			return err
		}
		f.full = f.full[1:]
		f.flying.Add(1)
		o := f.object // what Describe changes later does not concern parts
		go func() {
			defer f.flying.Done()
			defer release()
			f.sendPart(ctx, o, b)
		}()
	}
	return nil
}

func (f *File) sendPart(ctx context.Context, o Object, b *body) {
	part, err := f.pool.store.SendPart(ctx, o, f.id, b.number, b.reader(), b.size)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.back = append(f.back, b)
		if f.err == nil {
			f.err = err
		}
		return
	}
	f.sent = append(f.sent, part)
	b.release()
}

// Commit sends what is left and makes the object visible. After an error it
// may be called again.
func (f *File) Commit(ctx context.Context) error {
	if f.done {
		return nil
	}
	if f.id == "" && len(f.full) == 0 && f.number == 1 {
		if err := f.pool.put(ctx, f); err != nil {
			return err
		}
		f.finish()
		return nil
	}
	if f.last != nil && f.last.size > 0 {
		f.full = append(f.full, f.last)
		f.last = nil
	}
	// What failed before is tried again here, so its error is not news.
	f.flying.Wait()
	f.forgive()
	if err := f.send(ctx); err != nil {
		return err
	}
	f.flying.Wait()
	if err := f.collect(); err != nil {
		return err
	}
	sortParts(f.parts)
	if err := f.pool.store.Complete(ctx, f.object, f.id, f.parts); err != nil {
		f.object.Doubtful = true
		return err
	}
	f.finish()
	return nil
}

// forgive is collect for errors of attempts that are about to be repeated.
func (f *File) forgive() {
	f.mu.Lock()
	f.err = nil
	f.mu.Unlock()
	_ = f.collect() // there is none left
}

func (f *File) finish() {
	f.done = true
	f.drop()
}

// Abort forgets the file. Parts that were sent are removed from the store as
// far as that can be reached; the error says that they may be left there.
func (f *File) Abort(ctx context.Context) error {
	if f.done {
		return nil
	}
	f.flying.Wait()
	f.forgive()
	f.finish()
	if f.id == "" {
		return nil
	}
	if err := f.pool.store.Abort(ctx, f.object, f.id); err != nil {
		return fmt.Errorf("abort the upload of %s: %w", f.object.Key, err)
	}
	return nil
}

func (f *File) drop() {
	for _, b := range f.full {
		b.release()
	}
	if f.last != nil {
		f.last.release()
	}
	f.full, f.last = nil, nil
}
