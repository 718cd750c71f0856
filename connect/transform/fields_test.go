package transform

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/plugins/data"
)

// person is a schema with attributes that transforms must keep or drop.
var person = data.NewStructBuilder().Name("test.Person").Version(2).Doc("a person").Param("p", "v").Optional().
	Field("id", data.Int64Schema).
	Field("name", data.OptionalStringSchema).
	Field("age", data.NewBuilder(data.TypeInt32).Optional().Default(int32(7)).MustBuild()).
	MustBuild()

// personWith starts a schema with the attributes of person that are kept.
func personWith() *data.Builder {
	return data.NewStructBuilder().Name("test.Person").Version(2).Doc("a person").Param("p", "v")
}

func TestRegexRouter(t *testing.T) {
	for _, tt := range []struct{ regex, replacement, topic, want string }{
		{`(.*)\.public\.(.*)`, "$2", "db.public.t", "t"},
		{`(.*)\.public\.(.*)`, "$2", "xdb.t", "xdb.t"},
		{`(.*)\.public`, "$1_copy", "db.public", "db_copy"},
		{`orders`, "x", "orders-v2", "orders-v2"},
		{`a|b`, "x", "ab", "ab"},
		{`(?<db>[^.]+)\.(?<table>.+)`, "${table}-${db}", "a.b", "b-a"},
		{`(.*)`, `\$1-$1`, "t", "$1-t"},
		{`a.*?`, "x", "abc", "xbc"}, // as Java: the whole matches, the first match found is replaced
		{`(a)(b)?`, "$2x", "a", "x"},
		{`(.)`, "$12", "q", "q2"}, // there is no group 12
	} {
		c := chainOf(t, kafka+"RegexRouter", map[string]string{"regex": tt.regex, "replacement": tt.replacement})
		for range 2 {
			rec := baseRecord()
			rec.Topic = tt.topic
			if keep, err := c.Apply(&rec); !keep || err != nil || rec.Topic != tt.want || rec.Partition != 3 {
				t.Errorf("%s -> %s: %q became %q (%v, %v), want %q", tt.regex, tt.replacement, tt.topic, rec.Topic, keep, err, tt.want)
			}
		}
	}
	for _, bad := range []string{"$3", "${no}", "$", `\`} {
		if _, err := newChainOf("RegexRouter", map[string]string{"regex": "(a)(b)", "replacement": bad}); err == nil {
			t.Errorf("replacement %q is accepted", bad)
		}
	}
}

func TestReplaceField(t *testing.T) {
	p := structOf(t, person, int64(1), "a", nil)
	renamed := personWith().Field("key", data.Int64Schema).Field("name", data.OptionalStringSchema).MustBuild()
	defaulted := personWith().Field("age", person.Fields()[2].Schema).MustBuild()
	runSteps(t, kafka+"ReplaceField$Value", []step{
		{name: "exclude and rename", props: map[string]string{"exclude": "age", "renames": "id:key,age:x"},
			in: datum(t, person, p), want: datum(t, renamed, structOf(t, renamed, int64(1), "a"))},
		{name: "include with default for null", props: map[string]string{"include": "age,id", "exclude": "id"},
			in: datum(t, person, p), want: datum(t, defaulted, structOf(t, defaulted, int32(7)))},
		{name: "include with null kept", props: map[string]string{"whitelist": "age", "replace.null.with.default": "false"},
			in: datum(t, person, p), want: datum(t, defaulted, structOf(t, defaulted))},
		{name: "schemaless", props: map[string]string{"blacklist": "b", "renames": "a:c"},
			in: datum(t, nil, map[string]any{"a": "x", "b": int64(2), "d": nil}), want: datum(t, nil, map[string]any{"c": "x", "d": nil})},
		{name: "null", props: map[string]string{"exclude": "b"}},
		{name: "null of schema", in: datum(t, person, nil), want: datum(t, person, nil)},
		{name: "text", in: datum(t, data.StringSchema, "x"), err: "only structs are supported for field replacement"},
		{name: "schemaless text", in: datum(t, nil, "x"), err: "only maps are supported for field replacement"},
		{name: "clash", props: map[string]string{"renames": "id:name"}, in: datum(t, person, p), err: "name"},
	})
	if _, err := newChainOf("ReplaceField$Value", map[string]string{"renames": "a"}); err == nil {
		t.Error("renames without colon is accepted")
	}
}

func TestInsertField(t *testing.T) {
	small := data.NewStructBuilder().Name("s").Optional().Field("a", data.Int32Schema).MustBuild()
	all := map[string]string{"topic.field": "t!", "partition.field": "p", "offset.field": "o?", "timestamp.field": "ts",
		"static.field": "s", "static.value": "v"}
	out := data.NewStructBuilder().Name("s").Field("a", data.Int32Schema).
		Field("t", data.StringSchema).Field("p", data.OptionalInt32Schema).Field("o", data.OptionalInt64Schema).
		Field("ts", data.OptionalTimestampSchema).Field("s", data.OptionalStringSchema).MustBuild()
	runSteps(t, kafka+"InsertField$Value", []step{
		{name: "all", props: all, in: datum(t, small, structOf(t, small, int32(1))),
			want: datum(t, out, structOf(t, out, int32(1), "topic", int32(3), int64(42), int64(1700000000123), "v"))},
		{name: "schemaless", props: all, in: datum(t, nil, map[string]any{"a": int64(1)}),
			want: datum(t, nil, map[string]any{"a": int64(1), "t": "topic", "p": int64(3), "o": int64(42), "ts": int64(1700000000123), "s": "v"})},
		{name: "null", props: all},
		{name: "clash", props: map[string]string{"topic.field": "a"}, in: datum(t, small, structOf(t, small, int32(1))), err: "a"},
		{name: "text", props: all, in: datum(t, data.StringSchema, "x"), err: "only structs"},
		{name: "schemaless list", props: all, in: datum(t, nil, []any{}), err: "only maps"},
	})
	for _, tt := range []struct {
		kind  Kind
		props map[string]string
		want  string
	}{
		{Sink, nil, "No field insertion configured"},
		{Sink, map[string]string{"static.field": "x"}, "static.field needs static.value"},
		{Source, map[string]string{"offset.field": "x"}, "offset.field is for sink connectors"},
	} {
		config := map[string]string{"transforms": "t", "transforms.t.type": "InsertField$Key"}
		for k, v := range tt.props {
			config["transforms.t."+k] = v
		}
		_, err := New(config, Options{Kind: tt.kind})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: got %v, want %q", tt.props, err, tt.want)
		}
	}
	t.Run("nothing known", func(t *testing.T) {
		c := chainOf(t, "InsertField$Key", map[string]string{"partition.field": "p", "timestamp.field": "ts"})
		rec := data.Record{Partition: data.NoPartition, Timestamp: data.NoTimestamp, Key: datum(t, small, structOf(t, small, int32(1)))}
		if _, err := c.Apply(&rec); err != nil {
			t.Fatal(err)
		}
		if got := data.Text(decoded(t, rec.Key)); got != "Struct{a=1}" {
			t.Errorf("got %s", got)
		}
		required := chainOf(t, "InsertField$Key", map[string]string{"partition.field": "p!"})
		rec.Key = datum(t, small, structOf(t, small, int32(1)))
		if _, err := required.Apply(&rec); err == nil {
			t.Error("a required partition was left out")
		}
	})
}
