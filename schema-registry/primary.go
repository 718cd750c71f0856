package registry

import (
	"context"
	"sync"
	"time"

	"github.com/millrace/millrace/schema-registry/elect"
	"github.com/millrace/millrace/schema-registry/store"
)

// Of the registries that share a topic one is the primary, and writes. The
// others answer reads, and send whoever wants to write to the primary.

// electionPatience is how long a write waits for there to be a primary.
const electionPatience = 10 * time.Second

// part is the registry's in the election.
type part struct {
	mu      sync.Mutex // guards below
	role    elect.Role
	changed chan struct{} // closed and replaced when role changes
}

func (p *part) set(r elect.Role) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.role = r
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *part) get() (elect.Role, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.role, p.changed
}

// mayWrite returns nil if this registry is the primary, an *Error of kind
// NotPrimary with the primary's address if another is, and one of kind
// NotElected if nobody is for a while.
func (r *Registry) mayWrite(ctx context.Context) error {
	patience := time.NewTimer(electionPatience)
	defer patience.Stop()
	for {
		role, changed := r.part.get()
		switch {
		case role.Primary:
			return nil
		case role.URL != "":
			return &Error{Kind: NotPrimary, Primary: role.URL, text: "the registry at " + role.URL + " is the primary, and the only one that writes"}
		}
		select {
		case <-changed:
		case <-r.stopped:
			return errNotReady()
		case <-patience.C:
			return errorf(NotElected, "Leader not known.")
		case <-ctx.Done():
			return givenUp(ctx)
		}
	}
}

// Primary reports whether this registry is the one that writes.
func (r *Registry) Primary() bool {
	role, _ := r.part.get()
	return role.Primary
}

// takePart follows the election until ctx ends. A registry without an address
// for others is primary without one.
func (r *Registry) takePart(ctx context.Context, log *store.Log) error {
	if r.cfg.Advertised.Host == "" {
		r.part.set(elect.Role{Primary: true, Alone: true})
		<-ctx.Done()
		return nil
	}
	return elect.Run(ctx, elect.Config{Client: log.Client(), Group: r.cfg.GroupID, Identity: r.cfg.Advertised, Logger: r.log}, r.part.set)
}

// freshness bounds how long a read waits to be fresh. When the log cannot be
// reached, no write can be acknowledged either, and what is in memory will do.
const freshness = 2 * time.Second

// Fresh returns when all that was acknowledged by any registry before the call
// can be read from this one. It waits for nothing where there is no other.
func (r *Registry) Fresh(ctx context.Context) {
	role, _ := r.part.get()
	if role.Primary && role.Alone {
		return
	}
	if err := r.barrier.wait(ctx, r.catchUp); err != nil {
		r.log.Debug("answered from memory", "err", err)
	}
}

func (r *Registry) catchUp() error {
	log := r.store.Load()
	if log == nil {
		return r.Ready()
	}
	ctx, stop := context.WithTimeout(context.Background(), freshness)
	defer stop()
	return log.CatchUp(ctx)
}

// barrier lets those who wait at the same time share one look at the topic's
// end, which must begin after they came.
type barrier struct {
	running sync.WaitGroup

	mu   sync.Mutex // guards below
	busy bool
	next *flight
}

type flight struct {
	done chan struct{}
	err  error
}

func (b *barrier) wait(ctx context.Context, look func() error) error {
	b.mu.Lock()
	if b.next == nil {
		b.next = &flight{done: make(chan struct{})}
	}
	f := b.next
	if !b.busy {
		b.busy = true
		b.running.Go(func() { b.run(look) })
	}
	b.mu.Unlock()
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// run looks for as long as somebody waits.
func (b *barrier) run(look func() error) {
	for {
		b.mu.Lock()
		f := b.next
		b.next = nil
		if f == nil {
			b.busy = false
			b.mu.Unlock()
			return
		}
		b.mu.Unlock()
		f.err = look()
		close(f.done)
	}
}

// restore lists what puts back what stands at keys whose records did not
// count.
func (s *state) restore(keys []store.Key) []store.Change {
	var out []store.Change
	for _, k := range keys {
		c := store.Change{Key: k}
		switch k.Type {
		case store.SchemaKey:
			if sub := s.subjects[canonical(k.Subject)]; sub != nil {
				if e := sub.version(k.Version, true); e != nil {
					c.Schema = e.record()
				}
			}
		case store.ConfigKey:
			c.Config = s.configs[scopeOf(k)]
		case store.ModeKey:
			if m, ok := s.modes[scopeOf(k)]; ok {
				c.Mode = &store.Mode{Subject: k.Subject, Mode: m}
			}
		case store.ContextKey:
			c.Gone = s.contexts[k.Context] == nil
		case store.NoopKey:
			continue
		}
		out = append(out, c)
	}
	return out
}
