// Package upload streams files to an object store in bounded memory.
//
// A Pool holds the memory and the limits that all files of a task share. A File
// takes bytes without waiting for the network. Between records their owner
// calls the Pool's Advance, which sends parts that are full, and where files
// hold much parts that are not; what is more than the memory allows even then
// goes to temporary files. Seal ends a file, and Commit sends the rest of it and
// makes the object visible, all or nothing. Advance and Commit may be called
// again after an error that passes: what has been sent is not sent again. Abort
// forgets a file.
//
// A file that fits one part becomes one PutObject; a larger one a multipart
// upload, begun when its first part is full. All parts of an object but the last
// are of one size, as some stores want it.
//
// The files of a pool are written and sealed by one goroutine, which also calls
// Advance. Of files that are sealed, different ones may be committed by
// different goroutines.
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

// Body is the content of a part, or of an object of one part. It can be read
// more than once, by seeking to its start.
type Body struct {
	io.ReadSeeker
	Size  int64
	CRC32 uint32 // IEEE, 0 unless Config.Checksums
}

// Store is an object store. Its methods are safe for concurrent use.
type Store interface {
	Put(ctx context.Context, o Object, b Body) error
	Create(ctx context.Context, o Object) (id string, err error)
	SendPart(ctx context.Context, o Object, id string, number int32, b Body) (Part, error)
	Complete(ctx context.Context, o Object, id string, parts []Part) error
	Abort(ctx context.Context, o Object, id string) error
}

// maxParts is the most parts that S3 takes in one upload.
const maxParts = 10000

// ErrTooLarge is a file of more than 10000 parts.
var ErrTooLarge = errors.New("the object is larger than 10000 parts: raise s3.part.size and s3.buffer.memory, or lower flush.size")

// File is an object in the making.
type File struct {
	pool   *Pool
	life   context.Context // of requests that Advance begins
	object Object
	hold   bool
	id     string  // of the multipart upload, once begun
	size   int64   // of parts: the pool's, unless the first was cut before that
	full   []*body // parts that are full and not sent, in order
	last   *body   // the part that is being filled
	number int32   // of parts begun
	parts  []Part  // sent
	sealed bool    // guarded by pool.mu
	done   bool
	flying sync.WaitGroup

	mu   sync.Mutex // guards below
	sent []Part
	back []*body // parts that could not be sent
	err  error   // why
}

// NewFile starts a file. With hold nothing is sent before Commit, so that
// Seal can still add to its metadata. The end of life ends what Advance sends.
func (p *Pool) NewFile(life context.Context, o Object, hold bool) *File {
	o.Metadata = maps.Clone(o.Metadata)
	f := &File{pool: p, life: life, object: o, hold: hold, size: p.cfg.PartSize}
	f.begin()
	return f
}

func (f *File) begin() {
	f.number++
	f.last = &body{file: f, number: f.number}
}

// cut ends the part that is being filled, and begins the next.
func (f *File) cut() {
	if f.number == 1 {
		f.size = f.last.size
	}
	f.full = append(f.full, f.last)
	f.pool.due(f)
	f.begin()
}

// cuttable reports whether the part that is being filled may be sent as it is.
func (f *File) cuttable() bool {
	return !f.hold && f.number == 1 && f.last.onDisk == 0 && f.last.size >= f.pool.cfg.LeastPart
}

// Seal says that everything is written. It sets the object's tags, and adds to
// its metadata unless that has been sent already.
func (f *File) Seal(metadata, tags map[string]string) {
	f.pool.leave(f)
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
		room := f.size - f.last.size
		if room == 0 {
			f.cut()
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

// advance begins to send the parts that are full, waiting while too many are
// on their way. An error is of a part that could not be sent; calling again
// tries that again.
func (f *File) advance() error {
	if f.hold {
		return nil
	}
	if err := f.collect(); err != nil {
		return err
	}
	return f.send(f.life)
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
		o := f.object // what Seal changes later does not concern parts
		go func() {
			defer f.flying.Done()
			defer release()
			f.sendPart(ctx, o, b)
		}()
	}
	return nil
}

func (f *File) sendPart(ctx context.Context, o Object, b *body) {
	part, err := f.pool.store.SendPart(ctx, o, f.id, b.number, b.content())
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.back = append(f.back, b)
		if f.err == nil {
			f.err = err
		}
		f.pool.due(f)
		return
	}
	f.sent = append(f.sent, part)
	b.release()
}

// Commit sends what is left and makes the object visible. After an error it
// may be called again. Nothing is written after it.
func (f *File) Commit(ctx context.Context) error {
	if f.done {
		return nil
	}
	f.pool.leave(f)
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
	f.pool.leave(f)
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
