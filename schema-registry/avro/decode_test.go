package avro

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	hamba "github.com/hamba/avro/v2"
)

// schemaGen writes random schemas, and changed ones that may or may not get
// along with the first: the same draws are made again, some of them twisted.
type schemaGen struct {
	rng   *rand.Rand // the draws that make the schema
	twist *rand.Rand // what is changed about it, nil for nothing
	named int
}

func (g *schemaGen) twisted() bool { return g.twist != nil && g.twist.IntN(7) == 0 }

var widened = map[string]string{"int": "long", "long": "double", "float": "double", "string": "bytes", "bytes": "string", "boolean": "int", "null": "null", "double": "float"}

func (g *schemaGen) schema(depth int) string {
	kinds := 11
	if depth == 0 {
		kinds = 7
	}
	k := g.rng.IntN(kinds)
	if k < 7 {
		typ := []string{"int", "long", "float", "double", "string", "bytes", "boolean"}[k]
		if g.twisted() {
			typ = widened[typ]
		}
		return `"` + typ + `"`
	}
	switch k {
	case 7:
		return `{"type":"array","items":` + g.schema(depth-1) + `}`
	case 8:
		return `{"type":"map","values":` + g.schema(depth-1) + `}`
	case 9:
		return g.union(depth)
	}
	return g.declared(depth)
}

func (g *schemaGen) union(depth int) string {
	out := []string{`"null"`}
	for _, typ := range []string{"int", "string"} {
		if g.rng.IntN(2) == 0 {
			if g.twisted() {
				typ = widened[typ]
			}
			out = append(out, `"`+typ+`"`)
		}
	}
	out = append(out, g.declared(depth))
	if g.twisted() {
		out = out[1:]
	}
	return "[" + strings.Join(out, ",") + "]"
}

func (g *schemaGen) declared(depth int) string {
	g.named++
	name := fmt.Sprintf("N%d", g.named)
	aliases := ""
	if g.twisted() {
		aliases = `"aliases":["` + name + `"],`
		name += "x"
	}
	switch g.rng.IntN(3) {
	case 0:
		size := 1 + g.rng.IntN(4)
		if g.twisted() {
			size++
		}
		return fmt.Sprintf(`{"type":"fixed",%s"name":%q,"size":%d}`, aliases, name, size)
	case 1:
		symbols, def := `"A","B"`, ""
		if g.rng.IntN(2) == 0 {
			def = `,"default":"A"`
		}
		if g.twisted() {
			symbols = `"A"`
		} else if g.twisted() {
			symbols = `"A","B","C"`
		}
		return fmt.Sprintf(`{"type":"enum",%s"name":%q,"symbols":[%s]%s}`, aliases, name, symbols, def)
	}
	return fmt.Sprintf(`{"type":"record",%s"name":%q,"fields":[%s]}`, aliases, name, g.fields(depth))
}

func (g *schemaGen) fields(depth int) string {
	var out []string
	for i := range 1 + g.rng.IntN(3) {
		name, extra := fmt.Sprintf("f%d", i), ""
		typ := g.schema(max(depth-1, 0))
		switch {
		case g.twisted(): // dropped
			continue
		case g.twisted():
			extra = fmt.Sprintf(`,"aliases":[%q]`, name)
			name += "x"
		case g.twisted():
			name += "y"
		}
		out = append(out, fmt.Sprintf(`{"name":%q,"type":%s%s}`, name, typ, extra))
	}
	if g.twisted() {
		out = append(out, `{"name":"added","type":["null","int"],"default":null}`)
	}
	if g.twisted() {
		out = append(out, `{"name":"wanted","type":"string"}`)
	}
	return strings.Join(out, ",")
}

// datum makes a value of a schema in hamba's generic form.
func datum(rng *rand.Rand, s hamba.Schema) any {
	switch s := s.(type) {
	case *hamba.RefSchema:
		return datum(rng, s.Schema())
	case *hamba.RecordSchema:
		m := map[string]any{}
		for _, f := range s.Fields() {
			m[f.Name()] = datum(rng, f.Type())
		}
		return m
	case *hamba.EnumSchema:
		return s.Symbols()[rng.IntN(len(s.Symbols()))]
	case *hamba.FixedSchema:
		return fixedBytes(s.Size())
	case *hamba.ArraySchema:
		return []any{datum(rng, s.Items()), datum(rng, s.Items())}
	case *hamba.MapSchema:
		return map[string]any{"k": datum(rng, s.Values())}
	case *hamba.UnionSchema:
		t := s.Types()[rng.IntN(len(s.Types()))]
		if t.Type() == hamba.Null {
			return nil
		}
		key := string(t.Type())
		if n, ok := t.(hamba.NamedSchema); ok {
			key = n.FullName()
		}
		return map[string]any{key: datum(rng, t)}
	}
	switch s.Type() {
	case hamba.Int:
		return int(rng.Int32())
	case hamba.Long:
		return rng.Int64()
	case hamba.Float:
		return float32(1.5)
	case hamba.Double:
		return 2.5
	case hamba.String:
		return "text"
	case hamba.Bytes:
		return []byte("bytes")
	case hamba.Boolean:
		return true
	}
	return nil
}

func fixedBytes(n int) any {
	switch n {
	case 1:
		return [1]byte{1}
	case 2:
		return [2]byte{1, 2}
	case 3:
		return [3]byte{1, 2, 3}
	case 4:
		return [4]byte{1, 2, 3, 4}
	}
	return [5]byte{1, 2, 3, 4, 5}
}

// What is judged readable is read: data written with one schema is decoded
// with another by a library that knows nothing of the verdict. The library's
// own verdict has to be the same as ours.
func TestReadableDataIsRead(t *testing.T) {
	readable, not := 0, 0
	for seed := range uint64(6000) {
		writerText := (&schemaGen{rng: rand.New(rand.NewPCG(seed, 1))}).schema(3)
		readerText := (&schemaGen{rng: rand.New(rand.NewPCG(seed, 1)), twist: rand.New(rand.NewPCG(seed, 2))}).schema(3)
		writer, err := Parse(writerText, nil)
		if err != nil {
			t.Fatalf("seed %d: %s: %v", seed, writerText, err)
		}
		reader, err := Parse(readerText, nil)
		if err != nil {
			continue // a twist has made a union with a branch twice
		}
		hw, err := hamba.ParseWithCache(writerText, "", &hamba.SchemaCache{})
		if err != nil {
			t.Fatalf("seed %d: the library refuses %s: %v", seed, writerText, err)
		}
		hr, err := hamba.ParseWithCache(readerText, "", &hamba.SchemaCache{})
		if err != nil {
			t.Fatalf("seed %d: the library refuses %s: %v", seed, readerText, err)
		}
		verdict := summary(reader, writer)
		resolved, err := hamba.NewSchemaCompatibility().Resolve(hr, hw)
		if (err == nil) != (verdict == "-") {
			t.Fatalf("seed %d: %s reads %s: %s; the library says %v", seed, readerText, writerText, verdict, err)
		}
		if verdict != "-" {
			not++
			continue
		}
		readable++
		rng := rand.New(rand.NewPCG(seed, 3))
		raw, err := hamba.Marshal(hw, datum(rng, hw))
		if err != nil {
			t.Fatalf("seed %d: write %s: %v", seed, writerText, err)
		}
		var out any
		if err := hamba.Unmarshal(resolved, raw, &out); err != nil {
			t.Fatalf("seed %d: %s was judged to read %s: %v", seed, readerText, writerText, err)
		}
	}
	t.Logf("%d pairs readable, %d not", readable, not)
	if readable < 500 || not < 500 {
		t.Errorf("%d pairs readable, %d not: the generator is lopsided", readable, not)
	}
}

func BenchmarkCompare(b *testing.B) {
	var fields []string
	for i := range 200 {
		fields = append(fields, fmt.Sprintf(`{"name":"field%d","type":["null",{"type":"record","name":"R%d","fields":[{"name":"a","type":"int"},{"name":"b","type":"string"}]}],"default":null}`, i, i))
	}
	text := `{"type":"record","name":"Wide","fields":[` + strings.Join(fields, ",") + `]}`
	s, u := mustParse(b, text), mustParse(b, text)
	b.ReportAllocs()
	for b.Loop() {
		if d, err := Compare(s, u); err != nil || len(d) > 0 {
			b.Fatal(d, err)
		}
	}
}
