package read

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/millrace/millrace/connectors/objectfile/format"
	"github.com/millrace/millrace/plugins/data"
)

// allocated is how many bytes were allocated while something was done.
func allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// readAll reads a file to its end.
func readAll(content []byte) error {
	r, err := Open(Parquet, "x.parquet", Options{}, bytes.NewReader(content))
	for err == nil {
		_, err = r.Next()
	}
	if c, ok := r.(io.Closer); ok {
		err = errors.Join(err, c.Close())
	}
	return err
}

// oneColumn is a file of one column: a dictionary and a page, behind which nothing
// moves when the page grows.
func oneColumn(t *testing.T, codec string) []byte {
	t.Helper()
	s := data.NewStructBuilder().Name("One").Field("n", data.StringSchema).MustBuild()
	var out bytes.Buffer
	w, err := format.Parquet{Codec: codec}.Open(&out, s)
	for i := 0; i < 3 && err == nil; i++ {
		v := data.NewStruct(s)
		if err = v.Put("n", strings.Repeat("n", i)); err != nil {
			break
		}
		var d data.Datum
		if d, err = data.NewDatum(s, v); err == nil {
			err = errors.Join(w.Prepare(d), w.Append())
		}
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestPagesThatClaimTooMuch changes the last page of a file so that its header
// claims much more than there is: nothing is allocated for it.
func TestPagesThatClaimTooMuch(t *testing.T) {
	for _, codec := range []string{"none", "snappy"} {
		good := oneColumn(t, codec)
		if err := readAll(good); !errors.Is(err, io.EOF) {
			t.Fatalf("the file itself: %v", err)
		}
		w := thriftWalk{b: good[4:]}
		dictionary := w.page()
		page := 4 + w.i + int(dictionary.compressed)
		w = thriftWalk{b: good[page:]}
		want := w.page()
		if w.err != nil || !dictionary.dictionary || want.dictionary {
			t.Fatalf("the pages are %+v and %+v, %v", dictionary, want, w.err)
		}
		// Numbers of the header, in their order: type, sizes, values.
		for field, claim := range map[int]int64{1: want.uncompressed, 2: want.compressed, 3: want.values} {
			at := page
			number := func() { // passes over one and its field's head
				_, size := binary.Varint(good[at+1:])
				at += 1 + size
			}
			for range field {
				number()
			}
			if field == 3 {
				for good[at]&15 == byte(thriftI32) {
					number() // a checksum
				}
				at++ // the struct's head
			}
			at++
			got, size := binary.Varint(good[at:])
			if got != claim {
				t.Fatalf("number %d of the header is %d at byte %d, not %d", field, got, at, claim)
			}
			bad := append(binary.AppendVarint(bytes.Clone(good[:at]), 1<<30), good[at+size:]...)
			var err error
			n := allocated(func() { err = readAll(bad) })
			if e := (*DataError)(nil); !errors.As(err, &e) || !strings.Contains(err.Error(), "claims") || n > 16<<20 {
				t.Errorf("%s: with a claim of 1 GiB in number %d of the header %d bytes are allocated, error %v", codec, field, n, err)
			}
		}
	}
}

// TestHeadersThatClaimTooMuch has headers whose numbers are of any size.
func TestHeadersThatClaimTooMuch(t *testing.T) {
	field := func(delta, kind byte, rest ...byte) []byte { return append([]byte{delta<<4 | kind}, rest...) }
	number := func(n int64) []byte { return binary.AppendVarint(nil, n) }
	long := binary.AppendUvarint(nil, 1<<30)
	for _, tt := range []struct {
		name string
		b    []byte
		want string
	}{
		{"nothing", nil, "ends within"},
		{"a text", append(field(1, byte(thriftBinary)), long...), "ends within"},
		{"a list", append(field(1, byte(thriftList), 0xf0|byte(thriftStruct)), long...), "ends within"},
		{"a list of truth values", append(field(1, byte(thriftList), 0xf0|byte(thriftTrue)), long...), "ends within"},
		{"a map", append(append(field(1, byte(thriftMap)), long...), 0x88), "ends within"},
		{"a kind", field(1, 14), "no known kind"},
		{"a number", append(field(1, byte(thriftI64)), bytes.Repeat([]byte{0xff}, 11)...), "64 bits"},
		{"structs in structs", bytes.Repeat(field(1, byte(thriftStruct)), 100), "too deep"},
		{"lists in lists", append(field(1, byte(thriftList), 0x10|byte(thriftList)), bytes.Repeat([]byte{0x10 | byte(thriftList)}, 100)...), "too deep"},
		{"many structs", append(append(field(1, byte(thriftList), 0xf0|byte(thriftStruct)), binary.AppendUvarint(nil, thriftStructs+1)...), make([]byte, 3*thriftStructs)...), "more parts"},
	} {
		w := thriftWalk{b: tt.b}
		if w.fields(0, nil); w.err == nil || !strings.Contains(w.err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, w.err, tt.want)
		}
	}
	good := append(append(append(field(2, byte(thriftI32)), number(70)...), field(1, byte(thriftI32))...), number(-5)...)
	good = append(append(append(good, field(4, byte(thriftStruct))...), append(field(1, byte(thriftI32)), number(9)...)...), 0, 0)
	w := thriftWalk{b: append(good, 1, 2, 3)}
	if c := w.page(); w.err != nil || w.i != len(good) || c != (pageClaim{uncompressed: 70, compressed: -5, values: 9, dictionary: true}) {
		t.Errorf("a header is read as %+v in %d of %d bytes, %v", c, w.i, len(good), w.err)
	}
}

func FuzzThrift(f *testing.F) {
	f.Add([]byte{0x15, 0x02, 0x15, 0x10, 0x2c, 0x15, 0x02, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		w := thriftWalk{b: b}
		if w.page(); w.i > len(b) || w.i < 0 {
			t.Errorf("it walks to byte %d of %d", w.i, len(b))
		}
	})
}
