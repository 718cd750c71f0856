package converter

import (
	"errors"
	"fmt"
	"strconv"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/millrace/millrace/plugins/data"
)

// protoReading says how messages become structs.
type protoReading struct {
	fullNames, intEnums, optional, proto2, wrapper, flatten, numbered bool
}

// readField is how one field of a struct is read.
type readField struct {
	number   protoreflect.FieldNumber
	kind     protoreflect.Kind
	typ      data.Type
	optional bool // in Connect
	presence bool // missing is null, not zero
	wellKnow string
	scale    int32
	symbols  map[int32]string // of an enum read as text
	message  []readField      // of a message, in the order of the struct's fields
	list     bool
	key      *readField  // of a map
	elem     *readField  // of a list or a map
	members  []readField // of a oneof
}

// protoTypes are Connect's types for scalars.
var protoTypes = map[protoreflect.Kind]data.Type{
	protoreflect.Int32Kind: data.TypeInt32, protoreflect.Sint32Kind: data.TypeInt32, protoreflect.Sfixed32Kind: data.TypeInt32,
	protoreflect.Uint32Kind: data.TypeInt64, protoreflect.Fixed32Kind: data.TypeInt64, protoreflect.Int64Kind: data.TypeInt64,
	protoreflect.Sint64Kind: data.TypeInt64, protoreflect.Uint64Kind: data.TypeInt64, protoreflect.Fixed64Kind: data.TypeInt64,
	protoreflect.Sfixed64Kind: data.TypeInt64, protoreflect.FloatKind: data.TypeFloat32, protoreflect.DoubleKind: data.TypeFloat64,
	protoreflect.BoolKind: data.TypeBoolean, protoreflect.StringKind: data.TypeString, protoreflect.BytesKind: data.TypeBytes,
}

// logicalOf are the logical types by the messages that stand for them.
var logicalOf = map[protoreflect.FullName]string{
	"confluent.type.Decimal": data.DecimalName, "google.type.Date": data.DateName,
	"google.type.TimeOfDay": data.TimeName, "google.protobuf.Timestamp": data.TimestampName,
}

// wrapped are the messages that stand for a primitive.
var wrapped = map[protoreflect.FullName]protoreflect.Kind{
	"google.protobuf.DoubleValue": protoreflect.DoubleKind, "google.protobuf.FloatValue": protoreflect.FloatKind,
	"google.protobuf.Int64Value": protoreflect.Int64Kind, "google.protobuf.UInt64Value": protoreflect.Uint64Kind,
	"google.protobuf.Int32Value": protoreflect.Int32Kind, "google.protobuf.UInt32Value": protoreflect.Uint32Kind,
	"google.protobuf.BoolValue": protoreflect.BoolKind, "google.protobuf.StringValue": protoreflect.StringKind,
	"google.protobuf.BytesValue": protoreflect.BytesKind,
}

// of returns the Connect schema of a message, and how it is read. The version
// is that of the schema's subject.
func (p protoReading) of(m protoreflect.MessageDescriptor, version int32, known bool) (*data.Schema, *readField, error) {
	if kind, ok := wrapped[m.FullName()]; ok {
		s, err := data.NewBuilder(protoTypes[kind]).Optional().Build()
		return s, &readField{number: 1, kind: kind, typ: protoTypes[kind], optional: true}, err
	}
	root := &readField{kind: protoreflect.MessageKind, typ: data.TypeStruct}
	b, err := p.message(root, m, 0)
	if err != nil {
		return nil, nil, err
	}
	if known {
		b.Version(version)
	}
	s, err := b.Build()
	return s, root, err
}

func (p protoReading) name(d protoreflect.Descriptor) string {
	if p.fullNames {
		return string(d.FullName())
	}
	return string(d.Name())
}

// message lists a message's fields: its oneofs first, as Confluent's converter
// has them.
func (p protoReading) message(to *readField, m protoreflect.MessageDescriptor, depth int) (*data.Builder, error) {
	if depth > maxReadDepth {
		return nil, fmt.Errorf("message %s nests deeper than %d levels, or holds itself: it has no Connect schema", m.FullName(), maxReadDepth)
	}
	b := data.NewStructBuilder().Name(p.name(m))
	if !p.flatten {
		for i := range m.Oneofs().Len() {
			if o := m.Oneofs().Get(i); !o.IsSynthetic() {
				if err := p.oneof(to, b, o, depth); err != nil {
					return nil, err
				}
			}
		}
	}
	for i := range m.Fields().Len() {
		fd := m.Fields().Get(i)
		if o := fd.ContainingOneof(); o != nil && !o.IsSynthetic() && !p.flatten {
			continue
		}
		if err := p.add(&to.message, b, fd, depth); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (p protoReading) add(list *[]readField, b *data.Builder, fd protoreflect.FieldDescriptor, depth int) error {
	f := readField{number: fd.Number()}
	s, err := p.field(&f, fd, depth)
	if err != nil {
		return fmt.Errorf("field %s: %w", fd.Name(), err)
	}
	*list = append(*list, f)
	b.Field(string(fd.Name()), s)
	return nil
}

func (p protoReading) oneof(to *readField, b *data.Builder, o protoreflect.OneofDescriptor, depth int) error {
	union := data.NewStructBuilder().Name(protoUnion + "." + string(o.Name())).Optional()
	f := readField{typ: data.TypeStruct, optional: true}
	for i := range o.Fields().Len() {
		if err := p.add(&f.members, union, o.Fields().Get(i), depth); err != nil {
			return err
		}
	}
	for i := range f.members {
		f.members[i].presence = true
	}
	s, err := union.Build()
	if err != nil {
		return err
	}
	name := string(o.Name())
	if p.numbered {
		name += "_" + strconv.Itoa(o.Index())
	}
	to.message = append(to.message, f)
	b.Field(name, s)
	return nil
}

// field returns the schema of a field.
func (p protoReading) field(f *readField, fd protoreflect.FieldDescriptor, depth int) (*data.Schema, error) {
	var b *data.Builder
	var err error
	switch {
	case fd.IsMap():
		b, err = p.mapping(f, fd, depth)
	case fd.IsList():
		f.list, f.elem = true, &readField{}
		var elem *data.Builder
		if elem, err = p.value(f.elem, fd, depth); err != nil {
			return nil, err
		}
		var s *data.Schema
		f.elem.optional = true
		if s, err = elem.Optional().Build(); err == nil {
			f.typ, b = data.TypeArray, data.ArrayOf(s)
		}
	default:
		b, err = p.value(f, fd, depth)
	}
	if err != nil {
		return nil, err
	}
	b.Param(protoTagParam, strconv.Itoa(int(fd.Number())))
	f.presence = fd.HasPresence()
	if f.optional = p.isOptional(fd); f.optional {
		b.Optional()
	}
	if fd.Cardinality() == protoreflect.Required {
		f.presence = false
	}
	return b.Build()
}

// isOptional reports whether a field may be null in Connect. Without settings
// that say which, all may.
func (p protoReading) isOptional(fd protoreflect.FieldDescriptor) bool {
	message := fd.Message()
	switch {
	case fd.Cardinality() == protoreflect.Required:
		return false
	case fd.ContainingOneof() != nil && !fd.ContainingOneof().IsSynthetic():
		return true
	case message != nil && !fd.IsMap() && !fd.IsList() && wrapped[message.FullName()] != 0:
		return true
	case !p.optional && !p.wrapper:
		return true
	case message != nil && !fd.IsMap() && !fd.IsList():
		return true // missing is null, and nothing else can be made of it
	case fd.ParentFile().Syntax() == protoreflect.Proto2:
		return p.proto2 && fd.HasPresence()
	}
	return p.optional && fd.HasOptionalKeyword()
}

func (p protoReading) mapping(f *readField, fd protoreflect.FieldDescriptor, depth int) (*data.Builder, error) {
	f.key, f.elem, f.typ = &readField{number: 1}, &readField{number: 2}, data.TypeMap
	key, err := p.value(f.key, fd.MapKey(), depth)
	if err != nil {
		return nil, err
	}
	value, err := p.value(f.elem, fd.MapValue(), depth)
	if err != nil {
		return nil, err
	}
	k, err := key.Build()
	if err != nil {
		return nil, err
	}
	f.elem.optional = true
	v, err := value.Optional().Build()
	if err != nil {
		return nil, err
	}
	return data.MapOf(k, v), nil
}

// value starts the schema of what a field holds, be it repeated or not.
func (p protoReading) value(f *readField, fd protoreflect.FieldDescriptor, depth int) (*data.Builder, error) {
	f.kind = fd.Kind()
	params := fieldParams(fd)
	switch fd.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		f.typ = data.TypeStruct
		if fd.Kind() == protoreflect.GroupKind {
			return nil, errors.New("a group has no Connect schema")
		}
		if name, ok := logicalOf[fd.Message().FullName()]; ok {
			return logicalField(f, name, params)
		}
		if kind, ok := wrapped[fd.Message().FullName()]; ok && p.wrapper {
			f.wellKnow, f.typ, f.elem = "wrapper", protoTypes[kind], &readField{number: 1, kind: kind, typ: protoTypes[kind]}
			return data.NewBuilder(f.typ), nil
		}
		return p.message(f, fd.Message(), depth+1)
	case protoreflect.EnumKind:
		return p.enum(f, fd.Enum()), nil
	}
	f.typ = protoTypes[fd.Kind()]
	switch params[connectType] {
	case "int8":
		f.typ = data.TypeInt8
	case "int16":
		f.typ = data.TypeInt16
	}
	b := data.NewBuilder(f.typ)
	if name := fd.Kind().String(); protoScalars[f.typ] != name {
		b.Param(protoTypeParam, name)
	}
	return b, nil
}

func (p protoReading) enum(f *readField, d protoreflect.EnumDescriptor) *data.Builder {
	if p.intEnums {
		f.typ = data.TypeInt32
		return data.NewBuilder(data.TypeInt32).Param(protoEnumParam, p.name(d))
	}
	f.typ, f.symbols = data.TypeString, map[int32]string{}
	b := data.NewBuilder(data.TypeString).Param(protoEnumParam, p.name(d))
	for i := range d.Values().Len() {
		v := d.Values().Get(i)
		if _, alias := f.symbols[int32(v.Number())]; !alias {
			f.symbols[int32(v.Number())] = string(v.Name())
		}
		b.Param(protoEnumParam+"."+string(v.Name()), strconv.Itoa(int(v.Number())))
	}
	return b
}

func logicalField(f *readField, name string, params map[string]string) (*data.Builder, error) {
	f.wellKnow = name
	switch name {
	case data.DecimalName:
		scale, err := strconv.ParseInt(params["scale"], 10, 32)
		if params["scale"] == "" {
			scale, err = 0, nil
		}
		if err != nil {
			return nil, fmt.Errorf("the scale %q is no number", params["scale"])
		}
		f.scale, f.typ = int32(scale), data.TypeBytes
		b := data.DecimalBuilder(f.scale)
		if precision := params["precision"]; precision != "" {
			b.Param(data.PrecisionParam, precision)
		}
		return b, nil
	case data.DateName:
		f.typ = data.TypeInt32
		return data.DateBuilder(), nil
	case data.TimeName:
		f.typ = data.TypeInt32
		return data.TimeBuilder(), nil
	}
	f.typ = data.TypeInt64
	return data.TimestampBuilder(), nil
}

// fieldMeta returns a field of the option confluent.field_meta, and what it
// holds; nil without the option.
func fieldMeta(fd protoreflect.FieldDescriptor, name protoreflect.Name) (found protoreflect.FieldDescriptor, held protoreflect.Value) {
	fd.Options().ProtoReflect().Range(func(x protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if x.FullName() != "confluent.field_meta" || x.Message() == nil {
			return true
		}
		if found = x.Message().Fields().ByName(name); found != nil {
			held = v.Message().Get(found)
		}
		return false
	})
	return found, held
}

// fieldParams returns the params of the option confluent.field_meta.
func fieldParams(fd protoreflect.FieldDescriptor) map[string]string {
	out := map[string]string{}
	if params, held := fieldMeta(fd, "params"); params != nil && params.IsMap() {
		held.Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
			out[k.String()] = v.String()
			return true
		})
	}
	return out
}

// fieldTags returns the tags of the option confluent.field_meta.
func fieldTags(fd protoreflect.FieldDescriptor) []string {
	var out []string
	if tags, held := fieldMeta(fd, "tags"); tags != nil && tags.IsList() {
		for i := range held.List().Len() {
			out = append(out, held.List().Get(i).String())
		}
	}
	return out
}
