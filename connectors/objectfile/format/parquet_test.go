package format

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/millrace/millrace/plugins/data"
)

// eventSchema has a field of every kind, in an order that is not the alphabet's.
var eventSchema = func() *data.Schema {
	item := data.NewStructBuilder().Name("Item").Field("sku", data.StringSchema).
		Field("parts", data.ArrayOf(data.OptionalInt32Schema).Optional().MustBuild()).MustBuild()
	return data.NewStructBuilder().Name("app.Event").
		Field("zeta", data.Int64Schema).Field("alpha", data.OptionalStringSchema).Field("flag", data.BooleanSchema).
		Field("tiny", data.Int8Schema).Field("ratio", data.Float64Schema).Field("raw", data.BytesSchema).
		Field("price", data.DecimalSchema(2)).Field("day", data.DateSchema).Field("at", data.TimestampSchema).
		Field("items", data.ArrayOf(item).MustBuild()).
		Field("counts", data.MapOf(data.StringSchema, data.Int64Schema).MustBuild()).
		Field("byNumber", data.MapOf(data.Int32Schema, data.StringSchema).MustBuild()).
		Field("inner", data.NewStructBuilder().Name("Inner").Field("x", data.Float32Schema).Optional().MustBuild()).MustBuild()
}()

func eventValue(t *testing.T, id int64, full bool) *data.Struct {
	t.Helper()
	v := data.NewStruct(eventSchema)
	put := func(s *data.Struct, name string, x any) {
		if err := s.Put(name, x); err != nil {
			t.Fatal(err)
		}
	}
	for name, x := range map[string]any{
		"zeta": id, "flag": true, "tiny": int8(-3), "ratio": 1.5, "raw": []byte{1, 2}, "price": data.NewDecimal(-1250, 2), "day": int32(20000),
		"at": int64(1_700_000_000_000), "items": []any{}, "counts": data.Map{}, "byNumber": data.Map{},
	} {
		put(v, name, x)
	}
	if !full {
		return v
	}
	field, _ := eventSchema.Field("items")
	item := func(sku string, parts any) *data.Struct {
		s := data.NewStruct(field.Schema.ValueSchema())
		put(s, "sku", sku)
		put(s, "parts", parts)
		return s
	}
	put(v, "alpha", fmt.Sprintf("text %d", id))
	put(v, "items", []any{item("a", []any{int32(1), nil, int32(3)}), item("b", nil), item("c", []any{})})
	put(v, "counts", data.Map{{Key: "k", Value: int64(1)}, {Key: "l", Value: int64(2)}})
	put(v, "byNumber", data.Map{{Key: int32(7), Value: "seven"}})
	inner, _ := eventSchema.Field("inner")
	in := data.NewStruct(inner.Schema)
	put(in, "x", float32(0.5))
	put(v, "inner", in)
	return v
}

type parquetItem struct {
	Sku   string   `parquet:"sku"`
	Parts []*int32 `parquet:"parts,optional,list"`
}

// TestParquetColumns looks at a file's columns: their order, types and levels.
func TestParquetColumns(t *testing.T) {
	for codec, c := range parquetCodecs {
		f := Parquet{Codec: codec}
		if want := c.extension + ".parquet"; f.Extension() != want {
			t.Errorf("%s: extension %s, want %s", codec, f.Extension(), want)
		}
		content := write(t, f, eventSchema, eventValue(t, 1, true), eventValue(t, 2, false))
		file, err := parquet.OpenFile(bytes.NewReader(content), int64(len(content)))
		if err != nil {
			t.Fatalf("%s: %v", codec, err)
		}
		var names []string
		for _, f := range file.Schema().Fields() {
			names = append(names, f.Name())
		}
		if got, want := strings.Join(names, " "), "zeta alpha flag tiny ratio raw price day at items counts byNumber inner"; got != want {
			t.Errorf("fields are %s, want %s", got, want)
		}
		if text, ok := file.Lookup("parquet.avro.schema"); !ok || !strings.Contains(text, `"name":"Event","namespace":"app"`) {
			t.Errorf("avro schema is %q", text)
		}
		got := dump(t, file)
		want := []string{
			"1 | text 1 | true | -3 | 1.5 | \x01\x02 | \xfb\x1e | 20000 | 1700000000000 | a b c | 1 <null> 3 <null> <null> | k l | 1 2 | 7 | seven | 0.5",
			"2 | <null> | true | -3 | 1.5 | \x01\x02 | \xfb\x1e | 20000 | 1700000000000 | <null> | <null> | <null> | <null> | <null> | <null> | <null>",
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s: rows are\n%q\nwant\n%q", codec, got, want)
		}
	}
}

// dump prints each row's columns.
func dump(t *testing.T, file *parquet.File) []string {
	t.Helper()
	var out []string
	for _, group := range file.RowGroups() {
		rows := group.Rows()
		buf := make([]parquet.Row, 10)
		for {
			n, err := rows.ReadRows(buf)
			for _, row := range buf[:n] {
				var cols []string
				row.Range(func(_ int, values []parquet.Value) bool {
					var cells []string
					for _, v := range values {
						cells = append(cells, v.String())
					}
					cols = append(cols, strings.Join(cells, " "))
					return true
				})
				out = append(out, strings.Join(cols, " | "))
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestParquetNesting reads lists of structs of lists back into Go's own types.
func TestParquetNesting(t *testing.T) {
	content := write(t, Parquet{Codec: "snappy"}, eventSchema, eventValue(t, 1, true), eventValue(t, 2, false))
	type event struct {
		Zeta   int64            `parquet:"zeta"`
		Items  []parquetItem    `parquet:"items,list"`
		Counts map[string]int64 `parquet:"counts"`
	}
	rows, err := parquet.Read[event](bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 2 || len(rows[0].Items) != 3 || len(rows[0].Items[0].Parts) != 3 || rows[0].Items[0].Parts[1] != nil || *rows[0].Items[0].Parts[2] != 3 ||
		rows[0].Items[1].Sku != "b" || len(rows[0].Items[1].Parts) != 0 || rows[0].Counts["l"] != 2 || len(rows[1].Items) != 0 {
		t.Errorf("rows are %+v", rows)
	}
}

// TestParquetOfManyRows writes more than a dictionary, a page and a row group
// hold.
func TestParquetOfManyRows(t *testing.T) {
	var values []any
	const n = 4_000
	schema := data.NewStructBuilder().Name("r").Field("id", data.Int64Schema).Field("pad", data.StringSchema).MustBuild()
	for i := range int64(n) {
		v := data.NewStruct(schema)
		if err := errors.Join(v.Put("id", i), v.Put("pad", fmt.Sprintf("%010000d", i))); err != nil {
			t.Fatal(err)
		}
		values = append(values, v)
	}
	content := write(t, Parquet{Codec: "zstd"}, schema, values...)
	type row struct {
		ID  int64  `parquet:"id"`
		Pad string `parquet:"pad"`
	}
	rows, err := parquet.Read[row](bytes.NewReader(content), int64(len(content)))
	if err != nil || len(rows) != n {
		t.Fatalf("%d rows, error %v", len(rows), err)
	}
	for i, r := range rows {
		if r.ID != int64(i) || r.Pad != fmt.Sprintf("%010000d", i) {
			t.Fatalf("row %d is %+v", i, r)
		}
	}
	file, err := parquet.OpenFile(bytes.NewReader(content), int64(len(content)))
	if err != nil || len(file.RowGroups()) != 2 {
		t.Errorf("%d row groups, want 2; %v", len(file.RowGroups()), err)
	}
}

func TestParquetRefuses(t *testing.T) {
	empty := data.NewStructBuilder().Name("Empty").MustBuild()
	for name, s := range map[string]*data.Schema{
		"no schema": nil, "no struct": data.StringSchema, "no fields": empty,
		"no fields within": data.NewStructBuilder().Name("r").Field("e", empty).MustBuild(),
		"negative scale":   data.NewStructBuilder().Name("r").Field("d", data.DecimalSchema(-1)).MustBuild(),
	} {
		if _, err := (Parquet{Codec: "none"}).Open(io.Discard, s); !IsData(err) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
	key, err := WrapKey(datum(t, data.OptionalStringSchema, "k"))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w, err := (Parquet{Codec: "none"}).Open(&out, key.Schema)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Prepare(key), w.Append(), w.Close()); err != nil {
		t.Fatal(err)
	}
	type row struct {
		Key *string `parquet:"key,optional"`
	}
	rows, err := parquet.Read[row](bytes.NewReader(out.Bytes()), int64(out.Len()))
	if err != nil || len(rows) != 1 || *rows[0].Key != "k" {
		t.Errorf("key file holds %v, %v", rows, err)
	}
}
