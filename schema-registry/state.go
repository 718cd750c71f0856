package registry

import (
	"cmp"
	"log/slog"
	"slices"

	"github.com/millrace/millrace/schema-registry/store"
)

// state is what the topic's records add up to. It is pure: the registry calls
// apply for each record, under its lock.
type state struct {
	subjects map[string]*subject          // by canonical name
	contexts map[string]*idSpace          // by name, as in ".dev"
	referrer map[place]map[place]struct{} // who refers to a version
	configs  map[scope]*store.Config
	modes    map[scope]string
	rejected int // records left out
	log      *slog.Logger
}

func newState(log *slog.Logger) *state {
	return &state{
		subjects: map[string]*subject{},
		contexts: map[string]*idSpace{defaultContext: newIDSpace()},
		referrer: map[place]map[place]struct{}{},
		configs:  map[scope]*store.Config{},
		modes:    map[scope]string{},
		log:      log,
	}
}

// place is a version of a subject.
type place struct {
	subject string
	version int
}

// scope is what a config or mode is for: everything, or a subject, which may
// stand for a context.
type scope struct {
	global  bool
	subject string
}

// subject holds its versions in ascending order, soft-deleted ones too.
type subject struct{ versions []*entry }

// entry is a version. It is replaced, never changed.
type entry struct {
	Schema
	hash hash
}

func (e *entry) place() place { return place{e.Subject, e.Version} }

// idSpace is a context's ids.
type idSpace struct {
	ids    map[int]*content
	byHash map[hash]int
	maxID  int // that was ever seen
}

func newIDSpace() *idSpace {
	return &idSpace{ids: map[int]*content{}, byHash: map[hash]int{}}
}

// content is what an id stands for, and who has it.
type content struct {
	hash    hash
	holders map[place]*entry
	best    *entry // the first by subject and version of those that are live, else of all
}

// choose finds the best holder anew.
func (c *content) choose() {
	c.best = nil
	for _, e := range c.holders {
		if c.best == nil || e.before(c.best) {
			c.best = e
		}
	}
}

func (e *entry) before(o *entry) bool {
	if e.Deleted != o.Deleted {
		return o.Deleted
	}
	return cmp.Or(cmp.Compare(e.Subject, o.Subject), e.Version-o.Version) < 0
}

func (s *state) apply(c store.Change) {
	switch c.Key.Type {
	case store.SchemaKey:
		if c.Schema == nil {
			s.remove(place{canonical(c.Key.Subject), c.Key.Version})
			return
		}
		s.put(c)
	case store.ConfigKey:
		setOrDelete(s.configs, scopeOf(c.Key), c.Config)
	case store.ModeKey:
		if c.Mode == nil {
			delete(s.modes, scopeOf(c.Key))
		} else {
			s.modes[scopeOf(c.Key)] = c.Mode.Mode
		}
	case store.DeleteSubjectKey:
		if c.Through != nil {
			s.softDelete(canonical(c.Key.Subject), c.Through.Version)
		}
	case store.ClearSubjectKey:
		s.clear(canonical(c.Key.Subject))
	case store.ContextKey:
		switch sp := s.contexts[c.Key.Context]; {
		case c.Key.Context == "":
		case !c.Gone:
			s.space(c.Key.Context)
		case sp != nil && len(sp.ids) == 0 && c.Key.Context != defaultContext:
			delete(s.contexts, c.Key.Context)
		}
	case store.NoopKey:
		if c.MaxIDs != nil {
			for ctx, id := range c.MaxIDs.ByContext {
				sp := s.space(ctx)
				sp.maxID = max(sp.maxID, id)
			}
		}
	}
}

func scopeOf(k store.Key) scope {
	if k.Global {
		return scope{global: true}
	}
	return scope{subject: canonical(k.Subject)}
}

func setOrDelete(m map[scope]*store.Config, k scope, v *store.Config) {
	if v == nil {
		delete(m, k)
		return
	}
	m[k] = v
}

func (s *state) space(context string) *idSpace {
	sp := s.contexts[context]
	if sp == nil {
		sp = newIDSpace()
		s.contexts[context] = sp
	}
	return sp
}

// put adds or replaces a version. One whose id stands for something else is
// not taken, by any reader of the topic: ids never change their meaning.
func (s *state) put(c store.Change) {
	v := c.Schema
	e := &entry{hash: recordHash(v), Schema: Schema{
		Subject: canonical(v.Subject), Version: v.Version, ID: v.ID, Type: cmp.Or(v.Type, Avro),
		References: v.References, Metadata: v.Metadata, RuleSet: v.RuleSet, Text: v.Text,
		Timestamp: c.Timestamp, Deleted: v.Deleted,
	}}
	e.GUID = e.hash.guid()
	ctx, _ := split(e.Subject)
	sp := s.space(ctx)
	if old := sp.ids[e.ID]; old != nil && old.hash != e.hash && !old.rewrittenBy(e) {
		s.rejected++
		s.log.Warn("record with the id of another schema left out", "subject", e.Subject, "version", e.Version, "id", e.ID, "offset", c.Offset)
		return
	}
	s.remove(e.place())
	sub := s.subjects[e.Subject]
	if sub == nil {
		sub = &subject{}
		s.subjects[e.Subject] = sub
	}
	i, _ := sub.find(e.Version)
	sub.versions = slices.Insert(sub.versions, i, e)
	s.hold(sp, e)
	for _, ref := range e.References {
		at := place{qualifyIn(ctx, ref.Subject), ref.Version}
		if s.referrer[at] == nil {
			s.referrer[at] = map[place]struct{}{}
		}
		s.referrer[at][e.place()] = struct{}{}
	}
}

// rewrittenBy reports whether e is the only version with an id, recorded again
// with another hash, as a registry does that has learnt to compute it.
func (c *content) rewrittenBy(e *entry) bool {
	old, ok := c.holders[e.place()]
	return ok && len(c.holders) == 1 && old.Text == e.Text
}

func (s *state) hold(sp *idSpace, e *entry) {
	sp.maxID = max(sp.maxID, e.ID)
	c := sp.ids[e.ID]
	if c == nil {
		c = &content{hash: e.hash, holders: map[place]*entry{}}
		sp.ids[e.ID] = c
	}
	c.holders[e.place()] = e
	if c.best == nil || e.before(c.best) {
		c.best = e
	}
	if _, known := sp.byHash[e.hash]; !known {
		sp.byHash[e.hash] = e.ID
	}
}

// remove takes a version out, and its id if nobody else has it.
func (s *state) remove(p place) {
	sub := s.subjects[p.subject]
	if sub == nil {
		return
	}
	i, ok := sub.find(p.version)
	if !ok {
		return
	}
	e := sub.versions[i]
	sub.versions = slices.Delete(sub.versions, i, i+1)
	if len(sub.versions) == 0 {
		delete(s.subjects, p.subject)
	}
	ctx, _ := split(p.subject)
	sp := s.contexts[ctx]
	c := sp.ids[e.ID]
	delete(c.holders, p)
	if c.best == e {
		c.choose()
	}
	if len(c.holders) == 0 {
		delete(sp.ids, e.ID)
		if sp.byHash[e.hash] == e.ID {
			delete(sp.byHash, e.hash)
		}
	}
	for _, ref := range e.References {
		at := place{qualifyIn(ctx, ref.Subject), ref.Version}
		delete(s.referrer[at], p)
		if len(s.referrer[at]) == 0 {
			delete(s.referrer, at)
		}
	}
}

// softDelete marks the versions up to one.
func (s *state) softDelete(name string, through int) {
	sub := s.subjects[name]
	if sub == nil {
		return
	}
	ctx, _ := split(name)
	for i, e := range sub.versions {
		if e.Version > through || e.Deleted {
			continue
		}
		gone := *e
		gone.Deleted = true
		sub.versions[i] = &gone
		c := s.contexts[ctx].ids[e.ID]
		c.holders[e.place()] = &gone
		c.choose()
	}
}

// clear forgets the soft-deleted versions of a subject, or of a context.
func (s *state) clear(name string) {
	for _, n := range s.inScope(name) {
		for _, e := range slices.Clone(s.subjects[n].versions) {
			if e.Deleted {
				s.remove(e.place())
			}
		}
	}
}

// inScope returns the subjects that a name stands for: itself, or all of a
// context. "" is all of the default context.
func (s *state) inScope(name string) []string {
	if name != "" && !isContext(name) {
		if s.subjects[name] == nil {
			return nil
		}
		return []string{name}
	}
	ctx, _ := split(name)
	var out []string
	for n := range s.subjects {
		if c, _ := split(n); c == ctx {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}

// find returns where a version is, or would be.
func (sub *subject) find(version int) (int, bool) {
	return slices.BinarySearchFunc(sub.versions, version, func(e *entry, v int) int { return e.Version - v })
}

// qualifyIn reads a subject named inside of a context.
func qualifyIn(context, subject string) string {
	if ctx, _ := split(subject); ctx != defaultContext || context == defaultContext {
		return canonical(subject)
	}
	return qualify(context, subject)
}
