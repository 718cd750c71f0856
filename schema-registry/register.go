package registry

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/schema-registry/store"
)

// attempts bounds how often a registration is decided anew because what it was
// decided on has changed meanwhile.
const attempts = 100

// sidestep waits a random while after the nth try, so that those who are in
// each other's way do not stay in step.
func sidestep(ctx context.Context, n int) error {
	select {
	case <-time.After(rand.N(time.Millisecond << min(n/4, 6))):
		return nil
	case <-ctx.Done():
		return givenUp(ctx)
	}
}

func givenUp(ctx context.Context) error {
	return &Error{Kind: Timeout, text: "the request was given up: " + context.Cause(ctx).Error(), err: context.Cause(ctx)}
}

// RegisterOptions say how to register a schema.
type RegisterOptions struct {
	Normalize bool // store the normalised text
	Force     bool // without a check of compatibility
}

// Register adds a schema to a subject, or returns the version that holds it
// already. The same schema has the same id under every subject of a context.
// Kinds of errors: InvalidSchema, InvalidSubject, InvalidRuleSet,
// SchemaTooLarge, Incompatible, NotPermitted, IDMismatch, those of the log.
func (r *Registry) Register(ctx context.Context, subject string, d Draft, o RegisterOptions) (*Schema, error) {
	if err := r.Ready(); err != nil {
		return nil, err
	}
	if err := checkSubject(subject); err != nil {
		return nil, err
	}
	name := canonical(subject)
	// A schema that is there needs no permission, and no log either: producers
	// that only restart must not depend on them.
	if e, err := r.registered(name, d, o); e != nil || err != nil {
		return e, err
	}
	if err := r.mayWrite(ctx); err != nil {
		return nil, err
	}
	for n := range attempts {
		e, err := r.register(ctx, name, d, o)
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
	return nil, errorf(StoreFailed, "the subject changed %d times while its new version was decided on: try again", attempts)
}

// registered returns the version that holds a draft as it stands, nil if none
// does or if a config would make another of it.
func (r *Registry) registered(name string, d Draft, o RegisterOptions) (*Schema, error) {
	set := r.settings(name)
	if strings.TrimSpace(d.Text) == "" || set.addsContract() || d.anew || d.Propagate || !d.Tags.Empty() {
		return nil, nil
	}
	// What is new is what a registration will ask for next. A schema that was
	// registered before the rules were as they are must be found all the same.
	normalize := o.Normalize || set.normalize
	c, err := r.read(name, d, normalize, set.strictness())
	if err != nil {
		refusal := err
		if c, err = r.read(name, d, normalize, strictness{}); err != nil {
			return nil, refusal
		}
	}
	if e := r.known(name, c, d); e != nil {
		return &e.Schema, nil
	}
	return nil, nil
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

// register makes one attempt. It returns neither a version nor an error if the
// subject changed while the attempt was made.
func (r *Registry) register(ctx context.Context, name string, d Draft, o RegisterOptions) (*entry, error) {
	p := proposal{name: name, draft: d, settings: r.settings(name), versions: r.versions(name, true)}
	if err := p.permitted(); err != nil {
		return nil, err
	}
	if err := p.complete(); err != nil {
		return nil, err
	}
	if err := r.propagate(&p); err != nil {
		return nil, err
	}
	c, err := r.read(name, p.draft, !p.importing() && (o.Normalize || p.settings.normalize), p.settings.strictness())
	if err != nil {
		return nil, err
	}
	p.candidate = c
	if e := r.known(name, c, d); e != nil && d.Version == 0 {
		return e, nil
	}
	if p.importing() {
		if e := r.lookup(name, c, false); e != nil && e.ID != d.ID {
			return nil, errorf(IDMismatch, "The ID of an imported schema does not match the existing ID: it is %d, and the import says %d", e.ID, d.ID)
		}
	} else if !o.Force {
		if err := r.mustBeCompatible(&p); err != nil {
			return nil, err
		}
	}
	return r.commit(ctx, &p)
}

func (r *Registry) mustBeCompatible(p *proposal) error {
	messages, err := r.check(p.candidate, p.live(), p.settings)
	if err != nil {
		return err
	}
	if len(messages) > 0 {
		return errorf(Incompatible, "Schema being registered is incompatible with an earlier schema for subject \"%s\", details: [%s]", p.name, strings.Join(messages, ", "))
	}
	return nil
}

// proposal is a registration with what it was decided on.
type proposal struct {
	name      string
	draft     Draft
	settings  settings
	versions  []*entry // of the subject, deleted ones too, oldest first
	candidate *candidate
}

// importing reports whether schemas come with their ids.
func (p *proposal) importing() bool {
	return p.settings.mode == ModeImport || p.settings.mode == ModeForward
}

func (p *proposal) live() []*entry {
	return slices.DeleteFunc(slices.Clone(p.versions), func(e *entry) bool { return e.Deleted })
}

// next is the version after the last.
func (p *proposal) next() int {
	if len(p.versions) == 0 {
		return 1
	}
	return p.versions[len(p.versions)-1].Version + 1
}

// permitted holds the request against the mode.
func (p *proposal) permitted() error {
	where := []any{nameIn(p.name), contextOf(p.name)}
	if err := mayWrite(p.settings.mode, p.name); err != nil {
		return err
	}
	switch given := p.draft.ID != 0; {
	case p.importing() && !given:
		return errorf(NotPermitted, "Subject %s in context %s is not in read-write mode", where...)
	case given && !p.importing():
		return errorf(NotPermitted, "Subject %s in context %s is not in import mode", where...)
	case p.draft.Version > 0 && p.draft.Version != p.next() && !p.importing():
		return errorf(InvalidSchema, "Version is not one more than previous version: it is %d, and the next one is %d", p.draft.Version, p.next())
	}
	return nil
}

// complete fills in what the request leaves to the latest version and to the
// config.
func (p *proposal) complete() error {
	if p.importing() {
		if strings.TrimSpace(p.draft.Text) == "" {
			return errEmptySchema()
		}
		return nil
	}
	d := &p.draft
	live := p.live()
	var last *entry
	if len(live) > 0 {
		last = live[len(live)-1]
	}
	if strings.TrimSpace(d.Text) == "" {
		if last == nil {
			return errEmptySchema()
		}
		d.Text, d.Type, d.References = last.Text, last.Type, last.References
	}
	if last != nil && d.Metadata == nil {
		d.Metadata = last.Metadata
	}
	if last != nil && d.RuleSet == nil {
		d.RuleSet = last.RuleSet
	}
	d.RuleSet = withoutRules(mergeRules(d.RuleSet, d.merge), d.remove)
	if own := p.settings.own; own != nil {
		d.Metadata = mergeMetadata(mergeMetadata(own.DefaultMetadata, d.Metadata), own.OverrideMetadata)
		d.RuleSet = mergeRules(mergeRules(own.DefaultRuleSet, d.RuleSet), own.OverrideRuleSet)
	}
	m := contract{d.Metadata, d.RuleSet}
	if d.Version != 0 || m.versioned() {
		d.Metadata = withVersion(d.Metadata, p.next())
	}
	if p.settings.rules {
		return checkRules(d.RuleSet)
	}
	return nil
}

// commit appends the proposal, together with those of others, unless what it
// was decided on has changed. It returns neither a version nor an error then.
func (r *Registry) commit(ctx context.Context, p *proposal) (*entry, error) {
	var v *store.Schema
	err := r.submit(ctx, &job{
		subject: p.name, content: contentKey{contextOf(p.name), p.candidate.hash},
		plan: func(s *state, b *batch) ([]store.Change, error) {
			if !s.holdsStill(p) || r.settingsIn(s, p.name) != p.settings {
				return nil, errChanged
			}
			var changes []store.Change
			var err error
			v, changes, err = s.plan(p, b)
			return changes, err
		},
	})
	switch {
	case errors.Is(err, errChanged):
		return nil, nil
	case err != nil:
		return nil, err
	}
	e := r.find(p.name, v.Version, true)
	if e == nil || e.ID != v.ID || e.hash != p.candidate.hash {
		return nil, r.putBack(ctx, place{p.name, v.Version}) // another writer of the topic was faster
	}
	r.counters.registrations.Add(1)
	return e, nil
}

// putBack writes once more what stands at a place, on top of a record that was
// left out: compaction would keep that one in its stead.
func (r *Registry) putBack(ctx context.Context, at place) error {
	err := r.submit(ctx, &job{subject: at.subject, plan: func(s *state, _ *batch) ([]store.Change, error) {
		if sub := s.subjects[at.subject]; sub != nil {
			if e := sub.version(at.version, true); e != nil {
				return []store.Change{{Key: schemaKey(at.subject, at.version), Schema: e.record()}}, nil
			}
		}
		return nil, nil
	}})
	if errors.Is(err, errChanged) {
		return nil
	}
	return err
}

// holdsStill reports whether a subject's versions, and those that its new one
// refers to, are those that it was decided on.
func (s *state) holdsStill(p *proposal) bool {
	var now []*entry
	if sub := s.subjects[p.name]; sub != nil {
		now = sub.versions
	}
	if !slices.Equal(now, p.versions) {
		return false
	}
	for _, ref := range p.candidate.refs {
		sub := s.subjects[qualifyIn(contextOf(p.name), ref.Subject)]
		if sub == nil || sub.version(ref.Version, p.importing()) == nil {
			return false
		}
	}
	return true
}

// plan chooses version and id and lists what to append.
func (s *state) plan(p *proposal, b *batch) (*store.Schema, []store.Change, error) {
	ctx, c := contextOf(p.name), p.candidate
	v := &store.Schema{
		Subject: p.name, Version: p.next(), MD5: c.hash[:], Type: c.typ, References: c.refs,
		Metadata: c.metadata, RuleSet: c.rules, Text: c.text,
	}
	if p.draft.Version > 0 {
		v.Version = p.draft.Version
	}
	var changes []store.Change
	space := s.contexts[ctx]
	if space == nil {
		space = newIDSpace()
		changes = append(changes, store.Change{Key: store.Key{Type: store.ContextKey, Context: ctx}})
	}
	known, has := space.byHash[c.hash]
	switch {
	case p.draft.ID != 0:
		if old := space.ids[p.draft.ID]; old != nil && old.hash != c.hash {
			return nil, nil, errorf(NotPermitted, "Overwrite new schema with id %d in context %s is not permitted.", p.draft.ID, ctx)
		}
		v.ID = p.draft.ID
		b.highest[ctx] = max(b.highest[ctx], v.ID)
	case has:
		v.ID = known
	default:
		v.ID = max(space.maxID, b.highest[ctx]) + 1
		b.highest[ctx] = v.ID
	}
	if sub := s.subjects[p.name]; sub != nil {
		changes = append(changes, s.supersede(sub, v)...)
	}
	return v, append(changes, store.Change{Key: schemaKey(p.name, v.Version), Schema: v}), nil
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
