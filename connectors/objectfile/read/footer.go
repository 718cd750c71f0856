package read

import (
	"encoding/binary"
	"io"
)

// The end of a Parquet file, and the most that its footer may have.
//
//	"PAR1" | pages | footer | size of the footer, 4 bytes, little endian | "PAR1"
const (
	parquetMark  = "PAR1"
	maxFooter    = 64 << 20
	parquetFrame = 4 + 4 + 4
)

// checkFooter holds the size that the footer of a Parquet file claims, and what it
// claims in it, to what there is: the library allocates that first.
func checkFooter(r io.ReaderAt, size int64) error {
	var end [8]byte
	if size < parquetFrame {
		return badData("it is no Parquet file: it has %d bytes", size)
	}
	if n, err := r.ReadAt(end[:], size-int64(len(end))); n < len(end) {
		return err
	}
	if string(end[4:]) != parquetMark {
		return badData("it is no Parquet file, or one that is encrypted: it ends with %q", end[4:])
	}
	footer := int64(binary.LittleEndian.Uint32(end[:]))
	if footer > size-parquetFrame || footer > maxFooter {
		return badData("its footer claims %d bytes, and the file has %d", footer, size)
	}
	text := make([]byte, footer)
	if n, err := r.ReadAt(text, size-int64(len(end))-footer); n < len(text) {
		return err
	}
	w := thriftWalk{b: text}
	if w.fields(0, nil); w.err != nil {
		return badData("its footer cannot be read: %v", w.err)
	}
	return nil
}
