package parse

import (
	"fmt"
	"strings"

	"github.com/millrace/millrace/connectors/textfield"
	"github.com/millrace/millrace/plugins/data"
)

// newJSON makes the parser of lines that are JSON objects: with fields into
// columns, with a schema by that, with neither into values without a schema.
func newJSON(c Config, pattern *textfield.TimePattern) (Parser, error) {
	switch {
	case len(c.Fields) > 0 && c.Schema != "":
		return nil, bad("parser.schema", "set either this or parser.fields")
	case c.Schema != "":
		s, err := parseSchema(c.Schema)
		if err != nil {
			return nil, &Problem{"parser.schema", err}
		}
		return &typedJSON{schema: s, reader: data.NewJSONReader(s, data.JSONOptions{})}, nil
	case len(c.Fields) == 0:
		return freeJSON{}, nil
	}
	columns, err := fields(c, pattern)
	if err != nil {
		return nil, err
	}
	t, err := newTable(c, columns)
	if err != nil {
		return nil, err
	}
	return &memberJSON{table: t, root: newMembers(columns)}, nil
}

// parseSchema reads a schema of Avro, or of Connect's JSON.
func parseSchema(text string) (*data.Schema, error) {
	if s, err := data.ParseJSONSchema([]byte(text)); err == nil {
		return s, nil
	}
	node, err := data.ParseAvroNode(text)
	if err != nil {
		return nil, fmt.Errorf("it is neither a schema of Connect in JSON nor of Avro: %w", err)
	}
	return node.Connect(data.AvroOptions{})
}

// freeJSON makes values without a schema.
type freeJSON struct{}

// Parse implements Parser.
func (freeJSON) Parse(dst, line []byte) ([]byte, data.Datum, int64, error) {
	v, err := data.SchemalessFromJSON(line)
	if err != nil {
		return dst, data.Datum{}, 0, err
	}
	buf, err := data.EncodeSchemaless(dst, v)
	if err != nil {
		return dst, data.Datum{}, 0, err
	}
	return buf, data.Datum{State: data.Present, Row: buf[len(dst):len(buf):len(buf)]}, data.NoTimestamp, nil
}

// typedJSON makes values of a schema.
type typedJSON struct {
	schema *data.Schema
	reader *data.JSONReader
}

// Parse implements Parser.
func (j *typedJSON) Parse(dst, line []byte) ([]byte, data.Datum, int64, error) {
	buf, nullDefault, err := j.reader.Append(dst, line)
	if err != nil {
		return dst, data.Datum{}, 0, err
	}
	return buf, data.Datum{Schema: j.schema, State: data.Present, NullDefault: nullDefault, Row: buf[len(dst):len(buf):len(buf)]}, data.NoTimestamp, nil
}

// members says which members of an object are columns, and which are objects
// that have some.
type members struct {
	names []string // in the order of the columns, in which members mostly come
	nodes []member
	index map[string]int
}

type member struct {
	column int // -1 if it is an object that has columns
	object *members
}

func newMembers(columns []textfield.Column) *members {
	root := &members{index: make(map[string]int)}
	for i := range columns {
		at, path := root, strings.Split(columns[i].Name, ".")
		for _, name := range path[:len(path)-1] {
			at = at.child(name).object
		}
		at.child(path[len(path)-1]).column = i
		if len(path) > 1 { // some programs write the dots themselves
			root.child(columns[i].Name).column = i
		}
	}
	return root
}

func (m *members) child(name string) *member {
	i, ok := m.index[name]
	if !ok {
		i = len(m.names)
		m.index[name] = i
		m.names = append(m.names, name)
		m.nodes = append(m.nodes, member{column: -1, object: &members{index: make(map[string]int)}})
	}
	return &m.nodes[i]
}

// find returns a member by its name. guess is the number of the one that comes
// if members come in order.
func (m *members) find(name []byte, guess int) int {
	if guess < len(m.names) && m.names[guess] == string(name) {
		return guess
	}
	if i, ok := m.index[string(name)]; ok {
		return i
	}
	return -1
}

// memberJSON writes members of objects into columns. Numbers and truth values
// may be in strings, and a string takes anything: logs are of many programs.
type memberJSON struct {
	*table
	root  *members
	extra []pair
	text  []byte // strings whose escapes were replaced
}

type pair struct {
	key, value []byte
	null       bool
}

// Parse implements Parser.
func (j *memberJSON) Parse(dst, line []byte) ([]byte, data.Datum, int64, error) {
	j.reset()
	j.extra, j.text = j.extra[:0], j.text[:0]
	in := scanner{b: line}
	j.object(&in, j.root, true)
	if in.space(); in.err == nil && in.i < len(line) {
		in.fail("text after the object")
	}
	if in.err != nil {
		return dst, data.Datum{}, 0, in.err
	}
	ms, err := j.begin(dst)
	if err != nil {
		return dst, data.Datum{}, 0, err
	}
	if j.rest {
		if err := writeRest(j.writer, j.extra); err != nil {
			return dst, data.Datum{}, 0, err
		}
	}
	buf, d, err := j.finish(dst)
	return buf, d, ms, err
}

// writeRest writes what no column is for. Of members with one name the last
// counts.
func writeRest(w *data.RowWriter, extra []pair) error {
	w.BeginMap()
	for i, p := range extra {
		if hides(extra[i+1:], p.key) {
			continue
		}
		w.TextBytes(p.key)
		if p.null {
			w.Null()
		} else {
			w.TextBytes(p.value)
		}
	}
	w.End()
	return w.Err()
}

func hides(later []pair, key []byte) bool {
	for _, p := range later {
		if string(p.key) == string(key) {
			return true
		}
	}
	return false
}

// object reads an object.
func (j *memberJSON) object(in *scanner, m *members, top bool) {
	if !in.open('{') {
		return
	}
	guess := 0
	for n := 0; in.more('}', n); n++ {
		name := in.name(&j.text)
		if in.err != nil {
			return
		}
		i := m.find(name, guess)
		switch {
		case i < 0 && j.rest && top:
			text, null := j.value(in)
			j.extra = append(j.extra, pair{name, text, null})
		case i < 0:
			in.skip()
		case m.nodes[i].column < 0 && in.peek() == '{':
			j.object(in, m.nodes[i].object, false)
		case m.nodes[i].column < 0:
			in.skip()
		default:
			text, null := j.value(in)
			j.cells[m.nodes[i].column] = cell{text: text, set: true, null: null}
		}
		if i >= 0 {
			guess = i + 1
		}
	}
	in.depth--
}

// value reads a value: of a string what it says, of others their JSON.
func (j *memberJSON) value(in *scanner) (text []byte, null bool) {
	switch in.peek() {
	case '"':
		return in.text(&j.text), false
	case 'n':
		in.skip()
		return nil, true
	}
	start := in.i
	in.skip()
	return in.b[start:in.i], false
}
