package protobuf

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Canonical returns the text that the registry stores: comments dropped,
// declarations in a fixed order of kinds, everything else as it was written.
func (s *Schema) Canonical() string {
	p := printer{index: s.index}
	p.file(s.file)
	return p.b.String()
}

// Normalized returns a text that is the same for schemas that mean the same:
// names resolved, fields and options sorted. Messages stay in their order, to
// which message indexes refer.
func (s *Schema) Normalized() string {
	p := printer{index: s.index, normal: true}
	p.file(s.file)
	return p.b.String()
}

// WithoutExtensions returns the canonical text without extensions of messages,
// which includes options that are extensions.
func (s *Schema) WithoutExtensions() string {
	p := printer{index: s.index, plain: true}
	p.file(s.file)
	return p.b.String()
}

// printer writes in the form of Confluent's registry.
type printer struct {
	index  *index
	normal bool // resolve and sort
	plain  bool // without extensions
	within []string
	b      strings.Builder
	indent string
}

func (p *printer) line(parts ...string) {
	p.b.WriteString(p.indent)
	for _, s := range parts {
		p.b.WriteString(s)
	}
	p.b.WriteByte('\n')
}

// block prints a declaration with sections in braces, each after an empty
// line but the first. Empty ones are left out.
func (p *printer) block(head string, sections ...func()) {
	p.b.WriteString(p.indent + head + " {")
	outer := p.indent
	p.indent += "  "
	first := true
	for _, section := range sections {
		if section == nil {
			continue
		}
		if !first {
			p.b.WriteString(outer) // Confluent's registry indents empty lines too
		}
		p.b.WriteByte('\n')
		first = false
		section()
	}
	p.indent = outer
	if first {
		p.b.WriteString("}\n")
		return
	}
	p.line("}")
}

func (p *printer) file(f *file) {
	switch {
	case f.edition != "":
		p.line(`edition = "`, f.edition, `";`)
	case f.syntax == "proto3" || f.syntax != "" && !p.normal:
		p.line(`syntax = "`, f.syntax, `";`)
	}
	if f.pkg != "" {
		p.line("package ", f.pkg, ";")
	}
	if len(f.imports)+len(f.public) > 0 {
		p.line()
		for _, path := range p.sortedImports(f.imports) {
			p.line(`import "`, escape(path), `";`)
		}
		for _, path := range p.sortedImports(f.public) {
			p.line(`import public "`, escape(path), `";`)
		}
	}
	if options := p.options(f.options); len(options) > 0 {
		p.line()
		p.optionLines(options)
	}
	if len(f.messages)+len(f.enums) > 0 {
		p.line()
		p.types(&f.types)
	}
	if len(f.extends) > 0 && !p.plain {
		p.line()
		for _, e := range f.extends {
			p.extend(e)
		}
	}
	if len(f.services) > 0 {
		p.line()
		for _, s := range f.services {
			p.service(s)
		}
	}
}

func (p *printer) sortedImports(paths []string) []string {
	if !p.normal {
		return paths
	}
	return slices.Compact(slices.Sorted(slices.Values(paths)))
}

// when returns a section, nil if there is nothing in it.
func when(wanted bool, section func()) func() {
	if !wanted {
		return nil
	}
	return section
}

func (p *printer) types(t *types) {
	outer := p.within
	for _, m := range t.messages {
		if p.normal && m.mapEntry() {
			continue
		}
		p.within = append(slices.Clip(outer), m.name)
		p.message(m)
	}
	p.within = outer
	for _, e := range t.enums {
		p.enum(e)
	}
}

func (p *printer) message(m *message) {
	options := p.options(m.options)
	fields, oneofs := m.fields, m.oneofs
	if p.normal {
		fields, oneofs = sortFields(fields), sortOneofs(oneofs)
	}
	nested := len(m.enums) > 0 || slices.ContainsFunc(m.messages, func(n *message) bool { return !p.normal || !n.mapEntry() })
	p.block("message "+m.name,
		when(len(m.reserved) > 0, func() { p.reserved("reserved ", m.reserved) }),
		when(len(options) > 0, func() { p.optionLines(options) }),
		when(len(fields) > 0, func() { p.fields(fields) }),
		when(len(oneofs) > 0, func() {
			for _, o := range oneofs {
				p.oneof(o)
			}
		}),
		when(len(m.groups) > 0, func() { p.groups(m.groups) }),
		when(len(m.extensions) > 0 && !p.plain, func() { p.extensions(m.extensions) }),
		when(len(m.extends) > 0 && !p.plain, func() {
			for _, e := range m.extends {
				p.extend(e)
			}
		}),
		when(nested, func() { p.types(&m.types) }),
	)
}

func sortFields(fields []*field) []*field {
	return slices.SortedStableFunc(slices.Values(fields), func(a, b *field) int { return cmp.Compare(a.tag, b.tag) })
}

// sortOneofs puts each where its lowest number belongs, and drops empty ones.
func sortOneofs(oneofs []*oneof) []*oneof {
	var out []*oneof
	for _, o := range oneofs {
		if len(o.fields) > 0 {
			sorted := *o
			sorted.fields = sortFields(o.fields)
			out = append(out, &sorted)
		}
	}
	slices.SortStableFunc(out, func(a, b *oneof) int { return cmp.Compare(a.fields[0].tag, b.fields[0].tag) })
	return out
}

// reserved prints ranges and names, normalised each on a line of its own.
func (p *printer) reserved(head string, list []string) {
	if p.normal {
		var single []string
		for _, r := range list {
			single = append(single, strings.Split(r, ", ")...)
		}
		list = sortRanges(single)
	}
	for _, r := range list {
		p.line(head, r, ";")
	}
}

func sortRanges(list []string) []string {
	for i, r := range list {
		if from, to, ok := strings.Cut(r, " to "); ok && from == to {
			list[i] = from
		}
	}
	start := func(r string) int {
		text, _, _ := strings.Cut(r, " ")
		if n, err := strconv.Atoi(text); err == nil {
			return n
		}
		return maxTag + 1 // names come last
	}
	slices.SortStableFunc(list, func(a, b string) int { return cmp.Or(cmp.Compare(start(a), start(b)), cmp.Compare(a, b)) })
	return list
}

func (p *printer) fields(fields []*field) {
	for _, f := range fields {
		p.field(f)
	}
}

func (p *printer) field(f *field) {
	label, typ := f.label, f.typ
	if p.normal {
		label, typ = p.resolved(label, typ)
	}
	if label != "" {
		label += " "
	}
	p.line(label, typ, " ", f.name, " = ", strconv.Itoa(f.tag), p.compact(lastly(f.options)), ";")
}

// lastly puts the two options that are none behind the others.
func lastly(options []option) []option {
	var out, last []option
	for _, name := range []string{"default", "json_name"} {
		for _, o := range options {
			if o.name == name {
				last = append(last, o)
			}
		}
	}
	for _, o := range options {
		if o.name != "default" && o.name != "json_name" {
			out = append(out, o)
		}
	}
	return append(out, last...)
}

// resolved writes a type by its full name, and a compiler's map entry as the
// map that it was.
func (p *printer) resolved(label, typ string) (string, string) {
	if _, isScalar := scalars[typ]; isScalar {
		return label, typ
	}
	key, val, isMap := mapTypes(typ)
	if !isMap {
		full, found := p.index.resolve(typ, p.within)
		if found == nil {
			return label, typ
		}
		k, v := (*field)(nil), (*field)(nil)
		if found.message != nil && found.message.mapEntry() {
			k, v = found.message.field("key"), found.message.field("value")
		}
		if k == nil || v == nil {
			return label, "." + full
		}
		key, val = k.typ, v.typ
	}
	_, val = p.resolved("", val)
	return "", "map<" + key + ", " + val + ">"
}

func (p *printer) oneof(o *oneof) {
	options := p.options(o.options)
	p.block("oneof "+o.name,
		when(len(options) > 0, func() { p.optionLines(options) }),
		when(len(o.fields) > 0, func() { p.fields(o.fields) }),
		when(len(o.groups) > 0, func() { p.groups(o.groups) }),
	)
}

func (p *printer) groups(groups []*group) {
	for _, g := range groups {
		head := "group " + g.name + " = " + strconv.Itoa(g.tag)
		if g.label != "" {
			head = g.label + " " + head
		}
		fields := g.fields
		if p.normal {
			fields = sortFields(fields)
		}
		p.block(head, when(len(fields) > 0, func() { p.fields(fields) }))
	}
}

func (p *printer) extensions(list []extensions) {
	for _, e := range list {
		if !p.normal {
			p.line("extensions ", e.ranges, p.compact(e.options), ";")
			continue
		}
		for _, r := range sortRanges(strings.Split(e.ranges, ", ")) {
			p.line("extensions ", r, p.compact(e.options), ";")
		}
	}
}

func (p *printer) extend(e *extend) {
	name, fields := e.name, e.fields
	if p.normal {
		fields = sortFields(fields)
		if full, found := p.index.resolve(name, p.within); found != nil {
			name = "." + full
		}
	}
	p.block("extend "+name, when(len(fields) > 0, func() { p.fields(fields) }))
}

func (p *printer) enum(e *enum) {
	constants := e.constants
	if p.normal {
		constants = slices.SortedStableFunc(slices.Values(constants), func(a, b constant) int {
			return cmp.Or(cmp.Compare(a.tag, b.tag), cmp.Compare(a.name, b.name))
		})
	}
	options := p.options(e.options)
	p.block("enum "+e.name,
		when(len(e.reserved) > 0, func() { p.reserved("reserved ", e.reserved) }),
		when(len(options)+len(constants) > 0, func() {
			p.optionLines(options)
			for _, c := range constants {
				p.line(c.name, " = ", strconv.Itoa(c.tag), p.compact(c.options), ";")
			}
		}),
	)
}

func (p *printer) service(s *service) {
	options := p.options(s.options)
	p.block("service "+s.name,
		when(len(options) > 0, func() { p.optionLines(options) }),
		when(len(s.rpcs) > 0, func() {
			for _, c := range s.rpcs {
				p.rpc(c)
			}
		}),
	)
}

func (p *printer) rpc(c rpc) {
	side := func(typ string, streams bool) string {
		if p.normal {
			_, typ = p.resolved("", typ)
		}
		if streams {
			return "(stream " + typ + ")"
		}
		return "(" + typ + ")"
	}
	head := "rpc " + c.name + " " + side(c.request, c.streamsRequest) + " returns " + side(c.response, c.streamsResponse)
	options := p.options(c.options)
	if len(options) == 0 {
		p.line(head, ";")
		return
	}
	p.line(head, " {")
	outer := p.indent
	p.indent += "  "
	p.optionLines(options)
	p.indent = outer
	p.line("};")
}
