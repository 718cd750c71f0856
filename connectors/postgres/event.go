package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// Version is the version that the connector reports, in events too.
const Version = "1.0.0"

// batchBytes ends a batch. It is small enough for the batch to cross the
// plugin boundary in one piece, so that its one position covers all of it.
const batchBytes = 192 << 10

// recordBytes is about what a record takes beside its rows.
const recordBytes = 24

// origin is what the source block of an event says.
type origin struct {
	time       int64 // microseconds since 1970
	snapshot   string
	lastCommit lsn // 0 for none
	lsn        lsn
	xid        uint32
	xmin       int64  // of the slot, 0 when it is not fetched
	name       string // of the replication origin
	originLSN  lsn
}

// emitter turns row changes into records of a batch. It belongs to the
// goroutine that polls.
type emitter struct {
	cfg *config
	log *slog.Logger

	limit     int // bytes that end a batch
	batch     *data.Batch
	arena     []byte
	scratch   []byte
	partition []byte
	offset    []byte
	marked    int // records up to the last one with a position
	tx        transaction
	common    sourceBlock
	now       int64 // when events are made, in nanoseconds since 1970

	context      []data.Header // of every record of a row, and its tombstone
	counts       counts
	messages     *logicalMessages
	messageCount *table // stands for the messages in the counts of a transaction
}

// begin starts a batch.
func (e *emitter) begin(b *data.Batch) {
	e.batch, e.arena, e.offset, e.marked = b, e.arena[:0], e.offset[:0], 0
	e.tick()
}

func (e *emitter) full() bool {
	return len(e.arena)+recordBytes*len(e.batch.Records) >= e.limit
}

// markEvery is how many records there are at least between two positions of a
// batch. More would cost more than the rows.
const markEvery = 8

// mark gives the last record the position at the end of a transaction, if
// enough have come since the last that has one.
func (e *emitter) mark(p *position) {
	if len(e.batch.Records)-e.marked >= markEvery {
		e.finish(p)
	}
}

// finish gives the last record the position, or the batch the position alone.
func (e *emitter) finish(p *position) {
	start := len(e.offset)
	e.offset = append(e.offset, '{')
	if e.cfg.transactions && p.midTransaction() {
		e.offset = e.appendCounts(e.offset)
	}
	e.offset = p.appendJSON(e.offset)
	offset := e.offset[start:len(e.offset):len(e.offset)]
	n := len(e.batch.Records)
	e.marked = n
	if n > 0 && e.batch.Records[n-1].Position != data.NoPosition {
		e.batch.Positions[e.batch.Records[n-1].Position].Offset = offset
		return
	}
	e.batch.Positions = append(e.batch.Positions, data.Position{Partition: e.partition, Offset: offset})
	if n > 0 {
		e.batch.Records[n-1].Position = int32(len(e.batch.Positions) - 1)
	}
}

func (e *emitter) add(topic string, key, value data.Datum, headers ...data.Header) {
	e.batch.Records = append(e.batch.Records, data.Record{
		Topic: topic, Partition: data.NoPartition, Timestamp: data.NoTimestamp, Position: data.NoPosition,
		Key: key, Value: value, Headers: headers,
	})
}

// row writes one envelope. before and after may be nil.
func (e *emitter) row(t *table, o *origin, op string, before, after []value, keysOnly bool) (data.Datum, error) {
	start := len(e.arena)
	w := &t.row
	w.Reset(e.arena)
	w.BeginStruct()
	for i, tuple := range [2][]value{before, after} {
		if tuple == nil {
			w.Null()
			continue
		}
		var other []value
		if i == 1 {
			other = before
		}
		if err := t.fields(w, tuple, other, i == 0 && keysOnly); err != nil {
			return data.Datum{}, err
		}
	}
	if err := e.source(w, o, t.relation.schema, t.name); err != nil {
		return data.Datum{}, err
	}
	e.block(w, t, o)
	w.Text(op)
	e.stamps(w)
	w.End()
	buf, nullDefault, err := w.Finish()
	if err != nil {
		return data.Datum{}, err
	}
	e.arena = buf
	return data.Datum{Schema: t.envelope, State: data.Present, NullDefault: nullDefault, Row: buf[start:len(buf):len(buf)]}, nil
}

// stamps writes when the event was made.
func (e *emitter) stamps(w *writer) {
	w.Int64(e.now / 1e6)
	w.Int64(e.now / 1e3)
	w.Int64(e.now)
}

// tick reads the clock. The events that are made in one go, of what has come at
// once, have one time.
func (e *emitter) tick() { e.now = time.Now().UnixNano() }

// keyOf writes the key of a tuple.
func (e *emitter) keyOf(t *table, tuple, other []value) (data.Datum, error) {
	if t.keySchema == nil {
		return data.Datum{}, nil
	}
	start := len(e.arena)
	buf, nullDefault, err := t.appendKey(e.arena, tuple, other)
	if err != nil {
		return data.Datum{}, err
	}
	e.arena = buf
	return data.Datum{Schema: t.keySchema, State: data.Present, NullDefault: nullDefault, Row: buf[start:len(buf):len(buf)]}, nil
}

// change appends the records of one row change. A value that cannot be
// converted is left out and the row written again, unless conversions must not
// fail.
func (e *emitter) change(t *table, o *origin, op byte, oldKind byte, before, after []value) error {
	mark, records, tx, order := len(e.arena), len(e.batch.Records), e.tx, t.order
	for {
		err := e.tryChange(t, o, op, oldKind, before, after)
		if err == nil {
			break
		}
		e.arena, e.batch.Records, e.tx, t.order = e.arena[:mark], e.batch.Records[:records], tx, order
		var c *columnError
		if !errors.As(err, &c) || errors.Is(err, errStale) || errors.Is(err, errLabel) {
			return err
		}
		col := &t.columns[c.index]
		if e.cfg.failConversions || col.bad {
			return sdk.Fatal(fmt.Errorf("table %s.%s at %s: %w: event.converting.failure.handling.mode=warn leaves such values out",
				t.relation.schema, t.name, o.lsn, err))
		}
		e.counts.unconvertible++
		if col.bad = true; !col.warned {
			col.warned = true
			e.log.Warn("value cannot be converted and is left out", "table", t.relation.schema+"."+t.name, "column", col.name, "lsn", o.lsn.String(), "err", c.err)
		}
	}
	for i := range t.columns {
		t.columns[i].bad = false
	}
	e.counts.count(op)
	return nil
}

func (e *emitter) tryChange(t *table, o *origin, op byte, oldKind byte, before, after []value) error {
	switch op {
	case 'c', 'r':
		return e.plain(t, o, string(op), nil, after, false)
	case 'd':
		if t.uncovered != "" && oldKind == 'K' {
			return sdk.Fatal(fmt.Errorf("a delete in %s.%s does not say column %s of the key: ALTER TABLE %s REPLICA IDENTITY FULL, or take the column out of message.key.columns",
				t.relation.schema, t.name, t.uncovered, quoteName(t.relation.schema, t.name)))
		}
		return e.remove(t, o, before, oldKind == 'K')
	}
	if before == nil {
		return e.plain(t, o, "u", nil, after, false)
	}
	if t.keySchema != nil && t.uncovered == "" {
		moved, err := e.keyMoved(t, before, after)
		if err != nil {
			return err
		}
		if moved {
			return e.move(t, o, oldKind == 'K', before, after)
		}
	}
	if e.cfg.skipUnchanged && oldKind == 'O' && t.unchanged(before, after) {
		return nil
	}
	return e.plain(t, o, "u", before, after, oldKind == 'K')
}

// unchanged reports whether no column that events carry differs.
func (t *table) unchanged(before, after []value) bool {
	for i := range t.columns {
		if t.columns[i].included && after[i].kind != valueUnchanged &&
			(before[i].kind != after[i].kind || !bytes.Equal(before[i].text, after[i].text)) {
			return false
		}
	}
	return true
}

// keyMoved reports whether an update changed the key.
func (e *emitter) keyMoved(t *table, before, after []value) (bool, error) {
	if len(before) != len(t.columns) || len(after) != len(t.columns) {
		return false, errTuple
	}
	for _, i := range t.key {
		if after[i].kind != valueUnchanged && (before[i].kind != after[i].kind || !bytes.Equal(before[i].text, after[i].text)) {
			return true, nil
		}
	}
	return false, nil
}

// plain appends one record.
func (e *emitter) plain(t *table, o *origin, op string, before, after []value, keysOnly bool) error {
	key, err := e.keyOf(t, after, before)
	if err != nil {
		return err
	}
	value, err := e.row(t, o, op, before, after, keysOnly)
	if err != nil {
		return err
	}
	e.addRow(t.topic, key, value)
	return nil
}

// addRow appends a record of a row.
func (e *emitter) addRow(topic string, key, value data.Datum, headers ...data.Header) {
	if e.context != nil {
		headers = append(headers[:len(headers):len(headers)], e.context...)
	}
	e.add(topic, key, value, headers...)
}

// remove appends a delete and its tombstone.
func (e *emitter) remove(t *table, o *origin, before []value, keysOnly bool, headers ...data.Header) error {
	key, err := e.keyOf(t, before, nil)
	if err != nil {
		return err
	}
	value, err := e.row(t, o, "d", before, nil, keysOnly)
	if err != nil {
		return err
	}
	e.addRow(t.topic, key, value, headers...)
	if e.cfg.tombstones && t.keySchema != nil {
		e.addRow(t.topic, key, data.Datum{}, headers...)
	}
	return nil
}

// move appends an update of the key: a delete of the old one with its
// tombstone, and an insert of the new one, each naming the other.
func (e *emitter) move(t *table, o *origin, keysOnly bool, before, after []value) error {
	newKey, err := e.keyOf(t, after, before)
	if err != nil {
		return err
	}
	oldKey, err := e.keyOf(t, before, nil)
	if err != nil {
		return err
	}
	if err := e.remove(t, o, before, keysOnly, data.Header{Name: "__debezium.newkey", Value: newKey}); err != nil {
		return err
	}
	// The old tuple still tells values that the update left unchanged.
	value, err := e.created(t, o, before, after)
	if err != nil {
		return err
	}
	e.addRow(t.topic, newKey, value, data.Header{Name: "__debezium.oldkey", Value: oldKey})
	return nil
}

// created is the envelope of an insert whose unchanged values are in another
// tuple.
func (e *emitter) created(t *table, o *origin, before, after []value) (data.Datum, error) {
	if len(before) != len(after) {
		return data.Datum{}, errTuple
	}
	merged := make([]value, len(after))
	for i := range after {
		if merged[i] = after[i]; after[i].kind == valueUnchanged && before[i].kind == valueText {
			merged[i] = before[i]
		}
	}
	return e.row(t, o, "c", nil, merged, false)
}

// truncate appends a truncate of one table.
func (e *emitter) truncate(t *table, o *origin) error {
	value, err := e.row(t, o, "t", nil, nil, false)
	if err == nil {
		e.addRow(t.topic, data.Datum{}, value)
		e.counts.truncated++
	}
	return err
}

var (
	heartbeatKey = named(data.NewStructBuilder(), "io.debezium.connector.common.ServerNameKey").
			Field("serverName", data.StringSchema).MustBuild()
	heartbeatValue = named(data.NewStructBuilder(), "io.debezium.connector.common.Heartbeat").
			Field("ts_ms", data.Int64Schema).MustBuild()
)

// heartbeat appends a heartbeat.
func (e *emitter) heartbeat(_ context.Context, now time.Time) error {
	key, value := data.NewStruct(heartbeatKey), data.NewStruct(heartbeatValue)
	if err := errors.Join(key.Put("serverName", e.cfg.prefix), value.Put("ts_ms", now.UnixMilli())); err != nil {
		return err
	}
	k, err := data.NewDatum(heartbeatKey, key)
	if err != nil {
		return err
	}
	v, err := data.NewDatum(heartbeatValue, value)
	if err != nil {
		return err
	}
	e.add(e.cfg.heartbeatTopic, k, v)
	e.batch.Records[len(e.batch.Records)-1].Partition = 0
	return nil
}
