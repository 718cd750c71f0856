package recordbatch

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Builder makes uncompressed batches for the broker's own writes. The zero
// value is ready for use, without a producer; after Batch it may be Reset and
// used again. It is not safe for concurrent use.
type Builder struct {
	buf   []byte
	count int32
	base  int64
	max   int64
}

// Reset empties the builder for the next batch and keeps its buffer, so a
// batch it made before is no longer valid.
func (b *Builder) Reset() { *b = Builder{buf: b.buf[:0]} }

// Len returns the size in bytes of the batch so far, header included.
func (b *Builder) Len() int { return max(len(b.buf), HeaderSize) }

// Count returns how many records have been added.
func (b *Builder) Count() int { return int(b.count) }

// Add appends a record with the time in Unix milliseconds. A nil key or value
// is Kafka's null. The bytes are copied. ErrTooLarge means that the batch
// would pass 2 GiB, and leaves it as it was.
func (b *Builder) Add(ms int64, key, value []byte, headers ...Header) error {
	if len(b.buf) == 0 {
		b.buf = append(b.buf, make([]byte, HeaderSize)...)
	}
	if b.count == 0 {
		b.base, b.max = ms, ms
	}
	body := 1 + varintSize(ms-b.base) + varintSize(int64(b.count)) +
		bytesSize(key) + bytesSize(value) + varintSize(int64(len(headers)))
	for _, h := range headers {
		body += varintSize(int64(len(h.Key))) + len(h.Key) + bytesSize(h.Value)
	}
	if body > math.MaxInt32-binary.MaxVarintLen64-len(b.buf) || b.count == math.MaxInt32 {
		return fmt.Errorf("record of %d bytes in a batch of %d: %w", body, len(b.buf), ErrTooLarge)
	}
	b.buf = binary.AppendVarint(b.buf, int64(body))
	b.buf = append(b.buf, 0)
	b.buf = binary.AppendVarint(b.buf, ms-b.base)
	b.buf = binary.AppendVarint(b.buf, int64(b.count))
	b.buf = appendBytes(b.buf, key)
	b.buf = appendBytes(b.buf, value)
	b.buf = binary.AppendVarint(b.buf, int64(len(headers)))
	for _, h := range headers {
		b.buf = binary.AppendVarint(b.buf, int64(len(h.Key)))
		b.buf = append(b.buf, h.Key...)
		b.buf = appendBytes(b.buf, h.Value)
	}
	b.max = max(b.max, ms)
	b.count++
	return nil
}

// Producer is what a batch says of who wrote it.
type Producer struct {
	ID            int64 // -1 for none
	Epoch         int16
	BaseSequence  int32 // -1 for control batches
	Transactional bool
	Control       bool
}

// NoProducer is the Producer of a plain batch.
var NoProducer = Producer{ID: -1, Epoch: -1, BaseSequence: -1}

// Batch finishes the batch: base offset 0, leader epoch -1, checksum set. The
// view is valid until the next Reset. At least one record must have been added.
func (b *Builder) Batch(p Producer) View {
	if b.count == 0 {
		panic("recordbatch: batch without records")
	}
	v := View(b.buf)
	v.SetBaseOffset(0)
	binary.BigEndian.PutUint32(v[8:], uint32(len(v)-LengthSize))
	v.SetLeaderEpoch(-1)
	v[16] = 2
	var attrs uint16
	if p.Transactional {
		attrs |= attrTransaction
	}
	if p.Control {
		attrs |= attrControl
	}
	binary.BigEndian.PutUint16(v[21:], attrs)
	binary.BigEndian.PutUint32(v[23:], uint32(b.count-1))
	binary.BigEndian.PutUint64(v[27:], uint64(b.base))
	binary.BigEndian.PutUint64(v[35:], uint64(b.max))
	binary.BigEndian.PutUint64(v[43:], uint64(p.ID))
	binary.BigEndian.PutUint16(v[51:], uint16(p.Epoch))
	binary.BigEndian.PutUint32(v[53:], uint32(p.BaseSequence))
	binary.BigEndian.PutUint32(v[57:], uint32(b.count))
	v.SetCRC()
	return v
}

func appendBytes(dst, b []byte) []byte {
	if b == nil {
		return binary.AppendVarint(dst, -1)
	}
	dst = binary.AppendVarint(dst, int64(len(b)))
	return append(dst, b...)
}

func bytesSize(b []byte) int {
	if b == nil {
		return 1
	}
	return varintSize(int64(len(b))) + len(b)
}

func varintSize(x int64) int {
	u := uint64(x<<1) ^ uint64(x>>63)
	n := 1
	for u >= 0x80 {
		u >>= 7
		n++
	}
	return n
}
