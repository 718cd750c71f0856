package proto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/millrace/millrace/plugins/data"
)

// AppendBatch appends a payload with the records of b from number from on to
// dst and returns the number of the first record that is left for a further
// payload, len(b.Records) when none is. It takes as many as fit about limit
// bytes, at least one; a limit of 0 means MaxPayload. Positions that no record
// refers to go with the last record.
//
// After an error the far end lacks definitions that the table holds: the
// stream must end.
func AppendBatch(dst []byte, b *data.Batch, from int, t *Table, limit int) ([]byte, int, error) {
	if limit <= 0 || limit > MaxPayload {
		limit = MaxPayload
	}
	e := encoder{t: t, b: b, start: len(dst), buf: dst}
	if err := e.begin(); err != nil {
		return dst, from, err
	}
	n := from
	for n < len(b.Records) && n-from < MaxRecords {
		mark := len(e.buf)
		if err := e.record(&b.Records[n]); err != nil {
			return dst, from, fmt.Errorf("encode record %d of the batch: %w", n+1, err)
		}
		if len(e.buf)-e.start > MaxPayload {
			return dst, from, fmt.Errorf("encode record %d of the batch: %w: %d bytes where %d are allowed",
				n+1, ErrTooLarge, len(e.buf)-mark, MaxPayload)
		}
		n++
		if b.Records[n-1].End != data.GoesOn || len(e.buf)-e.start >= limit || e.headers >= maxBatchHeaders-MaxHeaders || t.full() {
			break
		}
	}
	if n == len(b.Records) {
		if err := e.loose(from); err != nil {
			return dst, from, err
		}
	}
	return e.buf, n, nil
}

// encoder is the state of one payload.
type encoder struct {
	t       *Table
	b       *data.Batch
	buf     []byte
	start   int
	headers int
	sent    int // positions sent in this payload

	routed     bool
	topic      string
	partition  int32
	key, value *data.Schema
	timestamp  int64
	nextOffset int64
}

func (e *encoder) begin() error {
	if len(e.b.Positions) > MaxRecords {
		return fmt.Errorf("a batch of %d positions where %d are allowed", len(e.b.Positions), MaxRecords)
	}
	flags := byte(0)
	if e.t.Log {
		flags |= flagLog
	}
	if !e.t.started || e.t.full() {
		e.t.reset()
		e.t.started = true
		flags |= flagReset
	}
	e.buf = append(e.buf, format, flags)
	if n := len(e.b.Positions); n <= cap(e.t.positionRefs) {
		e.t.positionRefs = e.t.positionRefs[:n]
		clear(e.t.positionRefs)
	} else {
		e.t.positionRefs = make([]uint64, n)
	}
	return nil
}

func (e *encoder) record(r *data.Record) error {
	if err := checkRecord(r); err != nil {
		return err
	}
	head := byte(r.Value.State) | byte(r.Key.State)<<2
	if r.Value.NullDefault {
		head |= 1 << 4
	}
	if r.Key.NullDefault {
		head |= 1 << 5
	}
	if len(r.Headers) > 0 {
		head |= headHeaders
	}
	if e.sameRoute(r) {
		e.buf = append(e.buf, head|headSameRoute)
	} else {
		e.buf = append(e.buf, head)
		if err := e.route(r); err != nil {
			return err
		}
	}
	e.buf = binary.AppendVarint(e.buf, r.Timestamp-e.timestamp)
	e.timestamp = r.Timestamp
	if e.t.Log {
		e.coordinates(r)
	} else if err := e.position(r.Position); err != nil {
		return err
	}
	if r.Key.State == data.Present {
		e.bytes(r.Key.Row)
	}
	if r.Value.State == data.Present {
		e.bytes(r.Value.Row)
	}
	if len(r.Headers) > 0 {
		return e.recordHeaders(r.Headers)
	}
	return nil
}

// checkRecord refuses what the decoder would refuse.
func checkRecord(r *data.Record) error {
	if err := checkDatum(&r.Key); err != nil {
		return fmt.Errorf("key: %w", err)
	}
	if err := checkDatum(&r.Value); err != nil {
		return fmt.Errorf("value: %w", err)
	}
	if len(r.Headers) > MaxHeaders {
		return fmt.Errorf("%d headers where %d are allowed", len(r.Headers), MaxHeaders)
	}
	if r.Topic == "" {
		return errors.New("no topic")
	}
	if r.Partition < data.NoPartition {
		return fmt.Errorf("partition %d is negative", r.Partition)
	}
	return nil
}

func checkDatum(d *data.Datum) error {
	switch {
	case d.State == data.NullNoSchema && d.Schema != nil:
		return errors.New("a null without schema that has a schema")
	case d.State == data.Null && d.Schema == nil:
		return errors.New("a null of a schema that is not given")
	case d.State > data.Present:
		return fmt.Errorf("state %d is unknown", d.State)
	}
	return nil
}

// sameRoute decides whether the route may be left out. A null without schema
// goes with any schema.
func (e *encoder) sameRoute(r *data.Record) bool {
	return e.routed && r.Topic == e.topic && r.Partition == e.partition &&
		(r.Key.Schema == e.key || r.Key.State == data.NullNoSchema) &&
		(r.Value.Schema == e.value || r.Value.State == data.NullNoSchema)
}

func (e *encoder) route(r *data.Record) error {
	e.string(r.Topic)
	e.buf = binary.AppendVarint(e.buf, int64(r.Partition))
	if err := e.schema(r.Key.Schema); err != nil {
		return fmt.Errorf("key: %w", err)
	}
	if err := e.schema(r.Value.Schema); err != nil {
		return fmt.Errorf("value: %w", err)
	}
	e.routed, e.topic, e.partition = true, r.Topic, r.Partition
	e.key, e.value = r.Key.Schema, r.Value.Schema
	return nil
}

func (e *encoder) coordinates(r *data.Record) {
	e.buf = binary.AppendVarint(e.buf, r.Offset-e.nextOffset)
	e.nextOffset = r.Offset + 1
	coords := byte(0)
	if r.LogAppendTime {
		coords |= coordAppend
	}
	original := r.OriginalTopic != r.Topic || r.OriginalPartition != r.Partition || r.OriginalOffset != r.Offset
	if !original {
		e.buf = append(e.buf, coords)
		return
	}
	e.buf = append(e.buf, coords|coordOriginal)
	e.string(r.OriginalTopic)
	e.buf = binary.AppendVarint(e.buf, int64(r.OriginalPartition))
	e.buf = binary.AppendVarint(e.buf, r.OriginalOffset)
}

func (e *encoder) position(i int32) error {
	if i == data.NoPosition {
		e.buf = append(e.buf, refNone)
		return nil
	}
	if i < 0 || int(i) >= len(e.b.Positions) {
		return fmt.Errorf("position %d is not among the batch's %d", i, len(e.b.Positions))
	}
	if ref := e.t.positionRefs[i]; ref != refNone {
		e.buf = binary.AppendUvarint(e.buf, ref)
		return nil
	}
	e.buf = append(e.buf, refNew)
	e.newPosition(int(i))
	return nil
}

func (e *encoder) newPosition(i int) {
	e.t.positionRefs[i] = uint64(e.sent) + refFirst
	e.sent++
	p := &e.b.Positions[i]
	e.sourcePartition(p.Partition)
	if p.Offset == nil {
		e.buf = append(e.buf, 0)
		return
	}
	e.buf = binary.AppendUvarint(e.buf, uint64(len(p.Offset))+1)
	e.buf = append(e.buf, p.Offset...)
}

// loose sends the positions that no record of the whole batch uses. Those of
// records before from went with an earlier payload; sent again here they would
// take the source offset back.
func (e *encoder) loose(from int) error {
	for i := range e.b.Records[:from] {
		p := e.b.Records[i].Position
		if p >= 0 && int(p) < len(e.t.positionRefs) && e.t.positionRefs[p] == refNone {
			e.t.positionRefs[p] = refFirst
		}
	}
	for i, ref := range e.t.positionRefs {
		if ref == refNone {
			e.buf = append(e.buf, headLoose)
			e.newPosition(i)
		}
	}
	if len(e.buf)-e.start > MaxPayload {
		return fmt.Errorf("encode positions: %w", ErrTooLarge)
	}
	return nil
}

func (e *encoder) recordHeaders(headers []data.Header) error {
	e.headers += len(headers)
	e.buf = binary.AppendUvarint(e.buf, uint64(len(headers)))
	for i := range headers {
		h := &headers[i]
		if err := checkDatum(&h.Value); err != nil {
			return fmt.Errorf("header %q: %w", h.Name, err)
		}
		e.string(h.Name)
		state := byte(h.Value.State)
		if h.Value.NullDefault {
			state |= 1 << 2
		}
		e.buf = append(e.buf, state)
		if err := e.schema(h.Value.Schema); err != nil {
			return fmt.Errorf("header %q: %w", h.Name, err)
		}
		if h.Value.State == data.Present {
			e.bytes(h.Value.Row)
		}
	}
	return nil
}

func (e *encoder) bytes(b []byte) {
	e.buf = binary.AppendUvarint(e.buf, uint64(len(b)))
	e.buf = append(e.buf, b...)
}

func (e *encoder) string(s string) {
	t := e.t
	if s == "" {
		e.buf = append(e.buf, refNone)
		return
	}
	if s == t.lastString {
		e.buf = binary.AppendUvarint(e.buf, t.lastStringID)
		return
	}
	id, ok := t.stringIDs[s]
	if ok {
		e.buf = binary.AppendUvarint(e.buf, id)
	} else {
		id = uint64(len(t.strings)) + refFirst
		if t.stringIDs == nil {
			t.stringIDs = make(map[string]uint64)
		}
		t.stringIDs[s] = id
		t.strings = append(t.strings, s)
		t.bytes += len(s)
		e.buf = binary.AppendUvarint(append(e.buf, refNew), uint64(len(s)))
		e.buf = append(e.buf, s...)
	}
	t.lastString, t.lastStringID = s, id
}

func (e *encoder) sourcePartition(p []byte) {
	t := e.t
	if t.lastPartID != refNone && bytes.Equal(p, t.lastPartition) {
		e.buf = binary.AppendUvarint(e.buf, t.lastPartID)
		return
	}
	id, ok := t.partitionIDs[string(p)]
	if ok {
		e.buf = binary.AppendUvarint(e.buf, id)
	} else {
		id = uint64(len(t.partitions)) + refFirst
		if t.partitionIDs == nil {
			t.partitionIDs = make(map[string]uint64)
		}
		t.partitionIDs[string(p)] = id
		t.partitions = append(t.partitions, bytes.Clone(p))
		t.bytes += len(p)
		e.buf = append(e.buf, refNew)
		e.bytes(p)
	}
	t.lastPartition, t.lastPartID = t.partitions[id-refFirst], id
}

func (e *encoder) schema(s *data.Schema) error {
	t := e.t
	if s == nil {
		e.buf = append(e.buf, refNone)
		return nil
	}
	if s == t.lastSchema {
		e.buf = binary.AppendUvarint(e.buf, t.lastSchemaID)
		return nil
	}
	id, ok := t.schemaIDs[s.Hash()]
	if ok {
		e.buf = binary.AppendUvarint(e.buf, id)
	} else {
		def, err := appendSchema(nil, s)
		if err != nil {
			return err
		}
		if len(def) > MaxDefinition {
			return fmt.Errorf("a schema of %d bytes where %d are allowed", len(def), MaxDefinition)
		}
		id = uint64(len(t.schemas)) + refFirst
		if t.schemaIDs == nil {
			t.schemaIDs = make(map[data.Hash]uint64)
		}
		t.schemaIDs[s.Hash()] = id
		t.schemas = append(t.schemas, s)
		t.bytes += len(def)
		e.buf = append(e.buf, refNew)
		e.bytes(def)
	}
	t.lastSchema, t.lastSchemaID = s, id
	return nil
}
