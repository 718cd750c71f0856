package commitlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
)

// A producer snapshot is
//
//	0 version i16 = 1, 2 crc u32 (CRC-32C of bytes 6..end), 6 count i32, then entries:
//	0 producerId i64           22 offsetDelta i32
//	8 epoch i16                26 timestamp i64
//	10 lastSequence i32        34 coordinatorEpoch i32
//	14 lastOffset i64          38 currentTxnFirstOffset i64
//
// Only the newest batch of a producer is kept, so that after a restart the
// window for duplicates is as long as what was appended since.
const (
	snapshotHeader = 10
	snapshotEntry  = 46
)

var errSnapshot = errors.New("corrupt producer snapshot")

// encode returns the snapshot, producers by id.
func (ps *producers) encode() []byte {
	b := make([]byte, snapshotHeader, snapshotHeader+len(ps.byID)*snapshotEntry)
	binary.BigEndian.PutUint16(b, 1)
	binary.BigEndian.PutUint32(b[6:], uint32(len(ps.byID)))
	for _, id := range slices.Sorted(maps.Keys(ps.byID)) {
		p := ps.byID[id]
		s := sequence{last: -1, offset: -1, timestamp: p.lastTimestamp}
		if p.n > 0 {
			s = p.batches[p.n-1]
			s.timestamp = p.lastTimestamp
		}
		b = binary.BigEndian.AppendUint64(b, uint64(id))
		b = binary.BigEndian.AppendUint16(b, uint16(p.epoch))
		b = binary.BigEndian.AppendUint32(b, uint32(s.last))
		b = binary.BigEndian.AppendUint64(b, uint64(s.offset))
		b = binary.BigEndian.AppendUint32(b, uint32(s.delta))
		b = binary.BigEndian.AppendUint64(b, uint64(s.timestamp))
		b = binary.BigEndian.AppendUint32(b, uint32(p.coordinatorEpoch))
		b = binary.BigEndian.AppendUint64(b, uint64(p.txnFirst))
	}
	binary.BigEndian.PutUint32(b[2:], crc32.Checksum(b[6:], castagnoli))
	return b
}

func parseSnapshot(b []byte) (*producers, error) {
	if len(b) < snapshotHeader {
		return nil, fmt.Errorf("%d bytes: %w", len(b), errSnapshot)
	}
	if v := binary.BigEndian.Uint16(b); v != 1 {
		return nil, fmt.Errorf("version %d: %w", v, errSnapshot)
	}
	if crc32.Checksum(b[6:], castagnoli) != binary.BigEndian.Uint32(b[2:]) {
		return nil, fmt.Errorf("checksum: %w", errSnapshot)
	}
	n := int64(binary.BigEndian.Uint32(b[6:]))
	entries := b[snapshotHeader:]
	if n*snapshotEntry != int64(len(entries)) {
		return nil, fmt.Errorf("%d entries in %d bytes: %w", n, len(entries), errSnapshot)
	}
	ps := newProducers()
	for ; len(entries) > 0; entries = entries[snapshotEntry:] {
		id, p := parseProducer(entries[:snapshotEntry])
		if id < 0 || ps.byID[id] != nil {
			return nil, fmt.Errorf("producer %d is negative or repeated: %w", id, errSnapshot)
		}
		ps.byID[id] = p
		if p.txnFirst >= 0 {
			ps.txns.open = append(ps.txns.open, transaction{producer: id, first: p.txnFirst})
		}
	}
	slices.SortFunc(ps.txns.open, func(a, b transaction) int { return int(min(max(a.first-b.first, -1), 1)) })
	ps.txns.publish()
	return ps, nil
}

func parseProducer(e []byte) (int64, *producer) {
	p := &producer{
		epoch:            int16(binary.BigEndian.Uint16(e[8:])),
		lastTimestamp:    int64(binary.BigEndian.Uint64(e[26:])),
		coordinatorEpoch: int32(binary.BigEndian.Uint32(e[34:])),
		txnFirst:         max(-1, int64(binary.BigEndian.Uint64(e[38:]))),
	}
	s := sequence{
		last:      int32(binary.BigEndian.Uint32(e[10:])),
		offset:    int64(binary.BigEndian.Uint64(e[14:])),
		delta:     int32(binary.BigEndian.Uint32(e[22:])),
		timestamp: p.lastTimestamp,
	}
	if s.last >= -1 && s.offset >= 0 && s.delta >= 0 {
		p.push(s)
	}
	return int64(binary.BigEndian.Uint64(e)), p
}
