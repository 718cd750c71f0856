//go:build !linux

package resident

// releaseExecutable does nothing: the system sees to that itself.
func releaseExecutable() {}
