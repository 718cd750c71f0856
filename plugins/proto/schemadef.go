package proto

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/millrace/millrace/plugins/data"
)

// A schema's definition, drawn: everything that makes up its identity, so that
// the far end rebuilds exactly the schema, and its hash to prove it.
//
//	definition := hash:32 node
//	node       := type:1 flags:1 [name:bytes] [version:s] [doc:bytes]
//	              [params:u (key:bytes value:bytes)*] body [default:value]
//	flags      := bit 0 optional, bit 1 name, bit 2 version, bit 3 doc,
//	              bit 4 parameters, bit 5 default
//	body       := a struct: fields:u (name:bytes node)*
//	              an array: node   a map: node node   else nothing
//	value      := 0 | 1 and what schemavalue.go draws
const (
	defOptional = 1 << iota
	defName
	defVersion
	defDoc
	defParams
	defDefault
)

// maxNesting bounds the recursion of the parser; the Builder has a bound of
// its own that is no greater.
const maxNesting = 100

var errEnd = errors.New("ends early")

func appendSchema(dst []byte, s *data.Schema) ([]byte, error) {
	h := s.Hash()
	return appendNode(append(dst, h[:]...), s)
}

func appendNode(dst []byte, s *data.Schema) ([]byte, error) {
	version, hasVersion := s.Version()
	doc, hasDoc := s.Doc()
	def, hasDefault := s.Default()
	flags := byte(0)
	for i, on := range [...]bool{s.Optional(), s.Name() != "", hasVersion, hasDoc, s.HasParams(), hasDefault} {
		if on {
			flags |= 1 << i
		}
	}
	dst = append(dst, byte(s.Type()), flags)
	if s.Name() != "" {
		dst = appendText(dst, s.Name())
	}
	if hasVersion {
		dst = binary.AppendVarint(dst, int64(version))
	}
	if hasDoc {
		dst = appendText(dst, doc)
	}
	if s.HasParams() {
		dst = binary.AppendUvarint(dst, uint64(len(s.Params())))
		for _, p := range s.Params() {
			dst = appendText(appendText(dst, p.Key), p.Value)
		}
	}
	dst, err := appendBody(dst, s)
	if err == nil && hasDefault {
		dst, err = appendValue(dst, def)
	}
	return dst, err
}

func appendBody(dst []byte, s *data.Schema) ([]byte, error) {
	var err error
	switch s.Type() {
	case data.TypeStruct:
		dst = binary.AppendUvarint(dst, uint64(len(s.Fields())))
		for _, f := range s.Fields() {
			if dst, err = appendNode(appendText(dst, f.Name), f.Schema); err != nil {
				return dst, err
			}
		}
		return dst, nil
	case data.TypeArray:
		return appendNode(dst, s.ValueSchema())
	case data.TypeMap:
		if dst, err = appendNode(dst, s.KeySchema()); err != nil {
			return dst, err
		}
		return appendNode(dst, s.ValueSchema())
	}
	return dst, nil
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// parseSchema rebuilds a schema from its definition.
func parseSchema(def []byte) (*data.Schema, error) {
	p := defParser{cursor: cursor{buf: def}}
	hash := p.take(uint64(len(data.Hash{})))
	s := p.node(0)
	switch {
	case p.err != nil:
		return nil, p.err
	case p.pos != len(def):
		return nil, fmt.Errorf("%d bytes too many", len(def)-p.pos)
	case s.Hash() != data.Hash(hash):
		return nil, errors.New("the schema rebuilt here differs from the sender's: " +
			"build the plugin with the SDK of the worker's version")
	}
	return s, nil
}

type defParser struct{ cursor }

// node reads one schema, nil after an error.
func (p *defParser) node(depth int) *data.Schema {
	if depth >= maxNesting {
		p.failf("more than %d levels of nesting", maxNesting)
		return nil
	}
	typ, flags := data.Type(p.byte()), p.byte()
	a := p.attributes(flags)
	body := p.body(typ, depth)
	if p.err != nil {
		return nil
	}
	s := p.build(assemble(typ, flags, a, body))
	if flags&defDefault == 0 || p.err != nil {
		return s
	}
	// A default is read and checked against the schema as it stands without.
	v := p.value(s, 0)
	if p.err != nil {
		return nil
	}
	return p.build(assemble(typ, flags, a, body).Default(v))
}

func (p *defParser) build(b *data.Builder) *data.Schema {
	s, err := b.Build()
	if err != nil {
		p.fail(err)
		return nil
	}
	return s
}

// attributes are what precedes the body of a node.
type attributes struct {
	name    string
	version int64
	doc     string
	params  []data.Param
}

func (p *defParser) attributes(flags byte) (a attributes) {
	if flags&^(defOptional|defName|defVersion|defDoc|defParams|defDefault) != 0 {
		p.failf("schema flags %#x are unknown", flags)
	}
	if flags&defName != 0 {
		a.name = string(p.bytes())
	}
	if flags&defVersion != 0 {
		if a.version = p.varint(); a.version != int64(int32(a.version)) {
			p.failf("schema version %d is out of range", a.version)
		}
	}
	if flags&defDoc != 0 {
		a.doc = string(p.bytes())
	}
	if flags&defParams != 0 {
		n := p.uvarint()
		for range n {
			if p.err != nil {
				break
			}
			a.params = append(a.params, data.Param{Key: string(p.bytes()), Value: string(p.bytes())})
		}
	}
	return a
}

// body holds the schemas within a schema.
type body struct {
	key, value *data.Schema
	fields     []data.Field
}

func (p *defParser) body(typ data.Type, depth int) (b body) {
	if p.err != nil {
		return b
	}
	switch typ {
	case data.TypeArray:
		b.value = p.node(depth + 1)
	case data.TypeMap:
		b.key, b.value = p.node(depth+1), p.node(depth+1)
	case data.TypeStruct:
		n := p.uvarint()
		for range n {
			f := data.Field{Name: string(p.bytes()), Schema: p.node(depth + 1)}
			if p.err != nil {
				return b
			}
			b.fields = append(b.fields, f)
		}
	}
	return b
}

// assemble returns a Builder with everything set but the default.
func assemble(typ data.Type, flags byte, a attributes, in body) *data.Builder {
	var b *data.Builder
	switch typ {
	case data.TypeArray:
		b = data.ArrayOf(in.value)
	case data.TypeMap:
		b = data.MapOf(in.key, in.value)
	default:
		b = data.NewBuilder(typ)
	}
	if flags&defOptional != 0 {
		b.Optional()
	}
	if flags&defName != 0 {
		b.Name(a.name)
	}
	if flags&defVersion != 0 {
		b.Version(int32(a.version))
	}
	if flags&defDoc != 0 {
		b.Doc(a.doc)
	}
	b.Params(a.params...)
	for _, f := range in.fields {
		b.Field(f.Name, f.Schema)
	}
	return b
}
