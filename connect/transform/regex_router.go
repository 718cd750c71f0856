package transform

import (
	"github.com/millrace/millrace/plugins/configdef"
)

var regexRouterDef = configdef.Def{
	{Name: "regex", Type: configdef.String, Required: true, Importance: configdef.High, Check: checkRegex,
		Doc: "Java regular expression that the whole topic must match to be replaced."},
	{Name: "replacement", Type: configdef.String, Required: true, Importance: configdef.High,
		Doc: "The new topic, in which $1 or ${name} stand for groups of the expression."},
}

// regexRouter is Kafka's RegexRouter: a new topic by regular expression.
type regexRouter struct{ memo[string] }

func newRegexRouter(_ settings, c configdef.Config) (Transform, error) {
	re, err := compileRegex(c.String("regex"))
	if err != nil {
		return nil, err
	}
	to, err := compileReplacement(c.String("replacement"), re)
	if err != nil {
		return nil, err
	}
	return &regexRouter{memo[string]{of: func(topic string) string {
		out, _ := to.replaceFirst(re, topic)
		return out
	}}}, nil
}

// Apply never drops a record and keeps its partition.
func (t *regexRouter) Apply(r *Record) (bool, error) {
	r.Topic = t.get(r.Topic)
	return true, nil
}
