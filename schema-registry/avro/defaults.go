package avro

import (
	"fmt"
	"strconv"

	"github.com/millrace/millrace/schema-registry/jsontext"
)

// checkDefaults holds every field's default against its type, by Avro's own
// rules: a union's may fit any branch, bytes, fixed and enum want a string.
func checkDefaults(records []*located) error {
	c := defaultCheck{missing: map[*field]verdict{}}
	for _, r := range records {
		for i, f := range r.fields {
			if f.def == nil || c.fits(f.typ, f.def) {
				continue
			}
			return &Error{
				Reason: fmt.Sprintf("invalid default for field %s: %s is not of type %s", f.name, clip(jsontext.Append(nil, f.def, false)), f.typ.kind),
				Path:   joinPath(r.path, "fields", strconv.Itoa(i), "default"), Offset: f.def.End,
			}
		}
	}
	return nil
}

func clip(b []byte) string {
	if len(b) > 100 {
		return string(b[:100]) + "..."
	}
	return string(b)
}

func joinPath(path string, steps ...string) string {
	for _, s := range steps {
		if path != "/" {
			path += "/"
		}
		path += s
	}
	return path
}

type verdict uint8

const (
	inProgress verdict = iota + 1
	good
	bad
)

// defaultCheck remembers what it found of the fields that a record's default
// leaves to their own: those may refer to each other.
type defaultCheck struct{ missing map[*field]verdict }

func (c *defaultCheck) fits(t *node, v *jsontext.Value) bool {
	switch t.kind {
	case kindNull:
		return v.Kind == jsontext.Null
	case kindBoolean:
		return v.Kind == jsontext.True || v.Kind == jsontext.False
	case kindInt:
		return isInteger(v, 32)
	case kindLong:
		return isInteger(v, 64)
	case kindFloat, kindDouble:
		return v.Kind == jsontext.Number
	case kindBytes, kindString, kindEnum, kindFixed:
		return v.Kind == jsontext.String
	case kindArray:
		return v.Kind == jsontext.Array && c.all(t.items, v.Items)
	case kindMap:
		if v.Kind != jsontext.Object {
			return false
		}
		for i := range v.Members {
			if !c.fits(t.items, &v.Members[i].Value) {
				return false
			}
		}
		return true
	case kindUnion:
		for _, b := range t.branches {
			if c.fits(b, v) {
				return true
			}
		}
		return false
	}
	return v.Kind == jsontext.Object && c.recordFits(t, v)
}

func (c *defaultCheck) all(t *node, items []jsontext.Value) bool {
	for i := range items {
		if !c.fits(t, &items[i]) {
			return false
		}
	}
	return true
}

func (c *defaultCheck) recordFits(t *node, v *jsontext.Value) bool {
	for _, f := range t.fields {
		if m, ok := v.Member(f.name); ok {
			if !c.fits(f.typ, m) {
				return false
			}
		} else if !c.own(f) {
			return false
		}
	}
	return true
}

// own reports whether a field can be filled with its own default. One that
// needs itself to be filled cannot.
func (c *defaultCheck) own(f *field) bool {
	if c.missing[f] != 0 {
		return c.missing[f] == good
	}
	c.missing[f] = inProgress
	if f.def != nil && c.fits(f.typ, f.def) {
		c.missing[f] = good
	} else {
		c.missing[f] = bad
	}
	return c.missing[f] == good
}

func isInteger(v *jsontext.Value, bits int) bool {
	if v.Kind != jsontext.Number {
		return false
	}
	_, err := strconv.ParseInt(v.Text, 10, bits)
	return err == nil
}
