package transform

// chunkBytes is the size of the pieces in which rows get their memory: enough
// that few records allocate, little enough that one row kept alone does not
// hold on to much.
const (
	chunkBytes = 16 << 10
	lowBytes   = 512
)

// arena hands out memory for rows. Rows stay valid for as long as somebody
// holds them; chunks are never reused.
type arena struct{ buf []byte }

// free returns an empty slice to append one row to.
func (a *arena) free() []byte {
	if cap(a.buf)-len(a.buf) < lowBytes {
		a.buf = make([]byte, 0, chunkBytes)
	}
	return a.buf[len(a.buf):]
}

// keep takes the row that was appended to what free returned. A row that
// outgrew the chunk has memory of its own.
func (a *arena) keep(row []byte) []byte {
	if n := len(a.buf) + len(row); n <= cap(a.buf) {
		a.buf = a.buf[:n]
	}
	return row[:len(row):len(row)]
}
