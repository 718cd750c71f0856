package wire

import (
	"errors"
	"io"
)

// Chunk is a range of a file that stays readable until Close.
type Chunk interface {
	// Len returns the size in bytes.
	Len() int64
	// AppendTo reads all of the range behind dst.
	AppendTo(dst []byte) ([]byte, error)
	// WriteTo writes all of the range, without bringing it into this process
	// where the writer and the system allow that. The writer is the bare
	// net.Conn.
	io.WriterTo
	// Close says that the range is not needed any more.
	Close() error
}

// Stream is a response body built by hand: bytes with file ranges between
// them, which go from file to socket without passing through this process
// where the system can do that.
type Stream struct {
	// Bytes are the encoded parts, to be appended to. Chunk marks where a file
	// range comes in.
	Bytes []byte

	size   int64 // of all chunks
	chunks []placed
}

type placed struct {
	Chunk
	at int // position in Bytes that it precedes
}

// Chunk places c after the bytes so far. The stream closes it.
func (s *Stream) Chunk(c Chunk) {
	s.size += c.Len()
	s.chunks = append(s.chunks, placed{c, len(s.Bytes)})
}

// Len returns the size of the body in bytes.
func (s *Stream) Len() int64 { return int64(len(s.Bytes)) + s.size }

// Close closes the chunks; closing again does nothing.
func (s *Stream) Close() error {
	var errs []error
	for _, c := range s.chunks {
		errs = append(errs, c.Close())
	}
	s.chunks = nil
	return errors.Join(errs...)
}
