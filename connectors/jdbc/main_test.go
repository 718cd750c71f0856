package jdbc

import (
	"fmt"
	"maps"
	"os"
	"testing"

	"github.com/millrace/millrace/connectors/postgres/pgtest"
	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
	"github.com/millrace/millrace/plugins/sdktest"
)

var pg *pgtest.Server

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	var err error
	if pg, err = pgtest.New(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if err := pg.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}()
	return m.Run()
}

// bench is a sink task on a database of its own.
type bench struct {
	*sdktest.SinkRun
	t      *testing.T
	db     string
	config map[string]string
	next   int64
}

func newConfigFor(tb testing.TB, db string, more map[string]string) map[string]string {
	tb.Helper()
	cfg := map[string]string{
		"name": "snk", "topics": "t", "connection.url": fmt.Sprintf("jdbc:postgresql://%s:%d/%s?user=%s", pg.Host, pg.Port, db, pgtest.User),
	}
	maps.Copy(cfg, more)
	if cfg["connector.class"] == "" {
		cfg["connector.class"] = "JdbcSink"
	}
	return cfg
}

// start opens a task on partition 0 of topic t.
func start(t *testing.T, db string, more map[string]string) *bench {
	t.Helper()
	cfg := newConfigFor(t, db, more)
	c := Connectors()[0]
	if cfg["connector.class"] != "JdbcSink" {
		c = Connectors()[1]
	}
	b := &bench{SinkRun: sdktest.StartSink(t, c, cfg), t: t, db: db, config: cfg}
	b.Assign(sdk.Offsets{{Topic: "t", Partition: 0}: 0})
	return b
}

// rec makes the next record of topic t. Fields are name, schema, value.
func (b *bench) rec(key, value any) data.Record {
	b.t.Helper()
	r := data.Record{Topic: "t", Timestamp: data.NoTimestamp, Offset: b.next, OriginalTopic: "t", OriginalOffset: b.next}
	b.next++
	r.Key, r.Value = datum(b.t, key), datum(b.t, value)
	return r
}

func datum(t *testing.T, v any) data.Datum {
	t.Helper()
	var s *data.Schema
	switch v := v.(type) {
	case *data.Struct:
		s = v.Schema()
	case int32:
		s = data.Int32Schema
	}
	d, err := data.NewDatum(s, v)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// st makes a struct of names, schemas and values in turn.
func st(t *testing.T, parts ...any) *data.Struct {
	t.Helper()
	return namedStruct(t, "", parts...)
}

func namedStruct(t *testing.T, name string, parts ...any) *data.Struct {
	t.Helper()
	b := data.NewStructBuilder().Optional()
	if name != "" {
		b.Name(name)
	}
	for i := 0; i < len(parts); i += 3 {
		b.Field(parts[i].(string), parts[i+1].(*data.Schema))
	}
	s, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	out := data.NewStruct(s)
	for i := 0; i < len(parts); i += 3 {
		if err := out.Put(parts[i].(string), parts[i+2]); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func idKey(t *testing.T, id int32) *data.Struct { return st(t, "id", data.Int32Schema, id) }

func person(t *testing.T, id int32, name any) *data.Struct {
	return st(t, "id", data.Int32Schema, id, "name", data.OptionalStringSchema, name)
}

func (b *bench) rows(sql string, want ...string) {
	b.t.Helper()
	got := pg.Exec(b.t, b.db, sql)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		b.t.Errorf("%s\n gives %q\n want %q", sql, got, want)
	}
}
