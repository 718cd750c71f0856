package rule

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/plugins/data"
)

func order(t testing.TB) (*data.Schema, *data.Struct) {
	t.Helper()
	s := data.NewStructBuilder().Name("shop.Order").
		Field("id", data.Int32Schema).Field("email", data.OptionalStringSchema).
		Field("amounts", data.ArrayOf(data.Float64Schema).MustBuild()).
		Field("labels", data.MapOf(data.StringSchema, data.StringSchema).MustBuild()).MustBuild()
	v := data.NewStruct(s)
	for name, x := range map[string]any{"id": int32(7), "email": "a@example.com", "amounts": []any{1.5, 2.5}, "labels": data.Map{{Key: "k", Value: "v"}}} {
		if err := v.Put(name, x); err != nil {
			t.Fatal(err)
		}
	}
	return s, v
}

func TestConditions(t *testing.T) {
	s, v := order(t)
	for _, tt := range []struct {
		name string
		rule Rule
		want string // of the error, "" for none
	}{
		{"true", Rule{Type: "CEL", Expr: `message.id == 7 && message.labels["k"] == "v" && size(message.amounts) == 2`}, ""},
		{"false", Rule{Type: "CEL", Expr: `message.id > 7`}, `rule "r": its condition is false`},
		{"no truth value", Rule{Type: "CEL", Expr: `message.id`}, ""},
		{"guard", Rule{Type: "CEL", Expr: `message.id == 8 ; message.email == ""`}, ""},
		{"guard that holds", Rule{Type: "CEL", Expr: `message.id == 7 ; message.email == ""`}, "is false"},
		{"function", Rule{Type: "CEL", Expr: `message.email.isEmail() && !message.email.is_uuid() && "example.com".isHostname() && "::1".isIpv6()`}, ""},
		{"let pass", Rule{Type: "CEL", Expr: `false`, OnFailure: "NONE"}, ""},
		{"refused on writing, let pass on reading", Rule{Type: "CEL", Mode: "WRITEREAD", Expr: `false`, OnFailure: "ERROR,NONE"}, "is false"},
		{"no such field", Rule{Type: "CEL", Expr: `message.nothing == 1`}, "no such key"},
		{"no expression", Rule{Type: "CEL", Expr: `message.`}, "Syntax error"},
		{"each field", Rule{Type: "CEL_FIELD", Expr: `typeName == "STRING" ; value != ""`}, ""},
		{"each field, false", Rule{Type: "CEL_FIELD", Expr: `typeName == "DOUBLE" ; value < 2.0`}, "field shop.Order.amounts"},
		{"tagged fields", Rule{Type: "CEL_FIELD", Tags: []string{"PII"}, Expr: `value.startsWith("x")`}, "field shop.Order.email"},
		{"fields tagged otherwise", Rule{Type: "CEL_FIELD", Tags: []string{"OTHER"}, Expr: `false`}, ""},
		{"another type", Rule{Type: "ENCRYPT", Kind: "TRANSFORM"}, "not carried out here"},
		{"disabled", Rule{Type: "ENCRYPT", Disabled: true}, ""},
		{"for reading", Rule{Type: "CEL", Mode: "READ", Expr: `false`}, ""},
		{"too costly", Rule{Type: "CEL", Expr: `[1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b, [1,2,3,4,5,6,7,8,9,10].all(c, [1,2,3,4,5,6,7,8,9,10].all(d, [1,2,3,4,5,6,7,8,9,10].all(e, [1,2,3,4,5,6,7,8,9,10].all(f, a+b+c+d+e+f > 0))))))`}, "limit"}, // of cost, or of time on a slow machine,
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.rule.Name = "r"
			if tt.rule.Mode == "" {
				tt.rule.Mode = "WRITE"
			}
			set, err := Compile(Contract{Rules: []Rule{tt.rule}, Tags: map[string][]string{"shop.Order.email": {"PII"}}}, Write)
			if err != nil {
				t.Fatal(err)
			}
			if set != nil {
				began := time.Now()
				err = set.Check(t.Context(), s, v)
				if took := time.Since(began); took > 10*time.Second {
					t.Errorf("took %s", took)
				}
			}
			if (err != nil) != (tt.want != "") || err != nil && (!errors.Is(err, ErrViolated) || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}
