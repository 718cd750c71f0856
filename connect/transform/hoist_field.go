package transform

import (
	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
)

var hoistFieldDef = configdef.Def{
	{Name: "field", Type: configdef.String, Required: true, Importance: configdef.Medium,
		Rules: []configdef.Rule{configdef.NonEmpty()}, Doc: "Name of the field that the value becomes."},
}

// hoistField is Kafka's HoistField: wraps the value in a struct or map of one
// field.
type hoistField struct {
	side  Side
	field string
	plans perSchema[*data.Schema]
}

func newHoistField(s settings, c configdef.Config) (Transform, error) {
	return &hoistField{side: s.side, field: c.String("field")}, nil
}

// Apply wraps nulls too.
func (t *hoistField) Apply(r *Record) (bool, error) {
	c := r.side(t.side)
	s := c.schema()
	if s == nil {
		v, err := c.get()
		if err == nil {
			r.set(c, nil, map[string]any{t.field: v})
		}
		return true, err
	}
	out, err := t.plans.get(s, func(s *data.Schema) (*data.Schema, error) {
		return data.NewStructBuilder().Field(t.field, s).Build()
	})
	if err != nil {
		return false, err
	}
	if !c.replaced && !c.isNull() {
		// The row of a struct with one field is the row of that field.
		d := c.datum
		d.Schema = out
		r.setDatum(c, d)
		return true, nil
	}
	v, err := c.get()
	if err != nil {
		return false, err
	}
	wrapped := data.NewStruct(out)
	if err := wrapped.PutAt(0, v); err != nil {
		return false, err
	}
	r.set(c, out, wrapped)
	return true, nil
}
