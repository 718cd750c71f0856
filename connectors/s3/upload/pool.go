package upload

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"golang.org/x/sync/semaphore"
)

// Config is what a Pool is made of. Zero fields mean their defaults.
type Config struct {
	// PartSize is the size of a part in bytes. S3 wants 5 MiB at least.
	PartSize int64
	// Memory bounds the bytes that are held in memory: 32 MiB.
	Memory int64
	// Parallel bounds the requests with bodies under way at a time: 4.
	Parallel int64
	// Dir is where temporary files are made. The default is the system's.
	Dir string
}

// chunkSize is the unit in which memory is held. It is small, so that many
// files with little in them stay small.
const chunkSize = 64 << 10

// Pool is what the files of a task share. It is safe for concurrent use.
type Pool struct {
	cfg   Config
	store Store
	slots *semaphore.Weighted
	// flying bounds the memory of bodies that are on their way: three quarters,
	// so that there is some to fill meanwhile.
	flying *semaphore.Weighted

	mu      sync.Mutex // guards below
	used    int64
	free    []*chunk
	filling map[*body]struct{} // with chunks that may go to a file
}

type chunk [chunkSize]byte

// NewPool makes a Pool.
func NewPool(store Store, cfg Config) *Pool {
	cfg.Memory = cmp.Or(cfg.Memory, 32<<20)
	cfg.Parallel = cmp.Or(cfg.Parallel, 4)
	return &Pool{
		cfg: cfg, store: store, slots: semaphore.NewWeighted(cfg.Parallel),
		flying: semaphore.NewWeighted(cfg.Memory / 4 * 3), filling: make(map[*body]struct{}),
	}
}

// Used returns the bytes held in memory now.
func (p *Pool) Used() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.used
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
	return func() {
		p.slots.Release(1)
		p.flying.Release(memory)
	}, nil
}

// put sends a file of one part.
func (p *Pool) put(ctx context.Context, f *File) error {
	release, err := p.takeOff(ctx, f.last)
	if err != nil {
		return err
	}
	defer release()
	return p.store.Put(ctx, f.object, f.last.reader(), f.last.size)
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
