package format

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/hamba/avro/v2/ocf"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"

	"github.com/millrace/millrace/plugins/data"
)

// write makes a file of values of one schema, nil for none.
func write(t *testing.T, f Format, schema *data.Schema, values ...any) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := f.Open(&out, schema)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range values {
		d, err := data.NewDatum(schema, v)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(w.Prepare(d), w.Append()); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

var userSchema = data.NewStructBuilder().Name("app.User").Field("id", data.Int64Schema).Field("name", data.OptionalStringSchema).
	Field("color", data.NewBuilder(data.TypeString).Param("io.confluent.connect.avro.Enum", "Color").
		Param("io.confluent.connect.avro.Enum.RED", "RED").Param("io.confluent.connect.avro.Enum.BLUE", "BLUE").MustBuild()).
	Field("tags", data.ArrayOf(data.StringSchema).MustBuild()).
	Field("score", data.NewBuilder(data.TypeInt32).Optional().Default(int32(9)).MustBuild()).MustBuild()

func user(t *testing.T, id int64) *data.Struct {
	t.Helper()
	v := data.NewStruct(userSchema)
	for name, x := range map[string]any{"id": id, "name": "n", "color": "BLUE", "tags": []any{"a", "b"}} {
		if err := v.Put(name, x); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

// TestAvroFilesAreReadByOthers reads files of every codec, of rows that pass as
// they are and of rows that must change (enums), with another library.
func TestAvroFilesAreReadByOthers(t *testing.T) {
	for _, codec := range []string{"null", "deflate", "snappy", "zstandard"} {
		for _, enhanced := range []bool{false, true} {
			const n = 5000 // several blocks
			var values []any
			for i := range int64(n) {
				values = append(values, user(t, i))
			}
			content := write(t, Avro{Codec: codec, Options: data.AvroOptions{Enhanced: enhanced}, Level: -1}, userSchema, values...)
			d, err := ocf.NewDecoder(bytes.NewReader(content))
			if err != nil {
				t.Fatalf("%s: %v", codec, err)
			}
			if text := string(d.Metadata()["avro.schema"]); strings.Contains(text, `"enum"`) != enhanced || !strings.Contains(text, `"namespace":"app"`) {
				t.Errorf("schema is %s", text)
			}
			i := 0
			for ; d.HasNext(); i++ {
				var v map[string]any
				if err := d.Decode(&v); err != nil {
					t.Fatalf("%s, record %d: %v", codec, i, err)
				}
				if got, want := fmt.Sprintf("%v %v %v %v %v", v["id"], v["name"], v["color"], v["tags"], v["score"]), fmt.Sprintf("%d n BLUE [a b] 9", i); got != want {
					t.Fatalf("%s, record %d is %s, want %s", codec, i, got, want)
				}
			}
			if err := d.Error(); err != nil || i != n {
				t.Errorf("%s: %d records, error %v", codec, i, err)
			}
		}
	}
}

func TestAvroOfPrimitives(t *testing.T) {
	d, err := ocf.NewDecoder(bytes.NewReader(write(t, Avro{Codec: "null"}, data.StringSchema, "x", "y")))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for d.HasNext() {
		var s string
		if err := d.Decode(&s); err != nil {
			t.Fatal(err)
		}
		got = append(got, s)
	}
	if fmt.Sprint(got) != "[x y]" {
		t.Errorf("values are %q", got)
	}
}

func TestText(t *testing.T) {
	for _, tt := range []struct {
		name   string
		format Format
		schema *data.Schema
		values []any
		want   string
	}{
		{"JSON of structs", JSON{}, userSchema, []any{user(t, 1)}, `{"id":1,"name":"n","color":"BLUE","tags":["a","b"],"score":9}` + "\n"},
		{"JSON without schema", JSON{}, nil, []any{map[string]any{"b": int64(1), "a": []byte{1}}, "x", int64(3)}, "{\"a\":\"AQ==\",\"b\":1}\n\"x\"\n3\n"},
		{"decimal as base64", JSON{}, data.DecimalSchema(2), []any{data.NewDecimal(1250, 2)}, "\"BOI=\"\n"},
		{"decimal as number", JSON{Options: data.JSONOptions{NumericDecimals: true}}, data.DecimalSchema(2), []any{data.NewDecimal(1250, 2)}, "12.50\n"},
		{"bytes", Bytes{Separator: "\n"}, data.BytesSchema, []any{[]byte("a\nb"), []byte{}}, "a\nb\n\n"},
		{"bytes without schema", Bytes{Separator: "--"}, nil, []any{[]byte("a")}, "a--"},
		{"optional bytes", Bytes{Separator: ";"}, data.OptionalBytesSchema, []any{[]byte("a")}, "a;"},
	} {
		if got := string(write(t, tt.format, tt.schema, tt.values...)); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestCompressedFilesAreReadByOthers(t *testing.T) {
	plain := func(r io.Reader, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for _, tt := range []struct {
		name, extension string
		open            func(io.Reader) (io.Reader, error)
	}{
		{"none", ".json", func(r io.Reader) (io.Reader, error) { return r, nil }},
		{"gzip", ".json.gz", func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }},
		{"zstd", ".json.zst", func(r io.Reader) (io.Reader, error) { return zstd.NewReader(r) }},
		{"snappy", ".json.sz", func(r io.Reader) (io.Reader, error) { return snappy.NewReader(r), nil }},
	} {
		f := JSON{Compression: Compression{Type: tt.name, Level: -1}}
		if f.Extension() != tt.extension {
			t.Errorf("%s: extension %s", tt.name, f.Extension())
		}
		if got := plain(tt.open(bytes.NewReader(write(t, f, data.Int64Schema, int64(1), int64(2))))); got != "1\n2\n" {
			t.Errorf("%s: %q", tt.name, got)
		}
	}
}

// TestRefusedRecordsLeaveFilesAsTheyWere checks that what cannot be written is
// the record's fault and that the file goes on.
func TestRefusedRecordsLeaveFilesAsTheyWere(t *testing.T) {
	for _, tt := range []struct {
		name   string
		format Format
		schema *data.Schema
		good   any
		bad    data.Datum
		want   string
	}{
		{"bytes", Bytes{Separator: ";"}, nil, []byte("a"), datum(t, nil, "text"), "a;a;"},
		{"truncated row", JSON{}, userSchema, user(t, 1), data.Datum{Schema: userSchema, State: data.Present, Row: []byte{2, 2, 200}}, ""},
	} {
		var out bytes.Buffer
		w, err := tt.format.Open(&out, tt.schema)
		if err != nil {
			t.Fatal(err)
		}
		good := datum(t, tt.schema, tt.good)
		for range 2 {
			if err := errors.Join(w.Prepare(good), w.Append()); err != nil {
				t.Fatal(err)
			}
			if err := w.Prepare(tt.bad); !IsData(err) {
				t.Errorf("%s: error is %v", tt.name, err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if tt.want != "" && out.String() != tt.want || strings.Count(out.String(), "\n") == 1 {
			t.Errorf("%s: the file is %q", tt.name, out.String())
		}
	}
	for _, f := range []Format{Avro{Codec: "null"}, Bytes{}} {
		schema := data.StringSchema
		if _, ok := f.(Avro); ok {
			schema = nil
		}
		if _, err := f.Open(io.Discard, schema); !IsData(err) {
			t.Errorf("%T opens for schema %v: %v", f, schema, err)
		}
	}
}

func datum(t *testing.T, s *data.Schema, v any) data.Datum {
	t.Helper()
	d, err := data.NewDatum(s, v)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
