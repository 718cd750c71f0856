package recordbatch

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math"
)

// Record is one record of a batch. Its slices alias the batch, or the buffer
// it was decompressed into, and may be kept as long as that is not changed.
type Record struct {
	Offset    int64
	Timestamp int64 // Unix milliseconds; the broker's if the batch is LogAppendTime
	Key       []byte
	Value     []byte // nil is a tombstone
	headers   []byte
	count     int
}

// Header is one record header. A nil Value is Kafka's null.
type Header struct {
	Key   string
	Value []byte
}

// Headers returns the record's headers in order, newly allocated; nil if none.
func (r Record) Headers() []Header {
	if r.count == 0 {
		return nil
	}
	hs := make([]Header, 0, r.count)
	d := decoder{b: r.headers}
	for range r.count {
		k, v := d.bytes(), d.bytes()
		hs = append(hs, Header{string(k), v})
	}
	return hs
}

// HeaderCount returns how many headers the record has.
func (r Record) HeaderCount() int { return r.count }

// Records iterates over the records, decompressing them first if need be into
// at most limit bytes. The last pair has the error, if there is one:
// ErrTooLarge, ErrCodec, or ErrCorrupt when the records are not well-formed,
// not as many as Count, or not within the batch's offsets in rising order.
func (v View) Records(limit int) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		raw, err := decompress(v.Codec(), v[HeaderSize:], limit)
		if err == nil {
			err = v.each(raw, func(r Record, _ []byte) bool { return yield(r, nil) })
		}
		if err != nil {
			yield(Record{}, err)
		}
	}
}

// each calls yield for every record in raw, the decompressed records, with the
// record's encoding, until it returns false. ErrCorrupt means records that are
// not well-formed, not as many as Count, or not in rising order within the
// batch's offsets.
func (v View) each(raw []byte, yield func(r Record, encoded []byte) bool) error {
	d := decoder{b: raw}
	last := int32(-1)
	for range v.Count() {
		before := d.b
		r, delta, ok := d.record()
		if !ok || delta <= last || delta > v.LastOffsetDelta() {
			return fmt.Errorf("record after offset %d of batch at %d: %w",
				v.BaseOffset()+int64(last), v.BaseOffset(), ErrCorrupt)
		}
		last = delta
		r.Offset = v.BaseOffset() + int64(delta)
		r.Timestamp += v.BaseTimestamp()
		if v.LogAppendTime() {
			r.Timestamp = v.MaxTimestamp()
		}
		if !yield(r, before[:len(before)-len(d.b)]) {
			return nil
		}
	}
	if len(d.b) > 0 {
		return fmt.Errorf("%d bytes after the last record of batch at %d: %w", len(d.b), v.BaseOffset(), ErrCorrupt)
	}
	return nil
}

// decoder takes fields off b; bad is set, and stays, once one does not fit.
type decoder struct {
	b   []byte
	bad bool
}

// record decodes one record, with its timestamp as a delta:
//
//	length varint, attributes i8, timestampDelta varlong, offsetDelta varint,
//	key varbytes, value varbytes, headerCount varint, headers (key, value)
func (d *decoder) record() (r Record, offsetDelta int32, ok bool) {
	body := decoder{b: d.take(d.varint())}
	if d.bad || len(body.b) == 0 {
		return r, 0, false
	}
	body.b = body.b[1:] // attributes, unused
	r.Timestamp = body.varlong()
	delta := body.varint()
	r.Key, r.Value = body.bytes(), body.bytes()
	n := body.varint()
	if n < 0 || n > len(body.b)/2 { // a header takes two bytes at least
		return r, 0, false
	}
	r.count, r.headers = n, body.b
	for range n {
		if k := body.bytes(); k == nil {
			return r, 0, false
		}
		body.bytes()
	}
	return r, int32(delta), !body.bad && len(body.b) == 0
}

func (d *decoder) varlong() int64 {
	x, n := binary.Varint(d.b) // zigzag, as Kafka's
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return x
}

func (d *decoder) varint() int {
	x := d.varlong()
	if x < math.MinInt32 || x > math.MaxInt32 {
		d.bad, d.b = true, nil
		return 0
	}
	return int(x)
}

// take returns the next n bytes without copying.
func (d *decoder) take(n int) []byte {
	if n < 0 || n > len(d.b) {
		d.bad, d.b = true, nil
		return nil
	}
	out := d.b[:n:n]
	d.b = d.b[n:]
	return out
}

// bytes decodes a length and that many bytes; -1 is nil.
func (d *decoder) bytes() []byte {
	n := d.varint()
	if n == -1 {
		return nil
	}
	return d.take(n)
}
