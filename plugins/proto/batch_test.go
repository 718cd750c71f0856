package proto

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/millrace/millrace/plugins/data"
)

// payloads encodes a batch into as many payloads as limit makes of it.
func payloads(t testing.TB, b *data.Batch, table *Table, limit int) [][]byte {
	t.Helper()
	var out [][]byte
	for from := 0; ; {
		p, next, err := AppendBatch(nil, b, from, table, limit)
		if err != nil {
			t.Fatalf("encode from record %d: %v", from, err)
		}
		out = append(out, p)
		if from = next; from == len(b.Records) {
			return out
		}
	}
}

// roundTrip sends a batch over a pair of tables and puts the pieces together,
// with positions told by their content.
func roundTrip(t testing.TB, b *data.Batch, enc, dec *Table, limit int) *data.Batch {
	t.Helper()
	got := &data.Batch{}
	for i, p := range payloads(t, b, enc, limit) {
		var part data.Batch
		if err := DecodeBatch(p, dec, &part); err != nil {
			t.Fatalf("decode payload %d: %v", i, err)
		}
		base := int32(len(got.Positions))
		for _, r := range part.Records {
			if r.Position != data.NoPosition {
				r.Position += base
			}
			got.Records = append(got.Records, r)
		}
		got.Positions = append(got.Positions, part.Positions...)
	}
	return got
}

func datumText(d data.Datum) string {
	schema := "-"
	if d.Schema != nil {
		schema = fmt.Sprintf("%x", d.Schema.Hash())
	}
	return fmt.Sprintf("%d/%v/%s/%x", d.State, d.NullDefault, schema, d.Row)
}

func recordText(b *data.Batch, r data.Record, log bool) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s %d %d k=%s v=%s", r.Topic, r.Partition, r.Timestamp, datumText(r.Key), datumText(r.Value))
	for _, h := range r.Headers {
		fmt.Fprintf(&s, " %s=%s", h.Name, datumText(h.Value))
	}
	if log {
		fmt.Fprintf(&s, " @%d %v %s/%d/%d", r.Offset, r.LogAppendTime, r.OriginalTopic, r.OriginalPartition, r.OriginalOffset)
	} else if r.Position != data.NoPosition {
		p := b.Positions[r.Position]
		fmt.Fprintf(&s, " pos=%s %s %v", p.Partition, p.Offset, p.Offset == nil)
	}
	return s.String()
}

func sameRecords(t testing.TB, got, want *data.Batch, log bool) {
	t.Helper()
	if len(got.Records) != len(want.Records) {
		t.Fatalf("%d records came back, want %d", len(got.Records), len(want.Records))
	}
	for i := range want.Records {
		g, w := recordText(got, got.Records[i], log), recordText(want, want.Records[i], log)
		if g != w {
			t.Fatalf("record %d came back as\n%s\nwant\n%s", i, g, w)
		}
	}
}

var testSchemas = []*data.Schema{
	data.NewBuilder(data.TypeInt64).MustBuild(),
	data.NewBuilder(data.TypeString).Optional().Doc("a name").MustBuild(),
	data.NewStructBuilder().Name("row").Version(3).Param("a", "b").
		Field("id", data.NewBuilder(data.TypeInt64).MustBuild()).
		Field("tags", data.ArrayOf(data.NewBuilder(data.TypeString).MustBuild()).Optional().MustBuild()).MustBuild(),
}

func randomDatum(r *rand.Rand) data.Datum {
	d := data.Datum{State: data.State(r.IntN(3)), NullDefault: r.IntN(4) == 0}
	if d.State == data.Null || d.State == data.Present && r.IntN(3) > 0 {
		d.Schema = testSchemas[r.IntN(len(testSchemas))]
	}
	if d.State == data.Present {
		d.Row = make([]byte, r.IntN(40))
		for i := range d.Row {
			d.Row[i] = byte(r.Uint32())
		}
	}
	return d
}

func randomBatch(r *rand.Rand, log bool) *data.Batch {
	b := &data.Batch{}
	if !log {
		for range r.IntN(6) {
			p := data.Position{Partition: fmt.Appendf(nil, `{"p":%d}`, r.IntN(3))}
			if r.IntN(4) > 0 {
				p.Offset = fmt.Appendf(nil, `{"n":%d}`, r.Int64())
			}
			b.Positions = append(b.Positions, p)
		}
	}
	for range r.IntN(50) {
		rec := data.Record{
			Topic: fmt.Sprintf("topic-%d", r.IntN(3)), Partition: int32(r.IntN(3)) - 1,
			Timestamp: r.Int64N(1<<40) - 1, Key: randomDatum(r), Value: randomDatum(r), Position: data.NoPosition,
		}
		if r.IntN(20) == 0 {
			rec.Timestamp = math.MinInt64 + r.Int64N(2)
		}
		for range r.IntN(3) {
			rec.Headers = append(rec.Headers, data.Header{Name: fmt.Sprintf("h%d", r.IntN(4)), Value: randomDatum(r)})
		}
		if log {
			rec.Offset = r.Int64()
			rec.LogAppendTime = r.IntN(2) == 0
			rec.OriginalTopic, rec.OriginalPartition, rec.OriginalOffset = rec.Topic, rec.Partition, rec.Offset
			if r.IntN(3) == 0 {
				rec.OriginalTopic, rec.OriginalPartition, rec.OriginalOffset = "before", 7, r.Int64()
			}
		} else if len(b.Positions) > 0 && r.IntN(3) > 0 {
			rec.Position = int32(r.IntN(len(b.Positions)))
		}
		b.Records = append(b.Records, rec)
	}
	return b
}

func TestBatchRoundTrip(t *testing.T) {
	for _, log := range []bool{false, true} {
		seed := rand.Uint64()
		r := rand.New(rand.NewPCG(seed, 1))
		enc, dec := &Table{Log: log}, &Table{Log: log}
		for i := range 300 {
			b := randomBatch(r, log)
			limit := 1 + r.IntN(2000)
			got := roundTrip(t, b, enc, dec, limit)
			sameRecords(t, got, b, log)
			if t.Failed() {
				t.Fatalf("log %v, seed %d, batch %d", log, seed, i)
			}
		}
	}
}

// A position that no record refers to says where an idle source stands: it
// must arrive, once, and after all positions of records.
func TestLoosePositions(t *testing.T) {
	b := &data.Batch{}
	for i := range 5 {
		b.Positions = append(b.Positions, data.Position{Partition: []byte(`{}`), Offset: fmt.Appendf(nil, `{"n":%d}`, i)})
	}
	for i := range 4 {
		b.Records = append(b.Records, data.Record{Topic: "t", Position: int32(i)})
	}
	got := roundTrip(t, b, &Table{}, &Table{}, 1)
	if len(got.Positions) != 5 {
		t.Fatalf("%d positions arrived, want 5", len(got.Positions))
	}
	for i, p := range got.Positions {
		if want := fmt.Sprintf(`{"n":%d}`, i); string(p.Offset) != want {
			t.Errorf("position %d is %s, want %s", i, p.Offset, want)
		}
	}
	none := roundTrip(t, &data.Batch{Positions: b.Positions[:1]}, &Table{}, &Table{}, 0)
	if len(none.Records) != 0 || len(none.Positions) != 1 {
		t.Errorf("a batch of one position arrived as %d records and %d positions", len(none.Records), len(none.Positions))
	}
}

// What a stream has once defined crosses as a number afterwards.
func TestDefinitionsCrossOnce(t *testing.T) {
	b := &data.Batch{Positions: []data.Position{{Partition: []byte(`{"table":"orders"}`), Offset: []byte("{}")}}}
	b.Records = []data.Record{{
		Topic: "orders-topic", Value: data.Datum{State: data.Present, Schema: testSchemas[2], Row: []byte("row")},
		Headers: []data.Header{{Name: "header-name"}},
	}}
	enc := &Table{}
	first, second := payloads(t, b, enc, 0)[0], payloads(t, b, enc, 0)[0]
	for _, s := range []string{"orders-topic", "header-name", `{"table":"orders"}`, "tags"} {
		if !bytes.Contains(first, []byte(s)) || bytes.Contains(second, []byte(s)) {
			t.Errorf("%q is in the first payload %v and in the second %v, want true and false",
				s, bytes.Contains(first, []byte(s)), bytes.Contains(second, []byte(s)))
		}
	}
}

// A stream of ever new names must not grow the tables for ever.
func TestTablesAreBounded(t *testing.T) {
	enc, dec := &Table{}, &Table{}
	for i := range 5 * tableEntries {
		b := &data.Batch{Records: []data.Record{{Topic: fmt.Sprint("topic-", i), Position: data.NoPosition}}}
		got := roundTrip(t, b, enc, dec, 0)
		if got.Records[0].Topic != b.Records[0].Topic {
			t.Fatalf("topic %s came back as %s", b.Records[0].Topic, got.Records[0].Topic)
		}
		if len(enc.strings) > tableEntries+1 || len(dec.strings) > tableEntries+1 {
			t.Fatalf("after %d topics the tables hold %d and %d strings", i, len(enc.strings), len(dec.strings))
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		batch      data.Batch
	}{
		{"no topic", "no topic", data.Batch{Records: []data.Record{{}}}},
		{"position out of range", "position 3", data.Batch{Records: []data.Record{{Topic: "t", Position: 3}}}},
		{"negative partition", "partition -2", data.Batch{Records: []data.Record{{Topic: "t", Partition: -2}}}},
		{"null without its schema", "null of a schema", data.Batch{Records: []data.Record{{Topic: "t", Value: data.Datum{State: data.Null}}}}},
		{"unknown state", "state 9", data.Batch{Records: []data.Record{{Topic: "t", Key: data.Datum{State: 9}}}}},
		{"too many headers", "headers", data.Batch{Records: []data.Record{{Topic: "t", Headers: make([]data.Header, MaxHeaders+1)}}}},
		{"too large", ErrTooLarge.Error(), data.Batch{Records: []data.Record{{Topic: "t", Position: data.NoPosition,
			Value: data.Datum{State: data.Present, Row: make([]byte, MaxPayload)}}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := AppendBatch(nil, &tt.batch, 0, &Table{}, 0)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	start := "\x01\x01"
	for name, payload := range map[string]string{
		"empty":                        "",
		"unknown format":               "\x02\x01",
		"unknown flags":                "\x01\x81",
		"log coordinates to a worker":  "\x01\x03",
		"tables never started":         "\x01\x00",
		"unknown head":                 start + "\x0c",
		"route that is not there":      start + "\x80\x00\x00",
		"no topic":                     start + "\x00\x00\x01\x00\x00\x00\x00",
		"string that is not defined":   start + "\x00\x05\x01\x00\x00\x00\x00",
		"string longer than the rest":  start + "\x00\x01\xff\xff\xff\xff\x0f" + "t",
		"schema that is not defined":   start + "\x00\x01\x01t\x01\x07\x00\x00\x00",
		"position that is not defined": start + "\x00\x01\x01t\x01\x00\x00\x00\x04",
		"loose without partition":      start + "\x03\x00\x00",
		"ends in a record":             start + "\x00\x01\x01t\x01\x00",
		"varint without end":           start + "\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
		"partition out of range":       start + "\x00\x01\x01t\xfe\xff\xff\xff\xff\x01\x00\x00\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			b := &data.Batch{}
			if err := DecodeBatch([]byte(payload), &Table{}, b); !errors.Is(err, ErrPayload) {
				t.Errorf("error %v, want ErrPayload", err)
			}
			if len(b.Records) != 0 {
				t.Errorf("%d records after an error", len(b.Records))
			}
		})
	}
}

// steady is a batch such as a CDC source sends: 100-byte values, one schema.
func steady(n int) *data.Batch {
	b := &data.Batch{Positions: []data.Position{{Partition: []byte(`{"server":"a"}`), Offset: []byte(`{"lsn":123456789}`)}}}
	row := bytes.Repeat([]byte("r"), 92)
	for i := range n {
		b.Records = append(b.Records, data.Record{
			Topic: "orders", Partition: data.NoPartition, Timestamp: 1_700_000_000_000 + int64(i),
			Key:   data.Datum{State: data.Present, Schema: testSchemas[0], Row: row[:8]},
			Value: data.Datum{State: data.Present, Schema: testSchemas[2], Row: row},
		})
	}
	return b
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	b := steady(500)
	b.Records[3].Headers = []data.Header{{Name: "h", Value: data.Datum{State: data.Present, Row: []byte("x")}}}
	enc, dec := &Table{}, &Table{}
	var buf []byte
	var got data.Batch
	step := func() {
		p, _, err := AppendBatch(buf[:0], b, 0, enc, 0)
		if err == nil {
			err = DecodeBatch(p, dec, &got)
		}
		if err != nil {
			t.Fatal(err)
		}
		buf = p
	}
	step() // definitions cross, slices grow
	if n := testing.AllocsPerRun(50, step); n != 0 {
		t.Errorf("encoding and decoding %d records allocates %v times, want 0", len(b.Records), n)
	}
}

func FuzzDecodeBatch(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, log := range []bool{false, true} {
		p, _, err := AppendBatch(nil, randomBatch(r, log), 0, &Table{Log: log}, 0)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(p, log)
	}
	f.Fuzz(func(t *testing.T, payload []byte, log bool) {
		var b data.Batch
		dec := &Table{Log: log}
		if err := DecodeBatch(payload, dec, &b); err != nil {
			if !errors.Is(err, ErrPayload) {
				t.Fatalf("error %v is not ErrPayload", err)
			}
			return
		}
		// What was accepted can be sent on, and means the same.
		got := roundTrip(t, &b, &Table{Log: log}, &Table{Log: log}, 0)
		sameRecords(t, got, &b, log)
		if len(got.Positions) != len(b.Positions) {
			t.Fatalf("%d positions came back, want %d", len(got.Positions), len(b.Positions))
		}
	})
}

func BenchmarkAppendBatch(b *testing.B) {
	batch, table := steady(2000), &Table{}
	buf, _, err := AppendBatch(nil, batch, 0, table, 0)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		if buf, _, err = AppendBatch(buf[:0], batch, 0, table, 0); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*2000/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkDecodeBatch(b *testing.B) {
	enc, dec, batch := &Table{}, &Table{}, steady(2000)
	var got data.Batch
	first := payloads(b, batch, enc, 0)[0]
	if err := DecodeBatch(first, dec, &got); err != nil {
		b.Fatal(err)
	}
	payload := payloads(b, batch, enc, 0)[0]
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	for b.Loop() {
		if err := DecodeBatch(payload, dec, &got); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*2000/b.Elapsed().Seconds(), "records/s")
}
