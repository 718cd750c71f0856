package transform

import (
	"slices"

	"github.com/millrace/millrace/connect/timescale"
	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
)

var timescaleDef = configdef.Def{
	{Name: "schema.list", Type: configdef.List, Default: "_timescaledb_internal", Importance: configdef.High,
		Doc: "Schemas that TimescaleDB keeps chunks in."},
	{Name: "target.topic.prefix", Type: configdef.String, Default: "timescaledb", Importance: configdef.Medium,
		Doc: "First part of the topics that events go to: PREFIX.schema.table of the hypertable or aggregate."},
	{Name: "database.hostname", Type: configdef.String, Required: true, Importance: configdef.High, Doc: "Host of the database, whose catalog is asked."},
	{Name: "database.port", Type: configdef.Int, Default: 5432, Rules: []configdef.Rule{configdef.AtLeast(1), configdef.AtMost(65535)}, Importance: configdef.High, Doc: "Its port."},
	{Name: "database.user", Type: configdef.String, Required: true, Importance: configdef.High, Doc: "User who may read the catalog."},
	{Name: "database.password", Type: configdef.Password, Default: "", Importance: configdef.High, Doc: "Password of the user."},
	{Name: "database.dbname", Type: configdef.String, Required: true, Importance: configdef.High, Doc: "Database."},
	{Name: "database.sslmode", Type: configdef.String, Default: "prefer", Importance: configdef.Medium,
		Rules: []configdef.Rule{configdef.OneOfFold("disable", "allow", "prefer", "require", "verify-ca", "verify-full")}, Doc: "How TLS is used."},
	{Name: "database.sslcert", Type: configdef.String, Default: "", Importance: configdef.Medium, Doc: "File with the client's certificate, PEM."},
	{Name: "database.sslkey", Type: configdef.String, Default: "", Importance: configdef.Medium, Doc: "File with the client's key, PEM."},
	{Name: "database.sslrootcert", Type: configdef.String, Default: "", Importance: configdef.Medium, Doc: "File with the certificates of authorities, PEM."},
}

// The headers that tell where a row is kept.
const (
	headerChunkTable       = "__debezium_timescaledb_chunk_table"
	headerChunkSchema      = "__debezium_timescaledb_chunk_schema"
	headerHypertableTable  = "__debezium_timescaledb_hypertable_table"
	headerHypertableSchema = "__debezium_timescaledb_hypertable_schema"
)

// timescaleDB is Debezium's TimescaleDb: events of chunks become events of
// their hypertable, or of the continuous aggregate whose rows it holds.
type timescaleDB struct {
	settings
	schemas []string
	prefix  string
	catalog interface {
		Owner(chunk timescale.Table) (timescale.Owner, bool, error)
	}
	warned map[timescale.Table]bool
}

// maxWarned bounds the chunks that are remembered as unknown.
const maxWarned = 1000

func newTimescaleDB(s settings, c configdef.Config) (Transform, error) {
	ssl := map[string]string{}
	for _, k := range []string{"sslmode", "sslcert", "sslkey", "sslrootcert"} {
		ssl[k] = c.String("database." + k)
	}
	catalog, err := timescale.New(timescale.Config{Host: c.String("database.hostname"), Port: c.Int("database.port"), User: c.String("database.user"),
		Password: c.String("database.password"), Database: c.String("database.dbname"), SSL: ssl})
	if err != nil {
		return nil, err
	}
	return &timescaleDB{settings: s, schemas: c.List("schema.list"), prefix: c.String("target.topic.prefix") + ".", catalog: catalog,
		warned: map[timescale.Table]bool{}}, nil
}

// Apply leaves events of other schemas alone, and those of chunks that the
// catalog does not have. A catalog that cannot be read needs somebody to act.
func (t *timescaleDB) Apply(r *Record) (bool, error) {
	c := &r.value
	if c.isNull() || !isEnvelope(c.schema()) {
		return true, nil
	}
	v, err := c.structOf("chunks")
	if err != nil {
		return false, err
	}
	source := structField(v, "source")
	schema, known := textField(source, "schema")
	name, known2 := textField(source, "table")
	if !known || !known2 || !slices.Contains(t.schemas, schema) {
		return true, nil
	}
	chunk := timescale.Table{Schema: schema, Name: name}
	owner, ok, err := t.catalog.Owner(chunk)
	if err != nil {
		return false, &FatalError{Err: err}
	}
	if !ok {
		t.warn(chunk)
		return true, nil
	}
	to := owner.Hypertable
	headers := [][2]string{{headerChunkTable, chunk.Name}, {headerChunkSchema, chunk.Schema}}
	if owner.Aggregate != (timescale.Table{}) {
		to = owner.Aggregate
		headers = append(headers, [2]string{headerHypertableTable, owner.Hypertable.Name}, [2]string{headerHypertableSchema, owner.Hypertable.Schema})
	}
	out, err := replaced(v, "source", func(any) (any, error) {
		return replacedTexts(source, map[string]string{"schema": to.Schema, "table": to.Name})
	})
	if err != nil {
		return false, err
	}
	for _, h := range headers {
		if err := r.addHeader(h[0], data.StringSchema, h[1]); err != nil {
			return false, err
		}
	}
	r.set(c, c.schema(), out)
	r.Topic = t.prefix + to.Schema + "." + to.Name
	return true, nil
}

// warn says once of each chunk that it is unknown.
func (t *timescaleDB) warn(chunk timescale.Table) {
	if t.warned[chunk] {
		return
	}
	if len(t.warned) >= maxWarned {
		clear(t.warned)
	}
	t.warned[chunk] = true
	t.Logger.Warn("TimescaleDB's catalog does not have a chunk, whose events pass as they are", "schema", chunk.Schema, "table", chunk.Name)
}

// replaced returns a copy of a struct with another value in one field.
func replaced(v *data.Struct, field string, with func(any) (any, error)) (*data.Struct, error) {
	out := data.NewStruct(v.Schema())
	for i, f := range v.Schema().Fields() {
		x := v.AtWithoutDefault(i)
		if f.Name == field {
			var err error
			if x, err = with(x); err != nil {
				return nil, err
			}
		}
		if err := put(out, i, x); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// replacedTexts returns a copy of a struct with other texts in some fields.
func replacedTexts(v *data.Struct, texts map[string]string) (*data.Struct, error) {
	out := data.NewStruct(v.Schema())
	for i, f := range v.Schema().Fields() {
		x := v.AtWithoutDefault(i)
		if text, ok := texts[f.Name]; ok {
			x = text
		}
		if err := put(out, i, x); err != nil {
			return nil, err
		}
	}
	return out, nil
}
