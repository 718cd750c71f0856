package filestream

import "bytes"

// cutLine splits the first line off b and returns it without its terminator
// and how many bytes both take, 0 if no line is complete. A line ends with
// \n, \r\n or a lone \r; a \r at the very end of b waits, since a \n may
// follow. from bytes of b are known to hold no terminator.
func cutLine(b []byte, from int) (line []byte, size int) {
	i := bytes.IndexByte(b[from:], '\n')
	end := len(b)
	if i >= 0 {
		end = from + i
	}
	if r := bytes.IndexByte(b[from:end], '\r'); r >= 0 {
		r += from
		switch {
		case r+1 == len(b):
			return nil, 0
		case b[r+1] == '\n':
			return b[:r], r + 2
		}
		return b[:r], r + 1
	}
	if i < 0 {
		return nil, 0
	}
	return b[:end], end + 1
}
