package data

import (
	"fmt"
	"strconv"
	"strings"
)

// AvroOptions are the settings of AvroConverter that shape schemas, under
// names whose zero value is the converter's default.
type AvroOptions struct {
	Enhanced              bool // enhanced.avro.schema.support
	NoConnectMeta         bool // connect.meta.data is false
	ScrubInvalidNames     bool // scrub.invalid.names
	DiscardTypeDocDefault bool // discard.type.doc.default
	AllowOptionalMapKeys  bool // allow.optional.map.keys
	KeepSingletonUnions   bool // flatten.singleton.unions is false
	Version               int32
	VersionKnown          bool // Version stands in for a missing connect.version of the top level
}

// The names by which AvroData marks what Avro has no place for.
const (
	avroNamespace    = "io.confluent.connect.avro"
	defaultName      = "ConnectDefault"
	defaultFullName  = avroNamespace + "." + defaultName
	mapEntryName     = "MapEntry"
	enumParam        = avroNamespace + ".Enum"
	recordDocParam   = avroNamespace + ".record.doc"
	fieldDocPrefix   = avroNamespace + ".field.doc."
	fieldDefaultFlag = avroNamespace + ".field.default"
	enumDocPrefix    = avroNamespace + ".enum.doc."
	enumDefPrefix    = avroNamespace + ".enum.default."
	connectRecordDoc = "connect.record.doc"
	connectEnumDoc   = "connect.enum.doc"
	defaultPrecision = 64
)

// AvroForm returns the Avro schema that Confluent's AvroConverter makes of a
// Connect schema under the options. With the zero options its wire form is the
// form of rows. Names are not checked; AvroSchema does that.
func AvroForm(s *Schema, o AvroOptions) (*AvroNode, error) {
	f := &former{o: o, memo: make(map[Hash]*AvroNode), seen: make(map[string]bool)}
	n, err := f.node(s)
	if err != nil {
		return nil, fmt.Errorf("avro form of schema %q: %w", s.name, err)
	}
	return n, nil
}

// former turns one Connect schema into an Avro tree.
type former struct {
	o       AvroOptions
	memo    map[Hash]*AvroNode // of required schemas: a second use is the same type
	unnamed int                // nameless types so far
	seen    map[string]bool    // names of field schemas so far
}

func (f *former) node(s *Schema) (*AvroNode, error) {
	if n := f.memo[s.hash]; n != nil {
		return n, nil
	}
	n, err := f.base(s)
	if err != nil {
		return nil, err
	}
	if null := nullBranch(s); null >= 0 && !isUnion(s) {
		u := &AvroNode{kind: AvroUnion, branches: []*AvroNode{n, n}}
		u.branches[null] = avroPrimitive(AvroNull)
		n = u
	}
	if err := n.measure(); err != nil {
		return nil, err
	}
	if !s.optional {
		f.memo[s.hash] = n
	}
	return n, nil
}

// base is the schema without its union with null, complete with properties.
func (f *former) base(s *Schema) (*AvroNode, error) {
	switch {
	case isUnion(s):
		return f.union(s)
	case s.typ == TypeStruct && s.optional:
		return f.node(AsRequired(s))
	}
	n, err := f.bare(s)
	if err != nil {
		return nil, err
	}
	f.annotate(n, s)
	return n, n.measure()
}

func (f *former) bare(s *Schema) (*AvroNode, error) {
	switch s.typ {
	case TypeInt8, TypeInt16, TypeInt32:
		return &AvroNode{kind: AvroInt}, nil
	case TypeInt64:
		return &AvroNode{kind: AvroLong}, nil
	case TypeFloat32:
		return &AvroNode{kind: AvroFloat}, nil
	case TypeFloat64:
		return &AvroNode{kind: AvroDouble}, nil
	case TypeBoolean:
		return &AvroNode{kind: AvroBoolean}, nil
	case TypeString:
		if enum, ok := s.Param(enumParam); ok && f.o.Enhanced {
			return f.enum(s, enum), nil
		}
		return &AvroNode{kind: AvroString}, nil
	case TypeBytes:
		return f.bytes(s)
	case TypeArray:
		items, err := f.node(s.value)
		return &AvroNode{kind: AvroArray, items: items}, err
	case TypeMap:
		return f.mapping(s)
	default:
		return f.record(s)
	}
}

// nameOf splits a schema's name into namespace and name, and makes one up for
// a nameless schema.
func (f *former) nameOf(s *Schema) (namespace, name string) {
	if s.name == "" {
		f.unnamed++
		if f.unnamed == 1 {
			return avroNamespace, defaultName
		}
		return avroNamespace, defaultName + strconv.Itoa(f.unnamed)
	}
	return f.split(s.name)
}

func (f *former) split(full string) (namespace, name string) {
	parts := strings.Split(full, ".")
	if f.o.ScrubInvalidNames {
		for i, p := range parts {
			parts[i] = scrub(p)
		}
	}
	last := len(parts) - 1
	return strings.Join(parts[:last], "."), parts[last]
}

func (f *former) enum(s *Schema, full string) *AvroNode {
	_, simple := f.nameOf(s)
	n := &AvroNode{kind: AvroEnum}
	n.namespace, n.name = splitFullName(full)
	for _, p := range s.params {
		if symbol, ok := strings.CutPrefix(p.Key, enumParam+"."); ok {
			n.symbols = append(n.symbols, symbol)
		}
	}
	if f.o.DiscardTypeDocDefault {
		n.doc = optionalParam(s, connectEnumDoc)
		return n
	}
	n.doc = optionalParam(s, enumDocPrefix+simple)
	n.symDef = optionalParam(s, enumDefPrefix+simple)
	return n
}

func optionalParam(s *Schema, key string) *string {
	if v, ok := s.Param(key); ok {
		return &v
	}
	return nil
}

func (f *former) bytes(s *Schema) (*AvroNode, error) {
	n := &AvroNode{kind: AvroBytes}
	if isFixed(s) {
		n.kind = AvroFixed
		n.namespace, n.name = f.nameOf(s)
		n.size, _ = fixedSize(s)
	}
	if s.name == DecimalName {
		scale, _ := decimalScale(s)
		precision, err := decimalPrecision(s)
		if err != nil {
			return nil, err
		}
		n.addProp("scale", strconv.AppendInt(nil, int64(scale), 10))
		n.addProp("precision", strconv.AppendInt(nil, int64(precision), 10))
	}
	return n, nil
}

func decimalPrecision(s *Schema) (int32, error) {
	text, ok := s.Param(PrecisionParam)
	if !ok {
		return defaultPrecision, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return 0, schemaErrorf("%s %q is not an integer", PrecisionParam, text)
	}
	return int32(n), nil
}

func (f *former) mapping(s *Schema) (*AvroNode, error) {
	if mapIsNative(s, f.o.AllowOptionalMapKeys) {
		values, err := f.node(s.value)
		return &AvroNode{kind: AvroMap, items: values}, err
	}
	entry := &AvroNode{kind: AvroRecord, namespace: avroNamespace, name: mapEntryName}
	if s.name != "" {
		entry.namespace, entry.name = f.split(s.name)
		entry.addProp("connect.internal.type", []byte(`"`+mapEntryName+`"`))
	}
	key, err := f.field("key", s.key, nil)
	if err != nil {
		return nil, err
	}
	value, err := f.field("value", s.value, nil)
	if err != nil {
		return nil, err
	}
	entry.fields = []avroField{key, value}
	return &AvroNode{kind: AvroArray, items: entry}, entry.measure()
}

func (f *former) union(s *Schema) (*AvroNode, error) {
	u := &AvroNode{kind: AvroUnion}
	if s.optional {
		u.branches = append(u.branches, avroPrimitive(AvroNull))
	}
	for _, field := range s.fields {
		b, err := f.node(AsRequired(field.Schema))
		if err != nil {
			return nil, under(field.Name, err)
		}
		u.branches = append(u.branches, b)
	}
	return u, nil
}

func (f *former) record(s *Schema) (*AvroNode, error) {
	n := &AvroNode{kind: AvroRecord}
	n.namespace, n.name = f.nameOf(s)
	n.doc = optionalParam(s, recordDocParam)
	if f.o.DiscardTypeDocDefault {
		n.doc = optionalParam(s, connectRecordDoc)
	}
	n.fields = make([]avroField, len(s.fields))
	for i, field := range s.fields {
		name := field.Name
		if f.o.ScrubInvalidNames {
			name = scrub(name)
		}
		doc := optionalParam(s, fieldDocPrefix+field.Name)
		var err error
		if n.fields[i], err = f.field(name, field.Schema, doc); err != nil {
			return nil, under(field.Name, err)
		}
	}
	return n, nil
}

func (f *former) field(name string, s *Schema, doc *string) (avroField, error) {
	known := false
	if s.name != "" {
		full := s.name
		if f.o.ScrubInvalidNames {
			namespace, simple := f.split(full)
			full = strings.TrimPrefix(namespace+"."+simple, ".")
		}
		known = f.seen[full]
		f.seen[full] = true
	}
	typ, err := f.node(s)
	if err != nil {
		return avroField{}, err
	}
	out := avroField{name: name, typ: typ, doc: doc, def: f.fieldDefault(s, typ)}
	if f.o.DiscardTypeDocDefault {
		out.doc = nil
		if s.hasDoc {
			out.doc = &s.doc
		}
	}
	// A type named before prints as its name, without its parameters: they go
	// to the field.
	if known && !f.o.NoConnectMeta && holdsNamed(typ) {
		if params := f.params(s); params != nil {
			out.props = []avroProp{{"connect.parameters", params}}
		}
	}
	return out, nil
}

func holdsNamed(n *AvroNode) bool {
	for _, b := range n.branches {
		if b.kind.named() {
			return true
		}
	}
	return n.kind.named()
}

func (n *AvroNode) addProp(key string, value []byte) {
	if _, ok := n.prop(key); !ok {
		n.props = append(n.props, avroProp{key, value})
	}
}

var logicalTypes = map[string]string{
	DecimalName: `"decimal"`, DateName: `"date"`, TimeName: `"time-millis"`, TimestampName: `"timestamp-millis"`,
}

// annotate adds the connect.* properties and the logical type, in the order
// that AvroData adds them.
func (f *former) annotate(n *AvroNode, s *Schema) {
	if !f.o.NoConnectMeta {
		if s.hasDoc {
			n.addProp("connect.doc", appendJSONString(nil, s.doc))
		}
		if s.hasVer {
			n.addProp("connect.version", strconv.AppendInt(nil, int64(s.version), 10))
		}
		if params := f.params(s); params != nil {
			n.addProp("connect.parameters", params)
		}
		_, flagged := s.Param(fieldDefaultFlag)
		if s.hasDef && (f.o.DiscardTypeDocDefault || !flagged) {
			n.addProp("connect.default", f.appendDefault(nil, s, s.def))
		}
		if s.name != "" {
			n.addProp("connect.name", appendJSONString(nil, s.name))
		}
		switch s.typ {
		case TypeInt8:
			n.addProp("connect.type", []byte(`"int8"`))
		case TypeInt16:
			n.addProp("connect.type", []byte(`"int16"`))
		}
	}
	if logical := logicalTypes[s.name]; logical != "" {
		n.addProp("logicalType", []byte(logical))
	}
	for _, p := range s.params {
		if strings.HasPrefix(p.Key, "avro") {
			n.addProp(p.Key, appendJSONString(nil, p.Value))
		}
	}
}

// params is connect.parameters, nil when there is none to write.
func (f *former) params(s *Schema) []byte {
	var out []byte
	for _, p := range s.params {
		if p.Key == fieldDefaultFlag && !f.o.DiscardTypeDocDefault {
			continue
		}
		out = append(out, ",{"[flag(out == nil)])
		out = append(appendJSONString(out, p.Key), ':')
		out = appendJSONString(out, p.Value)
	}
	if out == nil {
		return nil
	}
	return append(out, '}')
}

func splitFullName(full string) (namespace, name string) {
	if i := strings.LastIndexByte(full, '.'); i >= 0 {
		return full[:i], full[i+1:]
	}
	return "", full
}

// scrub makes a name valid for Avro as scrub.invalid.names does: form encoding
// in UTF-8, an x before a leading digit, and _ for what is still not a letter,
// digit or _.
func scrub(name string) string {
	if name == "" || validAvroName(name) {
		return name
	}
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	if name[0] >= '0' && name[0] <= '9' {
		b.WriteByte('x')
	}
	for i := range len(name) {
		switch c := name[i]; {
		case isNameByte(c):
			b.WriteByte(c)
		case c == ' ' || c == '-' || c == '.' || c == '*': // + and the bytes that form encoding keeps
			b.WriteByte('_')
		default:
			b.WriteByte('_')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}

func isNameByte(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_'
}

func validAvroName(name string) bool {
	for i := range len(name) {
		if !isNameByte(name[i]) {
			return false
		}
	}
	return name != "" && (name[0] < '0' || name[0] > '9')
}
