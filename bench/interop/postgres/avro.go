package main

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// avroReader turns records in Confluent's wire form of Avro into the JSON, with
// schemas, that they would be with the JsonConverter. Confluent's converter
// cannot be had from Maven's central repository, so Millrace's Avro is compared
// with Debezium's JSON: what this reader makes of the registered schemas, by
// the connect.* properties that they have, and of the bytes, is to be the same.
// It shares nothing with Millrace's converters.
type avroReader struct {
	registry string // HOST:PORT
	client   http.Client

	mu      sync.Mutex // guards below
	schemas map[uint32]any
}

func newAvroReader(registry string) *avroReader {
	return &avroReader{registry: registry, client: http.Client{Timeout: 10 * time.Second}, schemas: map[uint32]any{}}
}

// json returns a record's key or value as JSON, nil for none.
func (r *avroReader) json(raw []byte) ([]byte, error) {
	if len(raw) == 0 {
		return raw, nil
	}
	if len(raw) < 5 || raw[0] != 0 {
		return nil, fmt.Errorf("%.20x is not in the wire form of Avro", raw)
	}
	schema, err := r.schema(binary.BigEndian.Uint32(raw[1:]))
	if err != nil {
		return nil, err
	}
	t := avroTypes{}
	form, err := t.schema(schema, "")
	if err != nil {
		return nil, err
	}
	d := avroBytes{rest: raw[5:], types: t}
	value := d.value(schema, "")
	if d.err == nil && len(d.rest) > 0 {
		d.err = fmt.Errorf("%d bytes are left", len(d.rest))
	}
	if d.err != nil {
		return nil, d.err
	}
	var b strings.Builder
	b.WriteString(`{"schema":`)
	form.all(&b)
	b.WriteString(`,"payload":` + value + "}")
	return []byte(b.String()), nil
}

// all writes the whole value.
func (n *node) all(b *strings.Builder) {
	switch {
	case n.object, n.array:
		brackets := "[]"
		if n.object {
			brackets = "{}"
		}
		b.WriteByte(brackets[0])
		for i, m := range n.members {
			if i > 0 {
				b.WriteByte(',')
			}
			if n.object {
				b.WriteString(quoted(n.names[i]) + ":")
			}
			m.all(b)
		}
		b.WriteByte(brackets[1])
	default:
		b.WriteString(n.text)
	}
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a text can be written
	}
	return string(b)
}

func (r *avroReader) schema(id uint32) (any, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s, ok := r.schemas[id]; ok {
		return s, nil
	}
	resp, err := r.client.Get(fmt.Sprintf("http://%s/schemas/ids/%d", r.registry, id))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err != nil {
		return nil, err
	}
	var answer struct {
		Schema string `json:"schema"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("schema %d: %s %.200s", id, resp.Status, body)
	}
	dec := json.NewDecoder(strings.NewReader(answer.Schema))
	dec.UseNumber()
	var s any
	if err := dec.Decode(&s); err != nil {
		return nil, fmt.Errorf("schema %d: %w", id, err)
	}
	r.schemas[id] = s
	return s, nil
}

// avroTypes are the named types of a schema by their full names.
type avroTypes map[string]map[string]any

// resolve returns the definition of a type that may be a name, with its type's
// word and the namespace inside of it.
func (t avroTypes) resolve(s any, space string) (def map[string]any, word, inner string) {
	switch s := s.(type) {
	case string:
		for _, name := range []string{space + "." + s, s} {
			if d := t[strings.TrimPrefix(name, ".")]; d != nil {
				return t.resolve(d, space)
			}
		}
		return map[string]any{}, s, space
	case map[string]any:
		switch w := s["type"].(type) {
		case string:
			if w != "record" {
				return s, w, space
			}
			name, _ := s["name"].(string)
			if n, ok := s["namespace"].(string); ok {
				space = n
			} else if i := strings.LastIndexByte(name, '.'); i >= 0 {
				space, name = name[:i], name[i+1:]
			}
			t[strings.TrimPrefix(space+"."+name, ".")] = s
			return s, w, space
		default:
			return t.resolve(w, space)
		}
	}
	return nil, "", space
}

// optional takes null out of a union.
func optional(s any) (other any, null int, ok bool) {
	u, ok := s.([]any)
	if !ok || len(u) != 2 {
		return s, 0, false
	}
	for i, b := range u {
		if b == "null" {
			return u[1-i], i, true
		}
	}
	return s, 0, false
}

// schema is Connect's schema as the JsonConverter writes it.
func (t avroTypes) schema(s any, space string) (*node, error) {
	other, _, null := optional(s)
	def, word, inner := t.resolve(other, space)
	out := &node{object: true}
	add := func(name string, n *node) { out.names, out.members = append(out.names, name), append(out.members, n) }
	text := func(s string) *node { return &node{text: quoted(s)} }
	kind, ok := connectTypes[word]
	if !ok {
		return nil, fmt.Errorf("Avro type %q of %v", word, s)
	}
	if k, ok := def["connect.type"].(string); ok {
		kind = k
	}
	add("type", text(kind))
	switch word {
	case "record":
		fields := &node{array: true}
		for _, f := range def["fields"].([]any) {
			field := f.(map[string]any)
			n, err := t.schema(field["type"], inner)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", field["name"], err)
			}
			n.names, n.members = append(n.names, "field"), append(n.members, text(field["name"].(string)))
			fields.members = append(fields.members, n)
		}
		add("fields", fields)
	case "array":
		n, err := t.schema(def["items"], inner)
		if err != nil {
			return nil, err
		}
		add("items", n)
	case "map":
		n, err := t.schema(def["values"], inner)
		if err != nil {
			return nil, err
		}
		add("keys", &node{object: true, names: []string{"type", "optional"}, members: []*node{text("string"), {text: "false"}}})
		add("values", n)
	}
	add("optional", &node{text: strconv.FormatBool(null)})
	if name, ok := def["connect.name"].(string); ok {
		add("name", text(name))
	}
	if v, ok := def["connect.version"].(json.Number); ok {
		add("version", &node{text: v.String()})
	}
	if doc, ok := def["connect.doc"].(string); ok {
		add("doc", text(doc))
	}
	if params, ok := def["connect.parameters"].(map[string]any); ok {
		p := &node{object: true}
		for _, k := range slices.Sorted(maps.Keys(params)) {
			p.names, p.members = append(p.names, k), append(p.members, text(fmt.Sprint(params[k])))
		}
		add("parameters", p)
	}
	if v, ok := def["connect.default"]; ok {
		add("default", defaultOf(v, word))
	}
	return out, nil
}

// connectTypes are Connect's types of Avro's.
var connectTypes = map[string]string{
	"record": "struct", "array": "array", "map": "map", "boolean": "boolean", "int": "int32", "long": "int64", "float": "float", "double": "double", "string": "string", "bytes": "bytes",
}

func defaultOf(v any, word string) *node {
	text, ok := v.(string)
	if word == "bytes" && ok { // a character is a byte
		var b []byte
		for _, r := range text {
			b = append(b, byte(r))
		}
		return &node{text: quoted(base64.StdEncoding.EncodeToString(b))}
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // it was read as JSON
	}
	n, err := parse(b)
	if err != nil {
		panic(err)
	}
	return n
}

// avroBytes reads values.
type avroBytes struct {
	rest  []byte
	types avroTypes
	err   error
}

func (d *avroBytes) fail(err error) string {
	if d.err == nil {
		d.err = err
	}
	d.rest = nil
	return "null"
}

func (d *avroBytes) long() int64 {
	n, size := binary.Varint(d.rest)
	if size <= 0 {
		d.fail(errors.New("a number ends too early"))
		return 0
	}
	d.rest = d.rest[size:]
	return n
}

func (d *avroBytes) take(n int64) []byte {
	if n < 0 || n > int64(len(d.rest)) {
		d.fail(fmt.Errorf("%d bytes of %d", n, len(d.rest)))
		return make([]byte, 8)
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

// value reads one and writes it as JSON.
func (d *avroBytes) value(s any, space string) string {
	if other, null, ok := optional(s); ok {
		if d.long() == int64(null) {
			return "null"
		}
		return d.value(other, space)
	}
	def, word, inner := d.types.resolve(s, space)
	switch word {
	case "record":
		var b strings.Builder
		b.WriteByte('{')
		for i, f := range def["fields"].([]any) {
			if i > 0 {
				b.WriteByte(',')
			}
			field := f.(map[string]any)
			b.WriteString(quoted(field["name"].(string)) + ":" + d.value(field["type"], inner))
		}
		return b.String() + "}"
	case "array", "map":
		return d.blocks(def, word, inner)
	case "boolean":
		return strconv.FormatBool(d.take(1)[0] != 0)
	case "int", "long":
		return strconv.FormatInt(d.long(), 10)
	case "float":
		return number(float64(math.Float32frombits(binary.LittleEndian.Uint32(d.take(4)))), 32)
	case "double":
		return number(math.Float64frombits(binary.LittleEndian.Uint64(d.take(8))), 64)
	case "string":
		return quoted(string(d.take(d.long())))
	case "bytes":
		return quoted(base64.StdEncoding.EncodeToString(d.take(d.long())))
	}
	return d.fail(fmt.Errorf("a value of Avro type %q", word))
}

// blocks reads an array or a map.
func (d *avroBytes) blocks(def map[string]any, word, space string) string {
	var items []string
	for n := d.long(); n != 0 && d.err == nil; n = d.long() {
		if n < 0 {
			n = -n
			d.long() // its bytes
		}
		for ; n > 0 && d.err == nil; n-- {
			if word == "array" {
				items = append(items, d.value(def["items"], space))
				continue
			}
			items = append(items, quoted(string(d.take(d.long())))+":"+d.value(def["values"], space))
		}
	}
	if word == "array" {
		return "[" + strings.Join(items, ",") + "]"
	}
	return "{" + strings.Join(items, ",") + "}"
}

func number(f float64, bits int) string {
	switch {
	case math.IsNaN(f):
		return `"NaN"`
	case math.IsInf(f, 1):
		return `"Infinity"`
	case math.IsInf(f, -1):
		return `"-Infinity"`
	}
	s := strconv.FormatFloat(f, 'g', -1, bits)
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return s
}
