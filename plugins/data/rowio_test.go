package data

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// drive writes a value through a RowWriter's typed calls.
func drive(w *RowWriter, s *Schema, v any) {
	switch v := v.(type) {
	case nil:
		w.Null()
	case int8:
		w.Int8(v)
	case int16:
		w.Int16(v)
	case int32:
		w.Int32(v)
	case int64:
		w.Int64(v)
	case float32:
		w.Float32(v)
	case float64:
		w.Float64(v)
	case bool:
		w.Boolean(v)
	case string:
		w.Text(v)
	case []byte:
		w.Bytes(v)
	case Decimal:
		w.DecimalText([]byte(v.String()))
	case []any:
		w.BeginArray()
		for _, e := range v {
			drive(w, s.value, e)
		}
		w.End()
	case Map:
		w.BeginMap()
		for _, e := range v {
			drive(w, s.key, e.Key)
			drive(w, s.value, e.Value)
		}
		w.End()
	case *Struct:
		w.BeginStruct()
		for i, f := range s.fields {
			drive(w, f.Schema, v.values[i])
		}
		w.End()
	}
}

// read reads a value through a RowReader's typed calls.
func read(r *RowReader, s *Schema) any {
	if r.Null() {
		return nil
	}
	switch s.typ {
	case TypeInt8:
		return r.Int8()
	case TypeInt16:
		return r.Int16()
	case TypeInt32:
		return r.Int32()
	case TypeInt64:
		return r.Int64()
	case TypeFloat32:
		return r.Float32()
	case TypeFloat64:
		return r.Float64()
	case TypeBoolean:
		return r.Boolean()
	case TypeString:
		return r.Text()
	case TypeBytes:
		if s.name == DecimalName {
			return r.Decimal()
		}
		return copyOf(r.Bytes())
	case TypeArray:
		out := []any{}
		r.EnterArray()
		for r.More() {
			out = append(out, read(r, s.value))
		}
		r.Leave()
		return out
	case TypeMap:
		out := Map{}
		r.EnterMap()
		for r.More() {
			out = append(out, Entry{read(r, s.key), read(r, s.value)})
		}
		r.Leave()
		return out
	default:
		v := NewStruct(s)
		r.EnterStruct()
		for i, f := range s.fields {
			v.values[i] = read(r, f.Schema)
		}
		r.Leave()
		return v
	}
}

func TestWriterAndReaderMatchEncodeAndDecode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, v := anyTree(t)
		want, wantFlag, err := Encode([]byte("x"), s, v)
		if err != nil {
			t.Fatal(err)
		}
		w := NewRowWriter(s)
		for range 2 { // the second use starts from used buffers
			w.Reset([]byte("x"))
			drive(w, s, v)
			got, flag, err := w.Finish()
			if err != nil {
				t.Fatalf("RowWriter: %v", err)
			}
			if !bytes.Equal(got, want) || flag != wantFlag {
				t.Fatalf("RowWriter wrote %x %v, Encode %x %v", got, flag, want, wantFlag)
			}
		}
		r := NewRowReader(s)
		r.Reset(want[1:])
		got := read(r, s)
		if err := r.Finish(); err != nil {
			t.Fatalf("RowReader: %v", err)
		}
		if !EqualValues(got, v) {
			t.Fatalf("RowReader read %s, want %s", Text(got), Text(v))
		}
		r.Reset(want[1:])
		r.Skip()
		if err := r.Finish(); err != nil {
			t.Fatalf("Skip: %v", err)
		}
		r.Reset(want[1:])
		whole := r.Value()
		if err := r.Finish(); err != nil || !EqualValues(whole, v) {
			t.Fatalf("Value is %s, %v, want %s", Text(whole), err, Text(v))
		}
	})
}

func TestUnionWriterAndReader(t *testing.T) {
	u := NewStructBuilder().Name(UnionName).
		Field("int", OptionalInt32Schema).Field("string", OptionalStringSchema).Optional().MustBuild()
	s := ArrayOf(u).MustBuild()
	v := []any{structOf(t, u, int32(1)), nil, structOf(t, u, nil, "x")}
	w := NewRowWriter(s)
	w.Reset(nil)
	drive(w, s, v)
	got, _, err := w.Finish()
	if err != nil || !bytes.Equal(got, []byte{6, 2, 2, 0, 4, 2, 'x', 0}) {
		t.Fatalf("wrote %x, %v", got, err)
	}
	r := NewRowReader(s)
	r.Reset(got)
	if back := read(r, s); !EqualValues(back, v) || r.Finish() != nil {
		t.Fatalf("read %s, %v", Text(back), r.Err())
	}
	two := structOf(t, u, int32(1), "x")
	w.Reset(nil)
	drive(w, s, []any{two})
	if _, _, err := w.Finish(); err == nil || !strings.Contains(err.Error(), "two fields") {
		t.Errorf("two fields set: %v", err)
	}
	w.Reset(nil)
	drive(w, s, []any{NewStruct(u)})
	if _, _, err := w.Finish(); err == nil || !strings.Contains(err.Error(), "no field set") {
		t.Errorf("no field set: %v", err)
	}
}

func TestWriterErrors(t *testing.T) {
	tags := MapOf(StringSchema, ArrayOf(Int32Schema).MustBuild()).MustBuild()
	s := NewStructBuilder().Field("id", Int32Schema).Field("tags", tags).MustBuild()
	for _, tt := range []struct {
		name string
		do   func(w *RowWriter)
		want string
	}{
		{"wrong type", func(w *RowWriter) { w.BeginStruct(); w.Text("x") }, "id: string is written where the schema is int32"},
		{"deep path", func(w *RowWriter) {
			w.BeginStruct()
			w.Int32(1)
			w.BeginMap()
			w.Text("a")
			w.BeginArray()
			w.Int32(1)
			w.Int64(2)
		}, "tags[0][1]: int64 is written"},
		{"too few", func(w *RowWriter) { w.BeginStruct(); w.Int32(1); w.End() }, "field tags is not written"},
		{"too many", func(w *RowWriter) {
			w.BeginStruct()
			w.Int32(1)
			w.BeginMap()
			w.End()
			w.Int32(1)
		}, "more than the struct's 2 fields"},
		{"null", func(w *RowWriter) { w.BeginStruct(); w.Null() }, "id: null in a required field"},
		{"open", func(w *RowWriter) { w.BeginStruct() }, "not ended"},
		{"nothing", func(*RowWriter) {}, "nothing was written"},
		{"second value", func(w *RowWriter) {
			w.BeginStruct()
			w.Int32(1)
			w.BeginMap()
			w.End()
			w.End()
			w.Int32(1)
		}, "one value"},
		{"odd map", func(w *RowWriter) { w.BeginStruct(); w.Int32(1); w.BeginMap(); w.Text("k"); w.End() }, "no value"},
		{"same key", func(w *RowWriter) {
			w.BeginStruct()
			w.Int32(1)
			w.BeginMap()
			for range 2 {
				w.Text("k")
				w.BeginArray()
				w.End()
			}
			w.End()
		}, "twice"},
		{"end of nothing", func(w *RowWriter) { w.End() }, "nothing was begun"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := NewRowWriter(s)
			w.Reset([]byte("kept"))
			tt.do(w)
			got, _, err := w.Finish()
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error is %v, want %q in it", err, tt.want)
			}
			if string(got) != "kept" {
				t.Errorf("buffer is %q after an error", got)
			}
			w.Reset(nil) // and it can be used again
			w.BeginStruct()
			w.Int32(1)
			w.BeginMap()
			w.End()
			w.End()
			if _, _, err := w.Finish(); err != nil {
				t.Errorf("after Reset: %v", err)
			}
		})
	}
}

func TestReaderMisuse(t *testing.T) {
	s := NewStructBuilder().Field("a", OptionalInt32Schema).Field("b", ArrayOf(Int32Schema).MustBuild()).MustBuild()
	row, _, err := Encode(nil, s, structOf(t, s, nil, []any{int32(1), int32(2)}))
	if err != nil {
		t.Fatal(err)
	}
	r := NewRowReader(s)
	for _, tt := range []struct {
		name string
		do   func()
		want string
	}{
		{"null as value", func() { r.EnterStruct(); r.Int32() }, "a: a null is read as a value"},
		{"wrong type", func() { r.EnterStruct(); r.Skip(); r.Int32() }, "b: a value of type array is read as another"},
		{"no More", func() { r.EnterStruct(); r.Skip(); r.EnterArray(); r.Int32() }, "More has not announced"},
		{"unread", func() { r.EnterStruct() }, "was not left"},
		{"nothing", func() {}, "was not read"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r.Reset(row)
			tt.do()
			if err := r.Finish(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error is %v, want %q in it", err, tt.want)
			}
		})
	}
	r.Reset(row)
	r.EnterStruct()
	if !r.Null() {
		t.Error("a is not null")
	}
	r.EnterArray()
	if !r.More() || r.Int32() != 1 {
		t.Error("first element is not 1")
	}
	r.Leave()
	r.Leave()
	if err := r.Finish(); err != nil {
		t.Errorf("leaving early: %v", err)
	}
}

// Other writers give blocks with a byte size, or several; readers must take
// both.
func TestBlockForms(t *testing.T) {
	s := ArrayOf(StringSchema).MustBuild()
	want := []any{"a", "b", "c"}
	for name, row := range map[string]string{
		"one block":        "\x06\x02a\x02b\x02c\x00",
		"with its size":    "\x05\x0c\x02a\x02b\x02c\x00",
		"two blocks":       "\x02\x02a\x04\x02b\x02c\x00",
		"one of each form": "\x02\x02a\x03\x08\x02b\x02c\x00",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Decode(s, []byte(row))
			if err != nil || !EqualValues(got, want) {
				t.Errorf("Decode: %v, %v", got, err)
			}
			r := NewRowReader(s)
			r.Reset([]byte(row))
			if got := read(r, s); !EqualValues(got, want) || r.Finish() != nil {
				t.Errorf("RowReader: %v, %v", got, r.Err())
			}
			r.Reset([]byte(row))
			if r.Skip(); r.Finish() != nil {
				t.Errorf("Skip: %v", r.Err())
			}
		})
	}
	for name, row := range map[string]string{
		"size too small":      "\x05\x0a\x02a\x02b\x02c\x00",
		"size beyond the row": "\x05\x7e\x02a\x02b\x02c\x00",
		"huge count":          "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01",
		"lowest count":        "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02",
	} {
		if _, err := Decode(s, []byte(row)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	empty := ArrayOf(NewStructBuilder().MustBuild()).MustBuild()
	if _, err := Decode(empty, []byte("\xfe\xff\xff\x0f\x00")); !errors.Is(err, ErrCorrupt) {
		t.Errorf("elements without bytes: %v", err)
	}
}

// wide has one field of each kind that must not allocate.
var wide = NewStructBuilder().Name("wide").
	Field("id", Int64Schema).
	Field("text", OptionalStringSchema).
	Field("amount", AsOptional(DecimalSchema(2))).
	Field("big", DecimalSchema(0)).
	Field("gone", OptionalStringSchema).
	Field("tags", ArrayOf(StringSchema).MustBuild()).
	Field("attrs", MapOf(StringSchema, OptionalStringSchema).MustBuild()).
	Field("inner", AsOptional(NewStructBuilder().Name("inner").
		Field("f", Float64Schema).Field("b", BooleanSchema).Field("raw", BytesSchema).MustBuild())).
	MustBuild()

func writeWide(w *RowWriter, text, raw []byte) {
	w.BeginStruct()
	w.Int64(42)
	w.TextBytes(text)
	w.DecimalText([]byte("1234.5"))
	w.DecimalBytes(raw)
	w.Null()
	w.BeginArray()
	for range 100 {
		w.TextBytes(text)
	}
	w.End()
	w.BeginMap()
	for _, k := range [...]string{"zeta", "alpha", "mid"} {
		w.Text(k)
		w.TextBytes(text)
	}
	w.End()
	w.BeginStruct()
	w.Float64(1)
	w.Boolean(true)
	w.Bytes(raw)
	w.End()
	w.End()
}

func TestWriterDoesNotAllocate(t *testing.T) {
	w, buf := NewRowWriter(wide), make([]byte, 0, 4096)
	text, raw := []byte("some text"), []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	n := testing.AllocsPerRun(100, func() {
		w.Reset(buf[:0])
		writeWide(w, text, raw)
		if _, _, err := w.Finish(); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("writing a row allocates %v times", n)
	}
}

func TestReaderDoesNotAllocate(t *testing.T) {
	w, r := NewRowWriter(wide), NewRowReader(wide)
	w.Reset(nil)
	writeWide(w, []byte("some text"), []byte{1, 2})
	row, _, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	n := testing.AllocsPerRun(100, func() {
		r.Reset(row)
		r.EnterStruct()
		r.Int64()
		r.Bytes()
		r.Unscaled()
		r.Unscaled()
		if !r.Null() {
			t.Error("gone is not null")
		}
		r.EnterArray()
		for r.More() {
			r.Bytes()
		}
		r.Leave()
		r.EnterMap()
		for r.More() {
			r.Bytes()
			r.Bytes()
		}
		r.Leave()
		r.EnterStruct()
		r.Float64()
		r.Boolean()
		r.Bytes()
		r.Leave()
		r.Leave()
		if err := r.Finish(); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("reading a row allocates %v times", n)
	}
}

func TestFieldsOfAnotherWriter(t *testing.T) {
	part := NewRowWriter(NewStructBuilder().Field("b", OptionalStringSchema).Field("c", Int32Schema).MustBuild())
	part.Reset(nil)
	part.BeginStruct()
	part.Text("x")
	part.Int32(5)
	part.End()
	fields, _, err := part.Finish()
	if err != nil {
		t.Fatal(err)
	}
	s := NewStructBuilder().Field("a", Int64Schema).Field("b", OptionalStringSchema).Field("c", Int32Schema).Field("d", BooleanSchema).MustBuild()
	w := NewRowWriter(s)
	for _, tt := range []struct {
		n    int
		want string
	}{{2, `{"a":1,"b":"x","c":5,"d":true}`}, {4, ""}, {-1, ""}} {
		w.Reset(nil)
		w.BeginStruct()
		w.Int64(1)
		w.Fields(tt.n, fields)
		w.Boolean(true)
		w.End()
		row, _, err := w.Finish()
		if (err != nil) != (tt.want == "") {
			t.Errorf("%d fields: %v", tt.n, err)
		}
		if err != nil {
			continue
		}
		if got, err := AppendJSON(nil, s, row, JSONOptions{}); err != nil || string(got) != tt.want {
			t.Errorf("%d fields make %s, %v, want %s", tt.n, got, err, tt.want)
		}
	}
	w.Reset(nil)
	w.Fields(1, fields)
	if w.Err() == nil {
		t.Error("fields were written where no struct is")
	}
}
