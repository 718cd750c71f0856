package converter

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/millrace/millrace/plugins/data"
)

var (
	cloudRow    = data.NewStructBuilder().Name("srv.s1.a.Value").Optional().Field("pk", data.Int32Schema).Field("name", data.OptionalStringSchema).MustBuild()
	cloudSource = data.NewStructBuilder().Name("io.debezium.connector.postgresql.Source").
			Field("version", data.StringSchema).Field("connector", data.StringSchema).Field("name", data.StringSchema).Field("ts_ms", data.Int64Schema).
			Field("snapshot", data.NewBuilder(data.TypeString).Name("io.debezium.data.Enum").Optional().Default("false").MustBuild()).
			Field("db", data.StringSchema).Field("sequence", data.OptionalStringSchema).Field("schema", data.StringSchema).Field("table", data.StringSchema).
			Field("txId", data.OptionalInt64Schema).Field("lsn", data.OptionalInt64Schema).Field("xmin", data.OptionalInt64Schema).MustBuild()
	cloudBlock = data.NewStructBuilder().Name("event.block").Optional().Field("id", data.StringSchema).
			Field("total_order", data.Int64Schema).Field("data_collection_order", data.Int64Schema).MustBuild()
	cloudEnvelopeSchema = data.NewStructBuilder().Name("srv.s1.a.Envelope").Field("before", cloudRow).Field("after", cloudRow).
				Field("source", cloudSource).Field("transaction", cloudBlock).Field("op", data.StringSchema).Field("ts_ms", data.OptionalInt64Schema).MustBuild()
)

// filled makes a struct from values in the order of its fields.
func filled(t *testing.T, s *data.Schema, values ...any) *data.Struct {
	t.Helper()
	out := data.NewStruct(s)
	for i, v := range values {
		if v == nil {
			continue
		}
		if err := out.PutAt(i, v); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func cloudChange(t *testing.T, transaction bool) data.Datum {
	t.Helper()
	var block any
	if transaction {
		block = filled(t, cloudBlock, "565:1", int64(1), int64(2))
	}
	source := filled(t, cloudSource, "3.6", "postgresql", "test-server", int64(1578923739738), nil, "db", `["1","2"]`, "s1", "a", int64(565), int64(29274832))
	return datum(t, cloudEnvelopeSchema, filled(t, cloudEnvelopeSchema, nil, filled(t, cloudRow, int32(1), "Bob"), source, block, "r", int64(5)))
}

const (
	cloudHead = `{"id":"name:test-server;lsn:29274832;txId:565;sequence:[\"1\",\"2\"]","source":"/debezium/postgresql/test-server","specversion":"1.0",` +
		`"type":"io.debezium.connector.postgresql.DataChangeEvent","time":"2020-01-13T13:55:39.738Z","datacontenttype":"application/`
	cloudExtensions = `"iodebeziumop":"r","iodebeziumversion":"3.6","iodebeziumconnector":"postgresql","iodebeziumname":"test-server","iodebeziumtsms":"1578923739738",` +
		`"iodebeziumsnapshot":"false","iodebeziumdb":"db","iodebeziumsequence":"[\"1\",\"2\"]","iodebeziumschema":"s1","iodebeziumtable":"a","iodebeziumtxId":"565",` +
		`"iodebeziumlsn":"29274832","iodebeziumxmin":null,`
	cloudNoTx = `"iodebeziumtxid":null,"iodebeziumtxtotalorder":null,"iodebeziumtxdatacollectionorder":null,`
	cloudTx   = `"iodebeziumtxid":"565:1","iodebeziumtxtotalorder":"1","iodebeziumtxdatacollectionorder":"2",`
	cloudData = `{"before":null,"after":{"pk":1,"name":"Bob"}}`
)

func TestCloudEvents(t *testing.T) {
	for _, tt := range []struct {
		name  string
		tx    bool
		props []string
		want  string
	}{
		{"plain", false, []string{"json.schemas.enable", "false"}, cloudHead + `json",` + cloudExtensions + cloudNoTx + `"data":` + cloudData + `}`},
		{"in a transaction", true, []string{"json.schemas.enable", "false"}, cloudHead + `json",` + cloudExtensions + cloudTx + `"data":` + cloudData + `}`},
		{"without extensions", false, []string{"json.schemas.enable", "false", "extension.attributes.enable", "false"}, cloudHead + `json","data":` + cloudData + `}`},
		{"with a schema", false, []string{"extension.attributes.enable", "false"}, cloudHead + `json","data":{"schema":{"type":"struct","fields":[` +
			`{"type":"struct","fields":[{"type":"int32","optional":false,"field":"pk"},{"type":"string","optional":true,"field":"name"}],"optional":true,"name":"srv.s1.a.Value","field":"before"},` +
			`{"type":"struct","fields":[{"type":"int32","optional":false,"field":"pk"},{"type":"string","optional":true,"field":"name"}],"optional":true,"name":"srv.s1.a.Value","field":"after"}],` +
			`"optional":false,"name":"io.debezium.connector.postgresql.Data"},"payload":` + cloudData + `}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := make1(t, "io.debezium.converters.CloudEventsConverter", Value, newRegistry(), tt.props...)
			for range 2 {
				got, null := write(t, c, cloudChange(t, tt.tx))
				if null || got != tt.want {
					t.Fatalf("event is\n%s\nwant\n%s", got, tt.want)
				}
				var any map[string]any
				if err := json.Unmarshal([]byte(got), &any); err != nil {
					t.Fatal(err)
				}
			}
			d, err := c.ToConnect(t.Context(), "t", []byte(tt.want))
			if err != nil {
				t.Fatal(err)
			}
			v, err := d.Value()
			if err != nil {
				t.Fatal(err)
			}
			if text := data.Text(v.(map[string]any)["data"]); !strings.Contains(text, "Bob") || strings.Contains(text, "payload") {
				t.Errorf("read data is %s", text)
			}
		})
	}
}

func TestCloudEventsInAvro(t *testing.T) {
	r := newRegistry()
	c := make1(t, "io.debezium.converters.CloudEventsConverter", Value, r, "data.serializer.type", "avro", "avro.schema.registry.url", "http://r", "extension.attributes.enable", "false")
	got, _ := write(t, c, cloudChange(t, false))
	data64 := base64.StdEncoding.EncodeToString([]byte("\x00\x00\x00\x00\x01\x00\x02\x02\x02\x06Bob"))
	if want := cloudHead + `avro","dataschema":"http://r/schemas/ids/1","data":"` + data64 + `"}`; got != want {
		t.Errorf("event is\n%s\nwant\n%s", got, want)
	}
	d, err := c.ToConnect(t.Context(), "t", []byte(got))
	if err != nil {
		t.Fatal(err)
	}
	v, err := d.Value()
	if err != nil {
		t.Fatal(err)
	}
	if text := data.Text(v.(map[string]any)["data"]); !strings.Contains(text, "Bob") {
		t.Errorf("read data is %s", text)
	}

	r = newRegistry()
	c = make1(t, "CloudEvents", Value, r, "serializer.type", "AVRO", "data.serializer.type", "avro", "avro.schema.registry.url", "http://r")
	got, _ = write(t, c, cloudChange(t, true))
	if len(r.subjects["t-data-value"]) != 1 || len(r.subjects["t-value"]) != 1 {
		t.Errorf("subjects are %v", r.subjects)
	}
	if d, err = c.ToConnect(t.Context(), "t", []byte(got)); err != nil {
		t.Fatal(err)
	}
	if d.Schema.Name() != "test_server.db.CloudEvents.Envelope" {
		t.Errorf("schema is %s", d.Schema.Name())
	}
	if v, err = d.Value(); err != nil {
		t.Fatal(err)
	}
	event := v.(*data.Struct)
	payload, _, _ := event.Struct("data")
	after, _, _ := payload.Struct("after")
	if name, _, _ := after.Text("name"); name != "Bob" {
		t.Errorf("event is %s", event)
	}
	if lsn, _, _ := event.Text("iodebeziumlsn"); lsn != "29274832" {
		t.Errorf("event is %s", event)
	}
}

func TestCloudEventsRefuse(t *testing.T) {
	class, _ := Lookup("CloudEventsConverter")
	for _, tt := range []struct{ key, value, want string }{
		{"serializer.type", "avro", "cannot have data in JSON"},
		{"metadata.source", "header", "do not see headers"},
		{"metadata.source", "value,id:header,type:generate", "id cannot be taken from a header"},
		{"metadata.source", "value", "id:generate is missing"},
		{"metadata.source", "value,id:generate,type:generate,x:generate", "no field x"},
		{"opentelemetry.tracing.attributes.enable", "true", "traces are in headers"},
		{"json.decimal.format", "HEX", "json."},
		{"data.serializer.type", "avro", "registry"},
	} {
		_, err := class.New(Settings{Side: Value, Props: map[string]string{tt.key: tt.value}})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s=%s: %v, want %q", tt.key, tt.value, err, tt.want)
		}
	}
	c := make1(t, cloudEventsName, Value, newRegistry())
	if _, null := write(t, c, datum(t, data.StringSchema, "no change")); !null {
		t.Error("what is no change event is not null")
	}
	for _, raw := range []string{`{"id":"1"}`, `[]`, `{`, `{"id":"1","source":"s","specversion":"1.0","type":"t","data":{}}`} {
		if _, err := c.ToConnect(t.Context(), "t", []byte(raw)); err == nil {
			t.Errorf("%s is read as an event", raw)
		}
	}
}
