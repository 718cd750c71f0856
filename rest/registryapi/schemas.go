package registryapi

import (
	"net/http"
	"slices"
	"strings"

	registry "github.com/millrace/millrace/schema-registry"
)

// maxSchemas bounds GET /schemas, which lists texts.
const maxSchemas = 1000

// listSchemas: GET /schemas
// [?subjectPrefix&deleted&latestOnly&aliases&ruleType&offset&limit], by default
// of the default context.
func (a *api) listSchemas(r *http.Request) (any, error) {
	out := []schemaBody{}
	all := a.reg.Schemas(listing(r))
	if kind := r.URL.Query().Get("ruleType"); kind != "" {
		all = slices.DeleteFunc(all, func(s *registry.Schema) bool { return !s.HasRule(kind) })
	}
	var aliases map[string][]string
	if flag(r, "aliases") {
		aliases = a.reg.Aliases()
	}
	for _, s := range page(r, all, maxSchemas) {
		b := fullBody(s)
		b.Aliases = aliases[s.Subject]
		out = append(out, b)
	}
	return out, nil
}

// types: GET /schemas/types
func (a *api) types(*http.Request) (any, error) { return a.reg.Types(), nil }

// byID: GET /schemas/ids/{id}
// [?subject&format&referenceFormat&findTags&fetchMaxId]. Errors: 40403.
func (a *api) byID(r *http.Request) (any, error) {
	id, err := idParam(r)
	if err != nil {
		return nil, err
	}
	subject := a.queried(r)
	s, err := a.reg.ByID(id, subject)
	if err != nil {
		return nil, err
	}
	b := bodyOf(s)
	if subject != "" {
		b.Subject, b.Version = s.Subject, s.Version
	}
	if r.URL.Query().Get("referenceFormat") == "qualified" {
		b.qualifyIn(s.Subject)
	}
	if flag(r, "fetchMaxId") {
		b.MaxID = a.reg.MaxID(subject)
	}
	if err := a.findTags(r, s, &b); err != nil {
		return nil, err
	}
	return a.formatted(r, s, b)
}

// idText: GET /schemas/ids/{id}/schema[?subject&format]. Errors: 40403.
func (a *api) idText(r *http.Request) (string, error) {
	id, err := idParam(r)
	if err != nil {
		return "", err
	}
	s, err := a.reg.ByID(id, a.queried(r))
	if err != nil {
		return "", err
	}
	return a.reg.Format(s, r.URL.Query().Get("format"))
}

// versionsOf reads the parameters of the two paths below.
func (a *api) versionsOf(r *http.Request) ([]*registry.Schema, error) {
	id, err := idParam(r)
	if err != nil {
		return nil, err
	}
	return a.reg.VersionsOf(id, a.queried(r), flag(r, "deleted"))
}

// idSubjects: GET /schemas/ids/{id}/subjects[?subject&deleted&offset&limit]
// Errors: 40403.
func (a *api) idSubjects(r *http.Request) (any, error) {
	all, err := a.versionsOf(r)
	if err != nil {
		return nil, err
	}
	out := []string{}
	for _, s := range all {
		out = append(out, s.Subject)
	}
	return page(r, slices.Compact(out), 0), nil
}

// idVersions: GET /schemas/ids/{id}/versions[?subject&deleted&offset&limit]
// Errors: 40403.
func (a *api) idVersions(r *http.Request) (any, error) {
	type subjectVersion struct {
		Subject string `json:"subject"`
		Version int    `json:"version"`
	}
	all, err := a.versionsOf(r)
	if err != nil {
		return nil, err
	}
	out := []subjectVersion{}
	for _, s := range all {
		out = append(out, subjectVersion{s.Subject, s.Version})
	}
	return page(r, out, 0), nil
}

// byGUID: GET /schemas/guids/{guid}[?format]. Errors: 40403.
func (a *api) byGUID(r *http.Request) (any, error) {
	guid, err := param(r, "guid")
	if err != nil {
		return nil, err
	}
	s, err := a.reg.ByGUID(guid)
	if err != nil {
		return nil, err
	}
	return a.formatted(r, s, bodyOf(s))
}

// guidIDs: GET /schemas/guids/{guid}/ids
func (a *api) guidIDs(r *http.Request) (any, error) {
	type contextID struct {
		Context string `json:"context"`
		ID      int    `json:"id"`
	}
	guid, err := param(r, "guid")
	if err != nil {
		return nil, err
	}
	out := []contextID{}
	for _, c := range a.reg.IDsOf(guid) {
		out = append(out, contextID(c))
	}
	return out, nil
}

// contexts: GET /contexts[?contextPrefix&offset&limit]
func (a *api) contexts(r *http.Request) (any, error) {
	prefix := r.URL.Query().Get("contextPrefix")
	all := slices.DeleteFunc(a.reg.Contexts(), func(name string) bool { return !strings.HasPrefix(name, prefix) })
	return page(r, all, 0), nil
}

// deleteContext: DELETE /contexts/{context}, answered with 204.
// Errors: 42205, 42211.
func (a *api) deleteContext(r *http.Request) (any, error) {
	name, err := param(r, "context")
	if err != nil {
		return nil, err
	}
	return nil, a.reg.DeleteContext(r.Context(), name)
}
