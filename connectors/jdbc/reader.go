package jdbc

import (
	"strconv"
	"strings"

	"github.com/millrace/millrace/plugins/data"
)

// The operations of rows.
const (
	opWrite    = 'w'
	opDelete   = 'd'
	opTruncate = 't'
)

// row is what a record does to a table.
type row struct {
	op     byte
	schema string // of the table; "" is the search path's
	table  string
	plan   *plan
	cells  []cell // by the plan's columns
}

// reader turns records into rows, whose texts are valid until it is reset. It
// belongs to one goroutine.
type reader struct {
	cfg   *config
	plans map[planKey]*plan
	names map[string][2]string // tables by topic
	forms map[*data.Schema]*form
	last  struct { // the plan that was used last, by what it is for
		of   source
		plan *plan
	}

	arena []byte // texts
	slab  []cell
	rows  []row
}

// form is what is known of a schema of records.
type form struct {
	hash   data.Hash
	reader *data.RowReader
	event  bool // a Debezium change event
}

// image is a struct whose fields are to be read: that of a form's row, which
// is open, or nothing.
type image struct {
	schema *data.Schema
	row    *data.RowReader
}

// reset forgets the rows that were read and makes room for n more.
func (rd *reader) reset(n int) {
	if rd.arena = rd.arena[:0]; cap(rd.arena) > maxKept {
		rd.arena = nil
	}
	clear(rd.slab) // they hold what the records hold
	if rd.slab = rd.slab[:0]; cap(rd.slab) > maxKept/64 {
		rd.slab = nil
	}
	if cap(rd.rows) < n {
		rd.rows = make([]row, 0, n)
	}
	clear(rd.rows[:cap(rd.rows)]) // they hold plans and texts
	rd.rows = rd.rows[:0]
}

// form returns what is known of a schema, by its identity.
func (rd *reader) form(s *data.Schema) *form {
	if s == nil {
		return &form{}
	}
	if f := rd.forms[s]; f != nil {
		return f
	}
	if rd.forms == nil || len(rd.forms) >= maxPlans {
		rd.forms = map[*data.Schema]*form{}
	}
	f := &form{hash: s.Hash(), reader: data.NewRowReader(s), event: isEnvelope(s)}
	rd.forms[s] = f
	return f
}

func isEnvelope(s *data.Schema) bool {
	if !strings.HasSuffix(s.Name(), ".Envelope") {
		return false
	}
	_, op := s.Field("op")
	_, after := s.Field("after")
	return op && after
}

// read returns the row of a record, nil if it writes nothing. Errors are
// errBad.
func (rd *reader) read(r *data.Record) (*row, error) {
	if r.Value.IsNull() {
		return rd.tombstone(r)
	}
	if s := r.Value.Schema; s == nil || s.Type() != data.TypeStruct {
		return nil, bad("the value must be a struct with a schema: use a converter with schemas (JsonConverter with schemas.enable, Avro, Protobuf) or a transform that makes one")
	}
	f := rd.form(r.Value.Schema)
	if f.event {
		return rd.change(r, f)
	}
	if f.reader.Reset(r.Value.Row); f.reader.Null() && f.reader.Err() == nil {
		return rd.tombstone(r)
	}
	f.reader.EnterStruct()
	return rd.row(r, opWrite, image{r.Value.Schema, f.reader})
}

func (rd *reader) tombstone(r *data.Record) (*row, error) {
	switch {
	case strings.Contains(rd.cfg.table, "${source."):
		return nil, nil // it names no table; the event before it has deleted the row
	case rd.cfg.deletes && rd.cfg.key == "record_key":
		return rd.row(r, opDelete, image{})
	case rd.cfg.dialect == debezium || rd.cfg.deletes:
		return nil, nil
	}
	return nil, bad("a record without a value (tombstone) deletes a row, and delete.enabled is false: set it, with pk.mode record_key, or drop tombstones by a transform")
}

// change reads a Debezium change event.
func (rd *reader) change(r *data.Record, f *form) (*row, error) {
	op := ""
	if f.open(r.Value, "op") {
		op = f.reader.Text()
	}
	if err := f.reader.Err(); err != nil {
		return nil, bad("op of the change event: %w", err)
	}
	switch op {
	case "c", "r", "u":
		after, err := f.image(r.Value, op, "after")
		if err != nil {
			return nil, err
		}
		return rd.row(r, opWrite, after)
	case "d":
		if !rd.cfg.deletes {
			return nil, nil
		}
		var before image
		if rd.cfg.key == "record_value" {
			var err error
			if before, err = f.image(r.Value, op, "before"); err != nil {
				return nil, err
			}
		}
		return rd.row(r, opDelete, before)
	case "t":
		if !rd.cfg.truncate {
			return nil, nil
		}
		return rd.row(r, opTruncate, image{})
	case "m":
		return nil, nil
	}
	return nil, bad("change event of the unknown operation %q", op)
}

// open moves to a field of a row and reports whether it has a value, which is
// to be read next.
func (f *form) open(d data.Datum, field string) bool {
	f.reader.Reset(d.Row)
	f.reader.EnterStruct()
	at, ok := d.Schema.Field(field)
	if !ok {
		return false
	}
	for range at.Index {
		f.reader.Skip()
	}
	return !f.reader.Null()
}

// image opens the old or new row of a change event.
func (f *form) image(d data.Datum, op, field string) (image, error) {
	at, ok := d.Schema.Field(field)
	if !ok || at.Schema.Type() != data.TypeStruct || !f.open(d, field) {
		if err := f.reader.Err(); err != nil {
			return image{}, bad("%s of the change event: %w", field, err)
		}
		return image{}, bad("change event of operation %q without %s", op, field)
	}
	f.reader.EnterStruct()
	return image{at.Schema, f.reader}, nil
}

func (rd *reader) row(r *data.Record, op byte, value image) (*row, error) {
	schema, table, err := rd.tableOf(r)
	if err != nil {
		return nil, err
	}
	if len(rd.rows) == cap(rd.rows) {
		rd.rows = make([]row, 0, 2*cap(rd.rows)+1) // rows that were given out stay where they are
	}
	rd.rows = append(rd.rows, row{op: op, schema: schema, table: table})
	out := &rd.rows[len(rd.rows)-1]
	if op == opTruncate {
		return out, nil
	}
	if rd.cfg.key == "record_key" && (r.Key.IsNull() || r.Key.Schema == nil) {
		return nil, bad("the key columns come from the record's key, which is null or has no schema")
	}
	if out.plan, err = rd.plan(r, op == opDelete, value.schema); err != nil {
		return nil, err
	}
	out.cells, err = rd.cells(r, out.plan, value)
	return out, err
}

// tableOf names the table of a record.
func (rd *reader) tableOf(r *data.Record) (schema, table string, err error) {
	if n, ok := rd.names[r.Topic]; ok {
		return n[0], n[1], nil
	}
	topic := r.Topic
	if rd.cfg.dialect == debezium {
		topic = strings.ReplaceAll(topic, ".", "_")
	}
	format := strings.ReplaceAll(rd.cfg.table, "${topic}", topic)
	name, err := sourceFields(format, r)
	if err != nil {
		return "", "", err
	}
	if rd.cfg.fold {
		name = strings.ToLower(name)
	}
	schema, table = splitTable(name)
	if table == "" {
		return "", "", bad("topic %q makes no table's name of %q", r.Topic, rd.cfg.table)
	}
	if name == format || rd.cfg.fold && !strings.Contains(rd.cfg.table, "${source.") {
		if rd.names == nil || len(rd.names) >= maxPlans {
			rd.names = map[string][2]string{}
		}
		rd.names[r.Topic] = [2]string{schema, table}
	}
	return schema, table, nil
}

// sourceFields replaces ${source.NAME} by fields of a change event's source.
func sourceFields(format string, r *data.Record) (string, error) {
	const open = "${source."
	var source *data.Struct
	for {
		i := strings.Index(format, open)
		if i < 0 {
			return format, nil
		}
		name, rest, ok := strings.Cut(format[i+len(open):], "}")
		if !ok {
			return "", bad("the table's name %q does not close a brace", format)
		}
		if source == nil {
			v, err := r.Value.Value()
			if err != nil {
				return "", bad("read the value: %w", err)
			}
			event, ok := v.(*data.Struct)
			if !ok || !isEnvelope(event.Schema()) {
				return "", bad("the table's name has ${source.%s}, and the record is no change event", name)
			}
			if source, ok, err = event.Struct("source"); err != nil || !ok {
				return "", bad("change event without source")
			}
		}
		v, err := source.Get(name)
		if err != nil || v == nil {
			return "", bad("the change event's source has no %s", strconv.Quote(name))
		}
		format = format[:i] + data.Text(v) + rest
	}
}
