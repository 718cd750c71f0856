package format

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/klauspost/compress/snappy/xerial"

	"github.com/millrace/millrace/plugins/data"
)

// TestJoined writes values with something round and between them, of sizes
// round that of a block of Java's snappy library.
func TestJoined(t *testing.T) {
	noise := make([]byte, 3*xerialBlock)
	rand.NewChaCha8([32]byte{}).Read(noise)
	for _, sizes := range [][]int{{0}, {1, 2}, {xerialBlock - 3}, {xerialBlock, xerialBlock + 1, 0}, {3 * xerialBlock, 5}} {
		var parts []string
		var file bytes.Buffer
		f, err := Joined{First: "[", Between: "|", Last: "]", Suffix: ".x", Compression: Compression{Type: "xerial"}}.Open(&file, data.BytesSchema)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range sizes {
			parts = append(parts, string(noise[:n]))
			d, err := data.NewDatum(data.BytesSchema, noise[:n])
			if err == nil {
				err = f.Prepare(d)
			}
			if err == nil {
				err = f.Append()
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := xerial.Decode(file.Bytes())
		if want := "[" + strings.Join(parts, "|") + "]"; err != nil || string(got) != want {
			t.Errorf("values of %v bytes are %d bytes in the file, %v, want %d", sizes, len(got), err, len(want))
		}
	}
	if got := (Joined{Suffix: ".x", Compression: Compression{Type: "xerial"}}).Extension(); got != ".x.snappy" {
		t.Errorf("extension is %s", got)
	}
}
