//go:build !linux

package commitlog

import "os"

func datasync(f *os.File) error { return f.Sync() }
