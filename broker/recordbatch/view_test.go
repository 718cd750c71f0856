package recordbatch

import (
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// golden is a batch of two records written out by hand from the protocol
// guide: "k"→"v" with header h=x at time 1000, nil→"" at time 1001.
const golden = `
	0000000000000007  base offset 7
	00000045          length 69
	00000003          leader epoch 3
	02                magic
	GGGGGGGG          checksum
	0000              attributes
	00000001          last offset delta
	00000000000003e8  base timestamp 1000
	00000000000003e9  max timestamp 1001
	0000000000000009  producer 9
	0002              producer epoch
	00000005          base sequence
	00000002          two records
	18 00 00 00 02 6b 02 76 02 02 68 02 78
	0c 00 02 02 01 00 00`

func goldenBatch(t testing.TB) View {
	t.Helper()
	var digits strings.Builder
	for line := range strings.Lines(golden) {
		for _, f := range strings.Fields(line) {
			if f == "GGGGGGGG" {
				f = "00000000"
			}
			if _, err := hex.DecodeString(f); err != nil || len(f)%2 == 1 {
				break
			}
			digits.WriteString(f)
		}
	}
	raw, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	v, rest, err := Parse(raw)
	if err != nil || len(rest) != 0 {
		t.Fatalf("Parse: %v, %d bytes left", err, len(rest))
	}
	v.SetCRC()
	return v
}

func TestAccessors(t *testing.T) {
	v := goldenBatch(t)
	for _, tt := range []struct {
		name      string
		got, want int64
	}{
		{"BaseOffset", v.BaseOffset(), 7},
		{"LeaderEpoch", int64(v.LeaderEpoch()), 3},
		{"Magic", int64(v.Magic()), 2},
		{"Attributes", int64(v.Attributes()), 0},
		{"LastOffsetDelta", int64(v.LastOffsetDelta()), 1},
		{"BaseTimestamp", v.BaseTimestamp(), 1000},
		{"MaxTimestamp", v.MaxTimestamp(), 1001},
		{"ProducerID", v.ProducerID(), 9},
		{"ProducerEpoch", int64(v.ProducerEpoch()), 2},
		{"BaseSequence", int64(v.BaseSequence()), 5},
		{"LastSequence", int64(v.LastSequence()), 6},
		{"Count", int64(v.Count()), 2},
		{"LastOffset", v.LastOffset(), 8},
		{"NextOffset", v.NextOffset(), 9},
	} {
		if tt.got != tt.want {
			t.Errorf("%s() = %d, want %d", tt.name, tt.got, tt.want)
		}
	}
	var k kmsg.RecordBatch
	if err := k.ReadFrom(v); err != nil {
		t.Fatalf("kmsg reads the batch: %v", err)
	}
	if uint32(k.CRC) != v.CRC() || k.FirstOffset != 7 || k.NumRecords != 2 || k.ProducerID != 9 {
		t.Errorf("kmsg sees %+v", k)
	}
}

func TestSettersAndChecksum(t *testing.T) {
	v := goldenBatch(t)
	v.SetBaseOffset(1 << 40)
	v.SetLeaderEpoch(12)
	if err := v.CheckCRC(); err != nil {
		t.Errorf("offset and epoch are outside the checksum, yet: %v", err)
	}
	if v.BaseOffset() != 1<<40 || v.LeaderEpoch() != 12 {
		t.Errorf("patched to offset %d, epoch %d", v.BaseOffset(), v.LeaderEpoch())
	}
	v.SetLogAppendTime(5000)
	if !v.LogAppendTime() || v.MaxTimestamp() != 5000 || v.CheckCRC() != nil {
		t.Errorf("LogAppendTime %t at %d, checksum %v", v.LogAppendTime(), v.MaxTimestamp(), v.CheckCRC())
	}
	for r, err := range v.Records(1 << 20) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Timestamp != 5000 {
			t.Errorf("record %d has time %d, want the broker's 5000", r.Offset, r.Timestamp)
		}
	}
	v.SetMaxTimestamp(6000)
	if err := v.CheckCRC(); err != nil {
		t.Error(err)
	}
	for i := crcStart; i < len(v); i++ {
		v[i] ^= 1
		if err := v.CheckCRC(); !errors.Is(err, ErrCRC) {
			t.Fatalf("byte %d changed: CheckCRC = %v, want ErrCRC", i, err)
		}
		v[i] ^= 1
	}
}

func TestParseRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit func(View) []byte
		want error
	}{
		{"empty", func(v View) []byte { return nil }, ErrTooShort},
		{"half a length", func(v View) []byte { return v[:11] }, ErrTooShort},
		{"half a header", func(v View) []byte { return v[:60] }, ErrTooShort},
		{"last byte missing", func(v View) []byte { return v[:len(v)-1] }, ErrTooShort},
		{"zeros", func(v View) []byte { return make([]byte, 100) }, ErrCorrupt},
		{"negative length", func(v View) []byte { v[8] = 0x80; return v }, ErrCorrupt},
		{"overflowing length", func(v View) []byte { copy(v[8:], "\x7f\xff\xff\xff"); return v }, ErrCorrupt},
		{"length below a header", func(v View) []byte { v[11] = 48; return v }, ErrCorrupt},
		{"magic 1", func(v View) []byte { v[16] = 1; return v }, ErrMagic},
		{"negative base", func(v View) []byte { v[0] = 0x80; return v }, ErrCorrupt},
		{"offset overflow", func(v View) []byte { v.SetBaseOffset(math.MaxInt64 - 1); return v }, ErrCorrupt},
		{"negative delta", func(v View) []byte { v[23] = 0xff; return v }, ErrCorrupt},
		{"negative count", func(v View) []byte { v[57] = 0xff; return v }, ErrCorrupt},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, _, err := Parse(tt.edit(goldenBatch(t))); !errors.Is(err, tt.want) {
				t.Errorf("Parse = %v, want %v", err, tt.want)
			}
		})
	}
}

func TestParseLeavesRest(t *testing.T) {
	v := goldenBatch(t)
	two := append(append([]byte{}, v...), v...)
	first, rest, err := Parse(two)
	if err != nil || len(first) != len(v) || len(rest) != len(v) {
		t.Fatalf("Parse = %d bytes and %d left, %v", len(first), len(rest), err)
	}
	h, size, err := PeekHeader(two[:HeaderSize])
	if err != nil || size != len(v) || h.NextOffset() != 9 {
		t.Errorf("PeekHeader = size %d, next %d, %v", size, h.NextOffset(), err)
	}
}

func TestCheckProduced(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit func(View)
		want error
	}{
		{"as a client sends it", func(v View) {}, nil},
		{"base offset", func(v View) { v.SetBaseOffset(1) }, ErrInvalidRecord},
		{"no records", func(v View) { v[60] = 0 }, ErrInvalidRecord},
		{"more offsets than records", func(v View) { v[26] = 9 }, ErrInvalidRecord},
		{"control", func(v View) { v[22] |= attrControl }, ErrInvalidRecord},
		{"delete horizon", func(v View) { v[22] |= attrDeleteHorizon }, ErrInvalidRecord},
		{"no sequence", func(v View) { copy(v[53:], "\xff\xff\xff\xff") }, ErrInvalidRecord},
		{"no producer epoch", func(v View) { copy(v[51:], "\xff\xff") }, ErrInvalidRecord},
		{"transaction without producer", func(v View) { v[22] |= attrTransaction; v[43] = 0xff }, ErrInvalidRecord},
		{"broker time", func(v View) { v[22] |= attrLogAppend }, ErrInvalidTimestamp},
		{"codec 7", func(v View) { v[22] |= 7 }, ErrCodec},
	} {
		v := goldenBatch(t)
		v.SetBaseOffset(0)
		tt.edit(v)
		if err := v.CheckProduced(); !errors.Is(err, tt.want) {
			t.Errorf("%s: CheckProduced = %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestSequenceWraps(t *testing.T) {
	for _, tt := range []struct{ s, n, want int32 }{
		{0, 1, 1}, {math.MaxInt32, 0, math.MaxInt32}, {math.MaxInt32, 1, 0}, {math.MaxInt32 - 1, 4, 2},
	} {
		if got := AddSequence(tt.s, tt.n); got != tt.want {
			t.Errorf("AddSequence(%d, %d) = %d, want %d", tt.s, tt.n, got, tt.want)
		}
	}
}

func TestHotPathDoesNotAllocate(t *testing.T) {
	v := goldenBatch(t)
	if n := testing.AllocsPerRun(100, func() {
		p, _, err := Parse(v)
		if err != nil || p.CheckCRC() != nil || p.LastSequence() != 6 {
			t.Fatal("golden batch does not parse")
		}
	}); n != 0 {
		t.Errorf("Parse and CheckCRC allocate %v times", n)
	}
}

func BenchmarkParse(b *testing.B) {
	v := goldenBatch(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Parse(v); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheckCRC(b *testing.B) {
	var bld Builder
	if err := bld.Add(0, nil, make([]byte, 64<<10)); err != nil {
		b.Fatal(err)
	}
	v := bld.Batch(NoProducer)
	b.SetBytes(int64(len(v)))
	b.ReportAllocs()
	for b.Loop() {
		if err := v.CheckCRC(); err != nil {
			b.Fatal(err)
		}
	}
}
