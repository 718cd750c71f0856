package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// codec is a compression by the number it has in a batch's attributes.
type codec int16

const (
	none codec = 0
	lz4  codec = 3
	zstd codec = 4
)

func (c codec) String() string {
	return map[codec]string{none: "none", lz4: "lz4", zstd: "zstd"}[c]
}

// makeBatch returns a batch of n records of size bytes each, as a producer
// would send it. Records are JSON-like text with random digits, so that they
// compress as logs do.
func makeBatch(n, size int, c codec) ([]byte, error) {
	now := time.Now().UnixMilli()
	var records []byte
	for i := range n {
		r := kmsg.Record{OffsetDelta: int32(i), Value: text(size)}
		r.Length = int32(len(r.AppendTo(nil)) - 1) // the length of length 0 is one byte
		records = r.AppendTo(records)
	}
	if c != none {
		codecs := map[codec]kgo.CompressionCodec{lz4: kgo.Lz4Compression(), zstd: kgo.ZstdCompression()}
		compressor, err := kgo.DefaultCompressor(codecs[c])
		if err != nil {
			return nil, err
		}
		compressed, used := compressor.Compress(new(bytes.Buffer), records)
		if int16(used) != int16(c) {
			return nil, fmt.Errorf("the compressor chose codec %d", used)
		}
		records = bytes.Clone(compressed)
	}
	b := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, Attributes: int16(c), LastOffsetDelta: int32(n - 1),
		FirstTimestamp: now, MaxTimestamp: now, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1,
		NumRecords: int32(n), Records: records,
	}
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return raw, nil
}

func text(size int) []byte {
	out := make([]byte, 0, size+64)
	for len(out) < size {
		out = fmt.Appendf(out, `{"id":%d,"user":"u%d","status":"active","amount":%d.%02d}`,
			rand.Uint32(), rand.Uint32N(1e5), rand.Uint32N(1e4), rand.Uint32N(100))
	}
	return out[:size]
}
