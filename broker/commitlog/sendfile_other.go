//go:build !linux

package commitlog

import "io"

func (c *Chunk) sendfile(io.Writer) (int64, bool, error) { return 0, false, nil }
