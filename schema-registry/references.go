package registry

import (
	"fmt"
	"slices"
	"strings"
)

// maxReferences bounds how many schemas one may refer to, directly or not.
const maxReferences = 1000

// resolver collects the texts that a schema refers to, each after those it
// refers to itself. It is used under the registry's lock.
type resolver struct {
	state   *state
	deleted bool // soft-deleted versions will do
	seen    map[place]bool
	path    []place // from the schema to what is being collected
	names   map[string]bool
	out     []referenced
}

// resolve returns the references with their versions filled in, and the texts.
// For a new schema, deleted is false. Of several references of one name, the
// first met counts.
func (s *state) resolve(context string, refs []Reference, deleted bool) ([]Reference, []referenced, error) {
	if len(refs) == 0 {
		return nil, nil, nil
	}
	if len(refs) > maxReferences {
		return nil, nil, errTooManyReferences()
	}
	r := resolver{state: s, deleted: deleted, seen: map[place]bool{}, names: map[string]bool{}}
	fixed := make([]Reference, len(refs))
	for i, ref := range refs {
		e, err := r.find(context, ref)
		if err != nil {
			return nil, nil, err
		}
		ref.Version = e.Version
		fixed[i] = ref
	}
	if err := r.collect(context, fixed, true); err != nil {
		return nil, nil, err
	}
	return fixed, r.out, nil
}

func errTooManyReferences() error {
	return errorf(InvalidSchema, "Invalid schema: it refers to more than %d schemas", maxReferences)
}

func (r *resolver) find(context string, ref Reference) (*entry, error) {
	switch {
	case ref.Name == "":
		return nil, errorf(InvalidSchema, "Invalid schema: a reference has no name")
	case ref.Version < 1 && ref.Version != Latest:
		return nil, errorf(InvalidSchema, "Invalid schema: reference '%s' has the version %d; versions start at 1", ref.Name, ref.Version)
	}
	sub := r.state.subjects[qualifyIn(context, ref.Subject)]
	if sub != nil {
		if e := sub.version(ref.Version, r.deleted); e != nil {
			return e, nil
		}
	}
	return nil, errorf(InvalidSchema, "Invalid schema: no schema is registered for reference '%s', subject '%s', version %d", ref.Name, ref.Subject, ref.Version)
}

// collect adds the texts of refs, and of what they refer to. Those that the
// schema names itself are told apart by the versions that they are.
func (r *resolver) collect(context string, refs []Reference, direct bool) error {
	for _, ref := range refs {
		e, err := r.find(context, ref)
		if err != nil {
			return err
		}
		if slices.Contains(r.path, e.place()) && !r.deleted {
			return errorf(InvalidSchema, "Invalid schema: reference '%s' is part of a cycle: %s", ref.Name, cycle(r.path, e.place()))
		}
		if r.seen[e.place()] || r.names[ref.Name] {
			continue
		}
		r.seen[e.place()], r.names[ref.Name] = true, true
		if len(r.seen) > maxReferences {
			return errTooManyReferences()
		}
		inner, _ := split(e.Subject)
		r.path = append(r.path, e.place())
		if err := r.collect(inner, e.References, false); err != nil {
			return err
		}
		r.path = r.path[:len(r.path)-1]
		out := referenced{name: ref.Name, text: e.Text}
		if direct {
			out.origin = fmt.Sprintf("%s/%d", e.Subject, e.Version)
		}
		r.out = append(r.out, out)
	}
	return nil
}

// cycle tells how a path comes back to a place on it.
func cycle(path []place, to place) string {
	var out []string
	for _, p := range append(path[slices.Index(path, to):len(path):len(path)], to) {
		out = append(out, fmt.Sprintf("%s version %d", p.subject, p.version))
	}
	return strings.Join(out, " refers to ")
}

// version returns a version, or the newest one for Latest; soft-deleted ones
// only if asked for. It returns nil if there is none.
func (sub *subject) version(v int, deleted bool) *entry {
	if v == Latest {
		for i := len(sub.versions) - 1; i >= 0; i-- {
			if e := sub.versions[i]; deleted || !e.Deleted {
				return e
			}
		}
		return nil
	}
	i, ok := sub.find(v)
	if !ok || sub.versions[i].Deleted && !deleted {
		return nil
	}
	return sub.versions[i]
}

// live returns the versions that are not deleted, oldest first.
func (sub *subject) live() []*entry {
	var out []*entry
	for _, e := range sub.versions {
		if !e.Deleted {
			out = append(out, e)
		}
	}
	return out
}
