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
	values []any  // by the plan's columns; nil is null
	cells  []cell // likewise, of a row that is flat: then there are no values
}

// plan says which columns records of some schemas have. Those of the key come
// first.
type plan struct {
	columns []column
	keys    int
}

// column is a column of records.
type column struct {
	name   string
	schema *data.Schema
	origin origin
	field  int // in the struct that origin names
	header string
}

// origin is where a column's value comes from.
type origin int

const (
	fromValue origin = iota
	fromKeyField
	fromKey
	fromHeader
	fromTopic
	fromPartition
	fromOffset
)

// planKey identifies what a plan is for. Schemas are compared by content.
type planKey struct {
	topic      string
	key, value data.Hash
	delete     bool
}

// maxPlans bounds the plans that are kept.
const maxPlans = 1000

// reader turns records into rows. It belongs to one goroutine.
type reader struct {
	cfg   *config
	plans map[planKey]*plan
	names map[string][2]string // tables by topic
	// hashes of schemas that came last, by identity
	hashes map[*data.Schema]data.Hash
	last   *flat
	cells  []cell // of the flat rows of a put
	texts  []byte // of those cells that do not alias their record
}

// begin forgets the rows that were read before.
func (rd *reader) begin() {
	clear(rd.cells) // else they hold the records
	rd.cells, rd.texts = rd.cells[:0], again(rd.texts)
}

// maxAgain bounds the memory, in bytes, that is kept from one put to the next.
const maxAgain = 8 << 20

// again empties a buffer, and lets go of a large one.
func again(b []byte) []byte {
	if cap(b) > maxAgain {
		return nil
	}
	return b[:0]
}

// read returns the row of a record, nil if it writes nothing. Errors are
// errBad.
func (rd *reader) read(r *data.Record) (*row, error) {
	if r.Value.State == data.Present && !(r.Value.NullDefault && rd.cfg.defaults) {
		f, err := rd.flatten(r)
		if err != nil {
			return nil, err
		}
		if f != nil {
			return f.read(rd, r)
		}
	}
	value, err := r.Value.Value()
	if err != nil {
		return nil, bad("read the value: %w", err)
	}
	if value == nil {
		return rd.tombstone(r)
	}
	st, ok := value.(*data.Struct)
	if !ok {
		return nil, bad("the value must be a struct with a schema: use a converter with schemas (JsonConverter with schemas.enable, Avro, Protobuf) or a transform that makes one")
	}
	if isEnvelope(st.Schema()) {
		return rd.change(r, st)
	}
	return rd.row(r, opWrite, st, nil)
}

func isEnvelope(s *data.Schema) bool {
	if !strings.HasSuffix(s.Name(), ".Envelope") {
		return false
	}
	_, op := s.Field("op")
	_, after := s.Field("after")
	return op && after
}

func (rd *reader) tombstone(r *data.Record) (*row, error) {
	switch {
	case strings.Contains(rd.cfg.table, "${source."):
		return nil, nil // it names no table; the event before it has deleted the row
	case rd.cfg.deletes && rd.cfg.key == "record_key":
		return rd.row(r, opDelete, nil, nil)
	case rd.cfg.dialect == debezium || rd.cfg.deletes:
		return nil, nil
	}
	return nil, bad("a record without a value (tombstone) deletes a row, and delete.enabled is false: set it, with pk.mode record_key, or drop tombstones by a transform")
}

// change reads a Debezium change event.
func (rd *reader) change(r *data.Record, event *data.Struct) (*row, error) {
	op, _, err := event.Text("op")
	if err != nil {
		return nil, bad("op of the change event: %w", err)
	}
	image := func(name string) (*data.Struct, error) {
		st, ok, err := event.Struct(name)
		if err != nil || !ok {
			return nil, bad("change event of operation %q without %s", op, name)
		}
		return st, nil
	}
	switch op {
	case "c", "r", "u":
		after, err := image("after")
		if err != nil {
			return nil, err
		}
		return rd.row(r, opWrite, after, event)
	case "d":
		if !rd.cfg.deletes {
			return nil, nil
		}
		var before *data.Struct
		if rd.cfg.key == "record_value" {
			if before, err = image("before"); err != nil {
				return nil, err
			}
		}
		return rd.row(r, opDelete, before, event)
	case "t":
		if !rd.cfg.truncate {
			return nil, nil
		}
		return rd.row(r, opTruncate, nil, event)
	case "m":
		return nil, nil
	}
	return nil, bad("change event of the unknown operation %q", op)
}

func (rd *reader) row(r *data.Record, op byte, value, event *data.Struct) (*row, error) {
	schema, table, err := rd.tableOf(r, event)
	if err != nil {
		return nil, err
	}
	out := &row{op: op, schema: schema, table: table}
	if op == opTruncate {
		return out, nil
	}
	var key any
	if rd.cfg.key == "record_key" {
		if key, err = r.Key.Value(); err != nil {
			return nil, bad("read the key: %w", err)
		}
		if key == nil || r.Key.Schema == nil {
			return nil, bad("the key columns come from the record's key, which is null or has no schema")
		}
	}
	var of *data.Schema
	if value != nil {
		of = value.Schema()
	}
	if out.plan, err = rd.plan(r, op == opDelete, of); err != nil {
		return nil, err
	}
	keyStruct, _ := key.(*data.Struct)
	out.values = make([]any, len(out.plan.columns))
	for i := range out.plan.columns {
		c := &out.plan.columns[i]
		v, err := rd.value(r, c, key, keyStruct, value)
		if err != nil {
			return nil, err
		}
		if v == nil && i < out.plan.keys {
			return nil, bad("key column %s is null", c.name)
		}
		out.values[i] = v
	}
	return out, nil
}

func (rd *reader) value(r *data.Record, c *column, key any, keyStruct, value *data.Struct) (any, error) {
	at := func(st *data.Struct) any {
		if rd.cfg.defaults {
			return st.At(c.field)
		}
		return st.AtWithoutDefault(c.field)
	}
	switch c.origin {
	case fromKeyField:
		return at(keyStruct), nil
	case fromKey:
		return key, nil
	case fromTopic:
		return r.OriginalTopic, nil
	case fromPartition:
		return r.OriginalPartition, nil
	case fromOffset:
		return r.OriginalOffset, nil
	case fromHeader:
		for i := len(r.Headers) - 1; i >= 0; i-- {
			if r.Headers[i].Name == c.header {
				v, err := r.Headers[i].Value.Value()
				if err != nil {
					return nil, bad("header %s: %w", c.header, err)
				}
				return v, nil
			}
		}
		return nil, bad("the record has no header %s", c.header)
	}
	return at(value), nil
}

// hash returns a schema's hash, remembered by identity.
func (rd *reader) hash(s *data.Schema) data.Hash {
	if s == nil {
		return data.Hash{}
	}
	if h, ok := rd.hashes[s]; ok {
		return h
	}
	if rd.hashes == nil || len(rd.hashes) >= maxPlans {
		rd.hashes = map[*data.Schema]data.Hash{}
	}
	h := s.Hash()
	rd.hashes[s] = h
	return h
}

// plan returns the columns of records like r, whose value or the part of it that
// is written has the schema.
func (rd *reader) plan(r *data.Record, remove bool, schema *data.Schema) (*plan, error) {
	k := planKey{topic: r.OriginalTopic, key: rd.hash(r.Key.Schema), value: rd.hash(schema), delete: remove}
	if p := rd.plans[k]; p != nil && rd.cfg.key != "record_header" { // headers have schemas of their own
		return p, nil
	}
	p := &plan{}
	if err := rd.keyColumns(p, r, schema); err != nil {
		return nil, err
	}
	p.keys = len(p.columns)
	if !remove {
		rd.valueColumns(p, r.Topic, schema)
	}
	if len(p.columns) == 0 {
		return nil, bad("the record has no field to write: check the lists of fields")
	}
	if len(rd.plans) >= maxPlans {
		clear(rd.plans)
	}
	rd.plans[k] = p
	return p, nil
}

func (rd *reader) keyColumns(p *plan, r *data.Record, value *data.Schema) error {
	fields := rd.cfg.fields
	add := func(name string, s *data.Schema, o origin, field int) {
		p.columns = append(p.columns, column{name: rd.cfg.column(name), schema: s, origin: o, field: field, header: name})
	}
	switch rd.cfg.key {
	case "kafka":
		add(fields[0], data.StringSchema, fromTopic, 0)
		add(fields[1], data.Int32Schema, fromPartition, 0)
		add(fields[2], data.Int64Schema, fromOffset, 0)
	case "record_key":
		if r.Key.Schema.Type() != data.TypeStruct {
			if len(fields) != 1 {
				return bad("the key is a single value of type %s: name its one column in pk.fields (primary.key.fields)", r.Key.Schema.Type())
			}
			add(fields[0], r.Key.Schema, fromKey, 0)
			return nil
		}
		return structKey(r.Key.Schema, fields, "key", fromKeyField, add)
	case "record_value":
		return structKey(value, fields, "value", fromValue, add)
	case "record_header":
		for _, f := range fields {
			for i := range r.Headers {
				if r.Headers[i].Name == f && r.Headers[i].Value.Schema != nil {
					add(f, r.Headers[i].Value.Schema, fromHeader, 0)
					break
				}
			}
		}
		if len(p.columns) != len(fields) {
			return bad("of the headers %s that are the key, the record lacks one, or one has no schema", strings.Join(fields, ", "))
		}
	}
	return nil
}

func structKey(s *data.Schema, fields []string, what string, o origin, add func(string, *data.Schema, origin, int)) error {
	if len(fields) == 0 {
		for _, f := range s.Fields() {
			add(f.Name, f.Schema, o, f.Index)
		}
	}
	for _, name := range fields {
		f, ok := s.Field(name)
		if !ok {
			return bad("the record's %s has no field %s, which is to be a key column", what, name)
		}
		add(f.Name, f.Schema, o, f.Index)
	}
	return nil
}

func (rd *reader) valueColumns(p *plan, topic string, s *data.Schema) {
	taken := map[string]bool{}
	for _, c := range p.columns {
		taken[c.name] = true
	}
	for _, f := range s.Fields() {
		name := rd.cfg.column(f.Name)
		if taken[name] || !rd.cfg.takes(topic, f.Name) {
			continue
		}
		taken[name] = true
		p.columns = append(p.columns, column{name: name, schema: f.Schema, origin: fromValue, field: f.Index})
	}
}

// tableOf names the table of a record.
func (rd *reader) tableOf(r *data.Record, event *data.Struct) (schema, table string, err error) {
	if n, ok := rd.names[r.Topic]; ok {
		return n[0], n[1], nil
	}
	topic := r.Topic
	if rd.cfg.dialect == debezium {
		topic = strings.ReplaceAll(topic, ".", "_")
	}
	format := strings.ReplaceAll(rd.cfg.table, "${topic}", topic)
	name, err := sourceFields(format, event)
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
func sourceFields(format string, event *data.Struct) (string, error) {
	const open = "${source."
	for {
		i := strings.Index(format, open)
		if i < 0 {
			return format, nil
		}
		name, rest, ok := strings.Cut(format[i+len(open):], "}")
		if !ok {
			return "", bad("the table's name %q does not close a brace", format)
		}
		if event == nil {
			return "", bad("the table's name has ${source.%s}, and the record is no change event", name)
		}
		source, ok, err := event.Struct("source")
		if err != nil || !ok {
			return "", bad("change event without source")
		}
		v, err := source.Get(name)
		if err != nil || v == nil {
			return "", bad("the change event's source has no %s", strconv.Quote(name))
		}
		format = format[:i] + data.Text(v) + rest
	}
}
