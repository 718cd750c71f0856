package transform

import (
	"slices"

	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
)

var topicNameMatchesDef = configdef.Def{
	{Name: "pattern", Type: configdef.String, Required: true, Importance: configdef.Medium, Check: checkRegex,
		Rules: []configdef.Rule{configdef.NonEmpty()}, Doc: "Java regular expression that the whole name of the topic must match."},
}

// topicNameMatches is Kafka's predicate of that name.
type topicNameMatches struct{ memo[bool] }

func newTopicNameMatches(c configdef.Config) (Predicate, error) {
	re, err := compileRegex(c.String("pattern"))
	if err != nil {
		return nil, err
	}
	return &topicNameMatches{memo[bool]{of: re.matches}}, nil
}

// Test reports whether the topic's whole name matches.
func (p *topicNameMatches) Test(r *Record) (bool, error) { return p.get(r.Topic), nil }

var hasHeaderKeyDef = configdef.Def{
	{Name: "name", Type: configdef.String, Required: true, Importance: configdef.Medium,
		Rules: []configdef.Rule{configdef.NonEmpty()}, Doc: "Name of the header that the record must have."},
}

// hasHeaderKey is Kafka's predicate of that name.
type hasHeaderKey struct{ name string }

func newHasHeaderKey(c configdef.Config) (Predicate, error) {
	return hasHeaderKey{c.String("name")}, nil
}

// Test reports whether a header has the name.
func (p hasHeaderKey) Test(r *Record) (bool, error) {
	return slices.ContainsFunc(r.Headers, func(h data.Header) bool { return h.Name == p.name }), nil
}

// recordIsTombstone is Kafka's predicate of that name.
type recordIsTombstone struct{}

func newRecordIsTombstone(configdef.Config) (Predicate, error) { return recordIsTombstone{}, nil }

// Test reports whether the value is null, whatever its schema.
func (recordIsTombstone) Test(r *Record) (bool, error) { return r.value.isNull(), nil }
