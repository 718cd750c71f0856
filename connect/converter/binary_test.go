package converter

import (
	"testing"

	"github.com/millrace/millrace/plugins/data"
)

func TestBinaryDataConverter(t *testing.T) {
	class, ok := Lookup("io.debezium.converters.ByteBufferConverter") // its old name
	if !ok || class.Name != binaryName {
		t.Fatalf("found %q, %v", class.Name, ok)
	}
	convert := func(props map[string]string, schema *data.Schema, v any) (string, error) {
		t.Helper()
		c, err := class.New(Settings{Side: Value, Props: props})
		if err != nil {
			t.Fatal(err)
		}
		d, err := data.NewDatum(schema, v)
		if err != nil {
			t.Fatal(err)
		}
		out, _, err := c.FromConnect(t.Context(), "t", d, nil)
		return string(out), err
	}
	if got, err := convert(nil, data.BytesSchema, []byte{1, 2}); err != nil || got != "\x01\x02" {
		t.Errorf("bytes give %q, %v", got, err)
	}
	if _, err := convert(nil, data.StringSchema, "heartbeat"); err == nil {
		t.Error("a string was taken without a delegate")
	}
	props := map[string]string{delegateKey: "org.apache.kafka.connect.json.JsonConverter", delegateKey + ".schemas.enable": "false"}
	if got, err := convert(props, data.StringSchema, "heartbeat"); err != nil || got != `"heartbeat"` {
		t.Errorf("the delegate gives %q, %v", got, err)
	}
	if _, err := class.New(Settings{Side: Value, Props: map[string]string{delegateKey: binaryName}}); err == nil {
		t.Error("a converter that is its own delegate was made")
	}
}
