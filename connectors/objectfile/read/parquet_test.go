package read

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/deprecated"

	"github.com/millrace/millrace/connectors/objectfile/format"
	"github.com/millrace/millrace/plugins/data"
)

// wide has a field of every kind.
func wide() *data.Schema {
	inner := data.NewStructBuilder().Name("x.Inner").Field("a", data.OptionalInt32Schema).Field("b", data.ArrayOf(data.OptionalStringSchema).MustBuild()).MustBuild()
	return data.NewStructBuilder().Name("x.Wide").
		Field("i8", data.NewBuilder(data.TypeInt8).MustBuild()).Field("i16", data.NewBuilder(data.TypeInt16).Optional().MustBuild()).
		Field("i32", data.Int32Schema).Field("i64", data.OptionalInt64Schema).Field("f32", data.NewBuilder(data.TypeFloat32).MustBuild()).
		Field("f64", data.Float64Schema).Field("bool", data.NewBuilder(data.TypeBoolean).MustBuild()).Field("text", data.OptionalStringSchema).
		Field("bytes", data.BytesSchema).Field("dec", data.DecimalSchema(3)).Field("date", data.DateBuilder().MustBuild()).
		Field("time", data.TimeBuilder().Optional().MustBuild()).Field("ts", data.TimestampSchema).Field("inner", inner).
		Field("maybe", data.AsOptional(inner)).Field("list", data.ArrayOf(inner).MustBuild()).
		Field("lists", data.ArrayOf(data.ArrayOf(data.Int32Schema).Optional().MustBuild()).Optional().MustBuild()).
		Field("map", data.MapOf(data.StringSchema, data.OptionalInt64Schema).MustBuild()).
		Field("odd", data.MapOf(data.Int32Schema, data.StringSchema).MustBuild()).
		Field("def", data.NewBuilder(data.TypeInt32).Optional().Default(int32(7)).MustBuild()).MustBuild()
}

// wideValue is value n of the schema: nulls, empty lists and others take turns.
func wideValue(t testing.TB, s *data.Schema, n int) *data.Struct {
	t.Helper()
	field := func(name string) *data.Schema { f, _ := s.Field(name); return f.Schema }
	inner := func(k int) *data.Struct {
		v := data.NewStruct(field("inner"))
		var b []any
		for i := range k % 3 {
			b = append(b, any([]any{nil, fmt.Sprint("e", i)}[i%2]))
		}
		if err := v.Put("b", append([]any{}, b...)); err != nil {
			t.Fatal(err)
		}
		if k%2 == 0 {
			if err := v.Put("a", int32(k)); err != nil {
				t.Fatal(err)
			}
		}
		return v
	}
	v := data.NewStruct(s)
	set := map[string]any{
		"i8": int8(-n), "i32": int32(math.MinInt32 + n), "f32": float32(n) / 3, "f64": math.Inf(1), "bool": n%2 == 0, "bytes": []byte{0, byte(n)},
		"dec": data.NewDecimal(int64(-n)*1000003, 3), "date": int32(n), "ts": int64(n) * 1e10, "inner": inner(n), "list": []any{}, "map": data.Map{}, "odd": data.Map{{Key: int32(n), Value: "o"}, {Key: int32(n + 1), Value: ""}},
	}
	if n%3 > 0 {
		set["i16"], set["i64"], set["text"], set["time"], set["maybe"] = int16(n), int64(n)<<40, fmt.Sprint("text ", n), int32(n), inner(n+1)
		set["list"], set["map"] = []any{inner(n), inner(n + 1)}, data.Map{{Key: "a", Value: int64(n)}, {Key: "b", Value: nil}}
		set["def"] = int32(n)
	}
	if n%4 > 0 {
		set["lists"] = []any{[]any{int32(1), int32(2)}, nil, []any{}, []any{int32(n)}}
	}
	for name, x := range set {
		if err := v.Put(name, x); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

// parquetFile writes rows with the sink's writer.
func parquetFile(t testing.TB, codec string, n int) []byte {
	t.Helper()
	s := wide()
	var out bytes.Buffer
	w, err := format.Parquet{Codec: codec}.Open(&out, s)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		d, err := data.NewDatum(s, wideValue(t, s, i))
		if err == nil {
			err = w.Prepare(d)
		}
		if err == nil {
			err = w.Append()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestParquetOfTheSink(t *testing.T) {
	s := wide()
	for _, codec := range []string{"none", "snappy", "zstd"} {
		content := parquetFile(t, codec, 300)
		r, err := Open(Parquet, "x.parquet", Options{}, bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 300 {
			d, err := r.Next()
			if err != nil {
				t.Fatalf("%s: record %d: %v", codec, i, err)
			}
			want, err := data.NewDatum(s, withDefaults(t, wideValue(t, s, i)))
			if err != nil {
				t.Fatal(err)
			}
			if !d.Schema.Equal(s) || !bytes.Equal(d.Row, want.Row) {
				got, err := d.Value()
				t.Fatalf("%s: record %d is\n%v, %v, want\n%v", codec, i, got, err, wideValue(t, s, i))
			}
		}
		if _, err := r.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: after the last: %v", codec, err)
		}
		if err := r.(io.Closer).Close(); err != nil {
			t.Error(err)
		}
		for _, cut := range []int{0, 3, len(content) / 2, len(content) - 5} {
			_, err := Open(Parquet, "x.parquet", Options{}, bytes.NewReader(content[:cut]))
			if d := (*DataError)(nil); !errors.As(err, &d) {
				t.Errorf("%s, cut at %d: %v", codec, cut, err)
			}
		}
	}
}

// withDefaults puts defaults where the writer does: in the place of nulls.
func withDefaults(t testing.TB, v *data.Struct) *data.Struct {
	t.Helper()
	if v.AtWithoutDefault(19) == nil {
		if err := v.PutAt(19, int32(7)); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

// TestParquetOfOthers reads files that no Avro schema is in.
func TestParquetOfOthers(t *testing.T) {
	type item struct {
		Name string  `parquet:"name,optional"`
		Qty  []int32 `parquet:"qty,list"`
	}
	type rec struct {
		ID    int64            `parquet:"id"`
		Small uint8            `parquet:"small"`
		When  time.Time        `parquet:"when,timestamp(millisecond)"`
		Micro int64            `parquet:"micro,timestamp(microsecond)"`
		Old   deprecated.Int96 `parquet:"old"`
		UUID  [16]byte         `parquet:"uuid,uuid"`
		Price int64            `parquet:"price,decimal(2:9)"`
		Bare  []string         `parquet:"bare"`
		Items []item           `parquet:"items,list"`
		Tags  map[string]int32 `parquet:"tags"`
		Maybe *bool            `parquet:"maybe,optional"`
	}
	yes := true
	var out bytes.Buffer
	w := parquet.NewGenericWriter[rec](&out)
	if _, err := w.Write([]rec{
		{ID: 1, Small: 200, When: time.UnixMilli(5), Micro: 7000, Old: deprecated.Int96{0, 0, 2440589}, UUID: [16]byte{1, 15: 2}, Price: 150, Bare: []string{"a", "b"},
			Items: []item{{"n", []int32{1, 2}}, {"", nil}}, Tags: map[string]int32{"k": 3}, Maybe: &yes},
		{ID: 2, When: time.UnixMilli(0), Old: deprecated.Int96{0, 0, 2440588}},
	}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := Open(Parquet, "x.parquet", Options{}, bytes.NewReader(out.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	got, err := all(r)
	want := []string{
		"Struct{id=1,small=200,when=5,micro=7,old=86400000,uuid=01000000-0000-0000-0000-000000000002,price=1.50,bare=[a, b],items=[Struct{name=n,qty=[1, 2]}, Struct{qty=[]}],tags={k=3},maybe=true}",
		"Struct{id=2,small=0,when=0,micro=0,old=0,uuid=00000000-0000-0000-0000-000000000000,price=0.00,bare=[],items=[],tags={}}",
	}
	if err != nil || len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("rows are\n%q, %v, want\n%q", got, err, want)
	}
}

func TestLargeParquetIsHeldInAFile(t *testing.T) {
	type rec struct {
		ID   int64  `parquet:"id"`
		Body []byte `parquet:"body"`
	}
	var out bytes.Buffer
	w := parquet.NewGenericWriter[rec](&out, parquet.MaxRowsPerRowGroup(1000))
	x := uint64(1)
	for i := range 6000 {
		body := make([]byte, 1000)
		for j := range body {
			x = x*6364136223846793005 + 1
			body[j] = byte(x >> 56)
		}
		if _, err := w.Write([]rec{{int64(i), body}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := Open(Parquet, "x.parquet", Options{}, bytes.NewReader(out.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if r.(*ParquetFile).spool == nil {
		t.Errorf("a file of %d bytes is held in memory", out.Len())
	}
	got, err := all(r)
	if err != nil || len(got) != 6000 {
		t.Errorf("%d records, %v", len(got), err)
	}
	if err := r.(io.Closer).Close(); err != nil {
		t.Error(err)
	}
}

func TestCSV(t *testing.T) {
	for _, tt := range []struct {
		name, content string
		o             CSVOptions
		want, err     string
	}{
		{"with names", "id,who\n1,\"a,\"\"b\"\"\nc\"\n2,\n", CSVOptions{true, ','}, "[Struct{id=1,who=a,\"b\"\nc} Struct{id=2}]", ""},
		{"without", "1;x\r\n2;y", CSVOptions{false, ';'}, "[Struct{field1=1,field2=x} Struct{field1=2,field2=y}]", ""},
		{"nothing", "", CSVOptions{true, ','}, "[]", ""},
		{"names alone", "a,b\n", CSVOptions{true, ','}, "[]", ""},
		{"a field too many", "a\n1,2\n", CSVOptions{true, ','}, "", "wrong number of fields"},
		{"one name twice", "a,a\n", CSVOptions{true, ','}, "", "no names"},
		{"open quotes", "a\n\"x", CSVOptions{true, ','}, "", "quote"},
	} {
		r, err := Open(CSV, "x.csv", Options{CSV: tt.o}, bytes.NewReader([]byte(tt.content)))
		var got []string
		if err == nil {
			got, err = all(r)
		}
		d := (*DataError)(nil)
		if tt.err == "" && (err != nil || fmt.Sprint(got) != tt.want) || tt.err != "" && (!errors.As(err, &d) || !bytes.Contains([]byte(err.Error()), []byte(tt.err))) {
			t.Errorf("%s: %q, %v", tt.name, got, err)
		}
	}
}

func FuzzParquet(f *testing.F) {
	f.Add(parquetFile(f, "none", 3))
	f.Add(parquetFile(f, "snappy", 70))
	f.Fuzz(func(t *testing.T, content []byte) {
		r, err := Open(Parquet, "x.parquet", Options{}, bytes.NewReader(content))
		if err != nil {
			return
		}
		for n := 0; err == nil && n < 10_000; n++ {
			_, err = r.Next()
		}
		if err := r.(io.Closer).Close(); err != nil {
			t.Log(err)
		}
	})
}
