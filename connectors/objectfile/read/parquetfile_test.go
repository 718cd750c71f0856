package read_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/millrace/millrace/connectors/objectfile/format"
	"github.com/millrace/millrace/connectors/objectfile/read"
	"github.com/millrace/millrace/plugins/data"
)

// everything is a schema with values of every type and shape.
func everything(t testing.TB) (*data.Schema, []*data.Struct) {
	t.Helper()
	inner := data.NewStructBuilder().Field("z", data.Int32Schema).Field("a", data.OptionalStringSchema).MustBuild()
	list := data.ArrayOf(data.OptionalInt64Schema).Optional().MustBuild()
	s := data.NewStructBuilder().Name("shop.Everything").
		Field("id", data.Int64Schema).Field("flag", data.OptionalBooleanSchema).Field("f", data.Float32Schema).Field("d", data.Float64Schema).
		Field("text", data.OptionalStringSchema).Field("raw", data.BytesSchema).Field("at", data.TimestampSchema).Field("day", data.OptionalDateSchema).
		Field("clock", data.TimeSchema).Field("price", data.DecimalSchema(2)).Field("inner", data.AsOptional(inner)).Field("list", list).
		Field("lists", data.ArrayOf(data.ArrayOf(data.Int32Schema).MustBuild()).MustBuild()).
		Field("map", data.MapOf(data.StringSchema, data.AsOptional(inner)).MustBuild()).Field("structs", data.ArrayOf(inner).MustBuild()).MustBuild()
	newInner := func(z int32, a any) *data.Struct {
		st := data.NewStruct(inner)
		if err := errors.Join(st.Put("z", z), st.Put("a", a)); err != nil {
			t.Fatal(err)
		}
		return st
	}
	var out []*data.Struct
	for i := range 3 {
		price, err := data.ParseDecimal("-12.50")
		if err != nil {
			t.Fatal(err)
		}
		values := map[string]any{
			"id": int64(i), "f": float32(1.5), "d": 2.5, "raw": []byte{0, 255}, "at": int64(-1), "clock": int32(5), "price": price,
			"lists": []any{}, "map": data.Map{}, "structs": []any{},
		}
		if i > 0 {
			values["flag"], values["text"], values["day"], values["inner"] = true, "ä", int32(-3), newInner(1, nil)
			values["list"] = []any{int64(1), nil, int64(3)}
			values["lists"] = []any{[]any{}, []any{int32(1), int32(2)}, []any{int32(3)}}
			values["map"] = data.Map{{Key: "a", Value: nil}, {Key: "b", Value: newInner(2, "x")}}
			values["structs"] = []any{newInner(3, "y"), newInner(4, nil)}
		}
		if i == 2 {
			values["list"] = []any{}
		}
		st := data.NewStruct(s)
		for k, v := range values {
			if err := st.Put(k, v); err != nil {
				t.Fatal(err)
			}
		}
		out = append(out, st)
	}
	return s, out
}

func texts(t testing.TB, f *read.ParquetFile) (out []string, err error) {
	t.Helper()
	for {
		d, err := f.Next()
		if errors.Is(err, io.EOF) {
			return out, f.Close()
		}
		if err != nil {
			return out, err
		}
		v, err := d.Value()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, data.Text(v))
	}
}

// TestParquetOfOurs reads what package format writes, from every record on.
func TestParquetOfOurs(t *testing.T) {
	s, values := everything(t)
	var file bytes.Buffer
	w, err := format.Parquet{Codec: "zstd"}.Open(&file, s)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, v := range values {
		d, err := data.NewDatum(s, v)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(w.Prepare(d), w.Append()); err != nil {
			t.Fatal(err)
		}
		want = append(want, data.Text(v))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for skip := range len(want) + 1 {
		f, err := read.OpenParquet(bytes.NewReader(file.Bytes()), int64(file.Len()))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Skip(int64(skip)); err != nil {
			t.Fatal(err)
		}
		if got, err := texts(t, f); err != nil || !slices.Equal(got, want[skip:]) {
			t.Errorf("after %d records: %q, %v, want %q", skip, got, err, want[skip:])
		}
		if f.Schema().Name() != "shop.Everything" {
			t.Errorf("the schema is named %q", f.Schema().Name())
		}
	}
}

// other is written by the library from Go values, as other programs would.
type other struct {
	Name  string    `parquet:"name"`
	Tags  []string  `parquet:"tags"`
	List  []int32   `parquet:"list,list"`
	At    time.Time `parquet:"at,timestamp(microsecond)"`
	Small uint32    `parquet:"small"`
	Price int64     `parquet:"price,decimal(2:18)"`
	Maybe *float64  `parquet:"maybe,optional"`
}

func TestParquetFileOfAnotherWriter(t *testing.T) {
	var file bytes.Buffer
	half := 0.5
	rows := []other{
		{"a", []string{"x", "y"}, []int32{1, 2}, time.UnixMicro(1500), 1 << 31, 1250, &half},
		{"b", nil, nil, time.UnixMicro(-1), 0, -1, nil},
	}
	if err := parquet.Write(&file, rows); err != nil {
		t.Fatal(err)
	}
	f, err := read.OpenParquet(bytes.NewReader(file.Bytes()), int64(file.Len()))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"Struct{name=a,tags=[x, y],list=[1, 2],at=1,small=2147483648,price=12.50,maybe=0.5}",
		"Struct{name=b,tags=[],list=[],at=-1,small=0,price=-0.01}",
	}
	if got, err := texts(t, f); err != nil || !slices.Equal(got, want) {
		t.Errorf("rows are %q, %v, want %q", got, err, want)
	}
}

func FuzzParquet(f *testing.F) {
	var file bytes.Buffer
	if err := parquet.Write(&file, []other{{Name: "a", Tags: []string{"x"}, List: []int32{1}}}); err != nil {
		f.Fatal(err)
	}
	f.Add(file.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := read.OpenParquet(bytes.NewReader(b), int64(len(b)))
		if err == nil {
			_, err = texts(t, file)
		}
		if e := (*read.DataError)(nil); err != nil && !errors.As(err, &e) {
			t.Errorf("the error is %v, and not the file's", err)
		}
	})
}
