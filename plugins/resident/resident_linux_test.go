package resident

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"testing"
)

// executableRSS is how much of the executable's read-only pages is resident, in
// bytes.
func executableRSS(t *testing.T) int {
	t.Helper()
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	total, inside := 0, false
	for line := range bytes.Lines(smaps) {
		var kib int
		switch {
		case bytes.Contains(line, []byte("-")) && bytes.Contains(line, []byte(" r")) && !bytes.HasPrefix(line, []byte("Rss")):
			_, _, inside = readOnlyOf(exe, string(line))
		case inside:
			if _, err := fmt.Sscanf(string(line), "Rss: %d kB", &kib); err == nil {
				total += kib << 10
			}
		}
	}
	return total
}

// hold keeps the compiler from dropping what a test allocates.
var hold []byte

func TestTrimGivesMemoryBackAndTheProcessGoesOn(t *testing.T) {
	hold = bytes.Repeat([]byte("x"), 64<<20)
	hold = nil
	before := executableRSS(t)
	Trim()
	if after := executableRSS(t); before == 0 || after >= before {
		t.Errorf("%d bytes of the executable were resident, and %d are", before, after)
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if m.HeapIdle-m.HeapReleased > 16<<20 {
		t.Errorf("%d bytes of idle heap are not returned", m.HeapIdle-m.HeapReleased)
	}
	for range 3 {
		Trim() // code and constants are read back from the file
	}
	if got := fmt.Sprintf("%v %s", map[string]int{"a": 1}, bytes.ToUpper([]byte("still here"))); got != "map[a:1] STILL HERE" {
		t.Error(got)
	}
}

func TestReadOnlyOf(t *testing.T) {
	for line, want := range map[string]uintptr{
		"00400000-01a00000 r-xp 00000000 fe:00 1835 /usr/bin/my prog\n":  0x1600000,
		"01a00000-01b00000 r--p 00000000 fe:00 1835 /usr/bin/my prog\n":  0x100000,
		"01b00000-01c00000 rw-p 00000000 fe:00 1835 /usr/bin/my prog\n":  0,
		"7f0000000000-7f0000001000 r-xp 00000000 fe:00 9 /lib/libc.so\n": 0,
		"c000000000-c000400000 rw-p 00000000 00:00 0 \n":                 0,
		"z-1 r-xp 0 0 0 /usr/bin/my prog":                                0,
	} {
		if _, size, ok := readOnlyOf("/usr/bin/my prog", line); ok != (want > 0) || size != want {
			t.Errorf("%q: %d, %v, want %d", line, size, ok, want)
		}
	}
}
