package proto

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/millrace/millrace/plugins/data"
)

// DecodeBatch reads a payload into b, reusing its slices. Rows and offsets
// alias the payload, and strings, schemas and source partitions the table: b
// is valid as long as the payload is left alone. In steady state, when nothing
// new is defined and b has been as large before, it allocates nothing.
//
// It fails with ErrPayload on anything that does not follow the layout or goes
// beyond its bounds. The table must not be used after that.
func DecodeBatch(payload []byte, t *Table, b *data.Batch) error {
	b.Records, b.Positions = b.Records[:0], b.Positions[:0]
	d := decoder{t: t, b: b, cursor: cursor{buf: payload}}
	d.begin()
	for d.err == nil && d.pos < len(d.buf) {
		d.item()
	}
	if d.err != nil {
		b.Records, b.Positions = b.Records[:0], b.Positions[:0]
		return fmt.Errorf("%w: byte %d: %w", ErrPayload, d.pos, d.err)
	}
	return nil
}

// decoder is the state of one payload.
type decoder struct {
	cursor
	t       *Table
	b       *data.Batch
	headers int

	routed     bool
	topic      string
	partition  int32
	key, value *data.Schema
	timestamp  int64
	nextOffset int64
}

func (d *decoder) begin() {
	if len(d.buf) > MaxPayload {
		d.failf("payload of %d bytes where %d are allowed", len(d.buf), MaxPayload)
		return
	}
	if v := d.byte(); d.err == nil && v != format {
		d.failf("format %d is unknown", v)
	}
	flags := d.byte()
	if d.err != nil {
		return
	}
	if flags&^(flagReset|flagLog) != 0 {
		d.failf("flags %#x are unknown", flags)
	}
	if log := flags&flagLog != 0; log != d.t.Log {
		d.failf("log coordinates: %v where %v is expected", log, d.t.Log)
	}
	if flags&flagReset != 0 {
		d.t.reset()
		d.t.started = true
	}
	if !d.t.started {
		d.failf("the first payload of a stream does not start its tables")
	}
}

func (d *decoder) item() {
	head := d.byte()
	if head == headLoose {
		d.newPosition()
		return
	}
	if head&3 > byte(data.Present) || head>>2&3 > byte(data.Present) {
		d.failf("head %#x is unknown", head)
		return
	}
	n := len(d.b.Records)
	if n >= MaxRecords {
		d.failf("more than %d records", MaxRecords)
		return
	}
	if n < cap(d.b.Records) {
		d.b.Records = d.b.Records[:n+1]
	} else {
		d.b.Records = append(d.b.Records, data.Record{})
	}
	d.record(head, &d.b.Records[n])
}

// record reads one record over whatever r was, keeping the capacity of its
// headers.
func (d *decoder) record(head byte, r *data.Record) {
	if head&headSameRoute == 0 {
		d.topic = d.string()
		d.partition = d.partitionNumber()
		d.key, d.value = d.schema(), d.schema()
		d.routed = true
		if d.topic == "" && d.err == nil {
			d.failf("record without a topic")
		}
	} else if !d.routed {
		d.failf("the first record has no route")
	}
	d.timestamp += d.varint()
	r.Topic, r.Partition, r.Timestamp = d.topic, d.partition, d.timestamp
	if d.t.Log {
		d.coordinates(r)
	} else {
		r.Position = d.position()
		r.Offset, r.LogAppendTime = 0, false
		r.OriginalTopic, r.OriginalPartition, r.OriginalOffset = "", 0, 0
	}
	d.datum(&r.Key, data.State(head>>2&3), head&(1<<5) != 0, d.key)
	d.datum(&r.Value, data.State(head&3), head&(1<<4) != 0, d.value)
	r.Headers = r.Headers[:0]
	if head&headHeaders != 0 {
		d.recordHeaders(r)
	}
}

func (d *decoder) coordinates(r *data.Record) {
	r.Position = data.NoPosition
	r.Offset = d.nextOffset + d.varint()
	d.nextOffset = r.Offset + 1
	coords := d.byte()
	if coords&^(coordOriginal|coordAppend) != 0 {
		d.failf("coordinates %#x are unknown", coords)
	}
	r.LogAppendTime = coords&coordAppend != 0
	if coords&coordOriginal == 0 {
		r.OriginalTopic, r.OriginalPartition, r.OriginalOffset = r.Topic, r.Partition, r.Offset
		return
	}
	r.OriginalTopic = d.string()
	r.OriginalPartition = d.partitionNumber()
	r.OriginalOffset = d.varint()
}

func (d *decoder) partitionNumber() int32 {
	p := d.varint()
	if p < int64(data.NoPartition) || p > math.MaxInt32 {
		d.failf("partition %d is out of range", p)
	}
	return int32(p)
}

func (d *decoder) datum(to *data.Datum, state data.State, nullDefault bool, s *data.Schema) {
	*to = data.Datum{Schema: s, State: state, NullDefault: nullDefault}
	switch state {
	case data.NullNoSchema:
		to.Schema = nil
	case data.Null:
		if s == nil {
			d.failf("null of a schema that is not given")
		}
	case data.Present:
		to.Row = d.bytes()
	}
}

func (d *decoder) position() int32 {
	ref := d.uvarint()
	switch {
	case ref == refNone:
		return data.NoPosition
	case ref == refNew:
		return d.newPosition()
	case ref-refFirst < uint64(len(d.b.Positions)):
		return int32(ref - refFirst)
	}
	d.failf("position %d is not defined", ref-refFirst)
	return data.NoPosition
}

func (d *decoder) newPosition() int32 {
	n := len(d.b.Positions)
	if n >= MaxRecords {
		d.failf("more than %d positions", MaxRecords)
		return data.NoPosition
	}
	p := data.Position{Partition: d.sourcePartition()}
	if length := d.uvarint(); length > 0 {
		p.Offset = d.take(length - 1)
	}
	if p.Partition == nil {
		d.failf("position without a source partition")
	}
	d.b.Positions = append(d.b.Positions, p)
	return int32(n)
}

func (d *decoder) recordHeaders(r *data.Record) {
	n := d.uvarint()
	if d.headers += int(min(n, MaxHeaders)); n > MaxHeaders || d.headers > maxBatchHeaders {
		d.failf("too many headers")
		return
	}
	for range n {
		var h data.Header
		h.Name = d.string()
		state := d.byte()
		if state&3 > byte(data.Present) || state>>3 != 0 {
			d.failf("header state %#x is unknown", state)
		}
		d.datum(&h.Value, data.State(state&3), state&(1<<2) != 0, d.schema())
		if d.err != nil {
			return
		}
		r.Headers = append(r.Headers, h)
	}
}

func (d *decoder) string() string {
	ref := d.uvarint()
	switch {
	case ref == refNone:
		return ""
	case ref == refNew:
		b := d.bytes()
		if d.define(len(d.t.strings), len(b)) {
			d.t.strings = append(d.t.strings, string(b))
			return d.t.strings[len(d.t.strings)-1]
		}
	case ref-refFirst < uint64(len(d.t.strings)):
		return d.t.strings[ref-refFirst]
	default:
		d.failf("string %d is not defined", ref-refFirst)
	}
	return ""
}

func (d *decoder) sourcePartition() []byte {
	ref := d.uvarint()
	switch {
	case ref == refNew:
		b := d.bytes()
		if d.define(len(d.t.partitions), len(b)) {
			p := bytes.Clone(b)
			d.t.partitions = append(d.t.partitions, p)
			return p
		}
	case ref != refNone && ref-refFirst < uint64(len(d.t.partitions)):
		return d.t.partitions[ref-refFirst]
	default:
		d.failf("source partition %d is not defined", int64(ref)-refFirst)
	}
	return nil
}

func (d *decoder) schema() *data.Schema {
	ref := d.uvarint()
	switch {
	case ref == refNone:
	case ref == refNew:
		b := d.bytes()
		if len(b) > MaxDefinition {
			d.failf("a schema of %d bytes where %d are allowed", len(b), MaxDefinition)
		}
		if !d.define(len(d.t.schemas), len(b)) {
			return nil
		}
		s, err := parseSchema(b)
		if err != nil {
			d.fail(fmt.Errorf("schema definition: %w", err))
			return nil
		}
		d.t.schemas = append(d.t.schemas, s)
		return s
	case ref-refFirst < uint64(len(d.t.schemas)):
		return d.t.schemas[ref-refFirst]
	default:
		d.failf("schema %d is not defined", ref-refFirst)
	}
	return nil
}

// define accounts for a definition of n bytes in a table of count entries.
func (d *decoder) define(count, n int) bool {
	if d.err == nil && !d.t.roomFor(count, n) {
		d.failf("more definitions than a stream may have")
	}
	if d.err != nil {
		return false
	}
	d.t.bytes += n
	return true
}

// cursor reads integers and bytes off a buffer. Its first error sticks, and
// every read after it is zero.
type cursor struct {
	buf []byte
	pos int
	err error
}

func (c *cursor) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

func (c *cursor) failf(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}

func (c *cursor) byte() byte {
	if c.err != nil || c.pos >= len(c.buf) {
		c.fail(errEnd)
		return 0
	}
	c.pos++
	return c.buf[c.pos-1]
}

func (c *cursor) uvarint() uint64 {
	if c.err != nil {
		return 0
	}
	if c.pos < len(c.buf) && c.buf[c.pos] < 0x80 {
		c.pos++
		return uint64(c.buf[c.pos-1])
	}
	v, n := binary.Uvarint(c.buf[c.pos:])
	if n <= 0 {
		c.fail(errEnd)
		return 0
	}
	c.pos += n
	return v
}

func (c *cursor) varint() int64 {
	u := c.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// take returns the next n bytes, capped so that an append to them copies.
func (c *cursor) take(n uint64) []byte {
	if c.err != nil {
		return nil
	}
	if n > uint64(len(c.buf)-c.pos) {
		c.fail(errEnd)
		return nil
	}
	b := c.buf[c.pos : c.pos+int(n) : c.pos+int(n)]
	c.pos += int(n)
	return b
}

func (c *cursor) bytes() []byte { return c.take(c.uvarint()) }
