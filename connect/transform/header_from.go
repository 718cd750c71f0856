package transform

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
)

var headerFromDef = configdef.Def{
	{Name: "fields", Type: configdef.List, Required: true, Importance: configdef.High,
		Rules: []configdef.Rule{configdef.NonEmpty()}, Doc: "Fields to make headers of."},
	{Name: "headers", Type: configdef.List, Required: true, Importance: configdef.High,
		Rules: []configdef.Rule{configdef.NonEmpty()}, Doc: "Names of the headers, one for each field."},
	{Name: "operation", Type: configdef.String, Required: true, Importance: configdef.High,
		Rules: []configdef.Rule{configdef.OneOf("move", "copy")}, Doc: "Whether the fields are removed."},
	replaceNull,
}

// headerFrom is Kafka's HeaderFrom: makes headers of fields.
type headerFrom struct {
	side            Side
	fields, headers []string
	move            bool
	withDefaults    bool
	plans           perSchema[*rewrite]
}

func newHeaderFrom(s settings, c configdef.Config) (Transform, error) {
	t := &headerFrom{side: s.side, fields: c.List("fields"), headers: c.List("headers"),
		move: c.String("operation") == "move", withDefaults: c.Bool(replaceNull.Name)}
	if len(t.fields) != len(t.headers) {
		return nil, fmt.Errorf("fields has %d names and headers %d: they must be as many", len(t.fields), len(t.headers))
	}
	return t, nil
}

// Apply never drops a record.
func (t *headerFrom) Apply(r *Record) (bool, error) {
	c := r.side(t.side)
	switch {
	case c.isNull():
		return false, errors.New("a null value has no fields to make headers of")
	case c.schema() == nil:
		return true, t.applyMap(r, c)
	}
	p, err := t.plans.get(c.schema(), t.compile)
	if err != nil {
		return false, err
	}
	in, err := c.structOf("header from")
	if err != nil {
		return false, err
	}
	for i, name := range t.fields {
		f, ok := in.Schema().Field(name)
		if !ok {
			return false, fmt.Errorf("field does not exist: %s", name)
		}
		if err := r.addHeader(t.headers[i], f.Schema, fieldOf(in, f.Index, t.withDefaults)); err != nil {
			return false, err
		}
	}
	if !t.move {
		return true, nil
	}
	return true, p.apply(r, c, c)
}

func (t *headerFrom) compile(s *data.Schema) (*rewrite, error) {
	if err := requireStruct(s, "header from"); err != nil {
		return nil, err
	}
	var cols []column
	for _, f := range s.Fields() {
		if !slices.Contains(t.fields, f.Name) {
			cols = append(cols, keepColumn(f))
		}
	}
	return compileRewrite(s, data.CopyBasics(s), cols, t.withDefaults)
}

func (t *headerFrom) applyMap(r *Record, c *cell) error {
	in, err := c.mapOf("header from")
	if err != nil {
		return err
	}
	out := maps.Clone(in)
	for i, name := range t.fields {
		if err := r.addHeader(t.headers[i], nil, in[name]); err != nil {
			return err
		}
		delete(out, name)
	}
	if t.move {
		r.set(c, nil, out)
	}
	return nil
}
