// Package resident gives memory back to the system that a process needed to
// start, and not to go on.
//
// Most of what a small Go program has resident right after its start is not
// its heap: it is pages of its executable that the initialization of packages
// touched once, and heap that the collector holds for a while. Both come back
// by themselves where they are needed.
package resident

import (
	"runtime/debug"
	"sync"
	"time"
)

// Settle is how long after its start a process is left alone.
const Settle = 2 * time.Second

var once sync.Once

// TrimSoon trims the process once, after Settle. Further calls do nothing.
func TrimSoon() {
	once.Do(func() { time.AfterFunc(Settle, Trim) })
}

// Trim collects garbage, returns free heap to the system, and lets go of the
// clean pages of the executable. It costs milliseconds, and later a page fault
// for each page that is used again, which the system's page cache answers.
func Trim() {
	debug.FreeOSMemory()
	releaseExecutable()
}
