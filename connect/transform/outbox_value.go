package transform

import (
	"fmt"
	"strings"

	"github.com/millrace/millrace/plugins/data"
)

// enveloped is a column beside the payload.
type enveloped struct {
	name   string
	schema *data.Schema
	value  any
}

// value puts the payload, alone or with other columns, and those that go
// elsewhere.
func (t *outbox) value(r *Record, row *data.Struct, route string, payload any, s *data.Schema) error {
	var beside []enveloped
	for _, p := range t.placements {
		v, columnSchema, err := columnOf(row, p.column)
		switch {
		case err != nil && t.mayMiss:
			continue
		case err != nil:
			return err
		case p.where == "envelope":
			beside = append(beside, enveloped{p.alias, columnSchema, v})
		case p.where == "header":
			err = r.addHeader(p.alias, columnSchema, v)
		default:
			err = place32(r, p.column, v)
		}
		if err != nil {
			return err
		}
	}
	version, err := t.versionOf(row)
	if err != nil {
		return err
	}
	if t.tombstones && emptyPayload(payload) {
		r.setDatum(&r.value, data.Datum{})
		return nil
	}
	if len(beside) == 0 {
		return t.bare(r, payload, s, version)
	}
	return t.wrapped(r, row.Schema(), route, append([]enveloped{{"payload", s, payload}}, beside...), version)
}

// place32 sets the partition.
func place32(r *Record, column string, v any) error {
	n, ok := v.(int32)
	if !ok || n < 0 {
		return fmt.Errorf("column %q is %s, not a partition number of type int32", column, kindOf(v))
	}
	r.Partition = n
	return nil
}

func emptyPayload(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return strings.TrimSpace(v) == ""
	case []byte:
		return len(v) == 0
	}
	return false
}

// versionOf reads the column of the schema's version, -1 for none.
func (t *outbox) versionOf(row *data.Struct) (int32, error) {
	if t.version == "" {
		return -1, nil
	}
	v, _, err := columnOf(row, t.version)
	if err != nil {
		return -1, err
	}
	n, ok := v.(int32)
	if !ok {
		return -1, fmt.Errorf("column %q is %s, not a version of type int32", t.version, kindOf(v))
	}
	return n, nil
}

// bare makes the payload the value, with its column's schema.
func (t *outbox) bare(r *Record, payload any, s *data.Schema, version int32) error {
	if version >= 0 {
		var err error
		s, err = t.envelopes.get(outboxSchema{payload: s.Hash(), version: version}, func() (*data.Schema, error) {
			return renamed(s, "", &version)
		})
		if err != nil {
			return err
		}
	}
	r.set(&r.value, s, payload)
	return nil
}

// wrapped makes the value a struct of the payload and further columns.
func (t *outbox) wrapped(r *Record, row *data.Schema, route string, fields []enveloped, version int32) error {
	s, err := t.envelopes.get(outboxSchema{row.Hash(), fields[0].schema.Hash(), route, version}, func() (*data.Schema, error) {
		b := data.NewStructBuilder()
		if name := row.Name(); name != "" {
			i := strings.LastIndexByte(name, '.') + 1
			b.Name(name[:i] + route + "." + name[i:])
		}
		if version >= 0 {
			b.Version(version)
		}
		for _, f := range fields {
			b.Field(f.name, f.schema)
		}
		return b.Build()
	})
	if err != nil {
		return err
	}
	out := data.NewStruct(s)
	for i, f := range fields {
		if err := put(out, i, f.value); err != nil {
			return err
		}
	}
	r.set(&r.value, s, out)
	return nil
}
