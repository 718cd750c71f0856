// Package generate makes random rows of an Avro schema, whose "arg.properties"
// say what the values look like, in the notation of Confluent's Avro random
// generator: options, regex, range, length, iteration, odds, prefix, suffix and
// keys.
//
// A row is a function of a seed and its number: a source that goes on from a
// number makes the rows that it would have made.
package generate

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/millrace/millrace/plugins/data"
)

// maxSchema bounds the text of a schema in bytes.
const maxSchema = 1 << 20

// Generator makes rows of one schema. It is used by one goroutine.
type Generator struct {
	schema, keySchema *data.Schema
	root, key         node // key is nil where there is none
	keys              []any
	value, keyWriter  *data.RowWriter
	run               run
}

// run is what nodes draw from while a row is made.
type run struct {
	source rand.PCG
	*rand.Rand
	number int64    // of the row, and within an array of the element
	atKey  rand.PCG // source as it was before the field of the key
	err    error
}

func (r *run) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// node writes one value of its schema.
type node interface {
	write(w *data.RowWriter, r *run)
}

// New compiles a schema, which must be a record's. keyField is the field whose
// value is the key as well, "" for none.
func New(text, keyField string) (*Generator, error) {
	if len(text) > maxSchema {
		return nil, fmt.Errorf("the schema has %d bytes; %d are the most", len(text), maxSchema)
	}
	schema, err := data.ParseAvro(text, data.AvroOptions{})
	if err != nil {
		return nil, err
	}
	if schema.Type() != data.TypeStruct || schema.Name() == data.UnionName {
		return nil, fmt.Errorf("the schema is of a %s: it must be of a record", schema.Type())
	}
	var tree any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&tree); err != nil {
		return nil, err
	}
	c := &compiler{named: make(map[string]map[string]any)}
	g := &Generator{schema: schema, value: data.NewRowWriter(schema)}
	g.run.Rand = rand.New(&g.run.source)
	if g.root, err = c.compile(tree, schema); err != nil {
		return nil, err
	}
	if keyField != "" {
		return g, g.keyed(keyField)
	}
	return g, nil
}

// keyed makes the generator write keys.
func (g *Generator) keyed(name string) error {
	f, ok := g.schema.Field(name)
	if !ok {
		return fmt.Errorf("the schema has no field %q to be the key", name)
	}
	g.keySchema, g.keyWriter = f.Schema, data.NewRowWriter(f.Schema)
	switch root := g.root.(type) {
	case *record:
		root.key = f.Index
		g.key = root.fields[f.Index]
	case *choice:
		for _, v := range root.values {
			x, err := v.(*data.Struct).Get(name)
			if err != nil {
				return err
			}
			g.keys = append(g.keys, x)
		}
	}
	return nil
}

// Schema returns the schema of the rows.
func (g *Generator) Schema() *data.Schema { return g.schema }

// KeySchema returns the schema of the keys, nil where there are none.
func (g *Generator) KeySchema() *data.Schema { return g.keySchema }

// Next appends row n of a seed to buf, and the key after it. The data refer to
// the returned buffer.
func (g *Generator) Next(buf []byte, seed uint64, n int64) (out []byte, key, value data.Datum, err error) {
	g.run.source.Seed(seed, spread(uint64(n)))
	g.run.number, g.run.err = n, nil
	start := len(buf)
	g.value.Reset(buf)
	g.root.write(g.value, &g.run)
	out, nullDefault, err := g.value.Finish()
	if err == nil {
		err = g.run.err
	}
	if err != nil {
		return buf, key, value, err
	}
	value = data.Datum{Schema: g.schema, State: data.Present, NullDefault: nullDefault, Row: out[start:len(out):len(out)]}
	if g.keySchema == nil {
		return out, key, value, nil
	}
	out, key, err = g.appendKey(out)
	return out, key, value, err
}

// appendKey writes the value of the key's field once more, from the same
// random numbers.
func (g *Generator) appendKey(buf []byte) ([]byte, data.Datum, error) {
	start := len(buf)
	g.keyWriter.Reset(buf)
	null := data.Datum{Schema: g.keySchema, State: data.Null}
	if root, ok := g.root.(*choice); ok {
		v := g.keys[root.picked]
		if v == nil {
			return buf, null, nil
		}
		put(g.keyWriter, v)
	} else {
		g.run.source = g.run.atKey
		key := g.key
		if u, ok := key.(*union); ok {
			if key = u.branches[u.pick(&g.run)]; key == nil {
				return buf, null, nil
			}
		}
		key.write(g.keyWriter, &g.run)
	}
	buf, _, err := g.keyWriter.Finish()
	if err != nil {
		return buf, null, err
	}
	return buf, data.Datum{Schema: g.keySchema, State: data.Present, Row: buf[start:len(buf):len(buf)]}, nil
}

// spread makes numbers that follow one another unlike each other (the
// finaliser of SplitMix64).
func spread(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
