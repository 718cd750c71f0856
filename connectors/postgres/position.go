package postgres

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/millrace/millrace/connectors/postgres/channel"
	"github.com/millrace/millrace/plugins/sdk"
)

// position is where the task stands, as Debezium's connector stores it, with
// fields of our own that begin with mr_.
type position struct {
	lsn       lsn   // of the last message handled
	commit    lsn   // end of the last transaction that is complete
	events    int64 // rows at exactly lsn that were handled
	message   string
	xid       uint32
	time      int64 // microseconds since 1970
	xmin      int64 // of the slot, 0 when it is not fetched
	snapshot  string
	completed bool // the snapshot
	// visible is the snapshot under which tables were read, when the slot is
	// older: transactions in it up to the log position until are left out of
	// the stream.
	visible string
	until   lsn
	// hold is where the slot must stay, for the sake of transactions that are
	// prepared and have not committed; 0 for at commit.
	hold lsn
	// fresh says that there is no commit yet that events could tell of.
	fresh bool
	// base is the snapshot that reading of tables began in, and read what of
	// them was handed over, as long as it goes on.
	base, read string
	// mend is how far in the log updates may lack values that no row had,
	// because their rows were changed while a snapshot was cut off.
	mend lsn
	// only are the tables of a blocking snapshot, as JSON, "" for all: visible
	// is about them alone.
	only string
	// An incremental snapshot: the tables left to read and the signal that asked
	// for them, as Debezium stores them, and where in the first one it is.
	collections, correlation, chunk string
	// signals is how far those of topics and files were acted on.
	signals channel.Place
}

// confirmable is how far the server may forget.
func (p position) confirmable() lsn {
	if p.hold != 0 {
		return min(p.hold, p.commit)
	}
	return p.commit
}

// readPosition reads a stored offset, ours or Debezium's.
func readPosition(o sdk.Offset) position {
	p := position{
		lsn: lsn(o.Int64("lsn")), commit: lsn(o.Int64("lsn_commit")), events: o.Int64("lsn_events_processed"),
		message: o.String("messageType"), xid: uint32(o.Int64("txId")), time: o.Int64("ts_usec"),
		xmin: o.Int64("xmin"),
		// Debezium says the one or the other after the last row.
		snapshot: o.String("snapshot"), completed: o.Bool("snapshot_completed") || o.Bool("last_snapshot_record"),
		visible: o.String("mr_snapshot"), until: lsn(o.Int64("mr_snapshot_until")),
		hold: lsn(o.Int64("mr_hold")),
		base: o.String("mr_snapshot_base"), read: o.String("mr_snapshot_read"), mend: lsn(o.Int64("mr_mend_until")),
		only:        o.String("mr_snapshot_tables"),
		collections: o.String("incremental_snapshot_collections"), correlation: o.String("incremental_snapshot_correlation_id"),
		chunk: o.String("mr_incremental"),
		signals: channel.Place{Topic: o.String("mr_signals_topic"), Next: o.Int64("mr_signals_next"),
			Bytes: o.Int64("mr_signals_bytes"), Sum: o.String("mr_signals_sum")},
	}
	if o.Bool("snapshot") || p.snapshot == "true" {
		p.snapshot = "INITIAL"
	}
	processed := lsn(o.Int64("lsn_proc"))
	if p.lsn == 0 {
		p.lsn = processed
	}
	if p.commit == 0 {
		if p.commit = processed; p.commit == 0 {
			p.commit = p.lsn
		}
	}
	if p.message == "MESSAGE" && p.xid == 0 && p.commit == p.lsn {
		p.commit++ // a message outside of transactions, which was handled: see lone
	}
	return p
}

// midTransaction reports whether a part of the transaction after commit was
// handled already.
func (p *position) midTransaction() bool {
	switch p.message {
	case "", "COMMIT", "NOOP":
		return false
	}
	return p.snapshot == "" && p.xid != 0
}

// appendJSON appends the members of the offset and its closing brace.
func (p *position) appendJSON(dst []byte) []byte {
	field := func(name string, n int64) {
		dst = append(append(append(dst, '"'), name...), `":`...)
		dst = append(strconv.AppendInt(dst, n, 10), ',')
	}
	text := func(name, v string) {
		if v == "" {
			return
		}
		dst = append(append(append(dst, '"'), name...), `":`...)
		if strings.ContainsAny(v, "\"\\") {
			dst = append(appendJSONText(dst, v), ',')
			return
		}
		dst = append(append(append(dst, '"'), v...), `",`...)
	}
	if p.snapshot != "" {
		text("snapshot", p.snapshot)
		dst = append(dst, `"snapshot_completed":`...)
		dst = strconv.AppendBool(dst, p.completed)
		dst = append(dst, `,"last_snapshot_record":`...)
		dst = append(strconv.AppendBool(dst, p.completed), ',')
	} else {
		dst = append(append(append(dst, `"messageType":"`...), p.message...), `",`...)
		if p.events > 0 {
			field("lsn_events_processed", p.events)
		}
	}
	if p.xid != 0 {
		field("txId", int64(p.xid))
	}
	if p.xmin != 0 {
		field("xmin", p.xmin)
	}
	if p.visible != "" {
		text("mr_snapshot", p.visible)
		field("mr_snapshot_until", int64(p.until))
	}
	if p.hold != 0 {
		field("mr_hold", int64(p.hold))
	}
	text("mr_snapshot_base", p.base)
	text("mr_snapshot_read", p.read)
	text("mr_snapshot_tables", p.only)
	text("incremental_snapshot_collections", p.collections)
	text("incremental_snapshot_correlation_id", p.correlation)
	text("mr_incremental", p.chunk)
	if p.signals.Next != 0 {
		text("mr_signals_topic", p.signals.Topic)
		field("mr_signals_next", p.signals.Next)
	}
	if p.signals.Bytes != 0 {
		field("mr_signals_bytes", p.signals.Bytes)
		text("mr_signals_sum", p.signals.Sum)
	}
	if p.mend != 0 {
		field("mr_mend_until", int64(p.mend))
	}
	if p.commit != 0 {
		field("lsn_commit", int64(p.commit))
	}
	field("lsn_proc", int64(p.lsn))
	field("lsn", int64(p.lsn))
	field("ts_usec", p.time)
	dst[len(dst)-1] = '}'
	return dst
}

// appendJSONText appends a text that needs quoting.
func appendJSONText(dst []byte, text string) []byte {
	b, err := json.Marshal(text)
	if err != nil {
		panic(err) // a text can be written
	}
	return append(dst, b...)
}
