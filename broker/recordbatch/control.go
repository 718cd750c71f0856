package recordbatch

import (
	"encoding/binary"
	"fmt"
)

// ControlType is what a control record says (KIP-98).
type ControlType int16

// The control records that data partitions hold.
const (
	Abort  ControlType = 0
	Commit ControlType = 1
)

// Marker is the end of a transaction, as a control batch states it.
type Marker struct {
	Type             ControlType
	CoordinatorEpoch int32
}

// ParseMarker decodes a control record that ends a transaction: key version
// i16 and type i16, value version i16 and coordinator epoch i32. ok is false
// for control records of other types, which readers skip.
func ParseMarker(r Record) (m Marker, ok bool, err error) {
	if len(r.Key) < 4 {
		return m, false, fmt.Errorf("control record key of %d bytes at offset %d: %w", len(r.Key), r.Offset, ErrCorrupt)
	}
	m.Type = ControlType(binary.BigEndian.Uint16(r.Key[2:]))
	if m.Type != Abort && m.Type != Commit {
		return m, false, nil
	}
	if len(r.Value) < 6 {
		return m, false, fmt.Errorf("transaction marker of %d bytes at offset %d: %w", len(r.Value), r.Offset, ErrCorrupt)
	}
	m.CoordinatorEpoch = int32(binary.BigEndian.Uint32(r.Value[2:]))
	return m, true, nil
}

// Marker makes the control batch that ends a transaction of producer id
// and epoch at the time ms, in the builder, which it resets first.
func (b *Builder) Marker(ms, id int64, epoch int16, m Marker) (View, error) {
	b.Reset()
	key := binary.BigEndian.AppendUint16(make([]byte, 2, 4), uint16(m.Type))
	value := binary.BigEndian.AppendUint32(make([]byte, 2, 6), uint32(m.CoordinatorEpoch))
	if err := b.Add(ms, key, value); err != nil {
		return nil, err
	}
	return b.Batch(Producer{ID: id, Epoch: epoch, BaseSequence: -1, Transactional: true, Control: true}), nil
}
