package format

import (
	"bytes"
	"errors"
	"testing"

	"github.com/millrace/millrace/plugins/data"
)

// TestCSV writes a value of every kind, and refuses what has no columns.
func TestCSV(t *testing.T) {
	inner := data.NewStructBuilder().Field("z", data.Int32Schema).MustBuild()
	s := data.NewStructBuilder().Field("i", data.Int8Schema).Field("f", data.Float32Schema).Field("t", data.OptionalBooleanSchema).
		Field("at", data.TimestampSchema).Field("day", data.DateSchema).Field("clock", data.TimeSchema).Field("price", data.DecimalSchema(2)).
		Field("raw", data.BytesSchema).Field("inner", inner).Field("list", data.ArrayOf(data.StringSchema).MustBuild()).Field("a b,c", data.StringSchema).MustBuild()
	price, err := data.ParseDecimal("-1.50")
	if err != nil {
		t.Fatal(err)
	}
	z, v := data.NewStruct(inner), data.NewStruct(s)
	if err := errors.Join(z.Put("z", int32(7)), v.Put("i", int8(-1)), v.Put("f", float32(1e10)), v.Put("at", int64(-1)), v.Put("day", int32(-1)), v.Put("clock", int32(3723004)),
		v.Put("price", price), v.Put("raw", []byte{0, 255}), v.Put("inner", z), v.Put("list", []any{"x"}), v.Put("a b,c", "line\nend")); err != nil {
		t.Fatal(err)
	}
	d, err := data.NewDatum(s, v)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w, err := CSV{}.Open(&out, s)
	if err := errors.Join(err, w.Prepare(d), w.Append(), w.Close()); err != nil {
		t.Fatal(err)
	}
	want := "i,f,t,at,day,clock,price,raw,inner,list,\"a b,c\"\n" +
		"-1,1.0E10,,1969-12-31T23:59:59.999Z,1969-12-31,01:02:03.004,-1.50,AP8=,\"{\"\"z\"\":7}\",\"[\"\"x\"\"]\",\"line\nend\"\n"
	if out.String() != want {
		t.Errorf("the file is\n%s, want\n%s", out.String(), want)
	}
	if err := w.Prepare(data.Datum{Schema: s, State: data.Null}); !IsData(err) {
		t.Errorf("a null gives %v", err)
	}
	for _, s := range []*data.Schema{nil, data.StringSchema} {
		if _, err := (CSV{}).Open(&out, s); !IsData(err) {
			t.Errorf("a file of %v gives %v", s, err)
		}
	}
}
