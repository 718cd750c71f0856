package registryapi

import (
	"net/http"

	"github.com/millrace/millrace/rest/reply"
	registry "github.com/millrace/millrace/schema-registry"
)

// findTags adds what has one of the tags that are asked for, which are repeated
// parameters; * is all.
func (a *api) findTags(r *http.Request, s *registry.Schema, b *schemaBody) error {
	wanted := r.URL.Query()["findTags"]
	if len(wanted) == 0 {
		return nil
	}
	var err error
	b.Tags, err = a.reg.Tags(s, wanted)
	return err
}

// tagBody is a request to change tags, and rules with them.
type tagBody struct {
	NewVersion   *int               `json:"newVersion"`
	TagsToAdd    []registry.Tagged  `json:"tagsToAdd"`
	TagsToRemove []registry.Tagged  `json:"tagsToRemove"`
	Metadata     *registry.Metadata `json:"metadata"`
	RuleSet      *registry.RuleSet  `json:"ruleSet"`
	Merge        *registry.RuleSet  `json:"rulesToMerge"`
	Remove       []string           `json:"rulesToRemove"`
}

// retag: POST /subjects/{subject}/versions/{version}/tags, which makes a new
// version. Errors: 40401, 40402, 40901, 42201, 42202, 42205, 42208, 42209, 42210.
func (a *api) retag(r *http.Request) (any, error) {
	subject, version, err := a.subjectVersion(r)
	if err != nil {
		return nil, err
	}
	var b *tagBody
	if err := reply.Decode(r, &b); err != nil {
		return nil, err
	}
	if b == nil {
		return nil, errNoBody
	}
	c := registry.TagChange{
		Tags: registry.TagEdits{Add: b.TagsToAdd, Remove: b.TagsToRemove}, Metadata: b.Metadata, RuleSet: b.RuleSet, Merge: b.Merge, Remove: b.Remove,
	}
	if b.NewVersion != nil {
		c.Version = max(*b.NewVersion, registry.NextVersion)
	}
	a.reg.Fresh(r.Context()) // what the latest version is may be asked of one that does not write
	s, err := a.reg.Retag(r.Context(), subject, version, c)
	if err != nil {
		return nil, err
	}
	return registeredBody(s), nil
}
