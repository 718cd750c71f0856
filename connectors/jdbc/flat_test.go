package jdbc

import (
	"bytes"
	"math"
	"testing"

	"github.com/millrace/millrace/plugins/data"
)

// TestFlat reads records of plain types straight into cells and by way of a
// struct, which must be the same.
func TestFlat(t *testing.T) {
	s := data.NewStructBuilder().Field("i8", data.Int8Schema).Field("i16", data.Int16Schema).Field("i32", data.OptionalInt32Schema).
		Field("left", data.StringSchema).Field("id", data.Int64Schema).Field("f32", data.OptionalFloat32Schema).Field("f64", data.Float64Schema).
		Field("ok", data.BooleanSchema).Field("text", data.OptionalStringSchema).Field("bytes", data.OptionalBytesSchema).
		Field("d", data.NewBuilder(data.TypeInt32).Optional().Default(int32(7)).MustBuild()).MustBuild()
	values := [][]any{
		{int8(-128), int16(math.MinInt16), int32(math.MaxInt32), "x", int64(math.MinInt64), float32(0.1), -1e300, true, "a\tb\\", []byte{0, 0xff}, int32(1)},
		{int8(1), int16(2), nil, "", int64(0), nil, math.NaN(), false, nil, nil, nil},
		{int8(1), int16(2), nil, "", int64(1), float32(math.Inf(1)), math.Inf(-1), false, "", []byte{}, nil},
		{int8(1), int16(2), nil, unavailable, int64(1), nil, 0.0, false, unavailable, []byte(unavailable), nil},
	}
	for _, defaults := range []bool{false, true} {
		c := &config{key: "record_value", fields: []string{"id"}, table: "${topic}", mode: "insert", defaults: defaults}
		rd := &reader{cfg: c, plans: map[planKey]*plan{}}
		for n, v := range values {
			st := data.NewStruct(s)
			for i, f := range s.Fields() {
				if err := st.Put(f.Name, v[i]); err != nil {
					t.Fatal(err)
				}
			}
			d, err := data.NewDatum(s, st)
			if err != nil {
				t.Fatal(err)
			}
			r := &data.Record{Topic: "t", OriginalTopic: "t", Value: d}
			got, err := rd.read(r)
			if err != nil {
				t.Fatal(err)
			}
			by, err := rd.row(r, opWrite, st, nil)
			if err != nil {
				t.Fatal(err)
			}
			if (got.cells == nil) != (defaults && d.NullDefault) {
				t.Errorf("record %d is flat: %v", n, got.cells != nil)
			}
			want, have := c.lineOf(t, by), c.lineOf(t, got)
			for i, cell := range want.cells {
				if h := have.cells[i]; !bytes.Equal(h.text, cell.text) || h.null != cell.null {
					t.Errorf("record %d, %s: %q, null %v; by way of a struct %q, %v", n, by.plan.columns[i].name, h.text, h.null, cell.text, cell.null)
				}
			}
			if want.shape != have.shape || len(want.cells) != len(have.cells) {
				t.Errorf("record %d has shape %q, by way of a struct %q", n, have.shape, want.shape)
			}
		}
		if _, err := rd.read(&data.Record{Topic: "t", OriginalTopic: "t", Value: data.Datum{Schema: s, State: data.Present, Row: []byte{2, 4, 9}}}); err == nil {
			t.Error("a row that ends too early was read")
		}
	}
}

// lineOf is the line of a row in a table that has all its columns.
func (c *config) lineOf(t *testing.T, r *row) line {
	t.Helper()
	tb := &table{columns: map[string]*target{}}
	for _, col := range r.plan.columns {
		tb.columns[col.name] = &target{name: col.name}
	}
	l, err := c.line(r, newFit(tb, r.plan))
	if err != nil {
		t.Fatal(err)
	}
	return l
}
