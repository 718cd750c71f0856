package recordbatch

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// compressor compresses records in the framings that Kafka's clients write. It
// keeps its encoders, made when first needed, and is used by one goroutine.
type compressor struct {
	gzip  *gzip.Writer
	lz4   *lz4.Writer
	zstd  *zstd.Encoder
	block []byte // of snappy
}

// append appends src to dst in the codec's form.
func (c *compressor) append(codec Codec, dst, src []byte) ([]byte, error) {
	switch codec {
	case None:
		return append(dst, src...), nil
	case Gzip:
		if c.gzip == nil {
			c.gzip = gzip.NewWriter(nil)
		}
		return appendStream(c.gzip, dst, src)
	case Snappy:
		return c.appendSnappy(dst, src), nil
	case LZ4:
		if c.lz4 == nil {
			c.lz4 = lz4.NewWriter(nil)
			// Blocks of 64 KiB, each for itself, are what Kafka's clients write.
			if err := c.lz4.Apply(lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(false)); err != nil {
				return dst, err
			}
		}
		return appendStream(c.lz4, dst, src)
	case Zstd:
		if c.zstd == nil {
			z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
			if err != nil {
				return dst, err
			}
			c.zstd = z
		}
		return c.zstd.EncodeAll(src, dst), nil
	}
	return dst, fmt.Errorf("codec %d: %w", int8(codec), ErrCodec)
}

// appender is a slice as an io.Writer.
type appender []byte

// Write implements io.Writer.
func (a *appender) Write(b []byte) (int, error) {
	*a = append(*a, b...)
	return len(b), nil
}

func appendStream(z interface {
	io.WriteCloser
	Reset(io.Writer)
}, dst, src []byte) ([]byte, error) {
	out := appender(dst)
	z.Reset(&out)
	if _, err := z.Write(src); err != nil {
		return dst, err
	}
	if err := z.Close(); err != nil {
		return dst, err
	}
	return out, nil
}

// snappyBlock is how much goes into one chunk of xerial framing.
const snappyBlock = 32 << 10

// appendSnappy writes the framing of snappy-java, which every client reads.
func (c *compressor) appendSnappy(dst, src []byte) []byte {
	dst = append(dst, xerialMagic...)
	dst = append(dst, 0, 0, 0, 1, 0, 0, 0, 1) // version, oldest compatible version
	for len(src) > 0 {
		n := min(len(src), snappyBlock)
		if need := snappy.MaxEncodedLen(n); len(c.block) < need {
			c.block = make([]byte, need)
		}
		block := snappy.Encode(c.block, src[:n])
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(block)))
		dst = append(dst, block...)
		src = src[n:]
	}
	return dst
}
