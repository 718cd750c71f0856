package data

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// plainOneByOne is plain without words of eight bytes.
func plainOneByOne(s string, i int) int {
	for ; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c == '"' || c == '\\' || c > 0x7f {
			break
		}
	}
	return i
}

// TestPlain puts every byte at every place of a run of plain ones, alone and
// beside others that are found.
func TestPlain(t *testing.T) {
	check := func(s string) {
		t.Helper()
		for i := range len(s) + 1 {
			if got, want := plain(s, i), plainOneByOne(s, i); got != want {
				t.Fatalf("plain(%q, %d) is %d, want %d", s, i, got, want)
			}
			if got, want := plain([]byte(s), i), plainOneByOne(s, i); got != want {
				t.Fatalf("plain of the bytes %q, %d is %d, want %d", s, i, got, want)
			}
		}
	}
	for c := range 256 {
		for at := range 20 {
			check(strings.Repeat("~ ", 10)[:at] + string([]byte{byte(c)}) + "!#[]a\x7f")
		}
	}
	const edges = "\"\\ ~!#[]\x00\x1f\x7f\x80\xff"
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		b := make([]byte, random.IntN(30))
		for i := range b {
			b[i] = edges[random.IntN(len(edges))]
		}
		check(string(b))
	}
}
