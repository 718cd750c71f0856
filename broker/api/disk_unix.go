//go:build unix

package api

import "golang.org/x/sys/unix"

// diskSize returns the size of a directory's file system and what is free of
// it, in bytes; -1, -1 if the system does not say.
func diskSize(dir string) (total, usable int64) {
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) != nil {
		return -1, -1
	}
	return int64(s.Blocks) * int64(s.Bsize), int64(s.Bavail) * int64(s.Bsize)
}
