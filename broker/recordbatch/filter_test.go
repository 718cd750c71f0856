package recordbatch

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

func isEven(r Record) bool { return r.Offset%2 == 0 }
func all(Record) bool      { return true }

// What a Filter leaves is read by franz-go's own decoders, in every codec.
func TestFilterKeepsCodecsAndOffsets(t *testing.T) {
	plain := build(t, 300)
	plain.SetBaseOffset(1000)
	plain.SetLeaderEpoch(9)
	want, err := decode(t, plain, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := Filter{Limit: 1 << 20, Horizon: 77_000}
	for c := None; c <= Zstd; c++ {
		v := plain
		if c != None {
			v = compressed(t, plain, c)
		}
		out, err := f.Records(v, isEven)
		if err != nil {
			t.Fatalf("%s: %v", c, err)
		}
		if err := out.CheckCRC(); err != nil {
			t.Errorf("%s: %v", c, err)
		}
		if out.Codec() != c || out.BaseOffset() != 1000 || out.LastOffsetDelta() != 299 || out.Count() != 150 ||
			out.LeaderEpoch() != 9 || out.ProducerID() != 4 || out.BaseSequence() != 10 || out.HasDeleteHorizon() {
			t.Errorf("%s: header is %x", c, out[:HeaderSize])
		}
		raw, err := kgo.DefaultDecompressor().Decompress(out[HeaderSize:], kgo.CompressionCodecType(c))
		if err != nil {
			t.Fatalf("%s: franz-go: %v", c, err)
		}
		again := withRecords(out, None, raw)
		rs, err := decode(t, again, 0)
		if err != nil || len(rs) != 150 {
			t.Fatalf("%s: %d records, %v", c, len(rs), err)
		}
		for i, r := range rs {
			w := want[2*i]
			if r.Offset != w.Offset || r.Timestamp != w.Timestamp || !bytes.Equal(r.Key, w.Key) || !bytes.Equal(r.Value, w.Value) || r.HeaderCount() != 2 {
				t.Fatalf("%s: record %d is %+v, want %+v", c, i, r, w)
			}
		}
		if same, err := f.Records(v, all); err != nil || &same[0] != &v[0] {
			t.Errorf("%s: a batch that keeps everything is made anew, %v", c, err)
		}
		if none, err := f.Records(v, func(Record) bool { return false }); err != nil || none != nil {
			t.Errorf("%s: %d bytes are left of nothing, %v", c, len(none), err)
		}
	}
}

func TestFilterSetsTheHorizon(t *testing.T) {
	var b Builder
	for i, value := range [][]byte{[]byte("v"), nil, {}} {
		if err := b.Add(int64(5000-1000*i), fmt.Appendf(nil, "k%d", i), value, Header{"h", nil}); err != nil {
			t.Fatal(err)
		}
	}
	v := b.Batch(NoProducer)
	f := Filter{Limit: 1 << 20, Horizon: 1 << 40}
	for c := None; c <= Zstd; c++ {
		in := v
		if c != None {
			in = compressed(t, v, c)
		}
		out, err := f.Records(in, func(r Record) bool { return r.Offset > 0 })
		if err != nil {
			t.Fatal(err)
		}
		rs, err := decode(t, bytes.Clone(out), 1<<20)
		if err != nil || len(rs) != 2 || rs[0].Timestamp != 4000 || rs[1].Timestamp != 3000 || rs[0].Value != nil || rs[1].Value == nil {
			t.Errorf("%s: records are %+v, %v", c, rs, err)
		}
		if !out.HasDeleteHorizon() || out.BaseTimestamp() != 1<<40 || out.MaxTimestamp() != 4000 {
			t.Errorf("%s: horizon %t at %d, max timestamp %d", c, out.HasDeleteHorizon(), out.BaseTimestamp(), out.MaxTimestamp())
		}
		kept := View(bytes.Clone(out))
		later := Filter{Limit: 1 << 20, Horizon: 1 << 50}
		if again, err := later.Records(kept, all); err != nil || again.BaseTimestamp() != 1<<40 {
			t.Errorf("%s: the horizon was moved: %v", c, err)
		}
	}
	stamped := View(bytes.Clone(v))
	stamped.SetLogAppendTime(9000)
	out, err := f.Records(stamped, all)
	if err != nil {
		t.Fatal(err)
	}
	if rs, err := decode(t, out, 0); err != nil || out.MaxTimestamp() != 9000 || rs[2].Timestamp != 9000 {
		t.Errorf("broker's time became %+v, %v", rs, err)
	}
}

func TestFilterEmptyAndMarker(t *testing.T) {
	var f Filter
	f.Horizon = 123_456
	v := build(t, 5)
	out := f.Empty(v)
	if err := out.CheckCRC(); err != nil {
		t.Error(err)
	}
	rs, err := decode(t, out, 0)
	if err != nil || len(rs) != 0 || len(out) != HeaderSize || out.LastSequence() != v.LastSequence() || out.NextOffset() != v.NextOffset() {
		t.Errorf("emptied batch %x has %d records, %v", out, len(rs), err)
	}
	var b Builder
	m, err := b.Marker(1000, 4, 1, Marker{Commit, 6})
	if err != nil {
		t.Fatal(err)
	}
	if out, err = f.WithHorizon(m); err != nil {
		t.Fatal(err)
	}
	rs, err = decode(t, out, 0)
	if err != nil || !out.HasDeleteHorizon() || !out.Control() || len(rs) != 1 || rs[0].Timestamp != 1000 {
		t.Fatalf("marker with a horizon is %x: %+v, %v", out, rs, err)
	}
	if got, ok, err := ParseMarker(rs[0]); err != nil || !ok || got != (Marker{Commit, 6}) {
		t.Errorf("ParseMarker = %+v, %t, %v", got, ok, err)
	}
}

func FuzzFilter(f *testing.F) {
	v := build(f, 3)
	f.Add([]byte(v), uint8(0))
	for c := Gzip; c <= Zstd; c++ {
		f.Add([]byte(compressed(f, v, c)), uint8(1))
	}
	var tomb Builder
	if err := tomb.Add(1, []byte("k"), nil); err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(tomb.Batch(NoProducer)), uint8(2))
	f.Fuzz(func(t *testing.T, b []byte, mode uint8) {
		v, _, err := Parse(b)
		if err != nil {
			return
		}
		fl := Filter{Limit: 1 << 20, Horizon: 1 << 41}
		out, err := fl.Records(v, func(r Record) bool { return mode&1 == 0 || r.Offset&1 == int64(mode>>1&1) })
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrTooLarge) && !errors.Is(err, ErrCodec) {
				t.Fatal(err)
			}
			return
		}
		if out == nil {
			return
		}
		if out.NextOffset() != v.NextOffset() || out.BaseOffset() != v.BaseOffset() {
			t.Fatal("offsets have changed")
		}
		for _, err := range out.Records(2 << 20) {
			if err != nil {
				t.Fatalf("what is left cannot be read: %v", err)
			}
		}
		if _, err := fl.WithHorizon(bytes.Clone(v)); err != nil && !strings.Contains(err.Error(), "corrupt") {
			t.Fatal(err)
		}
	})
}

func BenchmarkFilter(b *testing.B) {
	plain := build(b, 300)
	for c := None; c <= Zstd; c++ {
		b.Run(c.String(), func(b *testing.B) {
			v := plain
			if c != None {
				v = compressed(b, plain, c)
			}
			f := Filter{Limit: 1 << 20}
			b.SetBytes(int64(len(plain)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.Records(v, isEven); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
