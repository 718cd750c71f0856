package registry

import (
	"context"
	"slices"

	"github.com/millrace/millrace/schema-registry/tag"
)

// Tagged and TagEdits are about tags in the text of a schema; see package tag.
type (
	Tagged   = tag.Tagged
	TagEdits = tag.Change
)

// AllTags stands for every tag where some are looked for.
const AllTags = "*"

// Tags lists the records and fields of a schema that have one of some tags in
// its text, with all tags that they have there. Kind of error: InvalidSchema.
func (r *Registry) Tags(s *Schema, wanted []string) ([]Tagged, error) {
	p, err := r.parsedEntry(&entry{Schema: *s})
	if err != nil {
		return nil, err
	}
	all, err := p.tags()
	if err != nil {
		return nil, errorf(InvalidSchema, "Invalid schema of type %s: %s", s.Type, err)
	}
	if slices.Contains(wanted, AllTags) {
		return all, nil
	}
	return slices.DeleteFunc(all, func(t Tagged) bool {
		return !slices.ContainsFunc(t.Tags, func(has string) bool { return slices.Contains(wanted, has) })
	}), nil
}

// TagChange makes a new version of another.
type TagChange struct {
	Tags TagEdits
	// Version is that of the new one, 0 for the next one.
	Version  int
	Metadata *Metadata // nil for that of the old version
	RuleSet  *RuleSet  // nil for that of the latest version
	// Merge and Remove change the latest version's rules instead of replacing
	// them: rules that take the place of those of their names, or are added to
	// them, and names of rules that are dropped.
	Merge  *RuleSet
	Remove []string
}

// Retag registers a version anew with other tags. Kinds of errors are those of
// Version and of Register.
func (r *Registry) Retag(ctx context.Context, subject string, version int, c TagChange) (*Schema, error) {
	if err := checkSubject(subject); err != nil {
		return nil, err
	}
	old, err := r.Version(subject, version, false)
	if err != nil {
		return nil, err
	}
	mergesRules := c.Merge != nil || c.Remove != nil
	if mergesRules && c.RuleSet != nil {
		return nil, errorf(InvalidRuleSet, "Invalid rule set: ruleSet should be omitted if specifying rulesToMerge or rulesToRemove")
	}
	for _, set := range []*RuleSet{c.RuleSet, c.Merge} {
		if err := checkRules(set); err != nil {
			return nil, err
		}
	}
	d := Draft{
		Text: old.Text, Type: old.Type, References: old.References, Metadata: c.Metadata, RuleSet: c.RuleSet,
		Version: c.Version, Tags: c.Tags, anew: true, merge: c.Merge, remove: c.Remove,
	}
	if d.Metadata == nil {
		d.Metadata = old.Metadata
	}
	d.Metadata = withVersion(d.Metadata, c.Version) // to be set to the new version's
	return r.Register(ctx, old.Subject, d, RegisterOptions{})
}

// withoutRules drops rules by their names.
func withoutRules(set *RuleSet, names []string) *RuleSet {
	if set == nil || len(names) == 0 {
		return set
	}
	left := func(list []Rule) []Rule {
		return slices.DeleteFunc(slices.Clone(list), func(r Rule) bool { return slices.Contains(names, r.Name) })
	}
	return &RuleSet{Migration: left(set.Migration), Domain: left(set.Domain), Encoding: left(set.Encoding), EnableAt: set.EnableAt}
}

// retagged changes the tags in a text that has been read.
func retagged(p parsed, typ string, change TagEdits) (string, error) {
	edits, err := change.Edits()
	if err != nil {
		return "", errorf(InvalidSchema, "Invalid schema: %s", err)
	}
	text, err := p.retagged(edits)
	if err != nil {
		return "", errorf(InvalidSchema, "Invalid schema of type %s: %s", typ, err)
	}
	return text, nil
}

// propagate puts the tags of the subject's latest version into the text of a
// proposal, if that is wanted.
//
// Differs from Confluent: what the new text does not have any more loses its
// tags, where the registration is refused there; and tags that the request
// removes stay removed, where they come back there.
func (r *Registry) propagate(p *proposal) error {
	live := p.live()
	if !p.draft.Propagate || len(live) == 0 {
		return nil
	}
	last := live[len(live)-1]
	tags, err := r.Tags(&last.Schema, []string{AllTags})
	if err != nil || len(tags) == 0 {
		return err
	}
	d := p.draft
	d.Tags = TagEdits{}
	c, err := r.read(p.name, d, false, strictness{})
	if err != nil {
		return err
	}
	text, err := c.parsed.retagged(tag.Keep(tags))
	if err != nil {
		return errorf(InvalidSchema, "Invalid schema of type %s: %s", c.typ, err)
	}
	p.draft.Text = text
	return nil
}
