package postgres

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/millrace/millrace/plugins/data"
)

// table is a relation compiled: the schemas of its events, and how each column
// of a tuple is written. It belongs to the goroutine that polls.
type table struct {
	relation
	topic     string
	columns   []column // in the tuple's order
	key       []int    // tuple indexes of the key's columns
	keySchema *data.Schema
	envelope  *data.Schema
	keyRow    writer
	row       writer
	// uncovered is a key column that the replica identity lacks, so that old
	// tuples do not tell the key; "" if there is none.
	uncovered string
	id        string // schema.table
	physical  string // what the field says that naming adds to keys
	order     int64  // events of this table in the current transaction
	lastXID   uint32
	primary   []int // tuple indexes of the columns of the table's own key
	// complained says that rows could not be read again, and that it was logged.
	complained bool
}

// column is a column of a tuple.
type column struct {
	name       string
	codec      *codec
	form       form // of values that come in binary
	optional   bool
	hasDefault bool
	included   bool // has a field in the row
	identity   bool // is sent in old tuples
	bad        bool // cannot be converted in the row at hand
	warned     bool
	schema     *data.Schema // in the row
	keySchema  *data.Schema // in the key, which no mapper changes
	mapper     *mapper      // changes the values; nil for none
	length     int          // of a column that is hashed
	reselect   bool         // by the post-processor
}

// compiler makes tables from relations.
type compiler struct {
	cfg      *config
	types    map[uint32]pgType
	nullable map[string]bool // columns seen to be null whatever the catalog says
}

// compile combines what the stream says of a relation with what the catalog
// knows of its columns. known is nil for a table that is gone.
func (c *compiler) compile(rel *relation, known *catalogTable) (*table, error) {
	t := &table{relation: *rel, id: rel.schema + "." + rel.name}
	t.topic, t.physical = c.cfg.naming.topic(rel.schema, rel.name)
	for _, rc := range rel.columns {
		col, err := c.column(t, rc, known)
		if err != nil {
			return nil, fmt.Errorf("table %s.%s: column %s: %w", rel.schema, rel.name, rc.name, err)
		}
		t.columns = append(t.columns, col)
	}
	c.chooseKey(t, known)
	if known != nil {
		for _, n := range known.key {
			t.primary = append(t.primary, slices.IndexFunc(t.columns, func(c column) bool { return c.name == n }))
		}
		if slices.Contains(t.primary, -1) {
			t.primary = nil // the stream does not tell all of it
		}
	}
	if err := c.schemas(t); err != nil {
		return nil, fmt.Errorf("table %s.%s: %w", rel.schema, rel.name, err)
	}
	return t, nil
}

func (c *compiler) column(t *table, rc relColumn, known *catalogTable) (column, error) {
	full := t.relation.schema + "." + t.name + "." + rc.name
	cd := c.cfg.codecOf(rc.typeOID, rc.typmod, c.types)
	col := column{
		name: rc.name, codec: &cd, optional: true, identity: rc.key || t.identity == 'f',
		included: cd.kind != kindOmitted && c.cfg.columns.takes(full),
	}
	if cd.kind == kindOmitted {
		return col, nil
	}
	col.reselect = c.cfg.reselector != nil && c.cfg.reselector.takes(t.relation.schema, t.name, rc.name)
	var def any
	if known != nil {
		i := slices.IndexFunc(known.columns, func(k catalogColumn) bool { return k.name == rc.name })
		if i >= 0 && known.columns[i].typeOID == rc.typeOID {
			k := known.columns[i]
			col.optional = !k.notNull || c.nullable[full]
			def = defaultOf(&cd, c.types[rc.typeOID], &k)
		}
	}
	var err error
	col.hasDefault = def != nil
	if col.keySchema, err = cd.schema(col.optional, def); err != nil && def != nil {
		// A default that the schema does not take is left out.
		col.hasDefault, def = false, nil
		col.keySchema, err = cd.schema(col.optional, nil)
	}
	if err != nil {
		return col, err
	}
	col.schema = col.keySchema
	sourceType := columnTypeOf(rc.typeOID, rc.typmod, c.types)
	m := c.cfg.mapperOf(t.relation.schema, t.name, rc.name, sourceType.name)
	if cd.mappable() && m.values(sourceType) {
		col.mapper, col.length = m, sourceType.length
	}
	if params := m.params(rc.name, sourceType); len(params) > 0 {
		col.schema, err = cd.schema(col.optional, def, params...)
	}
	return col, err
}

// chooseKey takes the configured columns, else the catalog's key.
func (c *compiler) chooseKey(t *table, known *catalogTable) {
	var names []string
	if known != nil {
		names = known.key
	}
	for _, k := range c.cfg.keys {
		if k.table.MatchString(t.relation.schema + "." + t.name) {
			names = k.columns
			break
		}
	}
	for _, n := range names {
		i := slices.IndexFunc(t.columns, func(c column) bool { return c.name == n })
		if i < 0 || t.columns[i].codec.kind == kindOmitted {
			t.key = nil // a key with a part missing is none
			return
		}
		if !t.columns[i].identity {
			t.uncovered = n
		}
		t.key = append(t.key, i)
	}
}

func (c *compiler) schemas(t *table) error {
	name := func(part string) string { return adjustName(c.cfg.schemaAdjust, t.topic+"."+part, true) }
	row := data.NewStructBuilder().Name(name("Value")).Optional()
	for i := range t.columns {
		if col := &t.columns[i]; col.included {
			row.Field(adjustName(c.cfg.fieldAdjust, col.name, false), col.schema)
		}
	}
	rowSchema, err := row.Build()
	if err != nil {
		return err
	}
	if t.envelope, err = envelopeSchema(name("Envelope"), rowSchema); err != nil {
		return err
	}
	t.row = writer{RowWriter: data.NewRowWriter(t.envelope)}
	if len(t.key) == 0 && c.cfg.naming.keyField == "" {
		return nil
	}
	key := data.NewStructBuilder().Name(name("Key"))
	for _, i := range t.key {
		key.Field(adjustName(c.cfg.fieldAdjust, t.columns[i].name, false), t.columns[i].keySchema)
	}
	if c.cfg.naming.keyField != "" {
		key.Field(c.cfg.naming.keyField, data.StringSchema)
	}
	if t.keySchema, err = key.Build(); err != nil {
		return err
	}
	t.keyRow = writer{RowWriter: data.NewRowWriter(t.keySchema)}
	return nil
}

var (
	blockSchema = named(data.NewStructBuilder(), "event.block").Optional().
			Field("id", data.StringSchema).Field("total_order", data.Int64Schema).
			Field("data_collection_order", data.Int64Schema).MustBuild()
	sourceSchema = makeSourceSchema()
)

func makeSourceSchema() *data.Schema {
	snapshot := named(data.NewBuilder(data.TypeString), "io.debezium.data.Enum").Optional().
		Param("allowed", "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental").
		Default("false").MustBuild()
	return named(data.NewStructBuilder(), "io.debezium.connector.postgresql.Source").
		Field("version", data.StringSchema).Field("connector", data.StringSchema).Field("name", data.StringSchema).
		Field("ts_ms", data.Int64Schema).Field("snapshot", snapshot).Field("db", data.StringSchema).
		Field("sequence", data.OptionalStringSchema).Field("ts_us", data.OptionalInt64Schema).Field("ts_ns", data.OptionalInt64Schema).
		Field("schema", data.StringSchema).Field("table", data.StringSchema).
		Field("txId", data.OptionalInt64Schema).Field("lsn", data.OptionalInt64Schema).Field("xmin", data.OptionalInt64Schema).
		Field("origin", data.OptionalStringSchema).Field("origin_lsn", data.OptionalInt64Schema).MustBuild()
}

func envelopeSchema(name string, row *data.Schema) (*data.Schema, error) {
	return data.NewStructBuilder().Name(name).Version(2).
		Field("before", row).Field("after", row).Field("source", sourceSchema).Field("transaction", blockSchema).
		Field("op", data.StringSchema).Field("ts_ms", data.OptionalInt64Schema).
		Field("ts_us", data.OptionalInt64Schema).Field("ts_ns", data.OptionalInt64Schema).Build()
}

var (
	errTuple = errors.New("the tuple has another number of columns than the relation")
	// errStale is a value that contradicts the catalog as it was read.
	errStale = errors.New("the catalog has changed")
)

// columnError is a value that cannot be converted.
type columnError struct {
	index int
	name  string
	err   error
}

func (e *columnError) Error() string { return "column " + strconv.Quote(e.name) + ": " + e.err.Error() }

func (e *columnError) Unwrap() error { return e.err }

// fields writes the struct of a row. other has values for columns that were
// left unchanged; keysOnly says that the tuple has no others than the replica
// identity's.
func (t *table) fields(w *writer, tuple, other []value, keysOnly bool) error {
	if len(tuple) != len(t.columns) {
		return errTuple
	}
	w.BeginStruct()
	for i := range tuple {
		c := &t.columns[i]
		if !c.included {
			continue
		}
		w.mapper, w.mapLength = c.mapper, c.length
		err := c.write(w, i, tuple, other, keysOnly)
		w.mapper = nil
		if err == nil {
			err = w.Err()
		}
		if err != nil {
			return &columnError{i, c.name, err}
		}
	}
	w.End()
	return nil
}

func (c *column) write(w *writer, i int, tuple, other []value, keysOnly bool) error {
	v := tuple[i]
	if v.kind == valueUnchanged && len(other) > i && other[i].kind != valueUnchanged {
		v = other[i]
	}
	switch {
	case w.mapper != nil && w.mapper.kind == mapMask:
		w.RowWriter.Text(w.mapper.text) // instead of null as well
	case c.bad || keysOnly && !c.identity:
		w.absent(c.codec, c.optional, c.hasDefault)
	case v.kind == valueText:
		return w.text(c.codec, v.text)
	case v.kind == valueBinary:
		return w.binary(c.codec, c.form, v.text)
	case v.kind == valueUnchanged:
		w.unavailable(c.codec, c.optional)
	case c.optional:
		w.Null()
	default:
		return errStale
	}
	return nil
}

// appendKey appends the key's row.
func (t *table) appendKey(dst []byte, tuple, other []value) ([]byte, bool, error) {
	if len(tuple) != len(t.columns) {
		return dst, false, errTuple
	}
	w := &t.keyRow
	w.Reset(dst)
	w.BeginStruct()
	for _, i := range t.key {
		c := &t.columns[i]
		if err := c.write(w, i, tuple, other, false); err != nil {
			return dst, false, &columnError{i, c.name, err}
		}
		if err := w.Err(); err != nil {
			return dst, false, &columnError{i, c.name, err}
		}
	}
	if len(w.Schema().Fields()) > len(t.key) {
		w.Text(t.physical)
	}
	w.End()
	return w.Finish()
}
