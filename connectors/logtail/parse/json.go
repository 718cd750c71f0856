package parse

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

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

// scanner reads JSON. Its error sticks.
type scanner struct {
	b     []byte
	i     int
	depth int
	err   error
}

// maxDepth bounds the nesting of JSON.
const maxDepth = 512

var errJSON = errors.New("it is not JSON")

func (s *scanner) fail(what string) {
	if s.err == nil {
		s.err = fmt.Errorf("%w at byte %d: %s", errJSON, s.i, what)
	}
}

func (s *scanner) space() {
	for s.i < len(s.b) && (s.b[s.i] == ' ' || s.b[s.i] == '\t' || s.b[s.i] == '\n' || s.b[s.i] == '\r') {
		s.i++
	}
}

// peek returns the first byte of what is next, 0 at the end.
func (s *scanner) peek() byte {
	s.space()
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

func (s *scanner) open(c byte) bool {
	if s.err == nil && s.peek() != c {
		s.fail("an object is wanted")
	}
	if s.depth++; s.depth > maxDepth {
		s.fail("too deep")
	}
	s.i++
	return s.err == nil
}

// more reports whether the n-th element follows, and moves to it, or past the
// end that c is.
func (s *scanner) more(c byte, n int) bool {
	if s.err != nil {
		return false
	}
	switch k := s.peek(); {
	case k == c:
		s.i++
		return false
	case n == 0:
		return true
	case k == ',':
		s.i++
		return true
	}
	s.fail("a comma or the end is wanted")
	return false
}

func (s *scanner) name(scratch *[]byte) []byte {
	if s.peek() != '"' {
		s.fail("a name is wanted")
		return nil
	}
	name := s.text(scratch)
	if s.peek() != ':' {
		s.fail("a colon is wanted")
	}
	s.i++
	return name
}

// text reads a string. It is of the input, or of scratch if it has escapes.
func (s *scanner) text(scratch *[]byte) []byte {
	start := s.i + 1
	escaped := s.string()
	if s.err != nil {
		return nil
	}
	raw := s.b[start : s.i-1]
	if !escaped {
		return raw
	}
	at := len(*scratch)
	*scratch = unescape(*scratch, raw)
	return (*scratch)[at:len(*scratch):len(*scratch)]
}

// string passes over a string, whose first quote is next, and reports whether it
// has escapes, which are checked.
func (s *scanner) string() (escaped bool) {
	for s.i++; s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; {
		case c == '"':
			s.i++
			return escaped
		case c == '\\':
			escaped = true
			if s.i++; s.i == len(s.b) || !s.escape() {
				s.fail("escape")
				return false
			}
		case c < ' ':
			s.fail("control character in a string")
			return false
		}
	}
	s.fail("string without end")
	return false
}

// escape checks what follows a backslash.
func (s *scanner) escape() bool {
	switch s.b[s.i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return true
	case 'u':
		if s.i+4 >= len(s.b) {
			return false
		}
		for _, c := range s.b[s.i+1 : s.i+5] {
			if hex(c) > 15 {
				return false
			}
		}
		s.i += 4
		return true
	}
	return false
}

func hex(c byte) rune {
	switch {
	case c >= '0' && c <= '9':
		return rune(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return rune(c|0x20-'a') + 10
	}
	return 16
}

// unescape appends the text of a string whose escapes were checked.
func unescape(dst, raw []byte) []byte {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			dst = append(dst, raw[i])
			continue
		}
		i++
		switch c := raw[i]; c {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r := hex4(raw[i+1:])
			i += 4
			if utf16.IsSurrogate(r) {
				if i+6 < len(raw) && raw[i+1] == '\\' && raw[i+2] == 'u' && utf16.DecodeRune(r, hex4(raw[i+3:])) != utf8.RuneError {
					r = utf16.DecodeRune(r, hex4(raw[i+3:]))
					i += 6
				} else {
					r = utf8.RuneError
				}
			}
			dst = utf8.AppendRune(dst, r)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

func hex4(b []byte) rune { return hex(b[0])<<12 | hex(b[1])<<8 | hex(b[2])<<4 | hex(b[3]) }

// skip passes over a value.
func (s *scanner) skip() {
	if s.err != nil {
		return
	}
	switch c := s.peek(); {
	case c == '"':
		s.string()
	case c == '{' || c == '[':
		s.compound(c)
	case c == '-' || c >= '0' && c <= '9':
		s.number()
	case c == 't':
		s.word("true")
	case c == 'f':
		s.word("false")
	case c == 'n':
		s.word("null")
	default:
		s.fail("a value is wanted")
	}
}

func (s *scanner) compound(c byte) {
	if !s.open(c) {
		return
	}
	end := c + 2 // of both kinds of brackets
	for n := 0; s.more(end, n); n++ {
		if c == '{' {
			if s.peek() != '"' {
				s.fail("a name is wanted")
				return
			}
			if s.string(); s.peek() != ':' {
				s.fail("a colon is wanted")
				return
			}
			s.i++
		}
		s.skip()
	}
	s.depth--
}

func (s *scanner) number() {
	if s.b[s.i] == '-' {
		s.i++
	}
	ok := s.digits()
	if ok && s.i < len(s.b) && s.b[s.i] == '.' {
		s.i++
		ok = s.digits()
	}
	if ok && s.i < len(s.b) && s.b[s.i]|0x20 == 'e' {
		s.i++
		if s.i < len(s.b) && (s.b[s.i] == '+' || s.b[s.i] == '-') {
			s.i++
		}
		ok = s.digits()
	}
	if !ok {
		s.fail("a number is wanted")
	}
}

func (s *scanner) digits() bool {
	start := s.i
	for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
		s.i++
	}
	return s.i > start
}

func (s *scanner) word(w string) {
	if len(s.b)-s.i < len(w) || string(s.b[s.i:s.i+len(w)]) != w {
		s.fail("a value is wanted")
		return
	}
	s.i += len(w)
}
