package transform

import (
	"fmt"

	"github.com/millrace/millrace/plugins/configdef"
)

var contentRouterDef = scriptDef("topic.expression", "Expression that gives the topic of a record; null leaves it as it is.")

// contentRouter is Debezium's ContentBasedRouter: a new topic by an expression.
type contentRouter struct{ script *script }

func newContentRouter(_ settings, c configdef.Config) (Transform, error) {
	s, err := newScript(c, "topic.expression")
	if err != nil {
		return nil, err
	}
	return &contentRouter{s}, nil
}

// Apply fails for an expression that gives no text.
func (t *contentRouter) Apply(r *Record) (bool, error) {
	out, done, keep, err := t.script.eval(r)
	if done || err != nil {
		return keep, err
	}
	switch topic := out.(type) {
	case string:
		if topic == "" {
			return false, fmt.Errorf("the expression gives an empty topic")
		}
		r.Topic = topic
	case nil:
	default:
		return false, fmt.Errorf("the expression gives %s: it must be a topic's name, or null", kindOf(out))
	}
	return true, nil
}
