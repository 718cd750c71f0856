package avro

import (
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/schema-registry/jsontext"
)

func (p *parser) record(v *jsontext.Value, n *node) *Error {
	fields, ok := v.Member("fields")
	if !ok || fields.Kind != jsontext.Array {
		return p.fail("record %s has no fields", n.name.full())
	}
	p.records = append(p.records, &located{n, "/" + strings.Join(p.path, "/")})
	n.index = make(map[string]*field, len(fields.Items))
	depth := len(p.path)
	for i := range fields.Items {
		p.path = append(p.path[:depth], "fields", strconv.Itoa(i))
		f, err := p.field(&fields.Items[i], n)
		if err != nil {
			return err
		}
		if _, twice := n.index[f.name]; twice {
			return p.fail("duplicate field %s in record %s", f.name, n.name.full())
		}
		n.index[f.name] = f
		n.fields = append(n.fields, f)
	}
	p.path = p.path[:depth]
	return nil
}

func (p *parser) field(v *jsontext.Value, rec *node) (*field, *Error) {
	p.at = v.End
	if v.Kind != jsontext.Object {
		return nil, p.fail("a field is an object with a name and a type")
	}
	f := &field{at: v.End, props: propsOf(v, fieldReserved)}
	var ok bool
	if f.name, ok = v.Str("name"); !ok || f.name == "" {
		return nil, p.fail("a field has no name")
	}
	if p.strict && !validName(f.name) {
		return nil, p.fail("illegal name: %q; names are letters, digits and _, and do not begin with a digit", f.name)
	}
	if doc, ok := v.Str("doc"); ok {
		f.doc = &doc
	}
	typ, ok := v.Member("type")
	if !ok {
		return nil, p.fail("field %s has no type", f.name)
	}
	var err *Error
	if f.typ, err = p.within(typ, rec.name.space, "type"); err != nil {
		return nil, err
	}
	if def, ok := v.Member("default"); ok {
		f.def = numberFromText(f.typ, def)
	}
	return f, p.fieldRest(v, f)
}

func (p *parser) fieldRest(v *jsontext.Value, f *field) *Error {
	if order, ok := v.Str("order"); ok {
		switch f.order = strings.ToLower(order); f.order {
		case "ascending":
			f.order = ""
		case "descending", "ignore":
		default:
			return p.fail("field %s: the order %q is none of ascending, descending and ignore", f.name, order)
		}
	}
	aliases, err := p.strings(v, "aliases")
	if err != nil {
		return err
	}
	for _, a := range aliases {
		if !slices.Contains(f.aliases, a) {
			f.aliases = append(f.aliases, a)
		}
	}
	return nil
}

// numberFromText turns the default "1.5" of a float or double into 1.5, as
// Avro's parser does.
func numberFromText(typ *node, def *jsontext.Value) *jsontext.Value {
	if typ.kind != kindFloat && typ.kind != kindDouble || def.Kind != jsontext.String {
		return def
	}
	f, err := strconv.ParseFloat(def.Text, 64)
	if err != nil || f-f != 0 { // infinite or not a number: JSON has no way to write it
		return def
	}
	return &jsontext.Value{Kind: jsontext.Number, Text: strconv.FormatFloat(f, 'g', -1, 64), End: def.End}
}
