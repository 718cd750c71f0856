package transform

import (
	"errors"
	"fmt"

	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
)

var valueToKeyDef = configdef.Def{
	{Name: "fields", Type: configdef.List, Required: true, Importance: configdef.High,
		Rules: []configdef.Rule{configdef.NonEmpty()}, Doc: "Fields of the value that make up the new key."},
	replaceNull,
}

// valueToKey is Kafka's ValueToKey: makes the key from fields of the value.
type valueToKey struct {
	fields       []string
	withDefaults bool
	plans        perSchema[*rewrite]
}

func newValueToKey(_ settings, c configdef.Config) (Transform, error) {
	return &valueToKey{fields: c.List("fields"), withDefaults: c.Bool(replaceNull.Name)}, nil
}

// Apply never drops a record.
func (t *valueToKey) Apply(r *Record) (bool, error) {
	if r.value.isNull() {
		return false, errors.New("a null value has no fields for the key; bind the transform to a negated RecordIsTombstone")
	}
	if r.value.schema() == nil {
		m, err := r.value.mapOf("copying fields from value to key")
		if err != nil {
			return false, err
		}
		key := make(map[string]any, len(t.fields))
		for _, name := range t.fields {
			key[name] = m[name]
		}
		r.set(&r.key, nil, key)
		return true, nil
	}
	p, err := t.plans.get(r.value.schema(), t.compile)
	if err != nil {
		return false, err
	}
	return true, p.apply(r, &r.value, &r.key)
}

func (t *valueToKey) compile(s *data.Schema) (*rewrite, error) {
	if err := requireStruct(s, "copying fields from value to key"); err != nil {
		return nil, err
	}
	var cols []column
	for _, name := range t.fields {
		f, ok := s.Field(name)
		if !ok {
			return nil, fmt.Errorf("Field does not exist: %s", name)
		}
		cols = append(cols, keepColumn(f))
	}
	return compileRewrite(s, data.NewStructBuilder(), cols, t.withDefaults)
}
