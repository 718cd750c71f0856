package registryapi

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"slices"

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
	Subject    string          `json:"subject,omitempty"`
	Version    int             `json:"version,omitempty"`
	ID         *int            `json:"id,omitempty"`
	MaxID      int             `json:"maxId,omitempty"`
	GUID       string          `json:"guid,omitempty"`
	Type       string          `json:"schemaType,omitempty"`
	References []reference     `json:"references,omitempty"`
	Metadata   json.RawMessage `json:"metadata,omitempty"`
	RuleSet    json.RawMessage `json:"ruleSet,omitempty"`
	Schema     string          `json:"schema"`
	Timestamp  int64           `json:"ts,omitempty"`
	Deleted    bool            `json:"deleted"`
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

// draftBody is a schema in a request.
type draftBody struct {
	Schema     string          `json:"schema"`
	Type       string          `json:"schemaType"`
	References []reference     `json:"references"`
	Metadata   json.RawMessage `json:"metadata"`
	RuleSet    json.RawMessage `json:"ruleSet"`
	ID         *int            `json:"id"`
	Version    int             `json:"version"`
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
	d := registry.Draft{Text: b.Schema, Type: b.Type, Metadata: b.Metadata, RuleSet: b.RuleSet, Version: max(b.Version, 0)}
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
func configBody(c registry.SubjectConfig, level string) json.RawMessage {
	out := map[string]any{}
	for k, v := range c.Others {
		out[k] = v
	}
	if c.Compatibility != nil {
		out[level] = *c.Compatibility
	}
	if c.Normalize != nil {
		out["normalize"] = *c.Normalize
	}
	if c.ValidateNewSchemas != nil {
		out["validateNewSchemas"] = *c.ValidateNewSchemas
	}
	b := []byte{'{'}
	for _, k := range slices.Sorted(maps.Keys(out)) {
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(appendJSON(b, k), ':')
		b = appendJSON(b, out[k])
	}
	return append(b, '}')
}

// appendJSON appends the JSON of a value that has one.
func appendJSON(dst []byte, v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return append(dst, "null"...)
	}
	return append(dst, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
}
