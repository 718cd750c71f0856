package postgres

import (
	"bytes"
	"math"
	"reflect"
	"strconv"
	"testing"

	"github.com/millrace/millrace/plugins/data"
)

// rowOf writes one text as a row, which is nil when the text is refused.
func rowOf(t testing.TB, c *codec, text string) []byte {
	t.Helper()
	schema, err := c.schema(false, nil)
	if err != nil {
		t.Fatal(err)
	}
	w := writer{RowWriter: data.NewRowWriter(schema)}
	w.Reset(nil)
	if err := w.text(c, []byte(text)); err != nil {
		return nil
	}
	row, _, err := w.Finish()
	if err != nil {
		return nil
	}
	return row
}

// TestExtensionTypes has the types of extensions that are not installed here.
func TestExtensionTypes(t *testing.T) {
	for _, tt := range []struct {
		name string
		kind kind
		text string
		want string
	}{
		{"vector", kindDoubleVector, "[1,2.5,-3]", "[1.0,2.5,-3.0]"},
		{"halfvec", kindFloatVector, "[1,0.5]", "[1.0,0.5]"},
		{"sparsevec", kindSparseVector, "{1:0.5,3:2}/5", `{"dimensions":5,"vector":[[1,0.5],[3,2.0]]}`},
		{"empty sparsevec", kindSparseVector, "{}/5", `{"dimensions":5,"vector":[]}`},
		{"geometry with srid", kindGeometry, "0101000020E6100000000000000000F03F0000000000000040",
			`{"wkb":"AQEAAAAAAAAAAADwPwAAAAAAAABA","srid":4326,"extensions":null}`},
		{"geometry", kindGeometry, "0101000000000000000000F03F0000000000000040", `{"wkb":"AQEAAAAAAAAAAADwPwAAAAAAAABA","srid":null,"extensions":null}`},
		{"geography, big endian", kindGeography, "0020000001000010E63FF00000000000004000000000000000", `{"wkb":"AAAAAAE/8AAAAAAAAEAAAAAAAAAA","srid":4326}`},
		{"truncated geometry", kindGeometry, "0101000020E610", ""},
		{"bad vector", kindDoubleVector, "[1,x]", ""},
		{"bad point", kindPoint, "(1;2)", ""},
	} {
		c := &codec{kind: tt.kind}
		row := rowOf(t, c, tt.text)
		if row == nil {
			if tt.want != "" {
				t.Errorf("%s: %s is refused", tt.name, tt.text)
			}
			continue
		}
		schema, _ := c.schema(false, nil)
		got, err := data.AppendJSON(nil, schema, row, data.JSONOptions{})
		if err != nil || string(got) != tt.want {
			t.Errorf("%s is %s, %v, want %s", tt.name, got, err, tt.want)
		}
	}
}

func TestNumbers(t *testing.T) {
	for _, text := range []string{"0", "-0", "1.5", "-123456789012345", "0.1", "999999999999999", "1e308", "5e-324", "123456789.123456", "1.7976931348623157e+308"} {
		want, _ := strconv.ParseFloat(text, 64)
		if got, err := parseFloat([]byte(text), 64); err != nil || math.Float64bits(got) != math.Float64bits(want) {
			t.Errorf("%s is %v, %v", text, got, err)
		}
	}
	for _, tt := range []struct {
		text string
		bits int
		ok   bool
	}{{"32767", 16, true}, {"32768", 16, false}, {"-32768", 16, true}, {"-32769", 16, false}, {"9223372036854775808", 64, false},
		{"", 32, false}, {"-", 32, false}, {"1x", 32, false}} {
		if _, err := parseInt([]byte(tt.text), tt.bits); (err == nil) != tt.ok {
			t.Errorf("%q in %d bits: %v", tt.text, tt.bits, err)
		}
	}
}

func TestCalendar(t *testing.T) {
	for days := int64(-800_000); days < 800_000; days += 97 {
		y, m, d := dateOf(days)
		if daysOf(y, m, d) != days {
			t.Fatalf("day %d is %d-%d-%d is %d", days, y, m, d, daysOf(y, m, d))
		}
	}
	for _, bad := range []string{"", "2020", "2020-13-01", "2020-01-01 25", "2020-01-01 10:00:00+", "2020-01-01 10:00:00 AD", "99999999999-01-01"} {
		if _, err := parseTimestamp([]byte(bad)); err == nil {
			t.Errorf("%q is a timestamp", bad)
		}
	}
}

func TestVisibility(t *testing.T) {
	v, err := parseVisibility("100:105:101,103")
	if err != nil {
		t.Fatal(err)
	}
	for xid, want := range map[uint32]bool{99: true, 100: true, 101: false, 102: true, 103: false, 104: true, 105: false, 1 << 31: false} {
		if v.sees(xid) != want {
			t.Errorf("transaction %d: %v", xid, !want)
		}
	}
	v = visibility{min: 1<<32 + 5, max: 1<<32 + 6} // ids have wrapped
	if !v.sees(math.MaxUint32) || !v.sees(4) || v.sees(6) {
		t.Error("ids on both sides of the wrap are taken for each other")
	}
	for _, bad := range []string{"", "1:2", "x:1:", "1:2:x"} {
		if _, err := parseVisibility(bad); err == nil {
			t.Errorf("%q is a snapshot", bad)
		}
	}
}

// FuzzText feeds every kind of column with every text: an error or a row that
// decodes, never anything else.
func FuzzText(f *testing.F) {
	for _, c := range typeColumns {
		for _, v := range c.values {
			f.Add([]byte(trimQuotes(v)))
		}
	}
	for _, s := range []string{`{a,"b\"",NULL}`, "[0:1]={1,2}", `"a"=>"b", "c"=>NULL`, "(1,2)", "[1,2]", "{1:2}/3", "0101000020E6100000", "$1,234.50", "($5.00)"} {
		f.Add([]byte(s))
	}
	var codecs []*codec
	for k := kindBool; k <= kindArray; k++ {
		c := &codec{kind: k, digits: 6, scale: 2, placeholder: "p"}
		if k == kindEnum {
			c.labels = []string{"sad"}
		}
		if k == kindArray {
			c.elem = &codec{kind: kindDecimal, digits: 6, scale: 2}
			codecs = append(codecs, &codec{kind: kindArray, elem: &codec{kind: kindText}})
		}
		codecs = append(codecs, c)
	}
	schemas := make([]*data.Schema, len(codecs))
	writers := make([]writer, len(codecs))
	for i, c := range codecs {
		s, err := c.schema(false, nil)
		if err != nil {
			f.Fatal(err)
		}
		schemas[i], writers[i] = s, writer{RowWriter: data.NewRowWriter(s)}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for i, c := range codecs {
			w := &writers[i]
			w.Reset(nil)
			if w.text(c, b) != nil {
				continue
			}
			row, _, err := w.Finish()
			if err != nil {
				if w.Err() == nil {
					t.Fatalf("kind %d: %q leaves the row open", c.kind, b)
				}
				continue
			}
			if _, err := data.Decode(schemas[i], row); err != nil {
				t.Fatalf("kind %d: %q gives a row that does not decode: %v", c.kind, b, err)
			}
		}
	})
}

func trimQuotes(s string) string {
	if len(s) > 1 && s[0] == '\'' {
		return s[1 : len(s)-1]
	}
	return s
}

// insertMessage is an Insert as the server writes it.
func insertMessage(rel uint32, values ...string) []byte {
	b := []byte{'I', byte(rel >> 24), byte(rel >> 16), byte(rel >> 8), byte(rel), 'N', byte(len(values) >> 8), byte(len(values))}
	for _, v := range values {
		b = append(b, 't', byte(len(v)>>24), byte(len(v)>>16), byte(len(v)>>8), byte(len(v)))
		b = append(b, v...)
	}
	return b
}

// boundaries are the messages of versions 2 to 4, with what they say.
var boundaries = []struct {
	raw  string
	want message
}{
	{"S\x00\x00\x00\x09\x01", message{kind: 'S', xid: 9, first: true}},
	{"E", message{kind: 'E'}},
	{"c\x00\x00\x00\x09\x00\x00\x00\x00\x00\x00\x00\x00\x11\x00\x00\x00\x00\x00\x00\x00\x22\x00\x00\x00\x00\x00\x00\x00\x05", message{kind: 'c', xid: 9, commitLSN: 0x11, endLSN: 0x22, time: pgEpoch + 5}},
	{"A\x00\x00\x00\x09\x00\x00\x00\x0a", message{kind: 'A', xid: 9, subXID: 10}},
	{"A\x00\x00\x00\x09\x00\x00\x00\x0a\x00\x00\x00\x00\x00\x00\x00\x11\x00\x00\x00\x00\x00\x00\x00\x05", message{kind: 'A', xid: 9, subXID: 10, commitLSN: 0x11, time: pgEpoch + 5}},
	{"b\x00\x00\x00\x00\x00\x00\x00\x11\x00\x00\x00\x00\x00\x00\x00\x22\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x09gid\x00", message{kind: 'b', commitLSN: 0x11, endLSN: 0x22, time: pgEpoch + 5, xid: 9, gid: "gid"}},
	{"P\x00\x00\x00\x00\x00\x00\x00\x00\x11\x00\x00\x00\x00\x00\x00\x00\x22\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x09gid\x00", message{kind: 'P', commitLSN: 0x11, endLSN: 0x22, time: pgEpoch + 5, xid: 9, gid: "gid"}},
	{"p\x00\x00\x00\x00\x00\x00\x00\x00\x11\x00\x00\x00\x00\x00\x00\x00\x22\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x09gid\x00", message{kind: 'p', commitLSN: 0x11, endLSN: 0x22, time: pgEpoch + 5, xid: 9, gid: "gid"}},
	{"K\x00\x00\x00\x00\x00\x00\x00\x00\x11\x00\x00\x00\x00\x00\x00\x00\x22\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x09gid\x00", message{kind: 'K', commitLSN: 0x11, endLSN: 0x22, time: pgEpoch + 5, xid: 9, gid: "gid"}},
	{"r\x00\x00\x00\x00\x00\x00\x00\x00\x11\x00\x00\x00\x00\x00\x00\x00\x22\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x09gid\x00", message{kind: 'r', commitLSN: 0x11, endLSN: 0x22, time: pgEpoch + 5, xid: 9, gid: "gid"}},
}

func TestBoundaryMessages(t *testing.T) {
	for _, tt := range boundaries {
		var m message
		if err := m.decode([]byte(tt.raw), false); err != nil || !reflect.DeepEqual(m, tt.want) {
			t.Errorf("%q is %+v, %v, want %+v", tt.raw, m, err, tt.want)
		}
		if err := m.decode([]byte(tt.raw[:len(tt.raw)-1]), false); err == nil {
			t.Errorf("%q is accepted though its end is missing", tt.raw)
		}
	}
	var m message
	if err := m.decode([]byte("I\x00\x00\x00\x0a\x00\x00\x00\x07N\x00\x01t\x00\x00\x00\x01x"), true); err != nil || m.changeXID != 10 || m.relID != 7 || string(m.new[0].text) != "x" {
		t.Errorf("a row in a piece is %+v, %v", m, err)
	}
}

func FuzzMessage(f *testing.F) {
	f.Add(insertMessage(7, "1", "abc"), false)
	f.Add([]byte("B\x00\x00\x00\x00\x01\x02\x03\x04\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x09"), false)
	f.Add([]byte("R\x00\x00\x00\x07public\x00t\x00d\x00\x01\x01id\x00\x00\x00\x00\x17\xff\xff\xff\xff"), false)
	f.Add([]byte("U\x00\x00\x00\x07O\x00\x01nN\x00\x01u"), false)
	f.Add([]byte("T\x00\x00\x00\x02\x00\x00\x00\x00\x07\x00\x00\x00\x08"), false)
	f.Add([]byte("D\x00\x00\x00\x0a\x00\x00\x00\x07K\x00\x01t\x00\x00\x00\x01x"), true)
	f.Add([]byte("M\x00\x00\x00\x0a\x01\x00\x00\x00\x00\x00\x00\x00\x11p\x00\x00\x00\x00\x01x"), true)
	for _, b := range boundaries {
		f.Add([]byte(b.raw), false)
	}
	var m message
	f.Fuzz(func(t *testing.T, b []byte, streamed bool) {
		if m.decode(b, streamed) != nil {
			return
		}
		again := message{}
		if err := again.decode(bytes.Clone(b), streamed); err != nil || again.kind != m.kind || len(again.new) != len(m.new) && m.kind == msgInsert {
			t.Fatalf("decoding twice differs: %v", err)
		}
	})
}

// FuzzCopyRow splits what COPY sends in its binary form, in pieces of any size.
func FuzzCopyRow(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x01a\xff\xff\xff\xff\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		tuple, err := splitCopyRow(b, nil)
		size := 0
		for _, v := range tuple {
			size += 4 + len(v.text)
		}
		if err == nil && size != len(b) {
			t.Fatalf("%q has %d values of %d bytes", b, len(tuple), size)
		}
	})
}

// FuzzBinary reads values in every form.
func FuzzBinary(f *testing.F) {
	f.Add(uint8(formNumeric), []byte("\x00\x02\x00\x00\x00\x00\x00\x02\x00\x01\x13\x88"))
	f.Add(uint8(formTimestamp), []byte("\x7f\xff\xff\xff\xff\xff\xff\xff"))
	codecs := map[form]codec{
		formText: {kind: kindText}, formBool: {kind: kindBool}, formInt2: {kind: kindInt16}, formInt4: {kind: kindInt32}, formInt8: {kind: kindInt64},
		formOID: {kind: kindOID}, formFloat4: {kind: kindFloat32}, formFloat8: {kind: kindFloat64}, formNumeric: {kind: kindDecimal, digits: 38, scale: 3},
		formBytea: {kind: kindHex}, formUUID: {kind: kindText}, formJSONB: {kind: kindText}, formDate: {kind: kindISODate},
		formTime: {kind: kindTimeMicros}, formTimestamp: {kind: kindZonedTimestamp, digits: 6},
	}
	f.Fuzz(func(t *testing.T, n uint8, b []byte) {
		fm := form(n % uint8(len(codecs)))
		c := codecs[fm]
		s, err := c.schema(false, nil)
		if err != nil {
			t.Fatal(err)
		}
		w := writer{RowWriter: data.NewRowWriter(s)}
		w.Reset(nil)
		if w.binary(&c, fm, b) != nil || w.Err() != nil {
			return
		}
		row, _, err := w.Finish()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := data.Decode(s, row); err != nil {
			t.Fatalf("%q is %q: %v", b, row, err)
		}
	})
}

// benchTable is a table like many: bigint, int, text of 64 bytes, numeric,
// timestamptz, bool, double.
func benchTable(tb testing.TB) (*emitter, *table, []byte) {
	tb.Helper()
	cfg := &config{prefix: "shop", naming: naming{prefix: "shop", delimiter: "."}, dbname: "db", modes: modes{decimal: "precise", time: "adaptive"}}
	types := map[uint32]pgType{}
	rel := &relation{id: 7, schema: "public", name: "orders", identity: 'd'}
	known := &catalogTable{key: []string{"id"}}
	for i, c := range []struct {
		name, typ string
		mod       int32
	}{{"id", "int8", -1}, {"n", "int4", -1}, {"note", "text", -1}, {"price", "numeric", 12<<16 | 2 + 4}, {"at", "timestamptz", -1}, {"ok", "bool", -1}, {"f", "float8", -1}} {
		types[uint32(i+1)] = pgType{oid: uint32(i + 1), name: c.typ, builtIn: true, kind: 'b'}
		rc := relColumn{name: c.name, key: i == 0, typeOID: uint32(i + 1), typmod: c.mod}
		rel.columns = append(rel.columns, rc)
		known.columns = append(known.columns, catalogColumn{relColumn: rc, notNull: i == 0})
	}
	t, err := (&compiler{cfg: cfg, types: types}).compile(rel, known)
	if err != nil {
		tb.Fatal(err)
	}
	msg := insertMessage(7, "1234567", "42", "0123456789012345678901234567890123456789012345678901234567890123", "1234.56", "2026-01-31 12:34:56.789012+00", "t", "0.125")
	return &emitter{cfg: cfg, limit: batchBytes}, t, msg
}

func emitOne(e *emitter, t *table, m *message, o *origin, msg []byte) error {
	if err := m.decode(msg, false); err != nil {
		return err
	}
	return e.change(t, o, 'c', 0, nil, m.new)
}

// BenchmarkDecode measures a row from pgoutput's bytes to a record of a batch.
func BenchmarkDecode(b *testing.B) {
	e, t, msg := benchTable(b)
	o := &origin{time: 1e15, snapshot: "false", lastCommit: 100, lsn: 200, xid: 9}
	var m message
	var batch data.Batch
	e.begin(&batch)
	b.ReportAllocs()
	b.SetBytes(int64(len(msg)))
	for b.Loop() {
		if e.full() {
			batch.Records = batch.Records[:0]
			e.begin(&batch)
		}
		if err := emitOne(e, t, &m, o, msg); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

func TestRowsDoNotAllocate(t *testing.T) {
	e, tab, msg := benchTable(t)
	o := &origin{time: 1e15, snapshot: "false", lastCommit: 100, lsn: 200, xid: 9}
	var m message
	batch := data.Batch{Records: make([]data.Record, 0, 16)}
	run := func() {
		batch.Records = batch.Records[:0]
		e.begin(&batch)
		if err := emitOne(e, tab, &m, o, msg); err != nil {
			t.Fatal(err)
		}
	}
	run()
	if n := testing.AllocsPerRun(1000, run); n != 0 {
		t.Errorf("a row allocates %v times", n)
	}
}
