package registryapi

import (
	"encoding/json"
	"maps"
	"net/http"

	"github.com/millrace/millrace/rest/reply"
	registry "github.com/millrace/millrace/schema-registry"
)

// reference is a schema's reference to another.
type reference struct {
	Name    string `json:"name"`
	Subject string `json:"subject"`
	Version int    `json:"version"`
}

// schemaBody is a version of a subject. Which members are given depends on
// the path.
type schemaBody struct {
	Subject    string             `json:"subject,omitempty"`
	Version    int                `json:"version,omitempty"`
	ID         *int               `json:"id,omitempty"`
	MaxID      int                `json:"maxId,omitempty"`
	GUID       string             `json:"guid,omitempty"`
	Type       string             `json:"schemaType,omitempty"`
	References []reference        `json:"references,omitempty"`
	Metadata   *registry.Metadata `json:"metadata,omitempty"`
	RuleSet    *registry.RuleSet  `json:"ruleSet,omitempty"`
	Schema     string             `json:"schema"`
	Tags       []registry.Tagged  `json:"schemaTags,omitempty"`
	Timestamp  int64              `json:"ts,omitempty"`
	Deleted    bool               `json:"deleted"`
	Aliases    []string           `json:"aliases,omitempty"`
}

// bodyOf is a schema without subject, version and id.
func bodyOf(s *registry.Schema) schemaBody {
	b := schemaBody{
		GUID: s.GUID, Type: s.Type, Metadata: s.Metadata, RuleSet: s.RuleSet,
		Schema: s.Text, Timestamp: s.Timestamp, Deleted: s.Deleted,
	}
	for _, r := range s.References {
		b.References = append(b.References, reference(r))
	}
	return b
}

// fullBody is a schema with all that is known of it.
func fullBody(s *registry.Schema) schemaBody {
	b := registeredBody(s)
	b.Subject = s.Subject
	return b
}

// registeredBody is the answer to a registration.
func registeredBody(s *registry.Schema) schemaBody {
	b := bodyOf(s)
	b.Version, b.ID = s.Version, &s.ID
	return b
}

// qualify names the subjects of references with their contexts.
func (b *schemaBody) qualify() { b.qualifyIn(b.Subject) }

func (b *schemaBody) qualifyIn(subject string) {
	for i, r := range b.References {
		b.References[i].Subject = registry.Qualified(subject, r.Subject)
	}
}

// draftBody is a schema in a request.
type draftBody struct {
	Schema       string             `json:"schema"`
	Type         string             `json:"schemaType"`
	References   []reference        `json:"references"`
	Metadata     *registry.Metadata `json:"metadata"`
	RuleSet      *registry.RuleSet  `json:"ruleSet"`
	ID           *int               `json:"id"`
	Version      *int               `json:"version"`
	TagsToAdd    []registry.Tagged  `json:"schemaTagsToAdd"`
	TagsToRemove []registry.Tagged  `json:"schemaTagsToRemove"`
	Propagate    bool               `json:"propagateSchemaTags"`
}

// draft reads a schema from a request's body.
func draft(r *http.Request) (registry.Draft, error) {
	var b *draftBody
	if err := reply.Decode(r, &b); err != nil {
		return registry.Draft{}, err
	}
	if b == nil {
		return registry.Draft{}, errNoBody
	}
	d := registry.Draft{
		Text: b.Schema, Type: b.Type, Metadata: b.Metadata, RuleSet: b.RuleSet,
		Tags: registry.TagEdits{Add: b.TagsToAdd, Remove: b.TagsToRemove}, Propagate: b.Propagate,
	}
	switch {
	case b.Version != nil:
		d.Version = max(*b.Version, registry.NextVersion)
	case !d.Tags.Empty(): // what changes is a new version, and says which
		d.Version = registry.NextVersion
	}
	if b.ID != nil && *b.ID > 0 {
		d.ID = *b.ID
	}
	for _, ref := range b.References {
		d.References = append(d.References, registry.Reference(ref))
	}
	return d, nil
}

// configBody is a config's JSON. The level is called compatibility in a
// request and its echo, and compatibilityLevel elsewhere.
func configBody(c registry.SubjectConfig, level string) (any, error) {
	raw, err := json.Marshal(c.Settings)
	if err != nil {
		return nil, err
	}
	out := map[string]json.RawMessage{}
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, err
	}
	maps.Copy(out, c.Others)
	if v, ok := out[levelInAnswer]; ok {
		delete(out, levelInAnswer)
		out[level] = v
	}
	return out, nil
}
