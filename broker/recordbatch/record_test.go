package recordbatch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// compressed returns v with its records compressed by kgo's own codecs.
func compressed(t testing.TB, v View, c Codec) View {
	t.Helper()
	codec := map[Codec]kgo.CompressionCodec{
		Gzip: kgo.GzipCompression(), Snappy: kgo.SnappyCompression(), LZ4: kgo.Lz4Compression(), Zstd: kgo.ZstdCompression(),
	}[c]
	z, err := kgo.DefaultCompressor(codec)
	if err != nil {
		t.Fatal(err)
	}
	records, _ := z.Compress(new(bytes.Buffer), v[HeaderSize:])
	return withRecords(v, c, records)
}

// withRecords returns v's header over other record bytes.
func withRecords(v View, c Codec, records []byte) View {
	out := View(append(bytes.Clone(v[:HeaderSize]), records...))
	binary.BigEndian.PutUint32(out[8:], uint32(len(out)-LengthSize))
	out[22] = out[22]&^codecMask | byte(c)
	out.SetCRC()
	return out
}

func decode(t testing.TB, v View, limit int) ([]Record, error) {
	t.Helper()
	var rs []Record
	for r, err := range v.Records(limit) {
		if err != nil {
			return rs, err
		}
		rs = append(rs, r)
	}
	return rs, nil
}

func TestRecordsGolden(t *testing.T) {
	rs, err := decode(t, goldenBatch(t), 0)
	if err != nil || len(rs) != 2 {
		t.Fatalf("Records = %d records, %v", len(rs), err)
	}
	a, b := rs[0], rs[1]
	if a.Offset != 7 || a.Timestamp != 1000 || string(a.Key) != "k" || string(a.Value) != "v" || a.HeaderCount() != 1 {
		t.Errorf("first record is %+v", a)
	}
	if h := a.Headers(); len(h) != 1 || h[0].Key != "h" || string(h[0].Value) != "x" {
		t.Errorf("Headers() = %v", h)
	}
	if b.Offset != 8 || b.Timestamp != 1001 || b.Key != nil || b.Value == nil || len(b.Value) != 0 || b.Headers() != nil {
		t.Errorf("second record is %+v", b)
	}
}

func build(t testing.TB, n int) View {
	t.Helper()
	var b Builder
	for i := range n {
		if err := b.Add(int64(1000+i%7-3), fmt.Appendf(nil, "key-%d", i), bytes.Repeat([]byte{byte(i)}, i%200), Header{"n", []byte{1}}, Header{"null", nil}); err != nil {
			t.Fatal(err)
		}
	}
	return b.Batch(Producer{ID: 4, Epoch: 1, BaseSequence: 10})
}

func TestBuilderAgainstKmsg(t *testing.T) {
	v := build(t, 300)
	if err := v.CheckCRC(); err != nil {
		t.Fatal(err)
	}
	if err := v.CheckProduced(); err != nil {
		t.Errorf("CheckProduced = %v", err)
	}
	var k kmsg.RecordBatch
	if err := k.ReadFrom(v); err != nil {
		t.Fatal(err)
	}
	if again := k.AppendTo(nil); !bytes.Equal(again, v) {
		t.Error("kmsg encodes the batch differently")
	}
	rest := k.Records
	var want []byte
	for i := range 300 {
		size, n := binary.Varint(rest)
		var r kmsg.Record
		if err := r.ReadFrom(rest[:n+int(size)]); err != nil {
			t.Fatalf("kmsg reads record %d: %v", i, err)
		}
		rest = rest[n+int(size):]
		if int(r.OffsetDelta) != i || string(r.Key) != fmt.Sprintf("key-%d", i) || len(r.Headers) != 2 || r.Headers[1].Value != nil {
			t.Fatalf("kmsg sees record %d as %+v", i, r)
		}
		want = r.AppendTo(want)
	}
	if !bytes.Equal(want, v[HeaderSize:]) {
		t.Error("kmsg encodes the records differently")
	}
	if v.BaseTimestamp() != 997 || v.MaxTimestamp() != 1003 {
		t.Errorf("timestamps %d to %d, want 997 to 1003", v.BaseTimestamp(), v.MaxTimestamp())
	}
}

func TestBuilderReset(t *testing.T) {
	var b Builder
	for range 2 {
		b.Reset()
		if err := b.Add(5, []byte("k"), nil); err != nil {
			t.Fatal(err)
		}
		v := b.Batch(NoProducer)
		if len(v) != b.Len() || v.Count() != 1 || b.Count() != 1 || v.ProducerID() != -1 {
			t.Errorf("batch of %d bytes (Len %d), count %d, producer %d", len(v), b.Len(), v.Count(), v.ProducerID())
		}
	}
}

func TestCodecs(t *testing.T) {
	plain := build(t, 300)
	want, err := decode(t, plain, 0)
	if err != nil {
		t.Fatal(err)
	}
	views := map[string]View{"raw snappy": withRecords(plain, Snappy, snappy.Encode(nil, plain[HeaderSize:]))}
	for c := Gzip; c <= Zstd; c++ {
		views[c.String()] = compressed(t, plain, c)
	}
	size := len(plain) - HeaderSize
	for name, v := range views {
		t.Run(name, func(t *testing.T) {
			got, err := decode(t, v, size)
			if err != nil || len(got) != len(want) {
				t.Fatalf("decoded %d of %d records: %v", len(got), len(want), err)
			}
			for i := range got {
				if got[i].Offset != want[i].Offset || got[i].Timestamp != want[i].Timestamp || !bytes.Equal(got[i].Key, want[i].Key) || !bytes.Equal(got[i].Value, want[i].Value) {
					t.Fatalf("record %d is %+v, want %+v", i, got[i], want[i])
				}
			}
			if _, err := decode(t, v, size-1); !errors.Is(err, ErrTooLarge) {
				t.Errorf("one byte over the limit: %v, want ErrTooLarge", err)
			}
			if _, err := decode(t, v[:len(v)-9], size); err == nil {
				t.Error("a cut batch decodes without error")
			}
		})
	}
	if _, err := decode(t, withRecords(plain, 7, plain[HeaderSize:]), size); !errors.Is(err, ErrCodec) {
		t.Errorf("codec 7: %v, want ErrCodec", err)
	}
}

func TestZeroBombIsBounded(t *testing.T) {
	zeros := withRecords(build(t, 1), None, make([]byte, 8<<20))
	for c := Gzip; c <= Zstd; c++ {
		if _, err := decode(t, compressed(t, zeros, c), 1<<20); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: 8 MiB into 1 MiB: %v, want ErrTooLarge", c, err)
		}
	}
	lie := binary.AppendUvarint(nil, 1<<30)
	if _, err := decode(t, withRecords(zeros, Snappy, lie), 1<<31-1); !errors.Is(err, ErrCorrupt) {
		t.Errorf("snappy block that claims 1 GiB: %v, want ErrCorrupt", err)
	}
}

func TestRecordsRefuse(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit func(View) View
	}{
		{"fewer records than claimed", func(v View) View { v[60] = 3; return v }},
		{"more records than claimed", func(v View) View { v[60] = 1; return v }},
		{"offset beyond the batch", func(v View) View { v[26] = 0; return v }},
		{"record length 0", func(v View) View { v[61] = 0; return v }},
		{"record length beyond the batch", func(v View) View { v[61] = 0x7e; return v }},
		{"negative record length", func(v View) View { v[61] = 1; return v }},
		{"key length -2", func(v View) View { v[65] = 3; return v }},
		{"header count beyond the record", func(v View) View { v[69] = 0x7e; return v }},
		{"null header key", func(v View) View { v[70] = 1; return v }},
		{"offsets do not rise", func(v View) View { v[len(v)-4] = 0; return v }},
		{"varint without end", func(v View) View { return withRecords(v, None, bytes.Repeat([]byte{0xff}, 20)) }},
	} {
		if _, err := decode(t, tt.edit(goldenBatch(t)), 0); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v, want ErrCorrupt", tt.name, err)
		}
	}
}

func TestMarker(t *testing.T) {
	var b Builder
	v, err := b.Marker(77, 5, 2, Marker{Commit, 9})
	if err != nil {
		t.Fatal(err)
	}
	if !v.Control() || !v.Transactional() || v.ProducerID() != 5 || v.ProducerEpoch() != 2 || v.LastSequence() != -1 || v.Count() != 1 {
		t.Errorf("marker batch has attributes %x, producer %d/%d, sequence %d", v.Attributes(), v.ProducerID(), v.ProducerEpoch(), v.LastSequence())
	}
	rs, err := decode(t, v, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ck kmsg.ControlRecordKey
	var em kmsg.EndTxnMarker
	if ck.ReadFrom(rs[0].Key) != nil || em.ReadFrom(rs[0].Value) != nil || ck.Type != kmsg.ControlRecordKeyTypeCommit || em.CoordinatorEpoch != 9 {
		t.Errorf("kmsg sees key %+v, value %+v", ck, em)
	}
	if m, ok, err := ParseMarker(rs[0]); err != nil || !ok || m != (Marker{Commit, 9}) {
		t.Errorf("ParseMarker = %+v, %t, %v", m, ok, err)
	}
	if _, ok, err := ParseMarker(Record{Key: []byte{0, 0, 0, 2}}); ok || err != nil {
		t.Errorf("leader change record: ok %t, %v", ok, err)
	}
	for _, r := range []Record{{}, {Key: []byte{0, 0, 0}}, {Key: []byte{0, 0, 0, 1}, Value: make([]byte, 5)}} {
		if _, _, err := ParseMarker(r); !errors.Is(err, ErrCorrupt) {
			t.Errorf("ParseMarker(%+v) = %v, want ErrCorrupt", r, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	v := goldenBatch(f)
	f.Add([]byte(v))
	f.Add([]byte(v[:HeaderSize]))
	f.Add(make([]byte, 128))
	f.Fuzz(func(t *testing.T, b []byte) {
		total := len(b)
		for {
			v, rest, err := Parse(b)
			if err != nil {
				return
			}
			if len(v) < HeaderSize || len(v)+len(rest) != len(b) || v.NextOffset() <= v.BaseOffset() {
				t.Fatalf("view of %d bytes, %d of %d left, offsets %d to %d", len(v), len(rest), total, v.BaseOffset(), v.NextOffset())
			}
			b = rest
		}
	})
}

func FuzzRecords(f *testing.F) {
	plain := build(f, 20)
	for c := None; c <= Zstd; c++ {
		v := plain
		if c != None {
			v = compressed(f, plain, c)
		}
		f.Add(byte(c), int32(20), []byte(v[HeaderSize:]))
	}
	f.Fuzz(func(t *testing.T, codec byte, count int32, records []byte) {
		const limit = 1 << 20
		v := withRecords(plain, Codec(codec&codecMask), records)
		binary.BigEndian.PutUint32(v[57:], uint32(count&0x7fffffff))
		v, _, err := Parse(v)
		if err != nil {
			t.Fatal(err)
		}
		total := 0
		for r, err := range v.Records(limit) {
			if err != nil {
				return
			}
			r.Headers()
			total += len(r.Key) + len(r.Value)
		}
		if v.Codec() != None && total > limit {
			t.Fatalf("%d bytes of records from a limit of %d", total, limit)
		}
	})
}
