package transform

import (
	"fmt"

	"github.com/millrace/millrace/plugins/configdef"
)

var scriptFilterDef = scriptDef("condition", "Expression that is true of the records to keep.")

// scriptFilter is Debezium's Filter: keeps the records that an expression is
// true of.
type scriptFilter struct{ script *script }

func newScriptFilter(_ settings, c configdef.Config) (Transform, error) {
	s, err := newScript(c, "condition")
	if err != nil {
		return nil, err
	}
	return &scriptFilter{s}, nil
}

// Apply fails for an expression that is neither true nor false.
func (t *scriptFilter) Apply(r *Record) (bool, error) {
	out, done, keep, err := t.script.eval(r)
	if done || err != nil {
		return keep, err
	}
	holds, ok := out.(bool)
	if !ok {
		return false, fmt.Errorf("the condition is %s: it must be true or false", kindOf(out))
	}
	return holds, nil
}
