package transform

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/millrace/millrace/connect/timescale"
	"github.com/millrace/millrace/plugins/data"
)

// owners is a catalog of TimescaleDB; with an error it cannot be read.
type owners struct {
	known map[timescale.Table]timescale.Owner
	err   error
}

func (o owners) Owner(chunk timescale.Table) (timescale.Owner, bool, error) {
	owner, ok := o.known[chunk]
	return owner, ok, o.err
}

func TestTimescaleDB(t *testing.T) {
	chunk, conditions := timescale.Table{Schema: "public", Name: "t"}, timescale.Table{Schema: "shop", Name: "conditions"}
	apply := func(c owners, schemas ...string) (data.Record, error) {
		tr := &timescaleDB{settings: settings{Options: Options{Logger: slog.New(slog.DiscardHandler)}}, schemas: schemas, prefix: "ts.", catalog: c, warned: map[timescale.Table]bool{}}
		rec := baseRecord()
		rec.Value = change(t, "c", nil, shop(t, 1, "x"))
		rec.Headers = []data.Header{{Name: "was", Value: datum(t, data.StringSchema, "there")}}
		var r Record
		r.reset(&rec)
		keep, err := tr.Apply(&r)
		if err == nil && !keep {
			t.Error("the record was dropped")
		}
		if err == nil {
			_, err = r.store(&rec)
		}
		return rec, err
	}
	source := func(rec data.Record) string {
		v := decoded(t, rec.Value).(*data.Struct)
		schema, _ := textField(structField(v, "source"), "schema")
		table, _ := textField(structField(v, "source"), "table")
		return schema + "." + table
	}
	for _, tt := range []struct {
		name    string
		owner   *timescale.Owner
		schemas string
		want    string // topic, source and headers
	}{
		{"a hypertable's", &timescale.Owner{Hypertable: conditions}, "public", "ts.shop.conditions shop.conditions was=there __debezium_timescaledb_chunk_table=t __debezium_timescaledb_chunk_schema=public"},
		{"an aggregate's", &timescale.Owner{Hypertable: timescale.Table{Schema: "in", Name: "m"}, Aggregate: conditions}, "public",
			"ts.shop.conditions shop.conditions was=there __debezium_timescaledb_chunk_table=t __debezium_timescaledb_chunk_schema=public __debezium_timescaledb_hypertable_table=m __debezium_timescaledb_hypertable_schema=in"},
		{"nobody's", nil, "public", "topic public.t was=there"},
		{"of another schema", &timescale.Owner{Hypertable: conditions}, "_timescaledb_internal", "topic public.t was=there"},
	} {
		c := owners{known: map[timescale.Table]timescale.Owner{}}
		if tt.owner != nil {
			c.known[chunk] = *tt.owner
		}
		rec, err := apply(c, tt.schemas)
		if err != nil {
			t.Fatal(err)
		}
		if got := rec.Topic + " " + source(rec) + " " + headersText(t, rec); got != tt.want {
			t.Errorf("%s: %s\nwant %s", tt.name, got, tt.want)
		}
		if after := structField(decoded(t, rec.Value).(*data.Struct), "after"); data.Text(after) != data.Text(shop(t, 1, "x")) {
			t.Errorf("%s: the row is %s", tt.name, data.Text(after))
		}
	}
	var fatal *FatalError
	if _, err := apply(owners{err: errors.New("no connection")}, "public"); !errors.As(err, &fatal) {
		t.Errorf("a catalog that cannot be read: %v", err)
	}
	class := "io.debezium.connector.postgresql.transforms.timescaledb.TimescaleDb"
	if _, err := newChainOf(class, map[string]string{"database.hostname": "db"}); err == nil || !strings.Contains(err.Error(), "database.user") {
		t.Errorf("without a user: %v", err)
	}
	chainOf(t, class, map[string]string{"database.hostname": "db", "database.user": "u", "database.password": "p", "database.dbname": "d"}) // connects to nothing
}
