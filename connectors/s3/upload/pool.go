package upload

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// Config is what a Pool is made of. Zero fields mean their defaults.
type Config struct {
	// PartSize is the most bytes that a part has. S3 wants 5 MiB at least.
	PartSize int64
	// LeastPart is the size in bytes from which on a part may be sent before it
	// is full: 5 MiB.
	LeastPart int64
	// Memory bounds the bytes that are held in memory: 32 MiB.
	Memory int64
	// Parallel bounds the requests with bodies under way at a time: 4.
	Parallel int64
	// Checksums has bodies say their CRC32, which is computed as they are
	// written, when they are in the processor's cache.
	Checksums bool
	// Dir is where temporary files are made. The default is the system's.
	Dir string
}

// chunkSize is the unit in which memory is held. It is small, so that many
// files with little in them stay small.
const chunkSize = 64 << 10

// Pool is what the files of a task share. It is safe for concurrent use, but
// for Advance.
//
// Its memory is used as follows, from empty to full:
//
//	         half              seven eighths     all
//	|  fill  |  parts are cut  |  Advance waits  |  temporary files
//
// The first limit counts what is being filled, the others also what is on its
// way.
type Pool struct {
	cfg   Config
	store Store
	slots *semaphore.Weighted
	// flying bounds the memory of bodies that are on their way: three quarters,
	// so that there is some to fill meanwhile.
	flying *semaphore.Weighted

	mu      sync.Mutex // guards below
	used    int64
	air     int64 // of used, what is on its way
	free    []*chunk
	filling map[*body]struct{} // with chunks that may go to a file
	ready   map[*File]struct{} // with parts to send, and not sealed
	landed  chan struct{}      // closed when memory comes back
}

type chunk [chunkSize]byte

// NewPool makes a Pool.
func NewPool(store Store, cfg Config) *Pool {
	cfg.Memory = cmp.Or(cfg.Memory, 32<<20)
	cfg.Parallel = cmp.Or(cfg.Parallel, 4)
	cfg.LeastPart = cmp.Or(cfg.LeastPart, 5<<20)
	return &Pool{
		cfg: cfg, store: store, slots: semaphore.NewWeighted(cfg.Parallel),
		flying: semaphore.NewWeighted(cfg.Memory / 4 * 3), filling: make(map[*body]struct{}), ready: make(map[*File]struct{}),
		landed: make(chan struct{}),
	}
}

// Used returns the bytes held in memory now.
func (p *Pool) Used() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.used
}

// longestWait bounds how long Advance waits for memory to come back. After that
// what does not fit goes to temporary files.
const longestWait = 5 * time.Second

// Advance begins to send what is to be sent of all files that are not sealed,
// and waits where the store is slower than those who write. An error is of a
// part that could not be sent; calling again tries that again.
func (p *Pool) Advance(ctx context.Context) error {
	list := p.take()
	for i, f := range list {
		if err := f.advance(); err != nil {
			for _, f := range list[i:] {
				p.due(f)
			}
			return err
		}
	}
	timeout := time.NewTimer(longestWait)
	defer timeout.Stop()
	for {
		f, landed := p.pressed()
		if f != nil {
			f.cut()
			if err := f.advance(); err != nil {
				return err
			}
			continue
		}
		if landed == nil {
			return nil
		}
		select {
		case <-landed:
		case <-timeout.C:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// take returns the files with parts to send, and forgets which they are.
func (p *Pool) take() []*File {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.ready) == 0 {
		return nil
	}
	list := slices.Collect(maps.Keys(p.ready))
	clear(p.ready)
	return list
}

// due says that a file has parts to send.
func (p *Pool) due(f *File) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !f.sealed {
		p.ready[f] = struct{}{}
	}
}

// leave keeps Advance from a file.
func (p *Pool) leave(f *File) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f.sealed = true
	delete(p.ready, f)
}

// pressed returns the file to cut, or what to wait for, or neither.
func (p *Pool) pressed() (largest *File, landed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.used < p.cfg.Memory/2 {
		return nil, nil
	}
	filling := int64(0)
	for b := range p.filling {
		f := b.file
		if f.sealed {
			continue // it belongs to the goroutine that commits it
		}
		filling += int64(len(b.chunks)) * chunkSize
		if b == f.last && f.cuttable() && (largest == nil || b.size > largest.last.size) {
			largest = f
		}
	}
	switch {
	case filling < p.cfg.Memory/2:
		largest = nil
	case largest != nil:
		return largest, nil
	}
	if p.air > 0 && p.used >= p.cfg.Memory/8*7 {
		return nil, p.landed
	}
	return nil, nil
}

// takeOff waits until a body may be sent. From then on it stays where it is.
func (p *Pool) takeOff(ctx context.Context, b *body) (release func(), err error) {
	p.settle(b)
	memory := min(int64(len(b.chunks))*chunkSize, p.cfg.Memory/4*3)
	if err := p.flying.Acquire(ctx, memory); err != nil {
		return nil, context.Cause(ctx)
	}
	if err := p.slots.Acquire(ctx, 1); err != nil {
		p.flying.Release(memory)
		return nil, context.Cause(ctx)
	}
	p.airborne(memory)
	return func() {
		p.airborne(-memory)
		p.slots.Release(1)
		p.flying.Release(memory)
	}, nil
}

func (p *Pool) airborne(more int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.air += more
	if more < 0 {
		close(p.landed)
		p.landed = make(chan struct{})
	}
}

// put sends a file of one part.
func (p *Pool) put(ctx context.Context, f *File) error {
	release, err := p.takeOff(ctx, f.last)
	if err != nil {
		return err
	}
	defer release()
	return p.store.Put(ctx, f.object, f.last.content())
}

// settle says that a body is complete and will be read.
func (p *Pool) settle(b *body) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.filling, b)
}

// chunk returns memory for a body. When there is none left, that of the body
// which has most goes to a file. Memory beyond the bound is given only if all
// of it is on its way.
func (p *Pool) chunk(b *body) (*chunk, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.used >= p.cfg.Memory {
		largest := b
		for other := range p.filling {
			if len(other.chunks) > len(largest.chunks) {
				largest = other
			}
		}
		if len(largest.chunks) > 0 {
			if err := largest.spill(p.cfg.Dir); err != nil {
				return nil, err
			}
			p.freeLocked(largest)
		}
	}
	p.used += chunkSize
	p.filling[b] = struct{}{}
	if n := len(p.free); n > 0 {
		c := p.free[n-1]
		p.free = p.free[:n-1]
		return c, nil
	}
	return new(chunk), nil
}

// freeLocked takes a body's memory back. p.mu is held.
func (p *Pool) freeLocked(b *body) {
	p.used -= int64(len(b.chunks)) * chunkSize
	keep := int(p.cfg.Memory/chunkSize) - len(p.free)
	p.free = append(p.free, b.chunks[:min(keep, len(b.chunks))]...)
	clear(b.chunks)
	b.chunks, b.inLast = b.chunks[:0], 0
	delete(p.filling, b)
}

func sortParts(parts []Part) {
	slices.SortFunc(parts, func(a, b Part) int { return cmp.Compare(a.Number, b.Number) })
}
