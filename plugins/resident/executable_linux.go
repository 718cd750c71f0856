package resident

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// releaseExecutable drops the process's mappings of pages of its executable
// that cannot have changed: code and read-only data. They stay in the system's
// page cache, which all processes of one executable share. What cannot be read
// or released costs memory and nothing else.
func releaseExecutable() {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	for line := range bytes.Lines(maps) {
		if from, size, ok := readOnlyOf(exe, string(line)); ok {
			_, _, _ = syscall.RawSyscall(syscall.SYS_MADVISE, from, size, syscall.MADV_DONTNEED)
		}
	}
}

// readOnlyOf returns the range of a line of /proc/self/maps if it maps a part
// of the file that the process cannot write to.
func readOnlyOf(exe, line string) (from, size uintptr, ok bool) {
	// 00400000-01a00000 r-xp 00000000 fe:00 1835 /usr/bin/millrace
	f := strings.Fields(line)
	if len(f) < 6 || strings.Join(f[5:], " ") != exe || f[1] != "r-xp" && f[1] != "r--p" {
		return 0, 0, false
	}
	low, high, _ := strings.Cut(f[0], "-")
	start, err1 := strconv.ParseUint(low, 16, 64)
	end, err2 := strconv.ParseUint(high, 16, 64)
	if err1 != nil || err2 != nil || end <= start {
		return 0, 0, false
	}
	return uintptr(start), uintptr(end - start), true
}
