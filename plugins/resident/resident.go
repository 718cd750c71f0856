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

// settle are the times after a process's start at which it is trimmed. The later
// ones are for a start that took longer, on a busy machine or against a slow
// system.
var settle = []time.Duration{2 * time.Second, 8 * time.Second, 30 * time.Second}

var once sync.Once

// TrimSoon trims the process when it has started, and a few times after. Further
// calls do nothing.
func TrimSoon() {
	once.Do(func() {
		for _, d := range settle {
			time.AfterFunc(d, Trim)
		}
	})
}

// Trim collects garbage, returns free heap to the system, and lets go of the
// clean pages of the executable. It costs milliseconds, and later a page fault
// for each page that is used again, which the system's page cache answers.
func Trim() {
	debug.FreeOSMemory()
	releaseExecutable()
}
