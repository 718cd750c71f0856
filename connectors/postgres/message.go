package postgres

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"

	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// logicalMessages writes what pg_logical_emit_message puts into the log.
type logicalMessages struct {
	topic  string
	key    *data.Schema
	value  *data.Schema
	keyw   writer
	row    writer
	binary string
}

// messageTable is what a transaction's counts call the messages.
const messageTable = "LOGICAL_DECODING_MESSAGE"

func newLogicalMessages(c *config) *logicalMessages {
	name := func(n string) string { return "io.debezium.connector.postgresql." + n }
	content := data.OptionalStringSchema
	if c.binary == "bytes" {
		content = data.OptionalBytesSchema
	}
	block := named(data.NewStructBuilder(), name("Message")).
		Field("prefix", data.OptionalStringSchema).Field("content", content).MustBuild()
	m := &logicalMessages{
		topic: topicName(c.prefix + ".message"), binary: c.binary,
		key: named(data.NewStructBuilder(), name("MessageKey")).Field("prefix", data.OptionalStringSchema).MustBuild(),
		value: named(data.NewStructBuilder(), name("MessageValue")).
			Field("op", data.StringSchema).Field("ts_ms", data.OptionalInt64Schema).Field("source", sourceSchema).
			Field("transaction", blockSchema).Field("message", block).MustBuild(),
	}
	m.keyw, m.row = writer{RowWriter: data.NewRowWriter(m.key)}, writer{RowWriter: data.NewRowWriter(m.value)}
	return m
}

// ownPrefix is that of the messages which the connector writes itself to have
// the server go on. Nobody else hears of them.
const ownPrefix = "millrace"

// tells reports whether messages with a prefix are events.
func (c *config) tells(prefix string) bool {
	return prefix != ownPrefix && c.messages.takes(prefix)
}

// message appends a logical decoding message.
func (e *emitter) message(m *message, o *origin) error {
	if e.messages == nil {
		e.messages = newLogicalMessages(e.cfg)
		e.messageCount = &table{id: messageTable}
	}
	l := e.messages
	key, err := e.finishRow(&l.keyw, l.key, func(w *writer) {
		w.BeginStruct()
		w.Text(m.prefix)
		w.End()
	})
	if err != nil {
		return err
	}
	var failed error
	value, err := e.finishRow(&l.row, l.value, func(w *writer) {
		w.BeginStruct()
		w.Text("m")
		w.Int64(e.now / 1e6)
		failed = e.source(w, o, "", "")
		e.block(w, e.messageCount, o)
		w.BeginStruct()
		w.Text(m.prefix)
		l.content(w, m.content)
		w.End()
		w.End()
	})
	if err = cmp.Or(failed, err); err != nil {
		return err
	}
	e.add(l.topic, key, value)
	e.counts.messages++
	return nil
}

// finishRow appends a row to the batch's memory.
func (e *emitter) finishRow(w *writer, s *data.Schema, write func(*writer)) (data.Datum, error) {
	start := len(e.arena)
	w.Reset(e.arena)
	write(w)
	buf, nullDefault, err := w.Finish()
	if err != nil {
		return data.Datum{}, err
	}
	e.arena = buf
	return data.Datum{Schema: s, State: data.Present, NullDefault: nullDefault, Row: buf[start:len(buf):len(buf)]}, nil
}

func (l *logicalMessages) content(w *writer, b []byte) {
	switch l.binary {
	case "base64":
		w.Text(base64.StdEncoding.EncodeToString(b))
	case "base64-url-safe":
		w.Text(base64.URLEncoding.EncodeToString(b))
	case "hex":
		w.Text(hex.EncodeToString(b))
	default:
		w.Bytes(b)
	}
}

// lone handles a message outside of any transaction, which is a commit of its
// own. The server sends it again to who starts at its position, and so the one
// to start from is behind that.
func (t *task) lone(at lsn) error {
	d := &t.dec
	if at < d.handledTo {
		return nil
	}
	d.lastCommit = at
	if t.cfg.tells(d.msg.prefix) {
		o := origin{time: d.origin.time, snapshot: "false", lastCommit: at, lsn: at, xmin: d.xmin}
		if err := t.em.message(&d.msg, &o); err != nil {
			return sdk.Fatal(err)
		}
	}
	t.pos.snapshot = ""
	t.pos.message, t.pos.commit, t.pos.lsn, t.pos.events, t.pos.xid = "MESSAGE", max(t.pos.commit, at+1), at, 0, 0
	t.passed()
	t.dirty = true
	t.em.mark(&t.pos)
	return nil
}
