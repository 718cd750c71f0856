package format

import (
	"encoding/binary"
	"io"

	"github.com/klauspost/compress/snappy"
)

// xerialWriter writes the framing of Java's snappy library:
//
//	82 "SNAPPY" 00 | version 1, 4 bytes | least version that reads it 1, 4 bytes
//	blocks: length, 4 bytes | up to 32 KiB, compressed
//
// Numbers are big endian.
type xerialWriter struct {
	out    io.Writer
	begun  bool
	block  []byte
	packed []byte
}

const (
	xerialMark  = "\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01"
	xerialBlock = 32 << 10
)

// Write implements io.Writer.
func (x *xerialWriter) Write(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		take := min(xerialBlock-len(x.block), len(p)-n)
		x.block = append(x.block, p[n:n+take]...)
		n += take
		if len(x.block) == xerialBlock {
			if err := x.flush(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

func (x *xerialWriter) flush() error {
	if !x.begun {
		if _, err := io.WriteString(x.out, xerialMark); err != nil {
			return err
		}
		x.begun = true
	}
	if len(x.block) == 0 {
		return nil
	}
	x.packed = snappy.Encode(x.packed[:cap(x.packed)], x.block)
	x.block = x.block[:0]
	if _, err := x.out.Write(binary.BigEndian.AppendUint32(nil, uint32(len(x.packed)))); err != nil {
		return err
	}
	_, err := x.out.Write(x.packed)
	return err
}

// close writes what is left.
func (x *xerialWriter) close() error { return x.flush() }
