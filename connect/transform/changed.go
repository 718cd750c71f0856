package transform

import (
	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
)

var changedDef = configdef.Def{
	{Name: "header.changed.name", Type: configdef.String, Importance: configdef.Medium, Doc: "Header for the names of the columns that the change touched."},
	{Name: "header.unchanged.name", Type: configdef.String, Importance: configdef.Medium, Doc: "Header for the names of the others."},
}

// changed is Debezium's ExtractChangedRecordState: lists in headers which
// columns a change touched. It needs the whole row before the change
// (REPLICA IDENTITY FULL).
type changed struct{ changed, unchanged string }

func newChanged(_ settings, c configdef.Config) (Transform, error) {
	return changed{c.String("header.changed.name"), c.String("header.unchanged.name")}, nil
}

// Apply never drops a record. The headers are empty for what is no update.
func (t changed) Apply(r *Record) (bool, error) {
	if r.value.isNull() || !isEnvelope(r.value.schema()) || t.changed == "" && t.unchanged == "" {
		return true, nil
	}
	env, err := r.value.structOf("change events")
	if err != nil {
		return false, err
	}
	touched, rest := []any{}, []any{}
	before, after := structField(env, "before"), structField(env, "after")
	if before != nil && after != nil {
		for i, f := range after.Schema().Fields() {
			old, err := before.GetWithoutDefault(f.Name)
			if err == nil && data.EqualValues(old, after.AtWithoutDefault(i)) {
				rest = append(rest, f.Name)
			} else {
				touched = append(touched, f.Name)
			}
		}
	}
	for _, h := range []struct {
		name string
		list []any
	}{{t.changed, touched}, {t.unchanged, rest}} {
		if h.name == "" {
			continue
		}
		s, err := data.ArrayOf(data.OptionalStringSchema).Name(h.name).Build()
		if err != nil {
			return false, err
		}
		if err := r.addHeader(h.name, s, h.list); err != nil {
			return false, err
		}
	}
	return true, nil
}
