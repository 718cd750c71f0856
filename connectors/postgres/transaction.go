package postgres

import (
	"errors"
	"slices"
	"strconv"

	"github.com/millrace/millrace/plugins/data"
)

// transaction counts the events of the transaction at hand, for
// provide.transaction.metadata.
type transaction struct {
	xid    uint32
	events int64
	tables []*table // those with events, in the order of their first
}

var (
	transactionKey = data.NewStructBuilder().Name("io.debezium.connector.common.TransactionMetadataKey").
			Version(1).Field("id", data.StringSchema).MustBuild()
	collectionSchema = named(data.NewStructBuilder(), "event.collection").
				Field("data_collection", data.StringSchema).Field("event_count", data.Int64Schema).Optional().MustBuild()
	transactionValue = data.NewStructBuilder().Name("io.debezium.connector.common.TransactionMetadataValue").
				Version(1).Field("status", data.StringSchema).Field("id", data.StringSchema).
				Field("event_count", data.OptionalInt64Schema).
				Field("data_collections", data.ArrayOf(collectionSchema).Optional().MustBuild()).
				Field("ts_ms", data.Int64Schema).MustBuild()
)

// block writes the transaction block of an event and counts it.
func (e *emitter) block(w *writer, t *table, o *origin) {
	if !e.cfg.transactions || o.snapshot != "false" || o.xid == 0 {
		w.Null()
		return
	}
	if t.lastXID != e.tx.xid || t.order == 0 {
		t.lastXID, t.order = e.tx.xid, 0
	}
	if !slices.Contains(e.tx.tables, t) {
		e.tx.tables = append(e.tx.tables, t)
	}
	e.tx.events++
	t.order++
	e.scratch = appendTransactionID(e.scratch[:0], o)
	w.BeginStruct()
	w.TextBytes(e.scratch)
	w.Int64(e.tx.events)
	w.Int64(t.order)
	w.End()
}

func appendTransactionID(dst []byte, o *origin) []byte {
	dst = append(strconv.AppendUint(dst, uint64(o.xid), 10), ':')
	return strconv.AppendInt(dst, int64(o.lsn), 10)
}

// beginTransaction forgets the counts and, when asked for, appends the BEGIN.
func (e *emitter) beginTransaction(o *origin, emit bool) error {
	for _, t := range e.tx.tables {
		t.order = 0
	}
	e.tx = transaction{xid: o.xid, tables: e.tx.tables[:0]}
	if !e.cfg.transactions || !emit {
		return nil
	}
	return e.transactionRecord("BEGIN", o, nil)
}

// endTransaction appends the END with the counts.
func (e *emitter) endTransaction(o *origin) error {
	if !e.cfg.transactions {
		return nil
	}
	collections := []any{}
	for _, t := range e.tx.tables {
		c := data.NewStruct(collectionSchema)
		if err := errors.Join(c.Put("data_collection", t.id), c.Put("event_count", t.order)); err != nil {
			return err
		}
		collections = append(collections, c)
	}
	return e.transactionRecord("END", o, collections)
}

func (e *emitter) transactionRecord(status string, o *origin, collections []any) error {
	id := string(appendTransactionID(nil, o))
	key, v := data.NewStruct(transactionKey), data.NewStruct(transactionValue)
	err := errors.Join(key.Put("id", id), v.Put("status", status), v.Put("id", id), v.Put("ts_ms", o.time/1000))
	if collections != nil {
		err = errors.Join(err, v.Put("event_count", e.tx.events), v.Put("data_collections", collections))
	}
	if err != nil {
		return err
	}
	k, err := data.NewDatum(transactionKey, key)
	if err != nil {
		return err
	}
	d, err := data.NewDatum(transactionValue, v)
	if err != nil {
		return err
	}
	e.add(e.cfg.transactionTopic, k, d)
	return nil
}

// appendCounts adds to an offset what was counted of the transaction that it is
// in the middle of, which Debezium takes up from there.
func (e *emitter) appendCounts(dst []byte) []byte {
	dst = append(strconv.AppendUint(append(dst, `"transaction_id":"`...), uint64(e.tx.xid), 10), `",`...)
	for _, t := range e.tx.tables {
		dst = append(appendJSONString(dst, []byte("transaction_data_collection_order_"+t.id)), ':')
		dst = append(strconv.AppendInt(dst, t.order, 10), ',')
	}
	return dst
}
