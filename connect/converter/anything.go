package converter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/millrace/millrace/plugins/data"
)

// Schemaless data has a schema in Avro all the same: a record with a field for
// every type, of which one is set. It refers to itself, which no other schema
// here may do, so it has its own small codec.
const anythingName = "io.confluent.connect.avro.Anything"

const anythingText = `{"type":"record","name":"Anything","namespace":"io.confluent.connect.avro","fields":[` +
	`{"name":"boolean","type":["null","boolean"],"default":null},` +
	`{"name":"bytes","type":["null","bytes"],"default":null},` +
	`{"name":"double","type":["null","double"],"default":null},` +
	`{"name":"float","type":["null","float"],"default":null},` +
	`{"name":"int","type":["null","int"],"default":null},` +
	`{"name":"long","type":["null","long"],"default":null},` +
	`{"name":"string","type":["null","string"],"default":null},` +
	`{"name":"array","type":["null",{"type":"array","items":"Anything"}],"default":null},` +
	`{"name":"map","type":["null",{"type":"array","items":{"type":"record","name":"MapEntry",` +
	`"fields":[{"name":"key","type":"Anything"},{"name":"value","type":"Anything"}]}}],"default":null}]}`

// The fields of Anything, in order.
const (
	anyBoolean = iota
	anyBytes
	anyDouble
	anyFloat
	anyInt
	anyLong
	anyString
	anyArray
	anyMap
	anyFields
)

// isAnything recognises the schema whatever the spacing of its text.
func isAnything(text string) bool {
	squeezed := strings.NewReplacer(" ", "", "\n", "", "\t", "", "\r", "").Replace(text)
	return squeezed == anythingText
}

// appendAnything appends a schemaless value as an Anything.
func appendAnything(dst []byte, v any) []byte {
	field := anyFields
	switch v.(type) {
	case bool:
		field = anyBoolean
	case []byte, data.Decimal:
		field = anyBytes
	case float64:
		field = anyDouble
	case int64:
		field = anyLong
	case string:
		field = anyString
	case []any:
		field = anyArray
	case map[string]any:
		field = anyMap
	}
	for i := range anyFields {
		if i != field {
			dst = append(dst, 0)
			continue
		}
		dst = appendAnythingValue(append(dst, 2), v)
	}
	return dst
}

func appendAnythingValue(dst []byte, v any) []byte {
	switch v := v.(type) {
	case bool:
		if v {
			return append(dst, 1)
		}
		return append(dst, 0)
	case []byte:
		return append(binary.AppendVarint(dst, int64(len(v))), v...)
	case data.Decimal:
		b := v.AppendUnscaled(nil)
		return append(binary.AppendVarint(dst, int64(len(b))), b...)
	case float64:
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v))
	case int64:
		return binary.AppendVarint(dst, v)
	case string:
		return append(binary.AppendVarint(dst, int64(len(v))), v...)
	case []any:
		if len(v) > 0 {
			dst = binary.AppendVarint(dst, int64(len(v)))
		}
		for _, e := range v {
			dst = appendAnything(dst, e)
		}
		return append(dst, 0)
	case map[string]any:
		if len(v) > 0 {
			dst = binary.AppendVarint(dst, int64(len(v)))
		}
		for _, k := range slices.Sorted(maps.Keys(v)) {
			dst = appendAnything(appendAnything(dst, k), v[k])
		}
		return append(dst, 0)
	}
	return dst
}

const maxAnythingDepth = 500

var errAnything = errors.New("schemaless data in Avro is corrupt")

// anythingReader reads Anything records; its error sticks.
type anythingReader struct {
	b   []byte
	err error
}

// readAnything returns the schemaless value of an Anything record.
func readAnything(b []byte) (any, error) {
	r := anythingReader{b: b}
	v := r.record(0)
	if r.err == nil && len(r.b) > 0 {
		r.fail("bytes follow the value")
	}
	return v, r.err
}

func (r *anythingReader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", errAnything, what)
	}
	r.b = nil
}

func (r *anythingReader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail("truncated number")
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *anythingReader) take(n int64) []byte {
	if n < 0 || n > int64(len(r.b)) {
		r.fail("truncated value")
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

// record reads one Anything: the value of the one field that is set.
func (r *anythingReader) record(depth int) (v any) {
	if depth > maxAnythingDepth {
		r.fail("nested too deeply")
		return nil
	}
	for field := range anyFields {
		switch branch := r.varint(); {
		case r.err != nil:
			return nil
		case branch == 0:
			continue
		case branch != 1 || v != nil:
			r.fail("not one field of a value is set")
			return nil
		}
		v = r.field(field, depth)
	}
	return v
}

func (r *anythingReader) field(field, depth int) any {
	switch field {
	case anyBoolean:
		b := r.take(1)
		return len(b) == 1 && b[0] == 1
	case anyBytes:
		return append([]byte{}, r.take(r.varint())...)
	case anyDouble:
		if b := r.take(8); b != nil {
			return math.Float64frombits(binary.LittleEndian.Uint64(b))
		}
	case anyFloat:
		if b := r.take(4); b != nil {
			return float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))
		}
	case anyInt, anyLong:
		return r.varint()
	case anyString:
		return strings.ToValidUTF8(string(r.take(r.varint())), "\uFFFD")
	case anyArray:
		out := []any{}
		r.blocks(func() { out = append(out, r.record(depth+1)) })
		return out
	case anyMap:
		out := make(map[string]any)
		r.blocks(func() {
			k, ok := r.record(depth + 1).(string)
			if !ok && r.err == nil {
				r.fail("a map key is not text")
			}
			out[k] = r.record(depth + 1)
		})
		return out
	}
	return nil
}

// blocks reads an array's elements, each of which takes bytes, so that a
// claimed count never outruns the input.
func (r *anythingReader) blocks(element func()) {
	for {
		n := r.varint()
		if n < 0 {
			n = -n
			r.varint() // the size of the block
		}
		if n == 0 || r.err != nil {
			return
		}
		if n < 0 || n > int64(len(r.b)/anyFields) {
			r.fail("a block claims too many elements")
			return
		}
		for range n {
			if element(); r.err != nil {
				return
			}
		}
	}
}
