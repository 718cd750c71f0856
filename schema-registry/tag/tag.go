// Package tag has what the schema languages share about tags in the text of a
// schema: what they are on, and what becomes of them when some are added or
// removed.
package tag

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Key is the attribute that holds the tags in Avro and JSON Schema.
const Key = "confluent:tags"

// Type is what a tag is on.
type Type string

// The types, by their names in Confluent's API.
const (
	Record Type = "sr_record"
	Field  Type = "sr_field"
)

// UnmarshalJSON reads a type and refuses unknown ones.
func (t *Type) UnmarshalJSON(raw []byte) error {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return fmt.Errorf("entityType: %w", err)
	}
	if *t = Type(text); *t != Record && *t != Field {
		return fmt.Errorf("the entityType %q is neither %s nor %s", text, Record, Field)
	}
	return nil
}

// Entity is a record or a field of a schema. How a path is made up is for each
// language to say.
type Entity struct {
	Path string `json:"entityPath"`
	Type Type   `json:"entityType"`
}

// Tagged is an entity and its tags.
type Tagged struct {
	Entity Entity   `json:"schemaEntity"`
	Tags   []string `json:"tags"`
}

// Change adds and removes tags. Where an entity is in both, what is removed is
// removed from what was added too.
type Change struct{ Add, Remove []Tagged }

// Empty reports whether a change changes nothing.
func (c Change) Empty() bool { return len(c.Add)+len(c.Remove) == 0 }

// Bounds of a change.
const (
	maxEntities = 1000
	maxPath     = 4096 // bytes
)

// Edit is a change of one entity. Its path has no dot before it.
type Edit struct {
	Entity
	add, remove []string
	keep        bool // from Keep
}

// Edits returns what is to be done to each entity, in the order in which they
// are first named.
func (c Change) Edits() ([]Edit, error) {
	var out []Edit
	place := map[Entity]int{}
	for i, t := range slices.Concat(c.Add, c.Remove) {
		e := Entity{strings.TrimPrefix(t.Entity.Path, "."), t.Entity.Type}
		switch {
		case e.Type != Record && e.Type != Field:
			return nil, fmt.Errorf("a tag needs a schemaEntity with an entityPath and the entityType %s or %s", Record, Field)
		case e.Path == "" || len(e.Path) > maxPath:
			return nil, fmt.Errorf("an entityPath has 1 to %d bytes; one has %d", maxPath, len(e.Path))
		case slices.Contains(t.Tags, ""):
			return nil, fmt.Errorf("a tag of '%s' is empty", e.Path)
		}
		at, known := place[e]
		if !known {
			at, place[e] = len(out), len(out)
			out = append(out, Edit{Entity: e})
		}
		if i < len(c.Add) {
			out[at].add = append(out[at].add, t.Tags...)
		} else {
			out[at].remove = append(out[at].remove, t.Tags...)
		}
	}
	if len(out) > maxEntities {
		return nil, fmt.Errorf("the tags of %d entities are to change at once, more than %d", len(out), maxEntities)
	}
	return out, nil
}

// Keep returns what gives a schema the tags of another, so far as it has what
// they are on.
func Keep(list []Tagged) []Edit {
	out := make([]Edit, len(list))
	for i, t := range list {
		out[i] = Edit{Entity: t.Entity, add: t.Tags, keep: true}
	}
	return out
}

// Apply returns the tags that an entity has afterwards, each once.
func (e Edit) Apply(tags []string) []string {
	var out []string
	for _, t := range slices.Concat(tags, e.add) {
		if !slices.Contains(out, t) && !slices.Contains(e.remove, t) {
			out = append(out, t)
		}
	}
	return out
}

// Missing is why a change of an entity that a schema does not have is refused,
// nil if that does not matter.
func (e Edit) Missing() error {
	if e.keep {
		return nil
	}
	kind := "field"
	if e.Type == Record {
		kind = "record"
	}
	return fmt.Errorf("no matching path '%s' found in the schema: it declares no such %s", e.Path, kind)
}

// maxListed bounds the paths and tags of a list, in bytes: names repeat in each
// of them.
const maxListed = 8 << 20

// List collects entities with tags.
type List struct {
	Tagged []Tagged
	size   int
}

// ErrTooMany is why the tags of a schema are not listed.
var ErrTooMany = errors.New("the tags of the schema, with the paths of what they are on, are too many to list")

// Add adds an entity, unless it has no tags. The path is asked for only if the
// entity has some. length is the path's in bytes, or an upper bound.
func (l *List) Add(typ Type, tags []string, length int, path func() string) error {
	if len(tags) == 0 {
		return nil
	}
	l.size += length
	for _, t := range tags {
		l.size += len(t)
	}
	if l.size > maxListed {
		return ErrTooMany
	}
	l.Tagged = append(l.Tagged, Tagged{Entity{path(), typ}, tags})
	return nil
}
