package transform

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/millrace/millrace/plugins/data"
)

var (
	outboxRow = rowSchema(
		data.Field{Name: "id", Schema: data.NewBuilder(data.TypeString).Name("io.debezium.data.Uuid").MustBuild()},
		data.Field{Name: "aggregatetype", Schema: data.OptionalStringSchema},
		data.Field{Name: "aggregateid", Schema: data.StringSchema},
		data.Field{Name: "type", Schema: data.StringSchema},
		data.Field{Name: "payload", Schema: data.OptionalStringSchema},
		data.Field{Name: "part", Schema: data.OptionalInt32Schema},
		data.Field{Name: "at", Schema: data.NewBuilder(data.TypeInt64).Name("io.debezium.time.MicroTimestamp").Optional().MustBuild()},
		data.Field{Name: "v", Schema: data.OptionalInt32Schema},
	)
	outboxEnvelope = envelopeOf(outboxRow)
)

func outboxEvent(t testing.TB, op string, kind, payload any) data.Datum {
	row := structOf(t, outboxRow, "e1", kind, "42", "Created", payload, int32(5), int64(1_000_001), int32(3))
	if op == "d" {
		return changeIn(t, outboxEnvelope, op, row, nil)
	}
	return changeIn(t, outboxEnvelope, op, nil, row)
}

// apply runs one transform and returns the record as it came out.
func apply(t *testing.T, class string, props map[string]string, rec data.Record) data.Record {
	t.Helper()
	c := chainOf(t, class, props)
	if keep, err := c.Apply(&rec); err != nil || !keep {
		t.Fatal(keep, err)
	}
	return rec
}

func headersText(t *testing.T, rec data.Record) string {
	var out []string
	for _, h := range rec.Headers {
		out = append(out, h.Name+"="+data.Text(decoded(t, h.Value)))
	}
	return strings.Join(out, " ")
}

const eventRouter = debezium + "outbox.EventRouter"

func TestEventRouter(t *testing.T) {
	rec := baseRecord()
	rec.Value = outboxEvent(t, "c", "order", `{"a":1}`)
	got := apply(t, eventRouter, nil, rec)
	if got.Topic != "outbox.event.order" || got.Timestamp != 222 || got.Partition != 3 || headersText(t, got) != "id=e1" {
		t.Errorf("got %+v", got)
	}
	sameDatum(t, "key", got.Key, datum(t, data.StringSchema, "42"))
	sameDatum(t, "value", got.Value, datum(t, data.OptionalStringSchema, `{"a":1}`))

	got = apply(t, eventRouter, map[string]string{
		"table.fields.additional.placement": "type:header:kind,type:envelope,part:partition",
		"table.field.event.timestamp":       "at", "table.field.event.schema.version": "v",
		"route.topic.replacement": "${routedByValue}.events",
	}, rec)
	if got.Topic != "order.events" || got.Timestamp != 1000 || got.Partition != 5 || headersText(t, got) != "id=e1 kind=Created" {
		t.Errorf("got %+v, headers %s", got, headersText(t, got))
	}
	s := got.Value.Schema
	if v, _ := s.Version(); s.Name() != "srv.public.t.order.Value" || v != 3 {
		t.Errorf("value's schema is %s, version %d", s.Name(), v)
	}
	if text := data.Text(decoded(t, got.Value)); text != `Struct{payload={"a":1},type=Created}` {
		t.Errorf("value is %s", text)
	}

	rec.Value = outboxEvent(t, "r", "order", " ")
	if got = apply(t, eventRouter, map[string]string{"route.tombstone.on.empty.payload": "true"}, rec); got.Value.State != data.NullNoSchema {
		t.Errorf("an empty payload became %v", got.Value)
	}
	rec.Value = outboxEvent(t, "c", "order", nil)
	if got = apply(t, eventRouter, map[string]string{"route.topic.regex": "x.*", "route.topic.replacement": "y"}, rec); got.Topic != "order" || got.Value.State != data.Null {
		t.Errorf("got topic %s, value %v", got.Topic, got.Value)
	}
}

func TestEventRouterDropsAndFails(t *testing.T) {
	event := outboxEvent(t, "c", "order", "x")
	runSteps(t, eventRouter, []step{
		{name: "null", drop: true},
		{name: "delete", in: outboxEvent(t, "d", "order", "x"), drop: true},
		{name: "update", in: outboxEvent(t, "u", "order", "x"), drop: true},
		{name: "no envelope", in: datum(t, data.StringSchema, "x"), want: datum(t, data.StringSchema, "x")},
		{name: "no payload column", props: map[string]string{"table.field.event.payload": "nope"}, in: event, err: `no column "nope"`},
		{name: "no id column", props: map[string]string{"table.field.event.id": "nope"}, in: event, err: `no column "nope"`},
		{name: "null route", in: outboxEvent(t, "c", nil, "x"), err: "is null"},
		{name: "missing additional", props: map[string]string{"table.fields.additional.placement": "nope:header"}, in: event, err: `no column "nope"`},
		{name: "missing additional ignored", props: map[string]string{"table.fields.additional.placement": "nope:header", "table.field.additional.missing": "ignore"},
			in: event, want: datum(t, data.OptionalStringSchema, "x")},
		{name: "partition is no number", props: map[string]string{"table.fields.additional.placement": "type:partition"}, in: event, err: "not a partition"},
	})
	rec := baseRecord()
	rec.Value = outboxEvent(t, "u", "order", "x")
	_, err := chainOf(t, eventRouter, map[string]string{"table.op.invalid.behavior": "fatal"}).Apply(&rec)
	var fatal *FatalError
	if !errors.As(err, &fatal) || fatal.Alias != "t" {
		t.Errorf("an update with behaviour fatal gives %v", err)
	}
	if _, err := newChainOf(eventRouter, map[string]string{"tracing.operation.name": "x"}); err == nil || !strings.Contains(err.Error(), "tracing spans") {
		t.Errorf("tracing.operation.name: %v", err)
	}
	if _, err := newChainOf(eventRouter, map[string]string{"table.fields.additional.placement": "a:nowhere"}); err == nil {
		t.Error("a placement to nowhere is accepted")
	}
}

func TestEventRouterExpandsJSON(t *testing.T) {
	for _, tt := range []struct{ payload, schema, want string }{
		{`{"b":1,"a":[1,2.5],"n":null,"e":[],"o":{"t":"x","big":4294967296},"y":true}`, "struct", "Struct{b=1,a=[1.0, 2.5],o=Struct{t=x,big=4294967296},y=true}"},
		{`[{"a":1},{"b":"x"}]`, "array", "[Struct{a=1}, Struct{b=x}]"},
		{`{"a":1}x`, "string", `{"a":1}x`}, {`{"a":[1,"x"]}`, "string", `{"a":[1,"x"]}`}, {`{"a":1,"a":2}`, "string", `{"a":1,"a":2}`},
		{`plain`, "string", "plain"}, {strings.Repeat("[", 1000), "string", strings.Repeat("[", 1000)},
	} {
		rec := baseRecord()
		rec.Value = outboxEvent(t, "c", "order", tt.payload)
		got := apply(t, eventRouter, map[string]string{"table.expand.json.payload": "true"}, rec)
		if text := data.Text(decoded(t, got.Value)); text != tt.want || got.Value.Schema.Type().String() != tt.schema {
			t.Errorf("%.40s became %.200s of type %v", tt.payload, text, got.Value.Schema.Type())
		}
	}
	rec := baseRecord()
	rec.Value = outboxEvent(t, "c", "order", `{"n":null,"e":[]}`)
	got := apply(t, eventRouter, map[string]string{"table.expand.json.payload": "true", "table.json.payload.null.behavior": "optional_bytes",
		"table.json.payload.empty.array.behavior": "optional_string", "table.fields.additional.placement": "type:envelope"}, rec)
	payload, _ := got.Value.Schema.Field("payload")
	n, _ := payload.Schema.Field("n")
	if !n.Schema.Equal(data.OptionalBytesSchema) || data.Text(decoded(t, got.Value)) != "Struct{payload=Struct{e=[]},type=Created}" {
		t.Errorf("got %s of %s", data.Text(decoded(t, got.Value)), schemaText(got.Value.Schema))
	}
}

func TestLogicalRouter(t *testing.T) {
	key := data.NewStructBuilder().Name("srv.public.t_1.Key").Field("id", data.Int64Schema).MustBuild()
	rec := baseRecord()
	rec.Topic = "srv.public.t_1"
	rec.Key = datum(t, key, structOf(t, key, int64(1)))
	rec.Value = change(t, "c", nil, shop(t, 1, "a"))
	props := map[string]string{"topic.regex": `(.*)\.t_\d`, "topic.replacement": "$1.all-t", "schema.name.adjustment.mode": "avro"}
	got := apply(t, "ByLogicalTableRouter", props, rec)
	if got.Topic != "srv.public.all-t" || !bytes.Equal(got.Value.Row, rec.Value.Row) {
		t.Errorf("topic %s, row %x", got.Topic, got.Value.Row)
	}
	after, _ := got.Value.Schema.Field("after")
	if got.Value.Schema.Name() != "srv.public.all_t.Envelope" || after.Schema.Name() != "srv.public.all_t.Value" || !after.Schema.Optional() {
		t.Errorf("value's schema: %s", schemaText(got.Value.Schema))
	}
	want := data.NewStructBuilder().Name("srv.public.all_t.Key").Field("id", data.Int64Schema).
		Field("__dbz__physicalTableIdentifier", data.StringSchema).MustBuild()
	sameDatum(t, "key", got.Key, datum(t, want, structOf(t, want, int64(1), "srv.public.t_1")))

	props["key.field.name"], props["key.field.regex"], props["key.field.replacement"] = "shard", `.*_(\d)`, "$1"
	got = apply(t, "ToLogicalTopicRouter", props, rec)
	if text := data.Text(decoded(t, got.Key)); text != "Struct{id=1,shard=1}" {
		t.Errorf("key is %s", text)
	}
	props["key.enforce.uniqueness"] = "false"
	rec.Value = data.Datum{}
	if got = apply(t, "ByLogicalTableRouter", props, rec); data.Text(decoded(t, got.Key)) != "Struct{id=1}" || got.Topic != "srv.public.all-t" {
		t.Errorf("tombstone: %+v", got)
	}
	rec.Topic = "other"
	got = apply(t, "ByLogicalTableRouter", props, rec)
	if got.Topic != "other" || got.Key.Schema != key {
		t.Errorf("another topic: %+v", got)
	}
	rec.Topic, rec.Key = "srv.public.t_1", datum(t, nil, "k")
	if _, err := chainOf(t, "ByLogicalTableRouter", props).Apply(&rec); err == nil {
		t.Error("a key without schema passes")
	}
	if _, err := newChainOf("ByLogicalTableRouter", map[string]string{"topic.regex": "a", "topic.replacement": "b", "key.field.regex": "x"}); err == nil {
		t.Error("key.field.regex without replacement is accepted")
	}
}

func TestChanged(t *testing.T) {
	props := map[string]string{"header.changed.name": "Changed", "header.unchanged.name": "Unchanged"}
	for _, tt := range []struct {
		value data.Datum
		want  string
	}{
		{change(t, "u", shop(t, 1, "a"), shop(t, 1, nil)), "Changed=[name] Unchanged=[id, amount, state]"},
		{change(t, "c", nil, shop(t, 1, "a")), "Changed=[] Unchanged=[]"},
		{change(t, "d", shop(t, 1, "a"), nil), "Changed=[] Unchanged=[]"},
		{data.Datum{}, ""},
		{datum(t, nil, map[string]any{}), ""},
	} {
		rec := baseRecord()
		rec.Value = tt.value
		got := apply(t, "ExtractChangedRecordState", props, rec)
		if text := headersText(t, got); text != tt.want {
			t.Errorf("headers are %q, want %q", text, tt.want)
		}
		sameDatum(t, "value", got.Value, tt.value)
	}
}

func TestHeaderToValue(t *testing.T) {
	rec := baseRecord()
	rec.Headers = []data.Header{{Name: "h", Value: datum(t, data.StringSchema, "old")}, {Name: "x"},
		{Name: "h", Value: datum(t, data.StringSchema, "new")}}
	rec.Value = change(t, "c", nil, shop(t, 1, "a"))
	got := apply(t, "HeaderToValue", map[string]string{"headers": "h,none", "fields": "after.tag,y", "operation": "move"}, rec)
	env := decoded(t, got.Value).(*data.Struct)
	if tag, _ := textField(structField(env, "after"), "tag"); tag != "new" || headersText(t, got) != "x=null" {
		t.Errorf("got %v, headers %s", env, headersText(t, got))
	}
	if len(rec.Headers) != 3 {
		t.Error("the list of the input was changed")
	}
	got = apply(t, "HeaderToValue", map[string]string{"headers": "h", "fields": "new.deep", "operation": "copy"}, rec)
	if f, _ := got.Value.Schema.Field("new"); !f.Schema.Optional() || !strings.Contains(data.Text(decoded(t, got.Value)), "new=Struct{deep=new}") || len(got.Headers) != 3 {
		t.Errorf("got %s", data.Text(decoded(t, got.Value)))
	}
	if _, err := chainOf(t, "HeaderToValue", map[string]string{"headers": "h", "fields": "op.x", "operation": "copy"}).Apply(&rec); err == nil {
		t.Error("a field below a text is accepted")
	}
	rec.Value = datum(t, nil, map[string]any{"a": map[string]any{}})
	got = apply(t, "HeaderToValue", map[string]string{"headers": "h", "fields": "a.b", "operation": "copy"}, rec)
	sameDatum(t, "map", got.Value, datum(t, nil, map[string]any{"a": map[string]any{"b": "new"}}))
	rec.Value = data.Datum{}
	got = apply(t, "HeaderToValue", map[string]string{"headers": "h", "fields": "a", "operation": "move"}, rec)
	if len(got.Headers) != 3 {
		t.Error("headers of a tombstone were moved")
	}
}

func TestPartitionRouting(t *testing.T) {
	config := func(fields string) map[string]string {
		return map[string]string{"transforms": "t", "transforms.t.type": debezium + "partitions.PartitionRouting",
			"transforms.t.partition.payload.fields": fields, "transforms.t.partition.topic.num": "7"}
	}
	for _, tt := range []struct {
		fields string
		value  data.Datum
		want   int32
	}{
		{"change.name", change(t, "c", nil, shop(t, 1, "abc")), 96354 % 7},
		{"change.name", change(t, "d", shop(t, 1, "abc"), nil), 96354 % 7},
		{"change.id,after.name", change(t, "u", shop(t, 9, "x"), shop(t, 9, "abc")), (96354 + 9) % 7},
		{"change.nope,before.id", change(t, "c", nil, shop(t, 1, "abc")), 3},
		{"change.name", data.Datum{}, 3},
	} {
		c, err := New(config(tt.fields), Options{Kind: Source})
		if err != nil {
			t.Fatal(err)
		}
		rec := baseRecord()
		rec.Value = tt.value
		if keep, err := c.Apply(&rec); err != nil || !keep || rec.Partition != tt.want {
			t.Errorf("%s: partition %d, %v, want %d", tt.fields, rec.Partition, err, tt.want)
		}
	}
	if _, err := New(config("a"), Options{Kind: Sink}); err == nil {
		t.Error("PartitionRouting is accepted for a sink")
	}
}

// The hashes are what Java prints for the same values.
func TestJavaHash(t *testing.T) {
	for _, tt := range []struct {
		v    any
		want int32
	}{
		{"abc", 96354}, {"", 0}, {"\U0001F600", 1772899}, {int64(1) << 32, 1}, {int64(-1), 0}, {true, 1231}, {1.5, 1073217536}, {float32(1), 1065353216},
		{data.NewDecimal(1250, 2), 31*1250 + 2}, {data.NewDecimal(-1, 0), -31}, {int8(-3), -3},
	} {
		if got, err := javaHash(tt.v); err != nil || got != tt.want {
			t.Errorf("%v: got %d, %v, want %d", tt.v, got, err, tt.want)
		}
	}
	if _, err := javaHash([]byte{1}); err == nil {
		t.Error("bytes have a hash")
	}
}

func TestConfluentAndAiven(t *testing.T) {
	s := data.NewStructBuilder().Name("s").Field("t", data.OptionalStringSchema).Field("at", data.Int64Schema).MustBuild()
	value := datum(t, s, structOf(t, s, "abc", int64(12)))
	hashed := datum(t, s, structOf(t, s, "900150983cd24fb0d6963f7d28e17f72", int64(12)))
	for _, tt := range []struct {
		class string
		props map[string]string
		in    data.Datum
		want  string // topic, timestamp and value; "drop" or "error"
	}{
		{confluent + "ExtractTopic$Value", map[string]string{"field": "t"}, value, "abc 1700000000123 same"},
		{aiven + "ExtractTopic$Value", map[string]string{"field.name": "nope"}, value, "error"},
		{aiven + "ExtractTopic$Value", map[string]string{"field.name": "nope", "skip.missing.or.null": "true"}, value, "topic 1700000000123 same"},
		{aiven + "ExtractTopic$Value", nil, datum(t, data.StringSchema, "whole"), "whole 1700000000123 same"},
		{aiven + "ExtractTopic$Value", map[string]string{"field.name": "q"}, datum(t, nil, map[string]any{"q": int64(4)}), "4 1700000000123 same"},
		{aiven + "ExtractTimestamp$Value", map[string]string{"field.name": "at", "timestamp.resolution": "seconds"}, value, "topic 12000 same"},
		{aiven + "ExtractTimestamp$Value", map[string]string{"field.name": "t"}, value, "error"},
		{aiven + "Hash$Value", map[string]string{"field.name": "t", "function": "md5"}, value, "topic 1700000000123 hashed"},
		{aiven + "Hash$Value", map[string]string{"field.name": "at", "function": "md5"}, value, "error"},
		{aiven + "MakeTombstone", nil, value, "topic 1700000000123 null"},
		{aiven + "TombstoneHandler", map[string]string{"behavior": "drop_silent"}, data.Datum{}, "drop"},
		{aiven + "TombstoneHandler", map[string]string{"behavior": "fail"}, data.Datum{}, "error"},
		{confluent + "TombstoneHandler", nil, data.Datum{}, "drop"},
		{confluent + "TombstoneHandler", nil, value, "topic 1700000000123 same"},
		{confluent + "TombstoneHandler", map[string]string{"behavior": "ignore"}, data.Datum{}, "topic 1700000000123 null"},
		{confluent + "Drop$Value", nil, value, "topic 1700000000123 null"},
		{confluent + "Drop$Value", map[string]string{"schema.behavior": "retain"}, value, "error"},
		{confluent + "Drop$Value", map[string]string{"schema.behavior": "force_optional"}, value, "topic 1700000000123 null of s"},
	} {
		rec := baseRecord()
		rec.Value = tt.in
		keep, err := chainOf(t, tt.class, tt.props).Apply(&rec)
		got := fmt.Sprintf("%s %d ", rec.Topic, rec.Timestamp)
		switch {
		case err != nil:
			got = "error"
		case !keep:
			got = "drop"
		case rec.Value.State == data.Null:
			got += "null of " + rec.Value.Schema.Name()
		case rec.Value.IsNull():
			got += "null"
		case bytes.Equal(rec.Value.Row, tt.in.Row):
			got += "same"
		case bytes.Equal(rec.Value.Row, hashed.Row):
			got += "hashed"
		}
		if got != tt.want {
			t.Errorf("%s %v: got %q (%v), want %q", tt.class, tt.props, got, err, tt.want)
		}
	}
}

func TestKeyToValue(t *testing.T) {
	key := data.NewStructBuilder().Name("k").Field("a", data.Int32Schema).MustBuild()
	s := data.NewStructBuilder().Name("v").Field("x", data.StringSchema).MustBuild()
	rec := baseRecord()
	rec.Key, rec.Value = datum(t, key, structOf(t, key, int32(1))), datum(t, s, structOf(t, s, "y"))
	for _, tt := range []struct{ from, to, want string }{
		{"", "", "Struct{x=y,_key=Struct{a=1}}"}, {"a", "", "Struct{x=y,a=1}"}, {"a,*", "b", "Struct{x=y,b=1,_key=Struct{a=1}}"}, {"a", "x", "Struct{x=1}"},
	} {
		got := apply(t, "KeyToValue", map[string]string{"key.fields": tt.from, "value.fields": tt.to}, rec)
		if text := data.Text(decoded(t, got.Value)); text != tt.want {
			t.Errorf("%v: got %s", tt, text)
		}
	}
	if _, err := chainOf(t, "KeyToValue", map[string]string{"key.fields": "q"}).Apply(&rec); err == nil {
		t.Error("a field that the key lacks is copied")
	}
	rec.Key, rec.Value = datum(t, nil, "k"), datum(t, nil, map[string]any{})
	got := apply(t, "KeyToValue", nil, rec)
	sameDatum(t, "map", got.Value, datum(t, nil, map[string]any{"_key": "k"}))
	rec.Value = data.Datum{}
	if got = apply(t, "KeyToValue", nil, rec); !got.Value.IsNull() {
		t.Error("a tombstone got a value")
	}
}

func TestOldUnwrapKeysWarn(t *testing.T) {
	var log bytes.Buffer
	_, err := New(map[string]string{"transforms": "u", "transforms.u.type": "ExtractNewRecordState", "transforms.u.drop.tombstones": "false"},
		Options{Kind: Source, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil || !strings.Contains(log.String(), "mode=tombstone") {
		t.Errorf("got %v, log %s", err, log.String())
	}
}
