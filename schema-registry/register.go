package registry

import (
	"context"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/millrace/millrace/schema-registry/store"
)

// attempts bounds how often a registration is tried again after another writer
// of the topic took the id it had chosen.
const attempts = 20

// sidestep waits a random while after the nth try, so that writers who are in
// each other's way do not stay in step.
func sidestep(ctx context.Context, n int) error {
	select {
	case <-time.After(rand.N(time.Millisecond << min(n, 7))):
		return nil
	case <-ctx.Done():
		return &Error{Kind: Timeout, text: "the request was given up: " + context.Cause(ctx).Error(), err: context.Cause(ctx)}
	}
}

// Register adds a schema to a subject, or returns the version that holds it
// already. The same schema has the same id under every subject of a context.
// Kinds of errors: InvalidSchema, InvalidSubject, SchemaTooLarge,
// Incompatible, NotPermitted, IDMismatch, those of the log.
func (r *Registry) Register(ctx context.Context, subject string, d Draft, normalize bool) (*Schema, error) {
	if err := r.Ready(); err != nil {
		return nil, err
	}
	if err := checkSubject(subject); err != nil {
		return nil, err
	}
	if strings.TrimSpace(d.Text) == "" {
		return nil, errEmptySchema()
	}
	name := canonical(subject)
	set := r.settings(name)
	normalize = normalize || set.normalize
	// A schema that is there needs no permission, and no log either: producers
	// that only restart must not depend on them.
	c, err := r.read(name, d, normalize, false)
	if err != nil {
		return nil, err
	}
	if e := r.known(name, c, d); e != nil {
		return &e.Schema, nil
	}
	if set.validate && set.mode != ModeImport {
		if c, err = r.read(name, d, normalize, true); err != nil {
			return nil, err
		}
	}
	for n := range attempts {
		e, err := r.register(ctx, name, c, d)
		if err != nil {
			return nil, err
		}
		if e != nil {
			return &e.Schema, nil
		}
		if err := sidestep(ctx, n); err != nil {
			return nil, err
		}
	}
	return nil, errorf(StoreFailed, "other writers of the topic took %d ids in a row: only one registry may write to it", attempts)
}

// known finds a version that answers the request as it stands.
func (r *Registry) known(name string, c *candidate, d Draft) *entry {
	if d.Version > 0 {
		return nil
	}
	e := r.lookup(name, c, false)
	if e != nil && d.ID != 0 && d.ID != e.ID {
		return nil
	}
	return e
}

// register makes one attempt. It returns neither a version nor an error if
// another writer was faster.
func (r *Registry) register(ctx context.Context, name string, c *candidate, d Draft) (*entry, error) {
	var out *entry
	err := r.exclusive(ctx, func(log *store.Log) error {
		if out = r.known(name, c, d); out != nil {
			return nil
		}
		if err := r.mayRegister(name, c, d); err != nil {
			return err
		}
		v, changes, err := r.plan(name, c, d)
		if err != nil {
			return err
		}
		if err := log.Append(ctx, changes...); err != nil {
			return storeError(err)
		}
		e := r.at(place{name, v.Version})
		switch {
		case e != nil && e.ID == v.ID && e.hash == c.hash:
			out = e
			r.counters.registrations.Add(1)
		case e != nil:
			// Another writer's version stands at that place. Compaction would
			// keep the record just written in its stead: put it back on top.
			return storeError(log.Append(ctx, store.Change{Key: schemaKey(name, e.Version), Schema: e.record()}))
		}
		return nil
	})
	return out, err
}

// at returns a version, deleted or not, or nil.
func (r *Registry) at(p place) *entry {
	r.mu.RLock()
	defer r.mu.RUnlock()
	sub := r.state.subjects[p.subject]
	if sub == nil {
		return nil
	}
	return sub.version(p.version, true)
}

// mayRegister checks mode and compatibility.
func (r *Registry) mayRegister(name string, c *candidate, d Draft) error {
	set := r.settings(name)
	if err := set.mayWrite(name); err != nil {
		return err
	}
	switch {
	case set.mode == ModeImport && d.ID == 0:
		return errorf(NotPermitted, "Subject %s in context %s is not in read-write mode", nameIn(name), contextOf(name))
	case set.mode == ModeImport:
		if e := r.lookup(name, c, false); e != nil && e.ID != d.ID {
			return errorf(IDMismatch, "The ID of an imported schema does not match the existing ID: it is %d, and the import says %d", e.ID, d.ID)
		}
		return nil
	case d.ID != 0:
		return errorf(NotPermitted, "Subject %s in context %s is not in import mode", nameIn(name), contextOf(name))
	}
	messages, err := r.check(c, r.versions(name, false), set.level)
	if err != nil {
		return err
	}
	if len(messages) > 0 {
		return errorf(Incompatible, "Schema being registered is incompatible with an earlier schema for subject \"%s\", details: [%s]", name, strings.Join(messages, ", "))
	}
	return nil
}

// plan chooses version and id and lists what to append.
func (r *Registry) plan(name string, c *candidate, d Draft) (*store.Schema, []store.Change, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	s := r.state
	ctx := contextOf(name)
	next := 1
	sub := s.subjects[name]
	if sub != nil {
		next = sub.versions[len(sub.versions)-1].Version + 1
	}
	v := &store.Schema{Subject: name, Version: next, MD5: c.hash[:], Type: c.typ, References: c.refs, Text: c.text}
	if d.Version > 0 {
		if d.Version != next && d.ID == 0 {
			return nil, nil, errorf(InvalidSchema, "Version is not one more than previous version: it is %d, and the next one is %d", d.Version, next)
		}
		v.Version = d.Version
	}
	var changes []store.Change
	space := s.contexts[ctx]
	if space == nil {
		space = newIDSpace()
		changes = append(changes, store.Change{Key: store.Key{Type: store.ContextKey, Context: ctx}})
	}
	known, has := space.byHash[c.hash]
	switch {
	case d.ID != 0:
		if old := space.ids[d.ID]; old != nil && old.hash != c.hash {
			return nil, nil, errorf(NotPermitted, "Overwrite new schema with id %d in context %s is not permitted.", d.ID, ctx)
		}
		v.ID = d.ID
	case has:
		v.ID = known
	default:
		v.ID = space.maxID + 1
	}
	if sub != nil {
		changes = append(changes, s.supersede(sub, v)...)
	}
	return v, append(changes, store.Change{Key: schemaKey(name, v.Version), Schema: v}), nil
}

// supersede drops the soft-deleted versions of the same schema, unless others
// refer to them.
func (s *state) supersede(sub *subject, v *store.Schema) []store.Change {
	var out []store.Change
	for _, e := range sub.versions {
		if e.Deleted && e.ID == v.ID && e.Version != v.Version && len(s.referrer[e.place()]) == 0 {
			out = append(out, store.Change{Key: schemaKey(e.Subject, e.Version)})
		}
	}
	return out
}

func schemaKey(name string, version int) store.Key {
	return store.Key{Type: store.SchemaKey, Subject: name, Version: version}
}

func contextOf(name string) string { ctx, _ := split(name); return ctx }
func nameIn(name string) string    { _, n := split(name); return n }
