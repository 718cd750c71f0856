package registry

import (
	"slices"
	"strings"
)

// LookupOptions say how to look a schema up.
type LookupOptions struct {
	Normalize bool // compare normalised texts
	Deleted   bool // soft-deleted versions count too
}

// Lookup returns the version of a subject that holds a schema. The order of a
// schema's attributes does not matter. Kinds of errors: SubjectNotFound,
// SchemaNotFound, InvalidSchema, NotReady.
func (r *Registry) Lookup(subject string, d Draft, o LookupOptions) (*Schema, error) {
	if err := r.Ready(); err != nil {
		return nil, err
	}
	name := canonical(subject)
	if len(r.versions(name, o.Deleted)) == 0 {
		if found := r.elsewhere(name, func(other string) bool { return len(r.versions(other, o.Deleted)) > 0 }); found != "" {
			return r.Lookup(found, d, o)
		}
		return nil, errSubjectNotFound(subject)
	}
	if strings.TrimSpace(d.Text) == "" {
		return nil, errEmptySchema()
	}
	c, err := r.read(name, d, o.Normalize || r.settings(name).normalize, strictness{})
	if err != nil {
		return nil, err
	}
	e := r.lookup(name, c, o.Deleted)
	if e == nil {
		return nil, errorf(SchemaNotFound, "Schema not found")
	}
	return &e.Schema, nil
}

func errEmptySchema() error { return errorf(InvalidSchema, "Empty schema") }

// lookup finds a candidate under a subject: by its hash, or as a schema that
// differs only in what does not count. The newest version is preferred.
func (r *Registry) lookup(name string, c *candidate, deleted bool) *entry {
	all := r.versions(name, deleted)
	for _, e := range slices.Backward(all) {
		if e.hash == c.hash {
			return e
		}
	}
	for _, e := range slices.Backward(all) {
		if e.Type != c.typ || !sameReferences(c.refs, e.References) || !c.contract.same(contract{e.Metadata, e.RuleSet}) {
			continue
		}
		p, err := r.parsedEntry(e)
		if err != nil { // an old version that cannot be read is not this one
			continue
		}
		if p.identity() == c.identity() {
			return e
		}
	}
	return nil
}

// sameReferences lets a schema without references find one that has some.
func sameReferences(asked, registered []Reference) bool {
	return len(asked) == 0 || slices.Equal(asked, registered)
}

// versions returns a copy of a subject's versions, oldest first.
func (r *Registry) versions(name string, deleted bool) []*entry {
	r.mu.RLock()
	defer r.mu.RUnlock()
	sub := r.state.subjects[name]
	switch {
	case sub == nil:
		return nil
	case deleted:
		return slices.Clone(sub.versions)
	}
	return sub.live()
}

// elsewhere finds the context in which a subject that the default context does
// not have is meant, "" if there is none.
func (r *Registry) elsewhere(name string, has func(name string) bool) string {
	if contextOf(name) != defaultContext {
		return ""
	}
	for _, ctx := range r.Contexts() {
		if other := qualify(ctx, name); ctx != defaultContext && has(other) {
			return other
		}
	}
	return ""
}
