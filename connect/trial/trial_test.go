package trial

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/connect/transform"
	"github.com/millrace/millrace/plugins/data"
)

const allTypes = `{"type":"struct","optional":false,"name":"all","version":3,"doc":"d","fields":[` +
	`{"type":"int8","optional":false,"field":"i8"},{"type":"int16","optional":false,"field":"i16"},` +
	`{"type":"int32","optional":false,"default":7,"field":"i32"},{"type":"int64","optional":true,"field":"i64"},` +
	`{"type":"float","optional":false,"field":"f32"},{"type":"double","optional":false,"field":"f64"},` +
	`{"type":"boolean","optional":false,"field":"b"},{"type":"bytes","optional":false,"field":"raw"},` +
	`{"type":"bytes","optional":false,"name":"org.apache.kafka.connect.data.Decimal","version":1,"parameters":{"scale":"3"},"field":"dec"},` +
	`{"type":"int32","optional":false,"name":"org.apache.kafka.connect.data.Date","version":1,"field":"day"},` +
	`{"type":"int64","optional":false,"name":"org.apache.kafka.connect.data.Timestamp","version":1,"field":"ts"},` +
	`{"type":"array","items":{"type":"string","optional":false},"optional":false,"field":"list"},` +
	`{"type":"map","keys":{"type":"string","optional":false},"values":{"type":"int32","optional":false},"optional":false,"field":"names"},` +
	`{"type":"map","keys":{"type":"int32","optional":false},"values":{"type":"double","optional":false},"optional":false,"field":"numbers"}]}`

const allValues = `{"i8":-128,"i16":32767,"i32":5,"i64":null,"f32":1.5,"f64":"-Infinity","b":true,"raw":"AP8=",` +
	`"dec":{"decimal":"12.340"},"day":19723,"ts":1704067200123,"list":["a","b"],"names":{"x":1,"y":2},"numbers":[[1,"NaN"],[2,0.5]]}`

// What is read is written again, with every type and attribute.
func TestRecordsRoundTrip(t *testing.T) {
	for name, key := range map[string]string{
		"typed":      `"valueSchema":` + allTypes + `,"value":` + allValues,
		"schemaless": `"valueSchema":null,"value":{"a":1,"b":[1.5,"x",null,true],"c":{"decimal":"0.10"}}`,
		"null":       `"valueSchema":{"type":"string","optional":true},"value":null`,
		"nothing":    `"valueSchema":null,"value":null`,
	} {
		line := `{"topic":"t","partition":3,"timestamp":1700000000000,"keySchema":{"type":"int64","optional":false},"key":9007199254740993,` + key +
			`,"headers":[{"key":"h","schema":{"type":"string","optional":false},"value":"x"},{"key":"h","schema":null,"value":null}]}`
		r, err := ParseRecord([]byte(line))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		first, err := AppendRecord(nil, &r)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseRecord(first)
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, first)
		}
		second, err := AppendRecord(nil, &again)
		if err != nil || string(first) != string(second) {
			t.Errorf("%s: %v\n%s\n%s", name, err, first, second)
		}
		want := line[strings.Index(line, `"value":`):]
		if !strings.HasSuffix(string(first), want) {
			t.Errorf("%s: written\n%s\nwant it to end with\n%s", name, first, want)
		}
		if r.Value.Schema != nil && !r.Value.Schema.Equal(again.Value.Schema) {
			t.Errorf("%s: the schema is another", name)
		}
	}
}

func TestBadRecordsAreRefused(t *testing.T) {
	for line, want := range map[string]string{
		`{`:                    "not a record",
		`{"topics":"t"}`:       "unknown field",
		`{"topic":"t"} {}`:     "more follows",
		`{"keySchema":{}}`:     "key: schema",
		`{"value":1e999}`:      "value:",
		`{"partition":1.5}`:    "not a record",
		`{"timestamp":"soon"}`: "not a record",
		`{"valueSchema":{"type":"int8","optional":false},"value":128}`:                               "whole number of 8 bits",
		`{"valueSchema":{"type":"int32","optional":false},"value":1.5}`:                              "whole number",
		`{"valueSchema":{"type":"int32","optional":false},"value":null}`:                             "required",
		`{"valueSchema":{"type":"bytes","optional":false},"value":"%"}`:                              "base64",
		`{"valueSchema":` + allTypes + `,"value":{"nope":1}}`:                                        `no field "nope"`,
		`{"valueSchema":{"type":"array","items":{"type":"int32"},"optional":false},"value":["x"]}`:   "[0]",
		`{"headers":[{"key":"h","schema":{"type":"boolean","optional":false},"value":1}]}`:           "header h",
		`{"valueSchema":{"type":"map","keys":{"type":"int32"},"values":{"type":"int32"}},"value":3}`: "array of pairs",
	} {
		if _, err := ParseRecord([]byte(line)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
}

func TestStepsShowWhatEachDoes(t *testing.T) {
	config := map[string]string{
		"transforms": "mask, route, drop", "predicates": "dead",
		"transforms.mask.type": "org.apache.kafka.connect.transforms.MaskField$Value", "transforms.mask.fields": "name",
		"transforms.mask.predicate": "dead", "transforms.mask.negate": "true",
		"transforms.route.type": "org.apache.kafka.connect.transforms.RegexRouter", "transforms.route.regex": "(.*)", "transforms.route.replacement": "to-$1",
		"transforms.drop.type": "org.apache.kafka.connect.transforms.Filter", "transforms.drop.predicate": "dead",
		"predicates.dead.type": "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone",
	}
	trial, err := New(config, transform.Options{Kind: transform.Sink})
	if err != nil {
		t.Fatal(err)
	}
	parse := func(line string) data.Record {
		r, err := ParseRecord([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	live := parse(`{"topic":"t","value":{"name":"bob"}}`)
	steps, err := trial.Steps(live)
	if err != nil || len(steps) != 3 || !steps[0].Changed || !steps[1].Changed || steps[2].Changed {
		t.Fatalf("steps %+v, %v", steps, err)
	}
	if steps[0].Record.Topic != "t" || steps[1].Record.Topic != "to-t" || live.Topic != "t" {
		t.Errorf("topics %s, %s; the record itself has %s", steps[0].Record.Topic, steps[1].Record.Topic, live.Topic)
	}
	dead := parse(`{"topic":"t","value":null}`)
	steps, err = trial.Steps(dead)
	if err != nil || len(steps) != 3 || steps[0].Changed || steps[2].Record != nil || steps[2].Err != nil {
		t.Errorf("steps of a tombstone %+v, %v", steps, err)
	}
	if keep, err := trial.Apply(&dead); keep || err != nil {
		t.Errorf("a tombstone: kept %t, %v", keep, err)
	}
	bad := parse(`{"topic":"t","value":"text"}`)
	steps, err = trial.Steps(bad)
	if err != nil || len(steps) != 1 || steps[0].Err == nil || steps[0].Alias != "mask" {
		t.Errorf("steps of a text %+v, %v", steps, err)
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add([]byte(`{"topic":"t","valueSchema":` + allTypes + `,"value":` + allValues + `}`))
	f.Add([]byte(`{"value":{"decimal":"1e400"},"headers":[{"key":"h","value":[[]]}]}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := ParseRecord(line)
		if err != nil {
			return
		}
		out, err := AppendRecord(nil, &r)
		if err != nil {
			t.Fatalf("read but not written: %v", err)
		}
		if _, err := ParseRecord(out); err != nil {
			t.Fatalf("written but not read: %v\n%s", err, out)
		}
	})
}
