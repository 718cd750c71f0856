package converter

import (
	"fmt"
	"strings"
	"testing"

	"github.com/millrace/millrace/connect/converter/rule"
)

// What a schema's text says of fields is found on the paths that they have in
// Connect.
func TestNames(t *testing.T) {
	avro, err := avroNames(`{"type":"record","name":"R","namespace":"n","fields":[
		{"name":"maybe","type":["null","string"],"confluent:tags":["m"]},
		{"name":"either","type":["null","string",{"type":"record","name":"A","namespace":"o","fields":[{"name":"x","type":"int","confluent:tags":["x"]}]},
			{"type":"record","name":"B","fields":[{"name":"x","type":"o.A"}]}],"confluent:tags":["e"]},
		{"name":"m","type":{"type":"map","values":{"type":"array","items":"B"}}},
		{"name":"self","type":["null","R"]}]}`)
	if err != nil {
		t.Fatal(err)
	}
	json, err := jsonNames(`{"allOf":[{"$ref":"#/definitions/D"},{"properties":{"own":{"confluent:tags":["o"]}}}],"definitions":{"D":{"properties":{
		"either":{"oneOf":[{"type":"null"},{"type":"object","properties":{"x":{"confluent:tags":["x"]}}},{"type":"string"}],"confluent:tags":["e"]},
		"m":{"type":"array","connect.type":"map","items":{"properties":{"key":{},"value":{"properties":{"y":{"confluent:tags":["y"]}}}}}},
		"n":{"additionalProperties":{"properties":{"z":{"confluent:tags":["z",1]}}}},"bad":{"confluent:tags":"t"},"self":{"$ref":"#/definitions/D"}}}}}`, nil)
	if err != nil {
		t.Fatal(err)
	}
	proto, err := protoNames(t.Context(), `syntax = "proto3"; package p; message Other {} message M { oneof o { string a = 1 [(confluent.field_meta).tags = "a"]; In in = 2; }
		map<string, In> m = 3; message In { M self = 1; string x = 2 [(confluent.field_meta) = {tags: ["x", "y"]}, deprecated = true]; } }`, nil, []int{1})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		names      rule.Names
		path, want string
	}{
		{avro, "maybe", "n.R.maybe [m]"},
		{avro, "either", "n.R.either [e]"},
		{avro, "either/string", "n.R.either [e]"},
		{avro, "either/A/x", "o.A.x [x]"},
		{avro, "either/n.B/x/x", "o.A.x [x]"},
		{avro, "m/x", "n.B.x []"},
		{avro, "self/self/maybe", "n.R.maybe [m]"},
		{avro, "maybe/x/y", ""},
		{avro, "nothing", ""},
		{json, "own", "$.own [o]"},
		{json, "either", "$.either [e]"},
		{json, "either/io.confluent.connect.json.OneOf.field.0/x", "$.either.x [x]"},
		{json, "m/y", "$.m.y [y]"},
		{json, "n/z", "$.n.z [z]"},
		{json, "self/self/bad", "$.self.self.bad []"},
		{json, "nothing", ""},
		{proto, "o_0/a", "p.M.a [a]"},
		{proto, "a", "p.M.a [a]"},
		{proto, "o/in/x", "p.M.In.x [x y]"},
		{proto, "m/self/m/x", "p.M.In.x [x y]"},
		{proto, "o_0", ""},
		{proto, "a/b", ""},
		{proto, "o_x/a", ""},
	} {
		got := ""
		if full, tags, ok := tt.names(strings.Split(tt.path, "/")); ok {
			got = fmt.Sprint(full, " ", tags)
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.path, got, tt.want)
		}
	}
	for _, text := range []string{`{`, `{"type":"record","fields":[1]}`, `["null",null,{}]`} {
		if names, err := avroNames(text); err == nil {
			if _, _, ok := names([]string{"a"}); ok {
				t.Errorf("%s has a field", text)
			}
		}
	}
}
