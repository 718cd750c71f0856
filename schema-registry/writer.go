package registry

import (
	"context"
	"errors"

	"github.com/millrace/millrace/schema-registry/store"
)

// maxBatch bounds how many jobs share one write to the topic.
const maxBatch = 256

// errChanged says that what a job was decided on is no more.
var errChanged = errors.New("what this was decided on has changed")

// contentKey is a content in a context, which has one id there.
type contentKey struct {
	context string
	hash    hash
}

// job is a change that somebody waits for.
type job struct {
	// subject and content are what the job touches: of jobs that touch the
	// same, one is carried out at a time. A job without a subject touches
	// everything.
	subject string
	content contentKey
	// plan sees a state that nobody else is about to change, and returns what
	// to append. It must not wait for anything.
	plan func(*state, *batch) ([]store.Change, error)

	ctx  context.Context
	done chan error // takes one
}

// batch is a list of jobs that do not touch each other.
type batch struct {
	jobs     []*job
	subjects map[string]bool
	contents map[contentKey]bool
	highest  map[string]int // ids given within the batch, by context
	changes  []store.Change
}

func newBatch() *batch {
	return &batch{subjects: map[string]bool{}, contents: map[contentKey]bool{}, highest: map[string]int{}}
}

// takes reports whether a job fits beside the others, and takes it if so.
func (b *batch) takes(j *job) bool {
	switch {
	case j.subject == "" && len(b.jobs) > 0, b.subjects[j.subject], b.subjects[""], b.contents[j.content], len(b.jobs) >= maxBatch:
		return false
	}
	b.subjects[j.subject] = true
	if j.subject != "" {
		b.contents[j.content] = true
	}
	b.jobs = append(b.jobs, j)
	return true
}

// submit has a job carried out and waits for it. It returns errChanged if what
// the job was decided on is no more, or this registry no longer the primary:
// nothing has been carried out then.
func (r *Registry) submit(ctx context.Context, j *job) error {
	if err := r.mayWrite(ctx); err != nil {
		return err
	}
	j.ctx, j.done = ctx, make(chan error, 1)
	select {
	case r.jobs <- j:
	case <-r.stopped:
		return errNotReady()
	case <-ctx.Done():
		return givenUp(ctx)
	}
	select {
	case err := <-j.done:
		return err
	case <-ctx.Done():
		return givenUp(ctx)
	}
}

// write carries out jobs until ctx ends: those that wait at the same time and
// do not touch each other share one write to the topic.
func (r *Registry) write(ctx context.Context, log *store.Log) {
	defer close(r.stopped)
	var waiting []*job
	for {
		if len(waiting) == 0 {
			select {
			case j := <-r.jobs:
				waiting = append(waiting, j)
			case <-ctx.Done():
				return
			}
		}
		for more := true; more && len(waiting) < 4*maxBatch; {
			select {
			case j := <-r.jobs:
				waiting = append(waiting, j)
			default:
				more = false
			}
		}
		b, rest := newBatch(), waiting[:0:0]
		for _, j := range waiting {
			if j.ctx.Err() == nil && !b.takes(j) {
				rest = append(rest, j)
			}
		}
		waiting = rest
		r.carryOut(ctx, log, b)
		if ctx.Err() != nil {
			for _, j := range waiting {
				j.done <- errNotReady()
			}
			return
		}
	}
}

// carryOut decides on a batch and appends what comes of it, if this registry is
// the primary.
func (r *Registry) carryOut(ctx context.Context, log *store.Log, b *batch) {
	if len(b.jobs) == 0 {
		return
	}
	decided := b.jobs
	err := r.lead(ctx, log)
	if err == nil {
		decided = r.decide(b)
		if void := log.Void(); len(void) > 0 {
			r.mu.RLock()
			b.changes = append(r.state.restore(void), b.changes...)
			r.mu.RUnlock()
		}
		if len(b.changes) > 0 {
			err = log.Append(ctx, b.changes...)
		}
	}
	switch {
	case errors.Is(err, store.ErrDeposed):
		r.leads, err = false, errChanged // whoever asked will see who is primary now
	case err != nil:
		r.leads = false // and see first what became of it
		err = storeError(err)
	}
	for _, j := range decided {
		j.done <- err
	}
}

// lead begins to write, unless this registry does already.
func (r *Registry) lead(ctx context.Context, log *store.Log) error {
	if !r.Primary() {
		r.leads = false
		return errChanged
	}
	if r.leads {
		return nil
	}
	if err := log.Lead(ctx); err != nil {
		return err
	}
	r.leads = true
	return nil
}

// decide plans each job of a batch, answers those that come to nothing, and
// returns the others.
func (r *Registry) decide(b *batch) []*job {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var out []*job
	for _, j := range b.jobs {
		changes, err := j.plan(r.state, b)
		if err != nil || len(changes) == 0 {
			j.done <- err
			continue
		}
		b.changes = append(b.changes, changes...)
		out = append(out, j)
	}
	return out
}

// change carries out a write that touches more than a new version does: decide
// sees a state that nobody else is about to change, and returns what to
// append. Nothing is appended for no changes.
func (r *Registry) change(ctx context.Context, decide func(*state) ([]store.Change, error)) error {
	if err := r.Ready(); err != nil {
		return err
	}
	for n := range attempts {
		err := r.submit(ctx, &job{plan: func(s *state, _ *batch) ([]store.Change, error) { return decide(s) }})
		if !errors.Is(err, errChanged) {
			return err
		}
		if err := sidestep(ctx, n); err != nil {
			return err
		}
	}
	return errorf(StoreFailed, "other registries took over writing %d times in a row: try again", attempts)
}
