package transform

import (
	"fmt"
	"strings"
	"testing"

	"github.com/millrace/millrace/plugins/data"
)

// rowSchema is the state of a row in a change event.
func rowSchema(fields ...data.Field) *data.Schema {
	b := data.NewStructBuilder().Name("srv.public.t.Value").Optional()
	for _, f := range fields {
		b.Field(f.Name, f.Schema)
	}
	return b.MustBuild()
}

var (
	shopRow = rowSchema(
		data.Field{Name: "id", Schema: data.Int64Schema},
		data.Field{Name: "name", Schema: data.OptionalStringSchema},
		data.Field{Name: "amount", Schema: data.AsOptional(data.DecimalSchema(2))},
		data.Field{Name: "state", Schema: data.NewBuilder(data.TypeString).Optional().Default("new").MustBuild()},
	)
	sourceSchema = data.NewStructBuilder().Name("io.debezium.connector.postgresql.Source").
			Field("version", data.StringSchema).
			Field("ts_ms", data.Int64Schema).
			Field("snapshot", data.NewBuilder(data.TypeString).Optional().Default("false").MustBuild()).
			Field("schema", data.StringSchema).
			Field("table", data.StringSchema).
			Field("lsn", data.OptionalInt64Schema).MustBuild()
	transactionSchema = data.NewStructBuilder().Name("event.block").Version(1).Optional().
				Field("id", data.StringSchema).Field("total_order", data.Int64Schema).MustBuild()
)

func envelopeOf(row *data.Schema) *data.Schema {
	return data.NewStructBuilder().Name("srv.public.t.Envelope").Version(2).
		Field("before", row).Field("after", row).Field("source", sourceSchema).
		Field("transaction", transactionSchema).
		Field("op", data.StringSchema).Field("ts_ms", data.OptionalInt64Schema).MustBuild()
}

var shopEnvelope = envelopeOf(shopRow)

// change makes a change event of the shop.
func change(t testing.TB, op string, before, after *data.Struct) data.Datum {
	return changeIn(t, shopEnvelope, op, before, after)
}

func changeIn(t testing.TB, env *data.Schema, op string, before, after *data.Struct) data.Datum {
	t.Helper()
	source := structOf(t, sourceSchema, "3.0", int64(111), nil, "public", "t", int64(9))
	v := structOf(t, env, nil, nil, source, nil, op, int64(222))
	if before != nil {
		if err := v.PutAt(0, before); err != nil {
			t.Fatal(err)
		}
	}
	if after != nil {
		if err := v.PutAt(1, after); err != nil {
			t.Fatal(err)
		}
	}
	return datum(t, env, v)
}

func shop(t testing.TB, id int64, name any) *data.Struct {
	return structOf(t, shopRow, id, name, data.NewDecimal(1250, 2), "old")
}

// unwrapped starts the schema of an unwrapped row.
func unwrapped() *data.Builder {
	return withFields(data.CopyBasics(shopRow), shopRow)
}

func TestUnwrapModes(t *testing.T) {
	plain := unwrapped().MustBuild()
	deleted := unwrapped().Field("__deleted", data.OptionalStringSchema).MustBuild()
	insert := change(t, "c", nil, shop(t, 1, "a"))
	update := change(t, "u", shop(t, 1, "a"), shop(t, 1, "b"))
	remove := change(t, "d", shop(t, 1, "a"), nil)
	truncate := change(t, "t", nil, nil)
	state := func(s *data.Schema, name, mark string) data.Datum {
		v := structOf(t, s, int64(1), name, data.NewDecimal(1250, 2), "old")
		if mark != "" {
			if err := v.Put("__deleted", mark); err != nil {
				t.Fatal(err)
			}
		}
		return datum(t, s, v)
	}
	null := data.Datum{Schema: shopRow, State: data.Null}
	for _, mode := range []struct {
		name              string
		props             map[string]string
		remove            data.Datum
		dropRemove, keeps bool
		marks             bool
	}{
		{"default", nil, null, false, false, false},
		{"drop", map[string]string{"delete.tombstone.handling.mode": "drop"}, data.Datum{}, true, false, false},
		{"tombstone", map[string]string{"delete.tombstone.handling.mode": "TOMBSTONE"}, null, false, false, false},
		{"rewrite", map[string]string{"delete.tombstone.handling.mode": "rewrite"}, state(deleted, "a", "true"), false, false, true},
		{"rewrite-with-tombstone", map[string]string{"delete.tombstone.handling.mode": "rewrite-with-tombstone"}, state(deleted, "a", "true"), false, true, true},
		{"delete-to-tombstone", map[string]string{"delete.tombstone.handling.mode": "delete-to-tombstone"}, data.Datum{}, false, false, false},
		{"old rewrite", map[string]string{"delete.handling.mode": "rewrite"}, state(deleted, "a", "true"), false, false, true},
		{"old rewrite with tombstones", map[string]string{"delete.handling.mode": "rewrite", "drop.tombstones": "false"}, state(deleted, "a", "true"), false, true, true},
		{"old drop.tombstones", map[string]string{"drop.tombstones": "false"}, null, false, false, false},
		{"old drop", map[string]string{"drop.tombstones": "true"}, data.Datum{}, true, false, false},
		{"old none", map[string]string{"delete.handling.mode": "none"}, null, false, false, false},
	} {
		after := func(name string) data.Datum {
			if mode.marks {
				return state(deleted, name, "false")
			}
			return state(plain, name, "")
		}
		t.Run(mode.name, func(t *testing.T) {
			runSteps(t, debezium+"ExtractNewRecordState", []step{
				{name: "insert", props: mode.props, in: insert, want: after("a")},
				{name: "update", props: mode.props, in: update, want: after("b")},
				{name: "delete", props: mode.props, in: remove, want: mode.remove, drop: mode.dropRemove},
				{name: "tombstone", props: mode.props, drop: !mode.keeps},
				{name: "truncate", props: mode.props, in: truncate, drop: true},
				{name: "no envelope", props: mode.props, in: datum(t, data.StringSchema, "x"), want: datum(t, data.StringSchema, "x")},
				{name: "schemaless", props: mode.props, in: datum(t, nil, map[string]any{"op": "c"}), want: datum(t, nil, map[string]any{"op": "c"})},
			})
		})
	}
}

func TestUnwrapMetadata(t *testing.T) {
	c := chainOf(t, "io.debezium.transforms.UnwrapFromEnvelope", map[string]string{
		"add.fields":  "op,table,source.ts_ms,ts_ms:ev,lsn,transaction.id,nothing,snapshot",
		"add.headers": "op,source.table:tab,ts_ms", "delete.tombstone.handling.mode": "rewrite-with-tombstone",
	})
	rec := baseRecord()
	headers := []data.Header{{Name: "old"}}
	rec.Headers = headers[:1:1]
	rec.Value = change(t, "c", nil, shop(t, 1, nil))
	if keep, err := c.Apply(&rec); !keep || err != nil {
		t.Fatal(keep, err)
	}
	want := "Struct{id=1,amount=12.50,state=old,__deleted=false,__op=c,__table=t,__source_ts_ms=111,__ev=222,__lsn=9}"
	if got := data.Text(decoded(t, rec.Value)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for _, name := range []string{"__op", "__ev", "__transaction_id", "__snapshot"} {
		f, ok := rec.Value.Schema.Field(name)
		if _, hasDefault := f.Schema.Default(); !ok || !f.Schema.Optional() || hasDefault {
			t.Errorf("field %s has schema %s", name, schemaText(f.Schema))
		}
	}
	var got []string
	for _, h := range rec.Headers {
		got = append(got, fmt.Sprintf("%s=%v", h.Name, decoded(t, h.Value)))
	}
	if text := strings.Join(got, " "); text != "old=<nil> __op=c __tab=t __ts_ms=222" {
		t.Errorf("headers are %s", text)
	}
	tombstone := baseRecord()
	if keep, err := c.Apply(&tombstone); !keep || err != nil || len(tombstone.Headers) != 1 || decoded(t, tombstone.Headers[0].Value) != "d" {
		t.Errorf("tombstone: %v, %v, %v", keep, err, tombstone.Headers)
	}
}

func TestUnwrapRouteAndDropFields(t *testing.T) {
	c := chainOf(t, "ExtractNewRecordState", map[string]string{"route.by.field": "name",
		"drop.fields.header.name": "drop", "drop.fields.from.key": "true"})
	rec := baseRecord()
	rec.Headers = []data.Header{{Name: "drop", Value: datum(t, data.ArrayOf(data.StringSchema).MustBuild(), []any{"id", "name", "k"})}}
	key := data.NewStructBuilder().Field("k", data.OptionalStringSchema).Field("l", data.Int32Schema).MustBuild()
	rec.Key = datum(t, key, structOf(t, key, "x", int32(1)))
	rec.Value = change(t, "u", nil, shop(t, 1, "target"))
	if keep, err := c.Apply(&rec); !keep || err != nil {
		t.Fatal(keep, err)
	}
	if rec.Topic != "target" {
		t.Errorf("topic is %s", rec.Topic)
	}
	if got := data.Text(decoded(t, rec.Value)); got != "Struct{id=1,amount=12.50,state=old}" { // id is required
		t.Errorf("value is %s", got)
	}
	if got := data.Text(decoded(t, rec.Key)); got != "Struct{l=1}" {
		t.Errorf("key is %s", got)
	}
	rec.Value = change(t, "d", shop(t, 1, "gone"), nil)
	if keep, err := c.Apply(&rec); !keep || err != nil || rec.Topic != "gone" {
		t.Errorf("delete: %v, %v, topic %s", keep, err, rec.Topic)
	}
	bad := chainOf(t, "ExtractNewRecordState", map[string]string{"route.by.field": "id"})
	rec.Value = change(t, "c", nil, shop(t, 1, "x"))
	if _, err := bad.Apply(&rec); err == nil || !strings.Contains(err.Error(), `column "id"`) {
		t.Errorf("routing by a number: %v", err)
	}
}
