package transform

import (
	"fmt"
	"strings"

	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
)

var extractFieldDef = configdef.Def{
	{Name: "field", Type: configdef.String, Required: true, Importance: configdef.Medium,
		Rules: []configdef.Rule{configdef.NonEmpty()}, Doc: "Field that becomes the value."},
	syntaxVersion,
	replaceNull,
}

// extractField is Kafka's ExtractField: a field becomes the value.
type extractField struct {
	side         Side
	path         fieldPath
	withDefaults bool
	plans        perSchema[*extraction]
}

// extraction is the way to the field in structs of one schema.
type extraction struct {
	schema *data.Schema // of the field
	index  []int        // of each step
	null   []bool       // the step may be null
	copy   copying
	reader *data.RowReader
	writer *data.RowWriter
}

func newExtractField(s settings, c configdef.Config) (Transform, error) {
	path, err := parseFieldPath(c.String("field"), c.String(syntaxVersion.Name))
	return &extractField{side: s.side, path: path, withDefaults: c.Bool(replaceNull.Name)}, err
}

// Apply never drops a record.
func (t *extractField) Apply(r *Record) (bool, error) {
	c := r.side(t.side)
	if c.schema() == nil {
		if c.isNull() {
			return true, nil
		}
		m, err := c.mapOf("field extraction")
		if err == nil {
			r.set(c, nil, t.path.inMap(m))
		}
		return true, err
	}
	p, err := t.plans.get(c.schema(), t.compile)
	if err != nil {
		return false, err
	}
	switch {
	case c.isNull():
		r.setDatum(c, nullOf(p.schema))
		return true, nil
	case c.replaced || t.withDefaults && c.datum.NullDefault:
		v, err := c.structOf("field extraction")
		if err == nil {
			r.set(c, p.schema, t.path.in(v, t.withDefaults))
		}
		return true, err
	}
	return true, p.applyRow(r, c)
}

func (t *extractField) compile(s *data.Schema) (*extraction, error) {
	if err := requireStruct(s, "field extraction"); err != nil {
		return nil, err
	}
	p := &extraction{schema: s, reader: data.NewRowReader(s)}
	for _, name := range t.path {
		f, ok := p.schema.Field(name)
		if !ok {
			return nil, fmt.Errorf("Unknown field: %s", strings.Join(t.path, "."))
		}
		p.index = append(p.index, f.Index)
		p.null = append(p.null, f.Schema.Optional() || p.schema.Name() == data.UnionName)
		p.schema = f.Schema
	}
	p.copy = copyingOf(p.schema)
	p.copy.null = false // a null is found before
	p.writer = data.NewRowWriter(p.schema)
	return p, nil
}

func (p *extraction) applyRow(r *Record, c *cell) error {
	in := p.reader
	in.Reset(c.datum.Row)
	for k, at := range p.index {
		in.EnterStruct()
		for range at {
			in.Skip()
		}
		if p.null[k] && in.Null() {
			if err := in.Err(); err != nil {
				return err
			}
			r.setDatum(c, nullOf(p.schema))
			return nil
		}
	}
	p.writer.Reset(r.mem.free())
	p.copy.copy(in, p.writer)
	for range p.index {
		in.Leave()
	}
	d, err := r.finish(in, p.writer)
	if err == nil {
		r.setDatum(c, d)
	}
	return err
}
