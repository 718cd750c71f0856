package data

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/hamba/avro/v2"
	"pgregory.net/rapid"
)

func TestProjection(t *testing.T) {
	rec := func(fields string) string { return `{"type":"record","name":"R","fields":[` + fields + `]}` }
	for _, tt := range []struct {
		name, from, to, row, want string // want: hex, or the error
	}{
		{"same", `"int"`, `{"type":"int","logicalType":"date"}`, "02", "02"},
		{"union order", `["int","null"]`, `["null","int"]`, "0002", "0202"},
		{"null in a union", `["int","null"]`, `["null","int"]`, "02", "00"},
		{"becomes optional", `"int"`, `["null","int"]`, "02", "0202"},
		{"becomes required", `["null","int"]`, `"int"`, "0202", "02"},
		{"null cannot", `["null","int"]`, `"int"`, "00", "a value of null cannot become int"},
		{"enum to string", `{"type":"enum","name":"E","symbols":["A","BC"]}`, `"string"`, "02", "044243"},
		{"string to enum", `"string"`, `{"type":"enum","name":"E","symbols":["A","BC"]}`, "044243", "02"},
		{"unknown symbol", `"string"`, `{"type":"enum","name":"E","symbols":["A"]}`, "0242", `"B" is no symbol`},
		{"enum order", `{"type":"enum","name":"E","symbols":["A","B"]}`, `{"type":"enum","name":"E","symbols":["B","A"]}`, "00", "02"},
		{"widening", `"int"`, `"long"`, "02", "02"},
		{"int to double", `"int"`, `"double"`, "02", "000000000000f03f"},
		{"float to double", `"float"`, `"double"`, "0000803f", "000000000000f03f"},
		{"narrowing", `"long"`, `"int"`, "", "long cannot become int"},
		{"fields by name", rec(`{"name":"a","type":"int"},{"name":"b","type":"string"}`),
			rec(`{"name":"b","type":"string"},{"name":"a","type":"long"}`), "020278", "027802"},
		{"swapped names of one wire form", rec(`{"name":"a","type":"int"},{"name":"b","type":"int"}`),
			rec(`{"name":"b","type":"int"},{"name":"a","type":"int"}`), "0204", "0402"},
		{"dropped and defaulted", rec(`{"name":"a","type":"int"},{"name":"b","type":{"type":"array","items":"int"}}`),
			rec(`{"name":"n","type":["null","int"],"default":null},{"name":"a","type":"int"},{"name":"s","type":{"type":"map","values":"string"},"default":{"k":"v"}}`),
			"0204020400", "0002" + "02026b027600"},
		{"alias", rec(`{"name":"old","type":"int"}`), rec(`{"name":"new","type":"int","aliases":["old"]}`), "02", "02"},
		{"missing", rec(``), rec(`{"name":"a","type":"int"}`), "", "a: invalid schema: the field is missing"},
		{"array in blocks", `{"type":"array","items":"int"}`, `{"type":"array","items":["null","int"]}`, "01020204060800",
			"06" + "020202060208" + "00"},
		{"n-ary by type", `["null","int","string"]`, `["string","null","int"]`, "0402" + "78", "00" + "0278"},
		{"enum beside string by place", `[{"type":"enum","name":"E","symbols":["A"]},"string"]`, `["string","string"]`, "020278", "020278"},
		{"trailing", `"int"`, `"long"`, "0202", "bytes follow"},
		{"truncated", `{"type":"array","items":"int"}`, `{"type":"array","items":"long"}`, "0402", "corrupt"},
		{"branch out of range", `["null","int"]`, `"long"`, "06", "out of range"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			from, err := ParseAvroNode(tt.from)
			if err != nil {
				t.Fatal(err)
			}
			to, err := ParseAvroNode(tt.to)
			if err != nil {
				t.Fatal(err)
			}
			var got []byte
			p, err := NewProjection(from, to)
			if err == nil {
				row, _ := hex.DecodeString(tt.row)
				got, err = p.Append(nil, row)
			}
			if err != nil {
				if !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error is %v, want %q", err, tt.want)
				}
				return
			}
			if hex.EncodeToString(got) != tt.want {
				t.Errorf("bytes are %x, want %s", got, tt.want)
			}
		})
	}
}

// What hamba writes, in its own block form and map order, must come back as
// the value it was.
func TestForeignRows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, v := anyTree(t)
		text, err := AvroSchema(s, AvroOptions{})
		if err != nil {
			t.Fatal(err)
		}
		row, _, err := Encode(nil, s, v)
		if err != nil {
			t.Fatal(err)
		}
		schema, err := avro.ParseWithCache(text, "", &avro.SchemaCache{})
		if err != nil {
			t.Fatal(err)
		}
		var generic any
		if err := avro.Unmarshal(schema, row, &generic); err != nil {
			t.Fatal(err)
		}
		foreign, err := avro.Marshal(schema, generic)
		if err != nil {
			return // hamba cannot write all that it reads
		}
		back, err := Decode(s, foreign)
		if err != nil || !EqualValues(back, v) {
			t.Fatalf("%s in hamba's bytes %x reads as %s, %v", Text(v), foreign, Text(back), err)
		}
		n, err := ParseAvroNode(text)
		if err != nil {
			t.Fatal(err)
		}
		p, err := NewProjection(n, n)
		if err != nil || !p.Identity() {
			t.Fatalf("projection onto itself: %v", err)
		}
	})
}

func TestAppendWithDefaults(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, v := anyTree(t)
		row, flag, err := Encode(nil, s, v)
		if err != nil {
			t.Fatal(err)
		}
		want, _, err := Encode(nil, s, substituted(s, v))
		if err != nil {
			t.Fatal(err)
		}
		got, err := AppendWithDefaults([]byte("x"), s, row)
		if err != nil || !bytes.Equal(got[1:], want) {
			t.Fatalf("%s: row %x with defaults is %x, %v, want %x", Text(v), row, got[1:], err, want)
		}
		if !flag && !bytes.Equal(row, want) {
			t.Fatalf("the flag is off and yet %x becomes %x", row, want)
		}
	})
	// A block with its byte size must not keep that size.
	s := ArrayOf(withDefault).MustBuild()
	got, err := AppendWithDefaults(nil, s, []byte{3, 6, 2, 0, 8, 0})
	if err != nil || !bytes.Equal(got, []byte{4, 0, 0, 0, 8, 0}) {
		t.Errorf("sized block becomes %x, %v", got, err)
	}
}

// substituted is v with the nulls replaced that have a default.
func substituted(s *Schema, v any) any {
	if v == nil {
		v = s.def
	}
	switch v := v.(type) {
	case []any:
		out := []any{}
		for _, e := range v {
			out = append(out, substituted(s.value, e))
		}
		return out
	case Map:
		out := Map{}
		for _, e := range v {
			out = append(out, Entry{e.Key, substituted(s.value, e.Value)})
		}
		return out
	case *Struct:
		out := NewStruct(v.schema)
		for i, f := range v.schema.fields {
			out.values[i] = substituted(f.Schema, v.values[i])
		}
		return out
	}
	return v
}
