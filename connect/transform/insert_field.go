package transform

import (
	"errors"
	"maps"
	"strings"

	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
)

var insertFieldDef = configdef.Def{
	{Name: "topic.field", Type: configdef.String, Importance: configdef.Medium,
		Doc: "Field for the topic. A ! at the end makes the field required, a ? optional, which is the default."},
	{Name: "partition.field", Type: configdef.String, Importance: configdef.Medium, Doc: "Field for the partition, likewise."},
	{Name: "offset.field", Type: configdef.String, Importance: configdef.Medium, Doc: "Field for the offset, likewise. Sinks only."},
	{Name: "timestamp.field", Type: configdef.String, Importance: configdef.Medium, Doc: "Field for the timestamp, likewise."},
	{Name: "static.field", Type: configdef.String, Importance: configdef.Medium, Doc: "Field for a fixed text, likewise."},
	{Name: "static.value", Type: configdef.String, Importance: configdef.Medium, Doc: "The text of static.field."},
	replaceNull,
}

// insertField is Kafka's InsertField: adds what is known of the record as
// fields.
type insertField struct {
	side         Side
	fields       []column
	withDefaults bool
	plans        perSchema[*rewrite]
}

func newInsertField(s settings, c configdef.Config) (Transform, error) {
	t := &insertField{side: s.side, withDefaults: c.Bool(replaceNull.Name)}
	if s.Kind == Source && c.String("offset.field") != "" {
		return nil, errors.New("offset.field is for sink connectors: the records of a source have no offset yet")
	}
	static := c.String("static.value")
	if c.String("static.field") != "" && c.IsNull("static.value") {
		return nil, errors.New("static.field needs static.value")
	}
	t.add(c.String("topic.field"), data.StringSchema,
		func(r *Record) any { return r.Topic }, func(r *Record, w *data.RowWriter) { w.Text(r.Topic) })
	t.add(c.String("partition.field"), data.Int32Schema, partitionOf, func(r *Record, w *data.RowWriter) {
		if r.Partition < 0 {
			w.Null()
		} else {
			w.Int32(r.Partition)
		}
	})
	t.add(c.String("offset.field"), data.Int64Schema,
		func(r *Record) any { return r.offset }, func(r *Record, w *data.RowWriter) { w.Int64(r.offset) })
	t.add(c.String("timestamp.field"), data.TimestampSchema, timestampOf, func(r *Record, w *data.RowWriter) {
		if r.Timestamp == data.NoTimestamp {
			w.Null()
		} else {
			w.Int64(r.Timestamp)
		}
	})
	boxed := any(static)
	t.add(c.String("static.field"), data.StringSchema,
		func(*Record) any { return boxed }, func(_ *Record, w *data.RowWriter) { w.Text(static) })
	if len(t.fields) == 0 {
		return nil, errors.New("No field insertion configured")
	}
	return t, nil
}

func partitionOf(r *Record) any {
	if r.Partition < 0 {
		return nil
	}
	return r.Partition
}

func timestampOf(r *Record) any {
	if r.Timestamp == data.NoTimestamp {
		return nil
	}
	return r.Timestamp
}

func (t *insertField) add(spec string, s *data.Schema, value func(*Record) any, write func(*Record, *data.RowWriter)) {
	if spec == "" {
		return
	}
	name := strings.TrimSuffix(spec, "!")
	if name == spec {
		name, s = strings.TrimSuffix(spec, "?"), data.AsOptional(s)
	}
	t.fields = append(t.fields, column{name: name, schema: s, from: added, value: value, write: write})
}

// Apply leaves nulls alone.
func (t *insertField) Apply(r *Record) (bool, error) {
	c := r.side(t.side)
	if c.isNull() {
		return true, nil
	}
	if c.schema() == nil {
		return true, t.applyMap(r, c)
	}
	p, err := t.plans.get(c.schema(), t.compile)
	if err != nil {
		return false, err
	}
	return true, p.apply(r, c, c)
}

func (t *insertField) compile(s *data.Schema) (*rewrite, error) {
	if err := requireStruct(s, "field insertion"); err != nil {
		return nil, err
	}
	var cols []column
	for _, f := range s.Fields() {
		cols = append(cols, keepColumn(f))
	}
	cols = append(cols, t.fields...)
	return compileRewrite(s, data.CopyBasics(s), cols, t.withDefaults)
}

func (t *insertField) applyMap(r *Record, c *cell) error {
	in, err := c.mapOf("field insertion")
	if err != nil {
		return err
	}
	out := maps.Clone(in)
	if out == nil {
		out = map[string]any{}
	}
	for _, f := range t.fields {
		if v := f.value(r); v != nil {
			out[f.name] = v
		}
	}
	r.set(c, nil, out)
	return nil
}
