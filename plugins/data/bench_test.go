package data

import "testing"

// envelope is a change event of a table of twelve columns, as a CDC source
// writes it.
var customers = func() *Schema {
	b := NewStructBuilder().Name("shop.public.customers.Value").Optional().
		Field("id", Int64Schema).
		Field("email", StringSchema).
		Field("first_name", OptionalStringSchema).
		Field("last_name", OptionalStringSchema).
		Field("balance", AsOptional(DecimalSchema(2))).
		Field("active", NewBuilder(TypeBoolean).Default(true).MustBuild()).
		Field("score", OptionalFloat64Schema).
		Field("visits", NewBuilder(TypeInt32).Optional().Default(int32(0)).MustBuild()).
		Field("created", NewBuilder(TypeInt64).Name("io.debezium.time.MicroTimestamp").Version(1).MustBuild()).
		Field("updated", NewBuilder(TypeInt64).Name("io.debezium.time.MicroTimestamp").Version(1).Optional().MustBuild()).
		Field("tags", OptionalStringSchema).
		Field("notes", OptionalStringSchema)
	return b.MustBuild()
}()

var envelope = NewStructBuilder().Name("shop.public.customers.Envelope").Version(2).
	Field("before", customers).
	Field("after", customers).
	Field("source", NewStructBuilder().Name("io.debezium.connector.postgresql.Source").
		Field("version", StringSchema).Field("connector", StringSchema).Field("name", StringSchema).
		Field("ts_ms", Int64Schema).Field("db", StringSchema).Field("schema", StringSchema).
		Field("table", StringSchema).Field("txId", OptionalInt64Schema).Field("lsn", OptionalInt64Schema).MustBuild()).
	Field("op", StringSchema).
	Field("ts_ms", OptionalInt64Schema).
	MustBuild()

var (
	email, name, longText = []byte("ada.lovelace@example.org"), []byte("Ada"), []byte("likes long letters about engines and numbers")
	balance               = []byte("1234.50")
)

func writeEnvelope(w *RowWriter) {
	w.BeginStruct()
	w.Null()
	w.BeginStruct()
	w.Int64(123456)
	w.TextBytes(email)
	w.TextBytes(name)
	w.TextBytes(name)
	w.DecimalText(balance)
	w.Boolean(true)
	w.Float64(0.75)
	w.Int32(17)
	w.Int64(1700000000000000)
	w.Int64(1700000000000000)
	w.Null()
	w.TextBytes(longText)
	w.End()
	w.BeginStruct()
	for _, s := range [...]string{"1.0", "postgresql", "shop"} {
		w.Text(s)
	}
	w.Int64(1700000000000)
	for _, s := range [...]string{"shop", "public", "customers"} {
		w.Text(s)
	}
	w.Int64(555)
	w.Int64(24023128)
	w.End()
	w.Text("c")
	w.Int64(1700000000001)
	w.End()
}

func envelopeRow(b *testing.B) []byte {
	b.Helper()
	w := NewRowWriter(envelope)
	w.Reset(nil)
	writeEnvelope(w)
	row, _, err := w.Finish()
	if err != nil {
		b.Fatal(err)
	}
	return row
}

func BenchmarkRowWriter(b *testing.B) {
	w, buf := NewRowWriter(envelope), make([]byte, 0, 1024)
	b.SetBytes(int64(len(envelopeRow(b))))
	b.ReportAllocs()
	for b.Loop() {
		w.Reset(buf)
		writeEnvelope(w)
		if _, _, err := w.Finish(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRowReader(b *testing.B) {
	row, r := envelopeRow(b), NewRowReader(envelope)
	b.SetBytes(int64(len(row)))
	b.ReportAllocs()
	for b.Loop() {
		r.Reset(row)
		r.EnterStruct()
		r.Skip()
		r.EnterStruct()
		r.Int64()
		r.Bytes()
		for range 2 {
			if !r.Null() {
				r.Bytes()
			}
		}
		if !r.Null() {
			r.Unscaled()
		}
		r.Boolean()
		r.Leave()
		r.Leave()
		if err := r.Finish(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncodeStruct(b *testing.B) {
	row := envelopeRow(b)
	v, err := Decode(envelope, row)
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 0, 1024)
	b.SetBytes(int64(len(row)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Encode(buf, envelope, v); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeStruct(b *testing.B) {
	row := envelopeRow(b)
	b.SetBytes(int64(len(row)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(envelope, row); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	row, buf := envelopeRow(b), make([]byte, 0, 2048)
	b.SetBytes(int64(len(row)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := AppendJSON(buf, envelope, row, JSONOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRowFromJSON(b *testing.B) {
	text, err := AppendJSON(nil, envelope, envelopeRow(b), JSONOptions{})
	if err != nil {
		b.Fatal(err)
	}
	r, buf := NewJSONReader(envelope, JSONOptions{}), make([]byte, 0, 1024)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := r.Append(buf, text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	row := envelopeRow(b)
	b.SetBytes(int64(len(row)))
	b.ReportAllocs()
	for b.Loop() {
		if err := Check(envelope, row); err != nil {
			b.Fatal(err)
		}
	}
}
