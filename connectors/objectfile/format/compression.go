package format

import (
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Compression is how a whole file is compressed.
type Compression struct {
	Type  string // none, gzip, snappy, zstd, lz4, or xerial: snappy as Java's library frames it
	Level int    // of gzip: -1 to 9
}

func (c Compression) extension() string {
	switch c.Type {
	case "gzip":
		return ".gz"
	case "zstd":
		return ".zst"
	case "snappy":
		return ".sz"
	case "xerial":
		return ".snappy"
	case "lz4":
		return ".lz4"
	}
	return ""
}

// wrap puts the compression over w. end writes its end.
func (c Compression) wrap(w io.Writer) (out io.Writer, end func() error, err error) {
	switch c.Type {
	case "", "none":
		return w, func() error { return nil }, nil
	case "gzip":
		g, err := gzip.NewWriterLevel(w, c.Level)
		if err != nil {
			return nil, nil, fmt.Errorf("gzip: %w", err)
		}
		return g, g.Close, nil
	case "zstd":
		z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
		if err != nil {
			return nil, nil, fmt.Errorf("zstd: %w", err)
		}
		return z, z.Close, nil
	case "snappy":
		s := snappy.NewBufferedWriter(w)
		return s, s.Close, nil
	case "xerial":
		x := &xerialWriter{out: w}
		return x, x.close, nil
	case "lz4":
		l := lz4.NewWriter(w)
		return l, l.Close, nil
	}
	return nil, nil, fmt.Errorf("compression %q is not one of none, gzip, snappy, xerial, zstd, lz4", c.Type)
}
