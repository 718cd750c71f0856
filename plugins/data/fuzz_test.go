package data

import "testing"

// rowSchemas are schemas whose rows use every op between them.
var rowSchemas = []*Schema{
	wide, orders,
	MapOf(Int32Schema, ArrayOf(withDefault).MustBuild()).MustBuild(),
	ArrayOf(NewStructBuilder().MustBuild()).MustBuild(),
	NewStructBuilder().Name(UnionName).Optional().Field("int", OptionalInt32Schema).
		Field("f", NewBuilder(TypeBytes).Name("F").Param(FixedSizeParam, "3").Optional().MustBuild()).MustBuild(),
	NewStructBuilder().
		Field("a", Int8Schema).Field("b", OptionalInt16Schema).Field("t", TimeSchema).
		Field("f", Float32Schema).Field("d", DecimalBuilder(1).Param(FixedSizeParam, "5").MustBuild()).
		Field("m", MapOf(OptionalStringSchema, BooleanSchema).MustBuild()).MustBuild(),
}

// FuzzRow feeds foreign bytes to everything that reads rows. What Decode takes
// must encode again, and the other readers must agree on whether it is good.
func FuzzRow(f *testing.F) {
	w := NewRowWriter(wide)
	w.Reset(nil)
	writeWide(w, []byte("x"), []byte{1})
	row, _, err := w.Finish()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint8(0), row)
	f.Add(uint8(1), []byte{2, 2, 2, 'a', 2, 2, '9'})
	f.Add(uint8(2), []byte{3, 8, 2, 4, 2, 0, 8, 0, 0})
	f.Add(uint8(3), []byte{6, 0})
	f.Add(uint8(4), []byte{4, 1, 2, 3})
	f.Fuzz(func(t *testing.T, which uint8, row []byte) {
		s := rowSchemas[int(which)%len(rowSchemas)]
		v, err := Decode(s, row)
		r := NewRowReader(s)
		r.Reset(row)
		r.Skip()
		skipErr := r.Finish()
		r.Reset(row)
		read(r, s)
		_, jsonErr := AppendJSON(nil, s, row, JSONOptions{})
		_, defErr := AppendWithDefaults(nil, s, row)
		if err != nil {
			return
		}
		if skipErr != nil || r.Finish() != nil || defErr != nil {
			t.Fatalf("%x decodes but does not read: %v, %v, %v", row, skipErr, r.Err(), defErr)
		}
		if jsonErr != nil && !hasNullKey(v) {
			t.Fatalf("%x decodes but is not JSON: %v", row, jsonErr)
		}
		if v == nil {
			return
		}
		again, _, err := Encode(nil, s, v)
		if err != nil {
			return // out of a logical type's range, or a key twice
		}
		back, err := Decode(s, again)
		if err != nil || !EqualValues(v, back) {
			t.Fatalf("%s came back as %s, %v", Text(v), Text(back), err)
		}
	})
}

// FuzzAvroSchema reads foreign schema texts. What it takes must print and read
// as the same again, and rows of it must survive anything.
func FuzzAvroSchema(f *testing.F) {
	for _, s := range rowSchemas {
		if text, err := AvroSchema(s, AvroOptions{}); err == nil {
			f.Add(text, []byte{2, 2})
		}
	}
	f.Add(`["null",{"type":"enum","name":"E","symbols":["A"]},"int"]`, []byte{2, 0})
	f.Fuzz(func(t *testing.T, text string, row []byte) {
		n, err := ParseAvroNode(text)
		if err != nil || n.nodes > 1000 {
			return
		}
		if again, err := n.Text(); err == nil {
			m, err := ParseAvroNode(again)
			if err != nil || !n.sameDefinition(m) {
				t.Fatalf("%s printed as %s, which reads as another: %v", text, again, err)
			}
		}
		s, err := n.Connect(AvroOptions{})
		if err != nil {
			return
		}
		back, err := ParseJSONSchema(AppendJSONSchema(nil, s, JSONOptions{}))
		if err != nil || !back.Equal(s) {
			t.Fatalf("%s: its JSON schema %s reads as another: %v", text, AppendJSONSchema(nil, s, JSONOptions{}), err)
		}
		form, err := AvroForm(s, AvroOptions{})
		if err != nil {
			return
		}
		p, err := NewProjection(n, form)
		if err != nil {
			return
		}
		out, err := p.Append(nil, row)
		if err != nil {
			return
		}
		// The projection checks structure, not ranges: Decode may refuse.
		if _, err := Decode(s, out); err != nil && s.Type() == TypeString {
			t.Fatalf("%x of %s projects to %x: %v", row, text, out, err)
		}
	})
}

// FuzzJSON reads foreign JSON as schemas, as values with and without schema.
func FuzzJSON(f *testing.F) {
	for _, s := range rowSchemas {
		f.Add(AppendJSONSchema(nil, s, JSONOptions{}))
	}
	f.Add([]byte(`{"schema":null,"payload":[1,2.5,"\ud83d\ude00",null,true]}`))
	f.Add([]byte(`{"id":1,"name":null,"amt":1.5}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if schema, payload, err := SplitEnvelope(text); err == nil && (len(schema) == 0 || len(payload) == 0) {
			t.Fatalf("%s is an envelope without content", text)
		}
		for _, s := range rowSchemas {
			row, _, err := RowFromJSON(nil, s, text, JSONOptions{})
			if err != nil {
				continue
			}
			if _, err := Decode(s, row); err != nil {
				t.Fatalf("%s gives row %x: %v", text, row, err)
			}
		}
		if s, err := ParseJSONSchema(text); err == nil && s != nil {
			again, err := ParseJSONSchema(AppendJSONSchema(nil, s, JSONOptions{}))
			if err != nil || !again.Equal(s) {
				t.Fatalf("%s reads and prints as %s: %v", text, AppendJSONSchema(nil, s, JSONOptions{}), err)
			}
		}
		v, err := SchemalessFromJSON(text)
		if err != nil {
			return
		}
		b, err := EncodeSchemaless(nil, v)
		if err != nil {
			return // nested more deeply than CBOR may be
		}
		back, err := DecodeSchemaless(b)
		if err != nil || !EqualValues(v, back) {
			t.Fatalf("%s is %x, which reads as %v, %v", text, b, back, err)
		}
	})
}

// FuzzSchemaless reads foreign CBOR.
func FuzzSchemaless(f *testing.F) {
	b, err := EncodeSchemaless(nil, map[string]any{"a": []any{int64(1), 1.5, NewDecimal(5, 2), nil, []byte("x")}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := DecodeSchemaless(b)
		if err != nil {
			return
		}
		again, err := EncodeSchemaless(nil, v)
		if err != nil {
			t.Fatalf("%x reads as %v, which does not encode: %v", b, v, err)
		}
		back, err := DecodeSchemaless(again)
		if err != nil || !EqualValues(v, back) {
			t.Fatalf("%x reads as %v, then as %v: %v", b, v, back, err)
		}
	})
}
