package protobuf

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/linker"
	"github.com/bufbuild/protocompile/protoutil"
	"github.com/bufbuild/protocompile/reporter"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

// Serialized returns the schema as a FileDescriptorProto in base64. It fails
// for a schema that a compiler refuses.
func (s *Schema) Serialized() (string, error) {
	f, err := s.compile()
	if err != nil {
		return "", err
	}
	raw, merr := proto.MarshalOptions{Deterministic: true}.Marshal(protoutil.ProtoFromFileDescriptor(f))
	return base64.StdEncoding.EncodeToString(raw), merr
}

// compile links the schema with its references.
func (s *Schema) compile() (linker.File, *Error) {
	const root = "schema.proto"
	c := protocompile.Compiler{Resolver: protocompile.ResolverFunc(func(path string) (protocompile.SearchResult, error) {
		if path == root {
			return protocompile.SearchResult{Source: strings.NewReader(withMeta(s.Canonical()))}, nil
		}
		if text, ok := s.texts[path]; ok {
			f, err := readAny(text)
			if err != nil {
				return protocompile.SearchResult{}, err
			}
			p := printer{index: newIndex(f, nil)}
			p.file(f)
			return protocompile.SearchResult{Source: strings.NewReader(withMeta(p.b.String()))}, nil
		}
		if text, ok := knownText(path); ok {
			return protocompile.SearchResult{Source: strings.NewReader(text)}, nil
		}
		return protocompile.SearchResult{}, fmt.Errorf("no reference is given for the import %q", path)
	}), MaxParallelism: 1}
	files, err := c.Compile(context.Background(), root)
	var at reporter.ErrorWithPos
	switch {
	case errors.As(err, &at):
		return nil, &Error{Reason: at.Unwrap().Error() + " (the place is that in the canonical text)", Line: at.GetPosition().Line, Column: at.GetPosition().Col}
	case err != nil:
		return nil, &Error{Reason: err.Error()}
	}
	return files[0], nil
}

// readDescriptor makes the model of a FileDescriptorProto.
func readDescriptor(raw []byte) (*file, *Error) {
	var d descriptorpb.FileDescriptorProto
	if err := proto.Unmarshal(raw, &d); err != nil {
		return nil, &Error{Reason: "neither a .proto file nor a FileDescriptorProto in base64: " + err.Error()}
	}
	if len(d.MessageType)+len(d.EnumType)+len(d.Extension)+len(d.Service)+len(d.Dependency) == 0 && d.GetName() == "" && d.GetPackage() == "" {
		return nil, &Error{Reason: "neither a .proto file nor a FileDescriptorProto in base64"}
	}
	r := descriptorReader{proto3: d.GetSyntax() == "proto3", editions: d.GetSyntax() == "editions"}
	f := &file{pkg: d.GetPackage(), syntax: d.GetSyntax()}
	switch {
	case r.editions:
		f.syntax, f.edition = "", strings.TrimPrefix(d.GetEdition().String(), "EDITION_")
	case f.syntax == "":
		f.syntax = "proto2"
	}
	for i, path := range d.Dependency {
		if slices.Contains(d.PublicDependency, int32(i)) {
			f.public = append(f.public, path)
		} else {
			f.imports = append(f.imports, path)
		}
	}
	f.options = optionsOf(d.GetOptions())
	for _, m := range d.MessageType {
		f.messages = append(f.messages, r.message(m, 0))
	}
	for _, e := range d.EnumType {
		f.enums = append(f.enums, r.enum(e))
	}
	f.extends = r.extends(d.Extension)
	for _, s := range d.Service {
		f.services = append(f.services, r.service(s))
	}
	if r.fault != nil {
		return nil, r.fault
	}
	return f, nil
}

type descriptorReader struct {
	proto3, editions bool
	fault            *Error
}

func (r *descriptorReader) message(d *descriptorpb.DescriptorProto, depth int) *message {
	m := &message{name: d.GetName(), options: optionsOf(d.GetOptions())}
	if depth > MaxDepth {
		r.fault = &Error{Reason: fmt.Sprintf("the schema nests deeper than %d levels", MaxDepth)}
		return m
	}
	for _, o := range d.OneofDecl {
		m.oneofs = append(m.oneofs, &oneof{name: o.GetName(), options: optionsOf(o.GetOptions())})
	}
	groups := map[string]*descriptorpb.FieldDescriptorProto{} // by the name of the message that a compiler makes of one
	for _, f := range d.Field {
		if f.GetType() == descriptorpb.FieldDescriptorProto_TYPE_GROUP {
			groups[f.GetTypeName()[strings.LastIndexByte(f.GetTypeName(), '.')+1:]] = f
			continue
		}
		out := r.field(f)
		if i := int(f.GetOneofIndex()); f.OneofIndex != nil && !f.GetProto3Optional() {
			if i < 0 || i >= len(m.oneofs) {
				r.fault = &Error{Reason: fmt.Sprintf("field %s of message %s is in a oneof that is not there", f.GetName(), d.GetName())}
				return m
			}
			out.label = ""
			m.oneofs[i].fields = append(m.oneofs[i].fields, out)
			continue
		}
		m.fields = append(m.fields, out)
	}
	m.oneofs = slices.DeleteFunc(m.oneofs, func(o *oneof) bool { return len(o.fields) == 0 }) // those that stand for optional
	for _, g := range d.ReservedRange {
		m.reserved = append(m.reserved, rangeText(int(g.GetStart()), int(g.GetEnd())-1))
	}
	for _, name := range d.ReservedName {
		m.reserved = append(m.reserved, `"`+name+`"`)
	}
	for _, g := range d.ExtensionRange {
		m.extensions = append(m.extensions, extensions{ranges: rangeText(int(g.GetStart()), int(g.GetEnd())-1)})
	}
	m.extends = r.extends(d.Extension)
	for _, n := range d.NestedType {
		inner := r.message(n, depth+1)
		if f := groups[n.GetName()]; f != nil {
			m.groups = append(m.groups, &group{label: r.field(f).label, name: n.GetName(), tag: int(f.GetNumber()), fields: inner.fields})
			continue
		}
		m.messages = append(m.messages, inner)
	}
	for _, e := range d.EnumType {
		m.enums = append(m.enums, r.enum(e))
	}
	return m
}

func rangeText(from, to int) string {
	switch {
	case from == to:
		return strconv.Itoa(from)
	case to >= maxTag:
		return strconv.Itoa(from) + " to max"
	}
	return strconv.Itoa(from) + " to " + strconv.Itoa(to)
}

func (r *descriptorReader) field(d *descriptorpb.FieldDescriptorProto) *field {
	f := &field{name: d.GetName(), tag: int(d.GetNumber()), typ: d.GetTypeName(), options: optionsOf(d.GetOptions())}
	if f.typ == "" {
		f.typ = strings.ToLower(strings.TrimPrefix(d.GetType().String(), "TYPE_"))
	}
	switch d.GetLabel() {
	case descriptorpb.FieldDescriptorProto_LABEL_REPEATED:
		f.label = "repeated"
	case descriptorpb.FieldDescriptorProto_LABEL_REQUIRED:
		f.label = "required"
	case descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL:
		if d.GetProto3Optional() || !r.proto3 && !r.editions {
			f.label = "optional"
		}
	}
	if d.DefaultValue != nil {
		v := value{text: d.GetDefaultValue()}
		if t := d.GetType(); t == descriptorpb.FieldDescriptorProto_TYPE_STRING || t == descriptorpb.FieldDescriptorProto_TYPE_BYTES {
			v.kind = stringValue
		}
		f.options = append(f.options, option{"default", v})
	}
	if d.JsonName != nil && d.GetJsonName() != defaultJSONName(d.GetName()) {
		f.options = append(f.options, option{"json_name", value{kind: stringValue, text: d.GetJsonName()}})
	}
	return f
}

// defaultJSONName is the name in JSON that a field has by itself: underscores
// out, the letters behind them in upper case.
func defaultJSONName(name string) string {
	var b strings.Builder
	up := false
	for _, c := range name {
		if c == '_' {
			up = true
			continue
		}
		if up && c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		up = false
		b.WriteRune(c)
	}
	return b.String()
}

func (r *descriptorReader) enum(d *descriptorpb.EnumDescriptorProto) *enum {
	e := &enum{name: d.GetName(), options: optionsOf(d.GetOptions())}
	for _, g := range d.ReservedRange {
		e.reserved = append(e.reserved, enumRange(g))
	}
	for _, name := range d.ReservedName {
		e.reserved = append(e.reserved, `"`+name+`"`)
	}
	for _, v := range d.Value {
		e.constants = append(e.constants, constant{v.GetName(), int(v.GetNumber()), optionsOf(v.GetOptions())})
	}
	return e
}

// enumRange prints a range of an enum, whose end is within it.
func enumRange(g *descriptorpb.EnumDescriptorProto_EnumReservedRange) string {
	if g.GetEnd() == 1<<31-1 && g.GetStart() != g.GetEnd() {
		return strconv.Itoa(int(g.GetStart())) + " to max"
	}
	if g.GetStart() == g.GetEnd() {
		return strconv.Itoa(int(g.GetStart()))
	}
	return fmt.Sprintf("%d to %d", g.GetStart(), g.GetEnd())
}

// extends gathers fields by what they extend, in the order met.
func (r *descriptorReader) extends(list []*descriptorpb.FieldDescriptorProto) []*extend {
	var out []*extend
	for _, d := range list {
		i := slices.IndexFunc(out, func(e *extend) bool { return e.name == d.GetExtendee() })
		if i < 0 {
			i = len(out)
			out = append(out, &extend{name: d.GetExtendee()})
		}
		out[i].fields = append(out[i].fields, r.field(d))
	}
	return out
}

func (r *descriptorReader) service(d *descriptorpb.ServiceDescriptorProto) *service {
	s := &service{name: d.GetName(), options: optionsOf(d.GetOptions())}
	for _, m := range d.Method {
		s.rpcs = append(s.rpcs, rpc{
			name: m.GetName(), request: m.GetInputType(), response: m.GetOutputType(),
			streamsRequest: m.GetClientStreaming(), streamsResponse: m.GetServerStreaming(), options: optionsOf(m.GetOptions()),
		})
	}
	return s
}
