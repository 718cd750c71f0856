package recordbatch

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Filter leaves records out of stored batches, as compaction does. What is left
// keeps its offsets, its timestamps and its codec; the batch keeps its base
// offset, last offset delta, producer and sequence. A Filter is used by one
// goroutine, and the views it returns are valid until the next call.
type Filter struct {
	// Limit is how many bytes the records of a batch may decompress to.
	Limit int
	// Horizon is the delete horizon, in Unix milliseconds, of batches that get
	// one (KIP-534).
	Horizon int64

	kept  []byte // encoded records
	moved []byte // the same with deltas to the horizon
	out   []byte
	z     compressor
}

// Records returns v with the records for which keep reports true; v itself if
// nothing changes, nil if none is left. A batch that keeps a tombstone and has
// no delete horizon gets one. The errors are those of View.Records.
func (f *Filter) Records(v View, keep func(Record) bool) (View, error) {
	raw, err := decompress(v.Codec(), v[HeaderSize:], f.Limit)
	if err != nil {
		return nil, err
	}
	f.kept = f.kept[:0]
	n, newest, tombstones := int32(0), int64(math.MinInt64), false
	err = v.each(raw, func(r Record, encoded []byte) bool {
		if keep(r) {
			f.kept = append(f.kept, encoded...)
			n++
			newest = max(newest, r.Timestamp)
			tombstones = tombstones || r.Value == nil
		}
		return true
	})
	horizon := tombstones && !v.HasDeleteHorizon()
	switch {
	case err != nil || n == 0:
		return nil, err
	case n == v.Count() && !horizon:
		return v, nil
	}
	return f.batch(v, n, newest, horizon)
}

// WithHorizon returns v with the delete horizon, whatever its records are.
func (f *Filter) WithHorizon(v View) (View, error) {
	raw, err := decompress(v.Codec(), v[HeaderSize:], f.Limit)
	if err != nil {
		return nil, err
	}
	f.kept = append(f.kept[:0], raw...)
	return f.batch(v, v.Count(), v.MaxTimestamp(), true)
}

// Empty returns v without records.
func (f *Filter) Empty(v View) View {
	f.out = append(f.out[:0], v[:HeaderSize]...)
	return f.finish(0)
}

// batch puts a batch like v around the n records that are kept.
func (f *Filter) batch(v View, n int32, newest int64, horizon bool) (View, error) {
	records := f.kept
	if horizon {
		if err := f.rebase(v.BaseTimestamp() - f.Horizon); err != nil {
			return nil, fmt.Errorf("batch at %d: %w", v.BaseOffset(), err)
		}
		records = f.moved
	}
	f.out = append(f.out[:0], v[:HeaderSize]...)
	var err error
	if f.out, err = f.z.append(v.Codec(), f.out, records); err != nil {
		return nil, err
	}
	if len(f.out) > math.MaxInt32 {
		return nil, fmt.Errorf("batch of %d bytes: %w", len(f.out), ErrTooLarge)
	}
	out := View(f.out)
	if horizon {
		binary.BigEndian.PutUint16(out[21:], out.u16(21)|attrDeleteHorizon)
		binary.BigEndian.PutUint64(out[27:], uint64(f.Horizon))
	}
	if !v.LogAppendTime() {
		binary.BigEndian.PutUint64(out[35:], uint64(newest))
	}
	return f.finish(n), nil
}

func (f *Filter) finish(n int32) View {
	out := View(f.out)
	binary.BigEndian.PutUint32(out[8:], uint32(len(out)-LengthSize))
	binary.BigEndian.PutUint32(out[57:], uint32(n))
	out.SetCRC()
	return out
}

// rebase writes the kept records, which are well-formed, to moved with by
// added to their timestamp deltas.
func (f *Filter) rebase(by int64) error {
	f.moved = f.moved[:0]
	for rest := f.kept; len(rest) > 0; {
		size, n := binary.Varint(rest)
		if n <= 0 || size < 1 || size > int64(len(rest)-n) {
			return ErrCorrupt
		}
		body := rest[n : n+int(size)]
		rest = rest[n+int(size):]
		delta, n := binary.Varint(body[1:])
		if n <= 0 {
			return ErrCorrupt
		}
		tail := body[1+n:]
		f.moved = binary.AppendVarint(f.moved, int64(1+varintSize(delta+by)+len(tail)))
		f.moved = append(f.moved, body[0])
		f.moved = binary.AppendVarint(f.moved, delta+by)
		f.moved = append(f.moved, tail...)
	}
	return nil
}
