package converter

import (
	"errors"
	"strings"
	"testing"

	"github.com/millrace/millrace/connect/converter/rule"
	"github.com/millrace/millrace/plugins/data"
)

// Each converter for registries holds values against the rules of their schema,
// on writing and on reading.
func TestContracts(t *testing.T) {
	s := data.NewStructBuilder().Name("N").Field("a", data.Int32Schema).MustBuild()
	for _, class := range []string{"io.confluent.connect.avro.AvroConverter", jsonSchemaClass, protobufClass} {
		t.Run(class, func(t *testing.T) {
			r := newRegistry()
			r.rules = []rule.Rule{
				{Name: "positive", Kind: "CONDITION", Mode: "WRITE", Type: "CEL", Expr: "message.a > 0"},
				{Name: "small", Kind: "CONDITION", Mode: "READ", Type: "CEL", Expr: "message.a < 10"},
			}
			c := make1(t, class, Value, r, "schema.registry.url", "http://r")
			for a, want := range map[int32]string{5: "", 0: "positive", 11: "small"} {
				d := datum(t, s, newStruct(t, s, a))
				out, _, err := c.FromConnect(t.Context(), "t", d, nil)
				if err == nil {
					_, err = c.ToConnect(t.Context(), "t", out)
				}
				var record *RecordError
				if (err != nil) != (want != "") || err != nil && (!errors.As(err, &record) || !errors.Is(err, rule.ErrViolated) || !strings.Contains(err.Error(), want)) {
					t.Errorf("%d: %v, want a refusal of %q", a, err, want)
				}
			}
		})
	}
}
