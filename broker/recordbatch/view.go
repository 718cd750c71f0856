// Package recordbatch reads, checks, patches and writes Kafka's record batch
// version 2 in its wire form, which is also its form on disk.
//
// A batch stays bytes from socket to disk to socket: Parse checks lengths once
// and gives the bytes methods. Records are decoded only on demand.
package recordbatch

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
)

// Layout of the header (Kafka protocol guide, "Record Batch"):
//
//	 0 baseOffset i64            23 lastOffsetDelta i32
//	 8 batchLength i32           27 baseTimestamp i64 (delete horizon if bit 6)
//	12 partitionLeaderEpoch i32  35 maxTimestamp i64
//	16 magic i8 (2)              43 producerId i64
//	17 crc u32 (bytes 21..end)   51 producerEpoch i16
//	21 attributes i16            53 baseSequence i32
//	                             57 recordCount i32
//	61 records, compressed as one block if bits 0 to 2 name a codec
const (
	// HeaderSize is the size of a batch's header, and of the smallest batch.
	HeaderSize = 61
	// LengthSize is how many leading bytes Size needs.
	LengthSize = 12

	crcStart  = 21
	minLength = HeaderSize - LengthSize
)

// Attribute bits.
const (
	codecMask         = 0x07
	attrLogAppend     = 1 << 3
	attrTransaction   = 1 << 4
	attrControl       = 1 << 5
	attrDeleteHorizon = 1 << 6
)

// View is one whole batch in wire form. Only Parse makes one that is safe to
// use. It aliases the caller's bytes: setters write to them, and the view is
// valid for as long as they are.
type View []byte

// Size returns the whole size in bytes of the batch that b starts with, from
// the first LengthSize bytes alone. The size is what the bytes claim, at least
// HeaderSize; nothing else about the batch is checked.
func Size(b []byte) (int, error) {
	if len(b) < LengthSize {
		return 0, ErrTooShort
	}
	length := int32(binary.BigEndian.Uint32(b[8:]))
	if length < minLength || length > math.MaxInt32-LengthSize {
		return 0, fmt.Errorf("batch length is %d, must be at least %d: %w", length, minLength, ErrCorrupt)
	}
	return int(length) + LengthSize, nil
}

// PeekHeader checks the header that b starts with and returns a view of the
// header alone, with the size of the whole batch, whose other bytes need not
// be there. Only the accessors of header fields may be used on that view.
func PeekHeader(b []byte) (header View, size int, err error) {
	size, err = Size(b)
	if err != nil {
		return nil, 0, err
	}
	if len(b) < HeaderSize {
		return nil, 0, ErrTooShort
	}
	v := View(b[:HeaderSize:HeaderSize])
	if m := v.Magic(); m != 2 {
		return nil, 0, fmt.Errorf("magic is %d, must be 2: %w", m, ErrMagic)
	}
	base, delta, count := v.BaseOffset(), v.LastOffsetDelta(), v.Count()
	if base < 0 || delta < 0 || count < 0 || base > math.MaxInt64-int64(delta)-1 {
		return nil, 0, fmt.Errorf("base offset %d, last offset delta %d, record count %d: %w", base, delta, count, ErrCorrupt)
	}
	return v, size, nil
}

// Parse takes the first batch off b. It checks every length of the header and
// the magic, not the checksum (CheckCRC) and not the records. When b ends
// before the batch does the error is ErrTooShort.
func Parse(b []byte) (v View, rest []byte, err error) {
	_, size, err := PeekHeader(b)
	if err != nil {
		return nil, b, err
	}
	if size > len(b) {
		return nil, b, ErrTooShort
	}
	return View(b[:size:size]), b[size:], nil
}

func (v View) u16(at int) uint16 { return binary.BigEndian.Uint16(v[at:]) }
func (v View) u32(at int) uint32 { return binary.BigEndian.Uint32(v[at:]) }
func (v View) u64(at int) uint64 { return binary.BigEndian.Uint64(v[at:]) }

// BaseOffset returns the offset of the batch's first record.
func (v View) BaseOffset() int64 { return int64(v.u64(0)) }

// LeaderEpoch returns the epoch of the leader that appended the batch, -1 when
// it comes from a producer.
func (v View) LeaderEpoch() int32 { return int32(v.u32(12)) }

// Magic returns the format version, 2 in every parsed view.
func (v View) Magic() int8 { return int8(v[16]) }

// CRC returns the stored CRC-32C.
func (v View) CRC() uint32 { return v.u32(17) }

// Attributes returns the attribute bits.
func (v View) Attributes() int16 { return int16(v.u16(21)) }

// Codec returns how the records are compressed. It may name no known codec.
func (v View) Codec() Codec { return Codec(v.u16(21) & codecMask) }

// LogAppendTime reports whether timestamps are those of the broker (bit 3).
func (v View) LogAppendTime() bool { return v.u16(21)&attrLogAppend != 0 }

// Transactional reports whether the batch is part of a transaction (bit 4).
func (v View) Transactional() bool { return v.u16(21)&attrTransaction != 0 }

// Control reports whether the batch holds a control record (bit 5).
func (v View) Control() bool { return v.u16(21)&attrControl != 0 }

// HasDeleteHorizon reports whether BaseTimestamp is a delete horizon (bit 6,
// KIP-534).
func (v View) HasDeleteHorizon() bool { return v.u16(21)&attrDeleteHorizon != 0 }

// LastOffsetDelta returns the distance from the first offset to the last.
// Compaction keeps it, so it says more than Count.
func (v View) LastOffsetDelta() int32 { return int32(v.u32(23)) }

// BaseTimestamp returns the first record's timestamp in Unix milliseconds, or
// the delete horizon if HasDeleteHorizon.
func (v View) BaseTimestamp() int64 { return int64(v.u64(27)) }

// MaxTimestamp returns the largest timestamp in Unix milliseconds.
func (v View) MaxTimestamp() int64 { return int64(v.u64(35)) }

// ProducerID returns the idempotent producer's id, -1 for none.
func (v View) ProducerID() int64 { return int64(v.u64(43)) }

// ProducerEpoch returns the idempotent producer's epoch, -1 for none.
func (v View) ProducerEpoch() int16 { return int16(v.u16(51)) }

// BaseSequence returns the sequence number of the first record, -1 for none.
func (v View) BaseSequence() int32 { return int32(v.u32(53)) }

// Count returns how many records the header claims. It is zero in a batch that
// compaction emptied, and never a safe size for an allocation.
func (v View) Count() int32 { return int32(v.u32(57)) }

// LastOffset returns the last offset that the batch occupies.
func (v View) LastOffset() int64 { return v.BaseOffset() + int64(v.LastOffsetDelta()) }

// NextOffset returns the offset after the batch.
func (v View) NextOffset() int64 { return v.LastOffset() + 1 }

// LastSequence returns the sequence number of the last record, which wraps
// from 2147483647 to 0; -1 if the batch has no sequence.
func (v View) LastSequence() int32 {
	s := v.BaseSequence()
	if s < 0 {
		return -1
	}
	return AddSequence(s, v.LastOffsetDelta())
}

// AddSequence returns s+n for s, n >= 0, wrapping as producers do: 0 follows
// 2147483647.
func AddSequence(s, n int32) int32 {
	return int32((int64(s) + int64(n)) & math.MaxInt32)
}

// SetBaseOffset writes the base offset, which the checksum does not cover.
func (v View) SetBaseOffset(offset int64) { binary.BigEndian.PutUint64(v, uint64(offset)) }

// SetLeaderEpoch writes the leader epoch, which the checksum does not cover.
func (v View) SetLeaderEpoch(epoch int32) { binary.BigEndian.PutUint32(v[12:], uint32(epoch)) }

// SetLogAppendTime makes the broker's time, in Unix milliseconds, the time of
// every record, and renews the checksum.
func (v View) SetLogAppendTime(ms int64) {
	binary.BigEndian.PutUint16(v[21:], v.u16(21)|attrLogAppend)
	binary.BigEndian.PutUint64(v[35:], uint64(ms))
	v.SetCRC()
}

// SetMaxTimestamp corrects the largest timestamp and renews the checksum.
func (v View) SetMaxTimestamp(ms int64) {
	binary.BigEndian.PutUint64(v[35:], uint64(ms))
	v.SetCRC()
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// SetCRC computes and stores the checksum.
func (v View) SetCRC() {
	binary.BigEndian.PutUint32(v[17:], crc32.Checksum(v[crcStart:], castagnoli))
}

// CheckCRC compares the stored checksum with the bytes; ErrCRC if they differ.
func (v View) CheckCRC() error {
	if got, want := crc32.Checksum(v[crcStart:], castagnoli), v.CRC(); got != want {
		return fmt.Errorf("checksum is %08x, header says %08x: %w", got, want, ErrCRC)
	}
	return nil
}

// CheckProduced checks what a client may produce, from the header alone and
// without the checksum: base offset 0, one offset per record, no control
// batch, sequences with a producer id, no broker timestamps, a known codec.
// The errors are ErrInvalidRecord, ErrInvalidTimestamp and ErrCodec.
func (v View) CheckProduced() error {
	switch {
	case v.BaseOffset() != 0:
		return fmt.Errorf("base offset is %d, must be 0: %w", v.BaseOffset(), ErrInvalidRecord)
	case v.Count() <= 0:
		return fmt.Errorf("batch has %d records: %w", v.Count(), ErrInvalidRecord)
	case v.LastOffsetDelta() != v.Count()-1:
		return fmt.Errorf("last offset delta is %d for %d records: %w", v.LastOffsetDelta(), v.Count(), ErrInvalidRecord)
	case v.Control():
		return fmt.Errorf("control batch from a client: %w", ErrInvalidRecord)
	case v.HasDeleteHorizon():
		return fmt.Errorf("delete horizon from a client: %w", ErrInvalidRecord)
	case v.ProducerID() >= 0 && (v.BaseSequence() < 0 || v.ProducerEpoch() < 0):
		return fmt.Errorf("producer %d has epoch %d and sequence %d: %w",
			v.ProducerID(), v.ProducerEpoch(), v.BaseSequence(), ErrInvalidRecord)
	case v.ProducerID() < 0 && v.Transactional():
		return fmt.Errorf("transactional batch without a producer id: %w", ErrInvalidRecord)
	case v.LogAppendTime():
		return fmt.Errorf("producer set LogAppendTime: %w", ErrInvalidTimestamp)
	case v.Codec() > Zstd:
		return fmt.Errorf("codec %d: %w", v.Codec(), ErrCodec)
	}
	return nil
}
