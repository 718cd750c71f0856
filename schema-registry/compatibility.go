package registry

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Level says what a new version of a subject has to get along with.
type Level string

// The levels. The transitive ones hold for all versions, the others for the
// newest.
const (
	None               Level = "NONE"
	Backward           Level = "BACKWARD" // the new version reads what the old ones wrote
	BackwardTransitive Level = "BACKWARD_TRANSITIVE"
	Forward            Level = "FORWARD" // the old versions read what the new one writes
	ForwardTransitive  Level = "FORWARD_TRANSITIVE"
	Full               Level = "FULL" // both
	FullTransitive     Level = "FULL_TRANSITIVE"
)

// levels says what each level checks.
var levels = map[Level]struct{ backward, forward, all bool }{
	None:               {},
	Backward:           {backward: true},
	BackwardTransitive: {backward: true, all: true},
	Forward:            {forward: true},
	ForwardTransitive:  {forward: true, all: true},
	Full:               {backward: true, forward: true},
	FullTransitive:     {backward: true, forward: true, all: true},
}

func levelNames() []string {
	var out []string
	for l := range levels {
		out = append(out, string(l))
	}
	slices.Sort(out)
	return out
}

// ParseLevel reads a level, in letters of any case.
func ParseLevel(text string) (Level, error) {
	l := Level(strings.ToUpper(text))
	if _, ok := levels[l]; !ok {
		return "", errorf(InvalidLevel, "Invalid compatibility level. Valid values are none, backward, forward, full, backward_transitive, forward_transitive, and full_transitive")
	}
	return l, nil
}

// Verdict is the outcome of a compatibility check.
type Verdict struct {
	Compatible bool
	Messages   []string // why not
}

// Compatible checks a draft against a version of a subject, or, with version
// 0, against all that a registration would check it against. Latest of a
// subject without versions is compatible with everything. A draft that is no
// schema is not compatible. Kinds of errors: VersionNotFound, NotReady.
func (r *Registry) Compatible(subject string, version int, d Draft, normalize bool) (Verdict, error) {
	if err := r.Ready(); err != nil {
		return Verdict{}, err
	}
	name := canonical(subject)
	set := r.settings(name)
	older := r.versions(name, false)
	if version != 0 && (version != Latest || len(older) > 0) {
		one := pick(older, version)
		if one == nil {
			return Verdict{}, errVersionNotFound(version)
		}
		older = []*entry{one}
	}
	if strings.TrimSpace(d.Text) == "" {
		return Verdict{}, errEmptySchema()
	}
	c, err := r.read(name, d, normalize || set.normalize, strictness{isNew: set.validate, fields: set.fields})
	if err != nil {
		return Verdict{}, err
	}
	if set.rules {
		if err := checkRules(d.RuleSet); err != nil {
			return Verdict{}, err
		}
	}
	messages, err := r.check(c, older, set)
	return Verdict{len(messages) == 0, messages}, err
}

func pick(versions []*entry, version int) *entry {
	for _, e := range slices.Backward(versions) {
		if version == Latest || e.Version == version {
			return e
		}
	}
	return nil
}

// check holds a candidate against versions, the newest last, and returns what
// is wrong with the first that it does not get along with.
func (r *Registry) check(c *candidate, older []*entry, set settings) ([]string, error) {
	rule := levels[set.level]
	if !rule.backward && !rule.forward {
		return nil, nil
	}
	r.counters.checks.Add(1)
	for _, e := range slices.Backward(older) {
		if set.group != "" && property(e.Metadata, set.group) != property(c.metadata, set.group) {
			continue
		}
		if messages := r.checkOne(c, e, set); len(messages) > 0 {
			r.counters.refusals.Add(1)
			return append(messages,
				fmt.Sprintf("{oldSchemaVersion: %d}", e.Version),
				fmt.Sprintf("{oldSchema: '%s'}", shorten(e.Text)),
				fmt.Sprintf("{validateFields: '%t', compatibility: '%s'}", set.fields, set.level)), nil
		}
		if !rule.all {
			break
		}
	}
	return nil, nil
}

func (r *Registry) checkOne(c *candidate, e *entry, set settings) []string {
	if e.Type != c.typ {
		return []string{errOtherLanguage.Error()}
	}
	old, err := r.parsedEntry(e)
	if err != nil {
		return []string{fmt.Sprintf("version %d cannot be read: %s", e.Version, err)}
	}
	var out []string
	if levels[set.level].forward {
		out = append(out, explain(c.typ, old, c.parsed, set.tolerant, "old", "new")...)
	}
	if levels[set.level].backward {
		out = append(out, explain(c.typ, c.parsed, old, set.tolerant, "new", "old")...)
	}
	if set.fields {
		out = append(out, c.reserved(e)...)
	}
	return out
}

// reserved says which names that the metadata reserves, or reserved before,
// are in the way.
func (c *candidate) reserved(old *entry) []string {
	var out []string
	tell := func(kind, format, name string) {
		out = append(out, languages[c.typ].message(difference{kind: kind, format: format, path: name}, "new", "old"))
	}
	names := reservedNames(c.metadata)
	for _, name := range reservedNames(old.Metadata) {
		if !slices.Contains(names, name) {
			tell("RESERVED_FIELD_REMOVED", "the %[2]s schema no longer reserves the field '%[1]s', which the %[3]s schema does", name)
		}
	}
	for _, name := range c.parsed.fields() {
		if slices.Contains(names, name) {
			tell("RESERVED_FIELD_CONFLICTS_WITH_FIELD", "the %[2]s schema has the field '%[1]s', which its metadata reserves; the %[3]s schema does not have it", name)
		}
	}
	return out
}

// explain says in the registry's form why reader cannot read what writer
// writes.
func explain(typ string, reader, writer parsed, tolerant bool, readerName, writerName string) []string {
	found, err := reader.differences(writer, tolerant)
	if err != nil {
		return []string{err.Error()}
	}
	out := make([]string, len(found))
	for i, d := range found {
		out[i] = languages[typ].message(d, readerName, writerName)
	}
	return out
}

// maxOldSchema bounds the text of the old schema in a message, in bytes.
const maxOldSchema = 10 << 10

func shorten(text string) string {
	if len(text) <= maxOldSchema {
		return text
	}
	return strings.ToValidUTF8(text[:maxOldSchema], "") + "..."
}

// IsInvalid reports whether a draft was refused for what it is, not for what
// became of the request.
func IsInvalid(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Kind == InvalidSchema || e.Kind == InvalidRuleSet || e.Kind == SchemaTooLarge)
}
