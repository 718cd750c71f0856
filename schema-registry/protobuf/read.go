package protobuf

import (
	"errors"
	"fmt"
	"strings"

	"github.com/bufbuild/protocompile/ast"
	"github.com/bufbuild/protocompile/parser"
	"github.com/bufbuild/protocompile/reporter"
)

// Limits of a schema's text.
const (
	// MaxBytes bounds the text.
	MaxBytes = 1 << 20
	// MaxDepth bounds how deep declarations and values may nest.
	MaxDepth = 100
)

// Error says why a text is no schema and where.
type Error struct {
	Reason       string
	Line, Column int  // from 1; 0 if the place is unknown
	TooLarge     bool // the text is over MaxBytes
}

func (e *Error) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Reason)
	}
	return e.Reason
}

// readFile reads a .proto file's text.
func readFile(text string) (*file, *Error) {
	if len(text) > MaxBytes {
		return nil, &Error{Reason: fmt.Sprintf("the schema has %d bytes, more than the limit of %d", len(text), MaxBytes), TooLarge: true}
	}
	if err := checkDepth(text); err != nil {
		return nil, err
	}
	tree, err := parser.Parse("schema.proto", strings.NewReader(text), reporter.NewHandler(nil))
	var at reporter.ErrorWithPos
	switch {
	case errors.As(err, &at):
		return nil, &Error{Reason: at.Unwrap().Error(), Line: at.GetPosition().Line, Column: at.GetPosition().Col}
	case err != nil:
		return nil, &Error{Reason: err.Error()}
	}
	r := reader{tree: tree}
	f := r.file()
	if r.fault != nil {
		return nil, r.fault
	}
	return f, nil
}

// checkDepth refuses a text whose brackets nest too deep for those who walk
// what becomes of it. Brackets in strings and comments do not count.
func checkDepth(text string) *Error {
	depth, line := 0, 1
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '\n':
			line++
		case '{', '[', '<':
			if depth++; depth > MaxDepth {
				return &Error{Reason: fmt.Sprintf("the schema nests deeper than %d levels", MaxDepth), Line: line, Column: 1}
			}
		case '}', ']', '>':
			depth--
		case '"', '\'':
			for i++; i < len(text) && text[i] != c && text[i] != '\n'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		case '/':
			end := ""
			switch {
			case strings.HasPrefix(text[i:], "//"):
				end = "\n"
			case strings.HasPrefix(text[i:], "/*"):
				end = "*/"
			default:
				continue
			}
			n := strings.Index(text[i:], end)
			if n < 0 {
				return nil // the parser will say so
			}
			line += strings.Count(text[i:i+n], "\n")
			i += n + len(end) - 1
			if end == "\n" {
				line++
			}
		}
	}
	return nil
}

// reader makes the model of a syntax tree.
type reader struct {
	tree  *ast.FileNode
	fault *Error // the first
}

func (r *reader) fail(n ast.Node, format string, args ...any) {
	if r.fault == nil {
		pos := r.tree.NodeInfo(n).Start()
		r.fault = &Error{Reason: fmt.Sprintf(format, args...), Line: pos.Line, Column: pos.Col}
	}
}

func (r *reader) file() *file {
	f := &file{}
	if r.tree.Syntax != nil {
		f.syntax = r.tree.Syntax.Syntax.AsString()
		if f.syntax != "proto2" && f.syntax != "proto3" {
			r.fail(r.tree.Syntax, "unknown syntax %q: proto2 and proto3 are known", f.syntax)
		}
	}
	if r.tree.Edition != nil {
		f.edition = r.tree.Edition.Edition.AsString()
	}
	names := names{}
	for _, d := range r.tree.Decls {
		switch d := d.(type) {
		case *ast.PackageNode:
			f.pkg = string(d.Name.AsIdentifier())
		case *ast.ImportNode:
			if d.Public != nil {
				f.public = append(f.public, d.Name.AsString())
			} else {
				f.imports = append(f.imports, d.Name.AsString())
			}
		case *ast.OptionNode:
			f.options = append(f.options, r.option(d))
		case *ast.MessageNode:
			r.unique(names, d.Name)
			f.messages = append(f.messages, r.message(d))
		case *ast.EnumNode:
			r.unique(names, d.Name)
			f.enums = append(f.enums, r.enum(d))
		case *ast.ExtendNode:
			f.extends = append(f.extends, r.extend(d))
		case *ast.ServiceNode:
			r.unique(names, d.Name)
			f.services = append(f.services, r.service(d))
		}
	}
	return f
}

// names are those that one scope declares.
type names map[string]bool

func (r *reader) unique(seen names, n *ast.IdentNode) {
	if seen[n.Val] {
		r.fail(n, "the name %q is declared twice", n.Val)
	}
	seen[n.Val] = true
}

func (r *reader) message(d *ast.MessageNode) *message {
	m := &message{name: d.Name.Val}
	r.body(m, d.MessageBody)
	return m
}

// maxTag is the highest field number. That 0, and those from 19000 to 19999, are
// none either is for compilers to say: Confluent's registry takes them.
const maxTag = 1<<29 - 1

// scope is what a message may not have twice.
type scope struct {
	names, types names
	tags         map[int]bool
}

func (r *reader) body(m *message, body ast.MessageBody) {
	s := scope{names{}, names{}, map[int]bool{}}
	for _, d := range body.Decls {
		switch d := d.(type) {
		case *ast.OptionNode:
			m.options = append(m.options, r.option(d))
		case *ast.FieldNode:
			m.fields = append(m.fields, r.field(s, d))
		case *ast.MapFieldNode:
			m.fields = append(m.fields, r.mapField(s, d))
		case *ast.GroupNode:
			m.groups = append(m.groups, r.group(s, d))
		case *ast.OneofNode:
			r.unique(s.names, d.Name)
			m.oneofs = append(m.oneofs, r.oneof(s, d))
		case *ast.MessageNode:
			r.unique(s.types, d.Name)
			m.messages = append(m.messages, r.message(d))
		case *ast.EnumNode:
			r.unique(s.types, d.Name)
			m.enums = append(m.enums, r.enum(d))
		case *ast.ReservedNode:
			m.reserved = append(m.reserved, r.reserved(d))
		case *ast.ExtensionRangeNode:
			m.extensions = append(m.extensions, extensions{r.ranges(d.Ranges), r.compact(d.Options)})
		case *ast.ExtendNode:
			m.extends = append(m.extends, r.extend(d))
		}
	}
}

// tag reads a field's number.
func (r *reader) tag(s scope, of ast.Node, n *ast.UintLiteralNode) int {
	switch {
	case n == nil: // the parser takes it
		r.fail(of, "the field has no number")
		return 0
	case n.Val > maxTag:
		r.fail(n, "the field number %d is above %d", n.Val, maxTag)
		return 0
	case s.tags != nil && s.tags[int(n.Val)]:
		r.fail(n, "the field number %d is used twice", n.Val)
	case s.tags != nil:
		s.tags[int(n.Val)] = true
	}
	return int(n.Val)
}

func (r *reader) field(s scope, d *ast.FieldNode) *field {
	if s.names != nil {
		r.unique(s.names, d.Name)
	}
	f := &field{typ: string(d.FldType.AsIdentifier()), name: d.Name.Val, tag: r.tag(s, d, d.Tag), options: r.compact(d.Options)}
	if d.Label.KeywordNode != nil {
		f.label = d.Label.Val
	}
	return f
}

func (r *reader) mapField(s scope, d *ast.MapFieldNode) *field {
	r.unique(s.names, d.Name)
	return &field{
		typ:  "map<" + d.MapType.KeyType.Val + ", " + string(d.MapType.ValueType.AsIdentifier()) + ">",
		name: d.Name.Val, tag: r.tag(s, d, d.Tag), options: r.compact(d.Options),
	}
}

func (r *reader) group(s scope, d *ast.GroupNode) *group {
	g := &group{name: d.Name.Val, tag: r.tag(s, d, d.Tag)}
	if d.Label.KeywordNode != nil {
		g.label = d.Label.Val
	}
	var m message
	r.body(&m, d.MessageBody)
	g.fields = m.fields
	return g
}

func (r *reader) oneof(s scope, d *ast.OneofNode) *oneof {
	o := &oneof{name: d.Name.Val}
	for _, e := range d.Decls {
		switch e := e.(type) {
		case *ast.OptionNode:
			o.options = append(o.options, r.option(e))
		case *ast.FieldNode:
			o.fields = append(o.fields, r.field(s, e))
		case *ast.GroupNode:
			o.groups = append(o.groups, r.group(s, e))
		}
	}
	return o
}

func (r *reader) enum(d *ast.EnumNode) *enum {
	e := &enum{name: d.Name.Val}
	seen := names{}
	for _, n := range d.Decls {
		switch n := n.(type) {
		case *ast.OptionNode:
			e.options = append(e.options, r.option(n))
		case *ast.ReservedNode:
			e.reserved = append(e.reserved, r.reserved(n))
		case *ast.EnumValueNode:
			r.unique(seen, n.Name)
			if n.Number == nil {
				r.fail(n, "%s has no number", n.Name.Val)
				continue
			}
			number, ok := ast.AsInt32(n.Number, -1<<31, 1<<31-1)
			if !ok {
				r.fail(n.Number, "the number of %s is out of range", n.Name.Val)
			}
			e.constants = append(e.constants, constant{n.Name.Val, int(number), r.compact(n.Options)})
		}
	}
	return e
}

func (r *reader) extend(d *ast.ExtendNode) *extend {
	e := &extend{name: string(d.Extendee.AsIdentifier())}
	for _, n := range d.Decls {
		if f, ok := n.(*ast.FieldNode); ok {
			e.fields = append(e.fields, r.field(scope{}, f))
		}
	}
	return e
}

func (r *reader) service(d *ast.ServiceNode) *service {
	s := &service{name: d.Name.Val}
	for _, n := range d.Decls {
		switch n := n.(type) {
		case *ast.OptionNode:
			s.options = append(s.options, r.option(n))
		case *ast.RPCNode:
			c := rpc{
				name: n.Name.Val, request: string(n.Input.MessageType.AsIdentifier()), response: string(n.Output.MessageType.AsIdentifier()),
				streamsRequest: n.Input.Stream != nil, streamsResponse: n.Output.Stream != nil,
			}
			for _, e := range n.Decls {
				if o, ok := e.(*ast.OptionNode); ok {
					c.options = append(c.options, r.option(o))
				}
			}
			s.rpcs = append(s.rpcs, c)
		}
	}
	return s
}

// reserved returns a declaration's ranges or names, as the registry prints
// them.
func (r *reader) reserved(d *ast.ReservedNode) string {
	if len(d.Ranges) > 0 {
		return r.ranges(d.Ranges)
	}
	var out []string
	for _, n := range d.Names {
		out = append(out, `"`+escape(n.AsString())+`"`)
	}
	for _, n := range d.Identifiers {
		out = append(out, n.Val)
	}
	return strings.Join(out, ", ")
}

func (r *reader) ranges(list []*ast.RangeNode) string {
	var out []string
	for _, n := range list {
		text := fmt.Sprint(n.StartVal.Value())
		switch {
		case n.Max != nil:
			text += " to max"
		case n.EndVal != nil:
			text += fmt.Sprintf(" to %v", n.EndVal.Value())
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

func (r *reader) compact(c *ast.CompactOptionsNode) []option {
	if c == nil {
		return nil
	}
	var out []option
	for _, o := range c.Options {
		out = append(out, r.option(o))
	}
	return out
}

func (r *reader) option(o *ast.OptionNode) option {
	var parts []string
	for _, p := range o.Name.Parts {
		name := string(p.Name.AsIdentifier())
		if p.Open != nil {
			name = "(" + name + ")"
		}
		parts = append(parts, name)
	}
	if o.Val == nil {
		r.fail(o, "the option %s has no value", strings.Join(parts, "."))
		return option{}
	}
	return option{strings.Join(parts, "."), r.value(o.Val)}
}

func (r *reader) value(v ast.ValueNode) value {
	switch v := v.(type) {
	case ast.StringValueNode:
		return value{kind: stringValue, text: v.AsString()}
	case *ast.ArrayLiteralNode:
		out := value{kind: listValue}
		for _, e := range v.Elements {
			out.list = append(out.list, r.value(e))
		}
		return out
	case *ast.MessageLiteralNode:
		out := value{kind: memberValue}
		for _, e := range v.Elements {
			name := string(e.Name.Name.AsIdentifier())
			if e.Name.URLPrefix != nil {
				name = string(e.Name.URLPrefix.AsIdentifier()) + "/" + name
			}
			if e.Name.Open != nil {
				name = "[" + name + "]"
			}
			out.members = append(out.members, option{name, r.value(e.Val)})
		}
		return out
	}
	return value{text: r.tree.NodeInfo(v).RawText()}
}
