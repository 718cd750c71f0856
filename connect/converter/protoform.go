package converter

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/millrace/millrace/plugins/data"
)

// The parameters by which Confluent's converter keeps what Connect has no word
// for.
const (
	protoTagParam  = "io.confluent.connect.protobuf.Tag"
	protoTypeParam = "io.confluent.connect.protobuf.Type"
	protoEnumParam = "io.confluent.connect.protobuf.Enum"
	protoUnion     = "io.confluent.connect.protobuf.Union"
	connectType    = "connect.type"
)

// protoForm writes Connect schemas as .proto files.
type protoForm struct{ scrub, optional, wrapper bool }

// protoSchema is the form of one Connect schema.
type protoSchema struct {
	text    string
	name    string // of the message, with its package
	indexes []int
	message *protoMessage
}

// protoMessage is a message and how its fields are written.
type protoMessage struct{ fields []protoField }

// protoField is one field of a struct, in the order of the struct's.
type protoField struct {
	name     string
	tag      int
	typ      data.Type // in Connect
	optional bool      // in Connect: may be null
	scalar   string    // Protocol Buffers' type, "" for a message
	presence bool      // a zero is written, for it differs from nothing
	repeated bool
	wellKnow string           // the name of a type with a form of its own
	scale    int32            // of a decimal
	enum     map[string]int32 // of an enum
	message  *protoMessage
	key      *protoField  // of a map, whose values are elem
	elem     *protoField  // of a repeated field or a map
	members  []protoField // of a oneof, which stands for a struct
}

// wrapperFile holds the messages that stand for primitives outside of structs.
const wrapperFile = `syntax = "proto3";
package google.protobuf;

message DoubleValue {
  double value = 1;
}
message FloatValue {
  float value = 1;
}
message Int64Value {
  int64 value = 1;
}
message UInt64Value {
  uint64 value = 1;
}
message Int32Value {
  int32 value = 1;
}
message UInt32Value {
  uint32 value = 1;
}
message BoolValue {
  bool value = 1;
}
message StringValue {
  string value = 1;
}
message BytesValue {
  bytes value = 1;
}
`

// wrappers are the messages for each primitive, with their places.
var wrappers = map[data.Type]struct {
	name string
	at   int
}{
	data.TypeFloat64: {"DoubleValue", 0}, data.TypeFloat32: {"FloatValue", 1}, data.TypeInt64: {"Int64Value", 2},
	data.TypeInt8: {"Int32Value", 4}, data.TypeInt16: {"Int32Value", 4}, data.TypeInt32: {"Int32Value", 4},
	data.TypeBoolean: {"BoolValue", 6}, data.TypeString: {"StringValue", 7}, data.TypeBytes: {"BytesValue", 8},
}

// protoScalars are the types of primitives.
var protoScalars = map[data.Type]string{
	data.TypeInt8: "int32", data.TypeInt16: "int32", data.TypeInt32: "int32", data.TypeInt64: "int64",
	data.TypeFloat32: "float", data.TypeFloat64: "double", data.TypeBoolean: "bool", data.TypeString: "string", data.TypeBytes: "bytes",
}

// logicalForms are the messages that Connect's logical types become.
var logicalForms = map[string]struct{ message, file string }{
	data.DecimalName:   {"confluent.type.Decimal", "confluent/type/decimal.proto"},
	data.DateName:      {"google.type.Date", "google/type/date.proto"},
	data.TimeName:      {"google.type.TimeOfDay", "google/type/timeofday.proto"},
	data.TimestampName: {"google.protobuf.Timestamp", "google/protobuf/timestamp.proto"},
}

// of returns the form of a schema.
func (f protoForm) of(s *data.Schema) (*protoSchema, error) {
	if s.Type() != data.TypeStruct {
		w, ok := wrappers[s.Type()]
		if !ok || s.IsLogical() {
			return nil, fmt.Errorf("%s outside of a struct has no form in Protocol Buffers", describeType(s))
		}
		field := protoField{name: "value", tag: 1, typ: s.Type(), optional: s.Optional(), scalar: protoScalars[s.Type()]}
		return &protoSchema{wrapperFile, "google.protobuf." + w.name, []int{w.at}, &protoMessage{fields: []protoField{field}}}, nil
	}
	name := s.Name()
	if name == "" {
		name = "ConnectDefault1"
	}
	pkg := ""
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		pkg, name = name[:i], name[i+1:]
	}
	w := protoText{protoForm: f, imports: map[string]bool{}, unnamed: 1}
	var err error
	if pkg, name, err = w.identifier(pkg, true), w.identifier(name, false), w.err; err != nil {
		return nil, err
	}
	m, err := w.message(s, name, 0)
	if err != nil {
		return nil, err
	}
	var head strings.Builder
	head.WriteString("syntax = \"proto3\";\n")
	full := name
	if pkg != "" {
		head.WriteString("package " + pkg + ";\n")
		full = pkg + "." + name
	}
	for i, file := range w.files() {
		if i == 0 {
			head.WriteByte('\n')
		}
		head.WriteString("import " + strconv.Quote(file) + ";\n")
	}
	return &protoSchema{head.String() + "\n" + w.b.String(), full, []int{0}, m}, nil
}

func describeType(s *data.Schema) string {
	if s.Name() != "" {
		return s.Type().String() + " (" + s.Name() + ")"
	}
	return s.Type().String()
}

// protoText writes a file's messages.
type protoText struct {
	protoForm
	b       strings.Builder
	imports map[string]bool
	indent  string
	unnamed int // the last number of a struct without a name
	err     error
}

func (w *protoText) files() []string {
	var out []string
	for f := range w.imports {
		out = append(out, f)
	}
	slices.Sort(out)
	return out
}

// identifier checks or mends a name. In a dotted one, the parts are names.
func (w *protoText) identifier(name string, dotted bool) string {
	if dotted {
		if name == "" {
			return ""
		}
		parts := strings.Split(name, ".")
		for i := range parts {
			parts[i] = w.identifier(parts[i], false)
		}
		return strings.Join(parts, ".")
	}
	valid := func(c byte, first bool) bool {
		return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || !first && c >= '0' && c <= '9'
	}
	ok := name != ""
	for i := range len(name) {
		ok = ok && valid(name[i], i == 0)
	}
	if ok {
		return name
	}
	if !w.scrub {
		if w.err == nil {
			w.err = fmt.Errorf("%q is no name in Protocol Buffers: set scrub.invalid.names", name)
		}
		return name
	}
	var b strings.Builder
	for i := range len(name) {
		switch {
		case valid(name[i], false):
			b.WriteByte(name[i])
		default:
			fmt.Fprintf(&b, "_%02X", name[i])
		}
	}
	out := b.String()
	if out == "" || !valid(out[0], true) || out[0] == '_' {
		out = "x" + out
	}
	return out
}

func (w *protoText) line(parts ...string) {
	w.b.WriteString(w.indent + strings.Join(parts, "") + "\n")
}

// pending is a message or enum that a field needs, declared behind the fields.
type pending struct {
	name   string
	schema *data.Schema
	enum   []string
	to     *protoField
}

func (w *protoText) message(s *data.Schema, name string, depth int) (*protoMessage, error) {
	if depth > maxFormDepth {
		return nil, errors.New("the schema nests too deep for Protocol Buffers")
	}
	w.line("message ", name, " {")
	outer := w.indent
	w.indent += "  "
	m := &protoMessage{fields: make([]protoField, len(s.Fields()))}
	tags := newTags(s)
	var later []pending
	for i, f := range s.Fields() {
		if isProtoUnion(f.Schema) {
			if err := w.oneof(&m.fields[i], f, tags, &later); err != nil {
				return nil, err
			}
			continue
		}
		if err := w.field(&m.fields[i], f.Name, f.Schema, tags.of(f.Schema), false, &later); err != nil {
			return nil, fmt.Errorf("field %s: %w", f.Name, err)
		}
	}
	if err := w.declare(later, depth); err != nil {
		return nil, err
	}
	w.indent = outer
	w.line("}")
	return m, w.err
}

// declare writes the messages and enums that fields need, each once.
func (w *protoText) declare(later []pending, depth int) error {
	done := map[string]pending{}
	for _, p := range later {
		if before, ok := done[p.name]; ok {
			if !p.sameAs(before) {
				return fmt.Errorf("two fields have different types named %s", p.name)
			}
			p.to.message = before.to.message
			continue
		}
		done[p.name] = p
		if p.enum != nil {
			w.enum(p)
			continue
		}
		m, err := w.message(p.schema, p.name, depth+1)
		if err != nil {
			return err
		}
		p.to.message = m
	}
	return nil
}

// sameAs reports whether two declarations come out alike. What tells only of
// the field, as its number does, is not in them.
func (p pending) sameAs(o pending) bool {
	if p.schema == nil || o.schema == nil {
		return p.schema == o.schema && slices.Equal(p.enum, o.enum) && maps.Equal(p.to.enum, o.to.enum)
	}
	return slices.EqualFunc(p.schema.Fields(), o.schema.Fields(), func(a, b data.Field) bool {
		return a.Name == b.Name && a.Schema.Equal(b.Schema)
	})
}

func (w *protoText) enum(p pending) {
	w.line("enum ", p.name, " {")
	for _, symbol := range p.enum {
		w.line("  ", symbol, " = ", strconv.Itoa(int(p.to.enum[symbol])), ";")
	}
	w.line("}")
}

// isProtoUnion reports whether a struct stands for a oneof.
func isProtoUnion(s *data.Schema) bool {
	return s.Type() == data.TypeStruct && (s.Name() == protoUnion || strings.HasPrefix(s.Name(), protoUnion+"."))
}

func (w *protoText) oneof(to *protoField, f data.Field, tags *tags, later *[]pending) error {
	name := strings.TrimPrefix(strings.TrimPrefix(f.Schema.Name(), protoUnion), ".")
	if name == "" {
		name = f.Name
	}
	*to = protoField{name: name, typ: data.TypeStruct, optional: f.Schema.Optional(), members: make([]protoField, len(f.Schema.Fields()))}
	w.line("oneof ", w.identifier(name, false), " {")
	outer := w.indent
	w.indent += "  "
	for i, m := range f.Schema.Fields() {
		if err := w.field(&to.members[i], m.Name, m.Schema, tags.of(m.Schema), true, later); err != nil {
			return fmt.Errorf("field %s: %w", m.Name, err)
		}
		to.members[i].presence = true
	}
	w.indent = outer
	w.line("}")
	return nil
}

// tags gives fields their numbers: those that they ask for, else the next in
// order.
type tags struct {
	taken map[int]bool
	last  int
}

func newTags(s *data.Schema) *tags {
	t := &tags{taken: map[int]bool{}}
	for _, f := range s.Fields() {
		for _, inner := range append([]data.Field{f}, f.Schema.Fields()...) {
			if n, ok := tagParam(inner.Schema); ok && (inner.Name == f.Name || isProtoUnion(f.Schema)) {
				t.taken[n] = true
			}
		}
	}
	return t
}

func tagParam(s *data.Schema) (int, bool) {
	text, _ := s.Param(protoTagParam)
	n, err := strconv.Atoi(text)
	return n, err == nil && n > 0
}

func (t *tags) of(s *data.Schema) int {
	if n, ok := tagParam(s); ok {
		return n
	}
	for t.last++; t.taken[t.last]; {
		t.last++
	}
	return t.last
}

// field writes one field, and notes what is still to be declared for it.
func (w *protoText) field(to *protoField, name string, s *data.Schema, tag int, member bool, later *[]pending) error {
	*to = protoField{name: name, tag: tag, typ: s.Type(), optional: s.Optional()}
	label, options := "", map[string]string{}
	var typ string
	var err error
	switch {
	case s.Type() == data.TypeArray && (s.ValueSchema().Type() == data.TypeArray || s.ValueSchema().Type() == data.TypeMap):
		return errors.New("arrays of arrays and of maps have no form in Protocol Buffers")
	case s.Type() == data.TypeArray:
		label, to.repeated, to.elem = "repeated ", true, &protoField{}
		typ, err = w.typ(to.elem, name, s.ValueSchema(), options, later)
		to.elem.presence = true
	case s.Type() == data.TypeMap:
		typ, err = w.mapping(to, name, s, options, later)
	default:
		typ, err = w.typ(to, name, s, options, later)
		if w.wrapper && s.Optional() && to.scalar != "" && to.enum == nil {
			plain := *to
			typ, to.wellKnow, to.elem = "google.protobuf."+wrappers[s.Type()].name, "wrapper", &plain
			w.imports["google/protobuf/wrappers.proto"] = true
		} else if w.optional && s.Optional() && to.scalar != "" && !member {
			label, to.presence = "optional ", true
		}
	}
	if err != nil {
		return err
	}
	if label == "repeated " && member || s.Type() == data.TypeMap && member {
		return errors.New("a oneof holds neither arrays nor maps")
	}
	w.line(label, typ, " ", w.identifier(name, false), " = ", strconv.Itoa(tag), w.meta(options), ";")
	return w.err
}

// within reports whether what is written can be read as a registered message.
func (m *protoMessage) within(d protoreflect.MessageDescriptor, depth int) error {
	if depth > maxFormDepth {
		return errors.New("the schema nests too deep")
	}
	for _, f := range m.fields {
		for _, one := range append([]protoField{f}, f.members...) {
			if one.tag == 0 {
				continue
			}
			fd := d.Fields().ByNumber(protoreflect.FieldNumber(one.tag))
			switch {
			case fd == nil:
				return fmt.Errorf("message %s has no field %d, which is %s", d.FullName(), one.tag, one.name)
			case one.elem == nil && one.scalar != "" && one.wellKnow == "" && one.enum == nil && fd.Kind().String() != one.scalar:
				return fmt.Errorf("field %d of message %s is a %s; %s is written as a %s", one.tag, d.FullName(), fd.Kind(), one.name, one.scalar)
			case one.repeated != fd.IsList() && one.repeated != fd.IsMap():
				return fmt.Errorf("field %d of message %s is repeated, or %s is, but not both", one.tag, d.FullName(), one.name)
			case one.message != nil && fd.Message() != nil:
				if err := one.message.within(fd.Message(), depth+1); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
