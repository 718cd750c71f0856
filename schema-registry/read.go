package registry

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Types returns the schema languages, sorted.
func (r *Registry) Types() []string { return slices.Sorted(maps.Keys(languages)) }

// Listing says which versions or subjects to list.
type Listing struct {
	// Prefix is what names begin with. ":*:" before it stands for all
	// contexts; without a context it is for the default one.
	Prefix      string
	Deleted     bool // soft-deleted ones too
	DeletedOnly bool // only those; wins over Deleted
	LatestOnly  bool // of a subject, the newest version
}

// wants reports whether a version is to be listed.
func (l Listing) wants(e *entry) bool {
	if l.DeletedOnly {
		return e.Deleted
	}
	return l.Deleted || !e.Deleted
}

// Subjects returns the names of subjects, sorted. With DeletedOnly they are
// those without a version that is left.
func (r *Registry) Subjects(l Listing) []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var out []string
	for _, n := range r.state.named(l.Prefix) {
		live := len(r.state.subjects[n].live()) > 0
		if l.DeletedOnly && !live || !l.DeletedOnly && (l.Deleted || live) {
			out = append(out, n)
		}
	}
	return out
}

// named returns the subjects whose names begin with a prefix, sorted.
func (s *state) named(prefix string) []string {
	name, all := strings.CutPrefix(prefix, ":*:")
	ctx := defaultContext
	if !all {
		ctx, name = split(prefix)
	}
	var out []string
	for n := range s.subjects {
		c, bare := split(n)
		if (all || c == ctx) && strings.HasPrefix(bare, name) {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}

// Schemas returns versions of all subjects with a prefix, by subject and
// version.
func (r *Registry) Schemas(l Listing) []*Schema {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var out []*Schema
	for _, n := range r.state.named(l.Prefix) {
		versions := r.state.subjects[n].versions
		first := len(out)
		for _, e := range versions {
			if l.wants(e) {
				out = append(out, &e.Schema)
			}
		}
		if l.LatestOnly && len(out) > first {
			out = append(out[:first], out[len(out)-1])
		}
	}
	return out
}

// Versions returns a subject's versions, oldest first. Kind of error:
// SubjectNotFound.
func (r *Registry) Versions(subject string, l Listing) ([]*Schema, error) {
	var out []*Schema
	for _, e := range r.versions(canonical(subject), true) {
		if l.wants(e) {
			out = append(out, &e.Schema)
		}
	}
	if len(out) == 0 {
		return nil, errSubjectNotFound(subject)
	}
	return out, nil
}

// Version returns one version, or the newest for Latest. Kinds of errors:
// SubjectNotFound, VersionNotFound.
func (r *Registry) Version(subject string, version int, deleted bool) (*Schema, error) {
	name := canonical(subject)
	if found := r.find(name, version, deleted); found != nil {
		return &found.Schema, nil
	}
	if other := r.elsewhere(name, func(other string) bool { return r.find(other, version, deleted) != nil }); other != "" {
		return r.Version(other, version, deleted)
	}
	if len(r.versions(name, deleted)) == 0 {
		return nil, errSubjectNotFound(subject)
	}
	return nil, errVersionNotFound(version)
}

// find returns a version, nil if there is none.
func (r *Registry) find(name string, version int, deleted bool) *entry {
	r.mu.RLock()
	defer r.mu.RUnlock()
	sub := r.state.subjects[name]
	if sub == nil {
		return nil
	}
	return sub.version(version, deleted)
}

// WithProperties returns the highest version of a subject whose metadata has
// all of some properties. Kinds of errors: SubjectNotFound, SchemaNotFound.
func (r *Registry) WithProperties(subject string, properties map[string]string, deleted bool) (*Schema, error) {
	all := r.versions(canonical(subject), deleted)
	if len(all) == 0 {
		return nil, errSubjectNotFound(subject)
	}
	for _, e := range slices.Backward(all) {
		match := true
		for k, v := range properties {
			match = match && e.Metadata != nil && e.Metadata.Properties[k] == v
		}
		if match {
			return &e.Schema, nil
		}
	}
	return nil, errorf(SchemaNotFound, "Schema not found")
}

// ReferencedBy returns the ids of the schemas that refer to a version, sorted.
// Kinds of errors are those of Version.
func (r *Registry) ReferencedBy(subject string, version int, deleted bool) ([]int, error) {
	v, err := r.Version(subject, version, true)
	if err != nil {
		return nil, err
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	ids := []int{}
	for by := range r.state.referrer[place{v.Subject, v.Version}] {
		if e := r.state.subjects[by.subject].version(by.version, deleted); e != nil {
			ids = append(ids, e.ID)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// holders returns the versions that have an id, by subject and version. The
// subject says in which context the id is meant; an id of the default context
// that is not there is looked for in the others.
func (r *Registry) holders(id int, subject string) ([]*entry, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	contexts := []string{contextOf(subject)}
	if contexts[0] == defaultContext {
		others := slices.Sorted(maps.Keys(r.state.contexts))
		contexts = append(contexts, slices.DeleteFunc(others, func(c string) bool { return c == defaultContext })...)
	}
	for _, ctx := range contexts {
		if sp := r.state.contexts[ctx]; sp != nil && sp.ids[id] != nil {
			out := slices.Collect(maps.Values(sp.ids[id].holders))
			slices.SortFunc(out, func(a, b *entry) int {
				return cmp.Or(cmp.Compare(a.Subject, b.Subject), a.Version-b.Version)
			})
			return out, nil
		}
	}
	return nil, errorf(SchemaNotFound, "Schema %d not found", id)
}

// ByID returns a schema by its id. Its subject and version are the given
// subject's if that has it. Kind of error: SchemaNotFound.
func (r *Registry) ByID(id int, subject string) (*Schema, error) {
	if e := r.byPlainID(id, subject); e != nil {
		return &e.Schema, nil
	}
	all, err := r.holders(id, subject)
	if err != nil {
		return nil, err
	}
	best := all[0]
	for _, e := range all {
		if e.Subject == canonical(subject) {
			return &e.Schema, nil
		}
		if e.before(best) {
			best = e
		}
	}
	return &best.Schema, nil
}

// byPlainID finds an id of the default context where no subject is asked for,
// which is what readers of data ask again and again.
func (r *Registry) byPlainID(id int, subject string) *entry {
	if subject != "" {
		return nil
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if c := r.state.contexts[defaultContext].ids[id]; c != nil {
		return c.best
	}
	return nil
}

// VersionsOf returns where an id is used. Kind of error: SchemaNotFound.
func (r *Registry) VersionsOf(id int, subject string, deleted bool) ([]*Schema, error) {
	all, err := r.holders(id, subject)
	if err != nil {
		return nil, err
	}
	out := []*Schema{}
	for _, e := range all {
		if deleted || !e.Deleted {
			out = append(out, &e.Schema)
		}
	}
	return out, nil
}

// ByGUID returns a schema by its content's id. Kind of error: SchemaNotFound.
func (r *Registry) ByGUID(guid string) (*Schema, error) {
	for _, id := range r.IDsOf(guid) {
		return r.ByID(id.ID, qualify(id.Context, ""))
	}
	return nil, errorf(SchemaNotFound, "Schema %s not found", guid)
}

// ContextID is an id and the context it counts in.
type ContextID struct {
	Context string
	ID      int
}

// IDsOf returns the ids of a content, by context.
func (r *Registry) IDsOf(guid string) []ContextID {
	r.mu.RLock()
	defer r.mu.RUnlock()
	out := []ContextID{}
	h, ok := parseGUID(guid)
	if !ok {
		return out
	}
	for _, ctx := range slices.Sorted(maps.Keys(r.state.contexts)) {
		if id, ok := r.state.contexts[ctx].byHash[h]; ok {
			out = append(out, ContextID{ctx, id})
		}
	}
	return out
}

// MaxID returns the highest id that a subject's context ever gave.
func (r *Registry) MaxID(subject string) int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if sp := r.state.contexts[contextOf(subject)]; sp != nil {
		return sp.maxID
	}
	return 0
}

// Contexts returns the names of the contexts, sorted.
func (r *Registry) Contexts() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Sorted(maps.Keys(r.state.contexts))
}

// Format returns a schema's text in a format of its language, such as
// "resolved" for Avro with all references written out. Unknown formats give
// the text as it is stored.
func (r *Registry) Format(s *Schema, format string) (string, error) {
	if format == "" {
		return s.Text, nil
	}
	p, err := r.parsedEntry(&entry{Schema: *s})
	if err != nil {
		return "", err
	}
	if text, ok, err := p.formatted(format); ok || err != nil {
		return text, err
	}
	r.log.Debug("unknown schema format", "format", format)
	return s.Text, nil
}
