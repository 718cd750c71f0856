package jdbc

import (
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/plugins/data"
)

// plan says which columns records of some schemas have. Those of the key come
// first.
type plan struct {
	columns []column
	keys    int
	// By field of the key's and of the value's struct, up to the last that
	// counts, the column that it goes to, or -1.
	fromKey, fromValue []int
}

// column is a column of records.
type column struct {
	name   string
	schema *data.Schema
	origin origin
	field  int // in the struct that origin names
	header string
	form   textForm
	stamp  time.Duration // what a field that is written as a timestamp counts, 0 for others
	preset cell          // what a null becomes
}

// meant is what a value of the column means.
func (c *column) meant(v any) any {
	if c.stamp != 0 && v != nil {
		return epoch{v, c.stamp}
	}
	return v
}

// origin is where a column's value comes from.
type origin int

const (
	fromValue origin = iota
	fromKeyField
	fromKey
	fromHeader
	fromTopic
	fromPartition
	fromOffset
)

// planKey identifies what a plan is for. Schemas are compared by content.
type planKey struct {
	topic      string
	key, value data.Hash
	delete     bool
}

// maxPlans bounds the plans that are kept.
const maxPlans = 1000

// source is what the last plan was for, told by identity.
type source struct {
	topic, original string
	key, value      *data.Schema
	remove          bool
}

func (rd *reader) plan(r *data.Record, remove bool, value *data.Schema) (*plan, error) {
	of := source{r.Topic, r.OriginalTopic, r.Key.Schema, value, remove}
	if rd.last.plan != nil && rd.last.of == of {
		return rd.last.plan, nil
	}
	k := planKey{topic: r.OriginalTopic, key: rd.form(r.Key.Schema).hash, value: rd.form(value).hash, delete: remove}
	p := rd.plans[k]
	headers := rd.cfg.key == "record_header" // which have schemas of their own
	if p == nil || headers {
		var err error
		if p, err = rd.makePlan(r, remove, value); err != nil {
			return nil, err
		}
		if len(rd.plans) >= maxPlans {
			clear(rd.plans)
		}
		rd.plans[k] = p
	}
	if !headers {
		rd.last.of, rd.last.plan = of, p
	}
	return p, nil
}

func (rd *reader) makePlan(r *data.Record, remove bool, value *data.Schema) (*plan, error) {
	p := &plan{}
	if err := rd.keyColumns(p, r, value); err != nil {
		return nil, err
	}
	p.keys = len(p.columns)
	if !remove {
		rd.valueColumns(p, r.Topic, value)
	}
	if len(p.columns) == 0 {
		return nil, bad("the record has no field to write: check the lists of fields")
	}
	for i := range p.columns {
		c := &p.columns[i]
		c.form, c.preset = formOf(c.schema), cell{null: true}
		if t := c.schema.Type(); c.origin == fromValue && c.schema.Name() == "" && (t == data.TypeInt64 || t == data.TypeString) {
			if c.stamp = rd.cfg.stamps[value.Fields()[c.field].Name]; c.stamp != 0 {
				c.form = boxed
			}
		}
		if v, ok := c.schema.Default(); ok && rd.cfg.defaults && v != nil {
			c.preset = cell{value: c.meant(v)}
		}
		switch c.origin {
		case fromKeyField:
			p.fromKey = place(p.fromKey, c.field, i)
		case fromValue:
			p.fromValue = place(p.fromValue, c.field, i)
		}
	}
	return p, nil
}

// place says that a field goes to a column.
func place(at []int, field, column int) []int {
	for len(at) <= field {
		at = append(at, -1)
	}
	at[field] = column
	return at
}

func (rd *reader) keyColumns(p *plan, r *data.Record, value *data.Schema) error {
	fields := rd.cfg.fields
	add := func(name string, s *data.Schema, o origin, field int) {
		p.columns = append(p.columns, column{name: rd.cfg.column(name), schema: s, origin: o, field: field, header: name})
	}
	switch rd.cfg.key {
	case "kafka":
		add(fields[0], data.StringSchema, fromTopic, 0)
		add(fields[1], data.Int32Schema, fromPartition, 0)
		add(fields[2], data.Int64Schema, fromOffset, 0)
	case "record_key":
		if r.Key.Schema.Type() != data.TypeStruct {
			if len(fields) != 1 {
				return bad("the key is a single value of type %s: name its one column in pk.fields (primary.key.fields)", r.Key.Schema.Type())
			}
			add(fields[0], r.Key.Schema, fromKey, 0)
			return nil
		}
		return structKey(r.Key.Schema, fields, "key", fromKeyField, add)
	case "record_value":
		return structKey(value, fields, "value", fromValue, add)
	case "record_header":
		for _, f := range fields {
			for i := range r.Headers {
				if r.Headers[i].Name == f && r.Headers[i].Value.Schema != nil {
					add(f, r.Headers[i].Value.Schema, fromHeader, 0)
					break
				}
			}
		}
		if len(p.columns) != len(fields) {
			return bad("of the headers %s that are the key, the record lacks one, or one has no schema", strings.Join(fields, ", "))
		}
	}
	return nil
}

func structKey(s *data.Schema, fields []string, what string, o origin, add func(string, *data.Schema, origin, int)) error {
	if len(fields) == 0 {
		for _, f := range s.Fields() {
			add(f.Name, f.Schema, o, f.Index)
		}
	}
	for i, name := range fields {
		f, ok := s.Field(name)
		if !ok {
			return bad("the record's %s has no field %s, which is to be a key column", what, name)
		}
		if slices.Contains(fields[:i], name) {
			return bad("the key columns name %s twice", name)
		}
		add(f.Name, f.Schema, o, f.Index)
	}
	return nil
}

func (rd *reader) valueColumns(p *plan, topic string, s *data.Schema) {
	taken := map[string]bool{}
	for _, c := range p.columns {
		taken[c.name] = true
	}
	for _, f := range s.Fields() {
		name := rd.cfg.column(f.Name)
		if taken[name] || !rd.cfg.takes(topic, f.Name) {
			continue
		}
		taken[name] = true
		p.columns = append(p.columns, column{name: name, schema: f.Schema, origin: fromValue, field: f.Index})
	}
}
