package data

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ParseAvro returns the Connect schema that Confluent's AvroConverter makes of
// an Avro schema text under the options: unions other than with null become a
// Struct named UnionName with a field per branch, enums strings, arrays of map
// entries maps. A default that does not fit its type is dropped, as there.
// Schemas that are recursive, or just null, are refused.
func ParseAvro(text string, o AvroOptions) (*Schema, error) {
	n, err := ParseAvroNode(text)
	if err != nil {
		return nil, err
	}
	return n.Connect(o)
}

// Connect is ParseAvro for a schema that is parsed already.
func (n *AvroNode) Connect(o AvroOptions) (*Schema, error) {
	c := connector{o: o, memo: make(map[memoKey]*Schema)}
	s, err := c.schema(n, place{top: true})
	if err != nil {
		return nil, fmt.Errorf("connect schema of avro %s: %w", n.kind, err)
	}
	return s, nil
}

// connector turns one Avro tree into a Connect schema.
type connector struct {
	o    AvroOptions
	memo map[memoKey]*Schema // of types without a field's default or doc
}

type memoKey struct {
	n        *AvroNode
	optional bool
}

// place is what the place of a type in the tree adds to it.
type place struct {
	optional bool
	def      []byte  // the field's default, nil without one
	doc      *string // the field's doc
	top      bool
}

func (c *connector) schema(n *AvroNode, at place) (*Schema, error) {
	plain := at.def == nil && at.doc == nil && !at.top
	if s := c.memo[memoKey{n, at.optional}]; s != nil && plain {
		return s, nil
	}
	if n.kind == AvroUnion {
		if inner, optional := c.unwrap(n); inner != nil {
			return c.schema(inner, place{optional: at.optional || optional, doc: at.doc})
		}
	}
	b, err := c.builder(n)
	if err != nil {
		return nil, err
	}
	if err := c.annotate(b, n, at); err != nil {
		return nil, err
	}
	if at.optional && !b.s.optional {
		b.Optional()
	}
	s, err := b.Build()
	if err == nil && plain {
		c.memo[memoKey{n, at.optional}] = s
	}
	return s, err
}

// unwrap returns the one type of a union with null or of one branch, nil for
// other unions.
func (c *connector) unwrap(n *AvroNode) (inner *AvroNode, optional bool) {
	switch {
	case len(n.branches) == 1 && !c.o.KeepSingletonUnions:
		return n.branches[0], false
	case len(n.branches) != 2:
		return nil, false
	case n.branches[0].kind == AvroNull:
		return n.branches[1], true
	case n.branches[1].kind == AvroNull:
		return n.branches[0], true
	}
	return nil, false
}

// builder starts a schema with what the Avro type alone says.
func (c *connector) builder(n *AvroNode) (*Builder, error) {
	logical, _ := n.textProp("logicalType")
	switch n.kind {
	case AvroBoolean:
		return NewBuilder(TypeBoolean), nil
	case AvroInt:
		return intBuilder(n, logical)
	case AvroLong:
		if logical == "timestamp-millis" {
			return TimestampBuilder(), nil
		}
		return NewBuilder(TypeInt64), nil
	case AvroFloat:
		return NewBuilder(TypeFloat32), nil
	case AvroDouble:
		return NewBuilder(TypeFloat64), nil
	case AvroString:
		return NewBuilder(TypeString), nil
	case AvroBytes, AvroFixed:
		return bytesBuilder(n, logical)
	case AvroEnum:
		return c.enum(n), nil
	case AvroArray:
		return c.array(n)
	case AvroMap:
		v, err := c.schema(n.items, place{})
		if err != nil {
			return nil, err
		}
		return MapOf(StringSchema, v), nil
	case AvroRecord:
		return c.record(n)
	case AvroUnion:
		return c.union(n)
	}
	return nil, schemaErrorf("a lone null has no Connect type")
}

func (n *AvroNode) textProp(key string) (string, bool) {
	raw, ok := n.prop(key)
	if !ok {
		return "", false
	}
	text, err := stringOf(raw)
	return text, err == nil
}

// intProp returns an integer property. ok is false when it is absent.
func (n *AvroNode) intProp(key string) (v int32, ok bool, err error) {
	raw, ok := n.prop(key)
	if !ok {
		return 0, false, nil
	}
	i, err := strconv.ParseInt(string(raw), 10, 32)
	if err != nil {
		return 0, true, schemaErrorf("%s is %.20s: must be an integer", key, raw)
	}
	return int32(i), true, nil
}

func intBuilder(n *AvroNode, logical string) (*Builder, error) {
	typ, annotated := n.textProp("connect.type")
	switch {
	case logical == "date":
		return DateBuilder(), nil
	case logical == "time-millis":
		return TimeBuilder(), nil
	case logical != "" || !annotated:
		return NewBuilder(TypeInt32), nil
	case typ == "int8":
		return NewBuilder(TypeInt8), nil
	case typ == "int16":
		return NewBuilder(TypeInt16), nil
	}
	return nil, schemaErrorf("connect.type %q of an int", typ)
}

func bytesBuilder(n *AvroNode, logical string) (*Builder, error) {
	b := NewBuilder(TypeBytes)
	if logical == "decimal" {
		scale, _, err := n.intProp("scale")
		if err != nil {
			return nil, err
		}
		b = DecimalBuilder(scale)
		precision, ok, err := n.intProp("precision")
		if err != nil {
			return nil, err
		}
		if ok && precision != defaultPrecision {
			b.Param(PrecisionParam, strconv.Itoa(int(precision)))
		}
	}
	if n.kind == AvroFixed {
		b.Param(FixedSizeParam, strconv.Itoa(n.size))
	}
	return b, nil
}

func (c *connector) enum(n *AvroNode) *Builder {
	b := NewBuilder(TypeString)
	if !c.o.NoConnectMeta {
		if n.doc != nil {
			key := enumDocPrefix + n.name
			if c.o.DiscardTypeDocDefault {
				key = connectEnumDoc
			}
			b.Param(key, *n.doc)
		}
		if n.symDef != nil && !c.o.DiscardTypeDocDefault {
			b.Param(enumDefPrefix+n.name, *n.symDef)
		}
	}
	b.Param(enumParam, n.FullName())
	for _, s := range n.symbols {
		b.Param(enumParam+"."+s, s)
	}
	return b
}

func (c *connector) array(n *AvroNode) (*Builder, error) {
	e := n.items
	if e.isMapEntry() {
		if len(e.fields) != 2 || e.fields[0].name != "key" || e.fields[1].name != "value" {
			return nil, schemaErrorf("map entry %s must have the fields key and value, in this order", e.FullName())
		}
		key, err := c.schema(e.fields[0].typ, place{})
		if err != nil {
			return nil, under("key", err)
		}
		value, err := c.schema(e.fields[1].typ, place{})
		if err != nil {
			return nil, under("value", err)
		}
		return MapOf(key, value), nil
	}
	elem, err := c.schema(e, place{})
	if err != nil {
		return nil, err
	}
	return ArrayOf(elem), nil
}

func (n *AvroNode) isMapEntry() bool {
	if n.kind != AvroRecord {
		return false
	}
	internal, _ := n.textProp("connect.internal.type")
	return internal == mapEntryName || n.namespace == avroNamespace && n.name == mapEntryName
}

func (c *connector) record(n *AvroNode) (*Builder, error) {
	b := NewStructBuilder()
	texts := !c.o.DiscardTypeDocDefault && !c.o.NoConnectMeta
	if texts && n.doc != nil {
		b.Param(recordDocParam, *n.doc)
	}
	for _, f := range n.fields {
		if texts && f.doc != nil {
			b.Param(fieldDocPrefix+f.name, *f.doc)
		}
		at := place{def: f.def}
		if c.o.DiscardTypeDocDefault {
			at.doc = f.doc
		}
		s, err := c.schema(f.typ, at)
		if err == nil && !c.o.NoConnectMeta {
			s, err = overrideParams(s, f)
		}
		if err != nil {
			return nil, under(f.name, err)
		}
		b.Field(f.name, s)
	}
	return b, nil
}

// overrideParams applies the parameters that stand at a field because its type
// is only named there.
func overrideParams(s *Schema, f avroField) (*Schema, error) {
	i := slices.IndexFunc(f.props, func(p avroProp) bool { return p.key == "connect.parameters" })
	if i < 0 || f.props[i].value[0] != '{' {
		return s, nil
	}
	params, err := parseParams(f.props[i].value)
	if err != nil {
		return nil, err
	}
	changed := slices.ContainsFunc(params, func(p Param) bool {
		v, ok := s.Param(p.Key)
		return !ok || v != p.Value
	})
	if !changed {
		return s, nil
	}
	b := CopyBasics(s).Params(params...)
	for _, g := range s.fields {
		b.Field(g.Name, g.Schema)
	}
	if s.optional {
		b.Optional()
	}
	if s.hasDef {
		b.Default(s.def)
	}
	return b.Build()
}

func (c *connector) union(n *AvroNode) (*Builder, error) {
	b := NewStructBuilder().Name(UnionName)
	for _, branch := range n.branches {
		if branch.kind == AvroNull {
			b.Optional()
			continue
		}
		s, err := c.schema(branch, place{optional: true})
		if err != nil {
			return nil, err
		}
		b.Field(c.branchName(branch), s) // the Builder refuses two of a name
	}
	return b, nil
}

// branchName is the field that stands for a branch.
func (c *connector) branchName(n *AvroNode) string {
	switch {
	case !n.kind.named():
		return n.kind.String()
	case c.o.Enhanced:
		return n.FullName()
	case c.o.ScrubInvalidNames:
		return scrub(n.name)
	default:
		return n.name
	}
}

// annotate adds doc, version, parameters, default and name.
func (c *connector) annotate(b *Builder, n *AvroNode, at place) error {
	c.doc(b, n, at)
	version, ok, err := n.intProp("connect.version")
	if err != nil {
		return err
	}
	if !ok && at.top && c.o.VersionKnown {
		version, ok = c.o.Version, true
	}
	switch {
	case !ok || version < 0:
	case !b.s.hasVer:
		b.Version(version)
	case b.s.version != version:
		return schemaErrorf("version %d of the source schema differs from %s's own %d", version, b.s.name, b.s.version)
	}
	if raw, ok := n.prop("connect.parameters"); ok && !c.o.NoConnectMeta {
		params, err := parseParams(raw)
		if err != nil {
			return err
		}
		b.Params(params...)
	}
	for _, p := range n.props {
		if strings.HasPrefix(p.key, "avro") {
			b.Param(p.key, propText(p.value))
		}
	}
	c.setDefault(b, n, at)
	return c.name(b, n)
}

func (c *connector) doc(b *Builder, n *AvroNode, at place) {
	doc, ok := n.textProp("connect.doc")
	switch {
	case !c.o.DiscardTypeDocDefault:
		if ok && !c.o.NoConnectMeta {
			b.Doc(doc)
		}
		return
	case at.doc != nil:
		b.Doc(*at.doc)
	case n.doc != nil:
		b.Doc(*n.doc)
	case ok:
		b.Doc(doc)
	}
	if n.doc != nil && !c.o.NoConnectMeta {
		b.Param(connectRecordDoc, *n.doc)
	}
}

func parseParams(raw []byte) ([]Param, error) {
	s := scanner{b: raw}
	var out []Param
	for _, m := range s.members() {
		v, err := stringOf(m.value)
		if err != nil {
			return nil, schemaErrorf("connect.parameters: %q is not a string", m.key)
		}
		out = append(out, Param{m.key, v})
	}
	if s.err != nil {
		return nil, schemaErrorf("connect.parameters is not an object")
	}
	return out, nil
}

// propText is a property as text: a string's content, other JSON as it is.
func propText(raw []byte) string {
	if text, err := stringOf(raw); err == nil {
		return text
	}
	return string(raw)
}

// setDefault takes the field's default, or else connect.default.
func (c *connector) setDefault(b *Builder, n *AvroNode, at place) {
	raw, annotated := n.prop("connect.default")
	if at.def != nil {
		raw = at.def
		if !annotated && !c.o.DiscardTypeDocDefault && !c.o.NoConnectMeta {
			b.Param(fieldDefaultFlag, "true")
		}
	}
	if raw == nil || b.err != nil {
		return
	}
	v, err := avroDefault(&b.s, n, raw)
	if err != nil || v == nil {
		return // an invalid default is no default
	}
	if b.Default(v); b.err != nil {
		b.err = nil
	}
}

func (c *connector) name(b *Builder, n *AvroNode) error {
	name, ok := "", false
	if raw, has := n.prop("connect.name"); has {
		var err error
		if name, err = stringOf(raw); err != nil {
			return schemaErrorf("connect.name is not a string")
		}
		ok = true
	} else if n.kind == AvroRecord || n.kind == AvroEnum || n.kind == AvroFixed && b.s.name != DecimalName {
		name, ok = n.FullName(), true
	}
	switch {
	case !ok || strings.HasPrefix(name, defaultFullName):
	case b.s.name == "":
		b.Name(name)
	case b.s.name != name:
		return schemaErrorf("name %q of the source schema differs from %q", name, b.s.name)
	}
	return nil
}
