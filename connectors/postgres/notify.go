package postgres

import (
	"crypto/rand"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/plugins/data"
)

// notifier tells of the course of snapshots, as
// notification.enabled.channels says: by records, by the log.
type notifier struct {
	t    *task
	told bool // that the snapshot at hand was cut off
	sent int  // records in the batch at hand
}

const (
	aboutInitial     = "Initial Snapshot"
	aboutIncremental = "Incremental Snapshot"
)

var (
	notificationKey = named(data.NewStructBuilder(), "io.debezium.connector.common.NotificationKey").
			Field("id", data.StringSchema).MustBuild()
	notificationValue = named(data.NewStructBuilder(), "io.debezium.connector.common.Notification").
				Field("id", data.StringSchema).Field("type", data.StringSchema).Field("aggregate_type", data.StringSchema).
				Field("additional_data", data.MapOf(data.StringSchema, data.StringSchema).Optional().MustBuild()).
				Field("timestamp", data.Int64Schema).MustBuild()
)

// send sends one notification. more are names and values of additional data.
func (n *notifier) send(id, about, kind string, more ...string) error {
	c := n.t.cfg
	if !c.notifySink && !c.notifyLog {
		return nil
	}
	if id == "" {
		id = newUUID()
	}
	additional := data.Map{{Key: "connector_name", Value: c.prefix}}
	attrs := []any{"id", id, "about", about, "type", kind}
	for i := 0; i+1 < len(more); i += 2 {
		additional = append(additional, data.Entry{Key: more[i], Value: more[i+1]})
		attrs = append(attrs, more[i], more[i+1])
	}
	if c.notifyLog {
		n.t.log.Info("notification", attrs...)
	}
	if !c.notifySink {
		return nil
	}
	key, value := data.NewStruct(notificationKey), data.NewStruct(notificationValue)
	err := errors.Join(key.Put("id", id), value.Put("id", id), value.Put("aggregate_type", about), value.Put("type", kind),
		value.Put("additional_data", additional), value.Put("timestamp", time.Now().UnixMilli()))
	if err != nil {
		return err
	}
	k, err := data.NewDatum(notificationKey, key)
	if err != nil {
		return err
	}
	v, err := data.NewDatum(notificationValue, value)
	if err != nil {
		return err
	}
	n.t.em.add(c.notifyTopic, k, v)
	n.t.notes.sent++
	return nil
}

// newUUID returns a random UUID.
func newUUID() string {
	b := make([]byte, 16)
	rand.Read(b) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return string(appendUUID(nil, b))
}

// initial tells of a snapshot of whole tables.
func (n *notifier) initial(kind string, more ...string) error {
	return n.send("", aboutInitial, kind, more...)
}

// aborted tells that a snapshot of whole tables was cut off, once: when it fails
// while there is somebody to tell, else when it is begun again.
func (n *notifier) aborted() error {
	if n.told {
		return nil
	}
	n.told = true
	return n.initial("ABORTED")
}

// incremental tells of an incremental snapshot. tables are those it is about.
func (n *notifier) incremental(kind string, s *incrementalState, tables []incrementalTable) error {
	if tables == nil {
		return n.send(s.Correlation, aboutIncremental, kind)
	}
	return n.send(s.Correlation, aboutIncremental, kind, "data_collections", tableList(tables))
}

func tableList(tables []incrementalTable) string {
	names := make([]string, len(tables))
	for i, t := range tables {
		names[i] = t.ID
	}
	return strings.Join(names, ",")
}

// inProgress tells that a chunk of the first table was read.
func (n *notifier) inProgress(s *incrementalState) error {
	return n.send(s.Correlation, aboutIncremental, "IN_PROGRESS", "data_collections", tableList(s.Tables),
		"current_collection_in_progress", s.Tables[0].ID, "maximum_key", strings.Join(s.Max, ","), "last_processed_key", strings.Join(s.Last, ","))
}

// scanned tells that the first table was read, or why not.
func (n *notifier) scanned(s *incrementalState, status string) error {
	return n.send(s.Correlation, aboutIncremental, "TABLE_SCAN_COMPLETED", "data_collections", tableList(s.Tables),
		"scanned_collection", s.Tables[0].ID, "total_rows_scanned", strconv.FormatInt(s.Rows, 10), "status", status)
}
