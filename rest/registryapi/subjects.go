package registryapi

import (
	"net/http"

	registry "github.com/millrace/millrace/schema-registry"
)

// listing reads the parameters that say what to list.
func listing(r *http.Request) registry.Listing {
	return registry.Listing{
		Prefix:  r.URL.Query().Get("subjectPrefix"),
		Deleted: flag(r, "deleted"), DeletedOnly: flag(r, "deletedOnly"), LatestOnly: flag(r, "latestOnly"),
	}
}

// listSubjects: GET /subjects[?subjectPrefix&deleted&deletedOnly&offset&limit],
// by default of all contexts.
func (a *api) listSubjects(r *http.Request) (any, error) {
	l := listing(r)
	if !r.URL.Query().Has("subjectPrefix") {
		l.Prefix = ":*:"
	}
	return page(r, a.reg.Subjects(l), 0), nil
}

// lookup: POST /subjects/{subject}[?normalize&deleted]
// Errors: 40401, 40403, 42201.
func (a *api) lookup(r *http.Request) (any, error) {
	subject, err := a.subject(r)
	if err != nil {
		return nil, err
	}
	d, err := draft(r)
	if err != nil {
		return nil, err
	}
	s, err := a.reg.Lookup(subject, d, registry.LookupOptions{Normalize: flag(r, "normalize"), Deleted: flag(r, "deleted")})
	if err != nil {
		return nil, err
	}
	return a.formatted(r, s, fullBody(s))
}

// deleteSubject: DELETE /subjects/{subject}[?permanent]
// Errors: 40401, 40404, 40405, 42205, 42206.
func (a *api) deleteSubject(r *http.Request) (any, error) {
	subject, err := a.subject(r)
	if err != nil {
		return nil, err
	}
	gone, err := a.reg.DeleteSubject(r.Context(), subject, flag(r, "permanent"))
	if err != nil {
		return nil, err
	}
	return gone, nil
}

// listVersions: GET /subjects/{subject}/versions
// [?deleted&deletedOnly&deletedAsNegative&offset&limit]. Errors: 40401.
func (a *api) listVersions(r *http.Request) (any, error) {
	subject, err := a.subject(r)
	if err != nil {
		return nil, err
	}
	l := listing(r)
	negative := flag(r, "deletedAsNegative")
	l.Deleted = l.Deleted || negative
	all, err := a.reg.Versions(subject, l)
	if err != nil {
		return nil, err
	}
	out := make([]int, len(all))
	for i, s := range all {
		out[i] = s.Version
		if negative && s.Deleted {
			out[i] = -s.Version
		}
	}
	return page(r, out, 0), nil
}

// register: POST /subjects/{subject}/versions[?normalize&force&format]
// Errors: 40901, 42201, 42205, 42207, 42208, 42209, 42210.
func (a *api) register(r *http.Request) (any, error) {
	subject, err := a.subject(r)
	if err != nil {
		return nil, err
	}
	d, err := draft(r)
	if err != nil {
		return nil, err
	}
	s, err := a.reg.Register(r.Context(), subject, d, registry.RegisterOptions{Normalize: flag(r, "normalize"), Force: flag(r, "force")})
	if err != nil {
		return nil, err
	}
	return a.formatted(r, s, registeredBody(s))
}

// version: GET /subjects/{subject}/versions/{version}
// [?deleted&format&referenceFormat&findTags]. Errors: 40401, 40402, 42202.
func (a *api) version(r *http.Request) (any, error) {
	s, err := a.findVersion(r)
	if err != nil {
		return nil, err
	}
	b := fullBody(s)
	if r.URL.Query().Get("referenceFormat") == "qualified" {
		b.qualify()
	}
	if err := a.findTags(r, s, &b); err != nil {
		return nil, err
	}
	return a.formatted(r, s, b)
}

// latestWithMetadata: GET /subjects/{subject}/metadata[?key&value&deleted&format]
// where keys and values belong together by their place. Errors: 40401, 40403.
func (a *api) latestWithMetadata(r *http.Request) (any, error) {
	subject, err := a.subject(r)
	if err != nil {
		return nil, err
	}
	keys, values := r.URL.Query()["key"], r.URL.Query()["value"]
	want := map[string]string{}
	for i, k := range keys[:min(len(keys), len(values))] {
		want[k] = values[i]
	}
	s, err := a.reg.WithProperties(subject, want, flag(r, "deleted"))
	if err != nil {
		return nil, err
	}
	return a.formatted(r, s, fullBody(s))
}

func (a *api) findVersion(r *http.Request) (*registry.Schema, error) {
	subject, version, err := a.subjectVersion(r)
	if err != nil {
		return nil, err
	}
	return a.reg.Version(subject, version, flag(r, "deleted"))
}

// versionText: GET /subjects/{subject}/versions/{version}/schema
// [?deleted&format]. Errors: 40401, 40402, 42202.
func (a *api) versionText(r *http.Request) (string, error) {
	s, err := a.findVersion(r)
	if err != nil {
		return "", err
	}
	return a.reg.Format(s, r.URL.Query().Get("format"))
}

// deleteVersion: DELETE /subjects/{subject}/versions/{version}[?permanent],
// answered with the bare number.
// Errors: 40401, 40402, 40406, 40407, 42202, 42205, 42206.
func (a *api) deleteVersion(r *http.Request) (any, error) {
	subject, version, err := a.subjectVersion(r)
	if err != nil {
		return nil, err
	}
	gone, err := a.reg.DeleteVersion(r.Context(), subject, version, flag(r, "permanent"))
	if err != nil {
		return nil, err
	}
	return gone, nil
}

// referencedBy: GET /subjects/{subject}/versions/{version}/referencedby
// [?deleted&offset&limit]. Errors: 40401, 40402, 42202.
func (a *api) referencedBy(r *http.Request) (any, error) {
	subject, version, err := a.subjectVersion(r)
	if err != nil {
		return nil, err
	}
	ids, err := a.reg.ReferencedBy(subject, version, flag(r, "deleted"))
	if err != nil {
		return nil, err
	}
	return page(r, ids, 0), nil
}

// formatted puts a schema's text in the format asked for, if any.
func (a *api) formatted(r *http.Request, s *registry.Schema, b schemaBody) (any, error) {
	text, err := a.reg.Format(s, r.URL.Query().Get("format"))
	b.Schema = text
	return b, err
}
