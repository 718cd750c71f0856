package transform

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/plugins/data"
)

// scripted is a change event with key and headers for expressions to look at.
func scripted(t *testing.T) data.Record {
	rec := baseRecord()
	key := data.NewStructBuilder().Name("srv.public.t.Key").Field("id", data.Int64Schema).MustBuild()
	rec.Key = datum(t, key, structOf(t, key, int64(7)))
	rec.Value = change(t, "u", shop(t, 7, "old"), shop(t, 7, "new"))
	rec.Headers = []data.Header{
		{Name: "source", Value: datum(t, data.StringSchema, "old")}, {Name: "source", Value: datum(t, data.StringSchema, "web")},
		{Name: "n", Value: datum(t, data.Int32Schema, int32(3))},
	}
	return rec
}

func TestFilterByExpression(t *testing.T) {
	for _, tt := range []struct {
		condition string
		keep      bool
	}{
		{`value.op == 'u' && value.after.id == 7`, true},
		{`value.op == 'c'`, false},
		{`value.before.name != value.after.name`, true},
		{`value.after.id > 6.5 && value.after.amount >= 12.5 && value.after.amount < 13`, true},
		{`key.id == 7 && topic == "topic" && topic.startsWith("to")`, true},
		{`header.source.value == "web" && header.n.value == 3 && header.n.schema.type == "int32"`, true},
		{`"none" in header`, false},
		{`valueSchema.name.endsWith(".Envelope") && "after" in valueSchema.fields && valueSchema.version == 2`, true},
		{`keySchema.name == "srv.public.t.Key" && !keySchema.optional`, true},
		{`value.?after.?nothing.orValue(1) == 1`, true},
		{`value.op.upperAscii() == "U"`, true},
	} {
		rec := scripted(t)
		keep, err := chainOf(t, debezium+"Filter", map[string]string{"language": "cel", "condition": tt.condition}).Apply(&rec)
		if err != nil || keep != tt.keep {
			t.Errorf("%s: keep %v, %v; want %v", tt.condition, keep, err, tt.keep)
		}
	}
}

// A filter that an expression fails in, or that is neither true nor false,
// fails its record.
func TestFilterFails(t *testing.T) {
	for condition, want := range map[string]string{
		`value.nothing == 1`:   "no such key",
		`value.after.id`:       "must be true or false",
		`value.before.id == 7`: "", // before is null
		`[1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b, [1,2,3,4,5,6,7,8,9,10].all(c, [1,2,3,4,5,6,7,8,9,10].all(d, [1,2,3,4,5,6,7,8,9,10].all(e, [1,2,3,4,5,6,7,8,9,10].all(f, a+b+c+d+e+f > 0))))))`: "limit",
	} {
		rec := scripted(t)
		rec.Value = change(t, "c", nil, shop(t, 7, "new"))
		_, err := chainOf(t, debezium+"Filter", map[string]string{"language": "jsr223.cel", "condition": condition}).Apply(&rec)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", condition, err, want)
		}
	}
}

func TestScriptsLookOnlyAtTheirRecords(t *testing.T) {
	tombstone := baseRecord()
	for _, tt := range []struct {
		name  string
		props map[string]string
		rec   data.Record
		keep  bool
	}{
		{"another topic", map[string]string{"topic.regex": `other.*`}, scripted(t), true},
		{"its topic", map[string]string{"topic.regex": `to\w+`}, scripted(t), false},
		{"null is kept", nil, tombstone, true},
		{"null is dropped", map[string]string{"null.handling.mode": "drop"}, tombstone, false},
		{"null is evaluated", map[string]string{"null.handling.mode": "evaluate", "condition": "value == null"}, tombstone, true},
		{"null is evaluated to drop", map[string]string{"null.handling.mode": "evaluate", "condition": "value != null"}, tombstone, false},
	} {
		props := map[string]string{"language": "cel", "condition": "false"}
		for k, v := range tt.props {
			props[k] = v
		}
		if keep, err := chainOf(t, debezium+"Filter", props).Apply(&tt.rec); err != nil || keep != tt.keep {
			t.Errorf("%s: keep %v, %v; want %v", tt.name, keep, err, tt.keep)
		}
	}
}

func TestContentBasedRouter(t *testing.T) {
	for _, tt := range []struct{ expression, topic, err string }{
		{`value.op == 'u' ? 'updates' : null`, "updates", ""},
		{`value.op == 'd' ? 'deletes' : null`, "topic", ""},
		{`topic + '.' + value.after.name`, "topic.new", ""},
		{`string(value.after.id)`, "7", ""},
		{`value.after.id`, "", "must be a topic's name"},
		{`''`, "", "empty topic"},
	} {
		rec := scripted(t)
		keep, err := chainOf(t, "ContentBasedRouter", map[string]string{"language": "cel", "topic.expression": tt.expression}).Apply(&rec)
		switch {
		case tt.err != "":
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: %v, want %q", tt.expression, err, tt.err)
			}
		case err != nil || !keep || rec.Topic != tt.topic:
			t.Errorf("%s: topic %q, keep %v, %v; want %q", tt.expression, rec.Topic, keep, err, tt.topic)
		}
	}
	rec := baseRecord()
	rec.Value = datum(t, nil, map[string]any{"kind": "a", "n": int64(1)})
	if _, err := chainOf(t, "ContentBasedRouter", map[string]string{"language": "cel", "topic.expression": `value.kind + "-" + string(value.n)`}).Apply(&rec); err != nil || rec.Topic != "a-1" {
		t.Errorf("a value without schema goes to %q, %v", rec.Topic, err)
	}
}

// What is Groovy is refused, with its spelling in CEL where that is simple.
func TestGroovyIsRefusedWithItsSpelling(t *testing.T) {
	for _, tt := range []struct{ language, condition, key, want string }{
		{"jsr223.groovy", `value.after.n / 2 == 1`, "type", "/ may mean something else"},
		{"groovy", `value.after.s.matches('a')`, "type", "matches may mean something else"},
		{"groovy", `value.after.s == "${topic}"`, "type", "texts with $"},
		{"groovy", `value.after?.name ==~ /a.*b/`, "condition", "in CEL it is spelt"},
		{"jsr223.graal.js", `value.op == 'u'`, "language", "set language to cel"},
		{"cel", `value.after?.name ==~ /a.*b/`, "condition", `in CEL it is spelt value.after.name.matches(r"^(?:a.*b)$")`},
		{"cel", `value.op.equals('u') && key.id > 5L`, "condition", `in CEL it is spelt value.op == 'u' && key.id > 5`},
		{"cel", `return valueSchema.name() == 'x';`, "condition", `in CEL it is spelt valueSchema.name == 'x'`},
		{"cel", `value.get('op') == 'u'`, "condition", `in CEL it is spelt value.op == 'u'`},
		{"cel", `def x = 1; x == 2`, "condition", "it is not CEL: "},
		{"cel", `nothing.op == 'u'`, "condition", "undeclared reference to 'nothing'"},
		{"", `value.op == 'u'`, "language", "no default value"},
	} {
		config := map[string]string{"transforms": "t", "transforms.t.type": debezium + "Filter", "transforms.t.condition": tt.condition}
		if tt.language != "" {
			config["transforms.t.language"] = tt.language
		}
		found := false
		for _, in := range Validate(config, options()).Infos {
			for _, text := range in.Value.Errors {
				found = found || in.Value.Name == "transforms.t."+tt.key && strings.Contains(text, tt.want)
			}
		}
		if !found {
			t.Errorf("%s %s: no error of %s says %q", tt.language, tt.condition, tt.key, tt.want)
		}
	}
}

// What means the same in both is taken for Groovy as well.
func TestGroovyThatIsCEL(t *testing.T) {
	for _, condition := range []string{"value.op == 'c' || value.op == 'u'", "!(value.after.n in [1, 2]) && value.after.n * 2 >= 5", "topic.startsWith('a') ? value.op != 'd' : true"} {
		if _, err := newChainOf(debezium+"Filter", map[string]string{"language": "jsr223.groovy", "condition": condition}); err != nil {
			t.Errorf("%s: %v", condition, err)
		}
	}
}

func FuzzScript(f *testing.F) {
	f.Add(`value.after?.name ==~ /a.*b/`)
	f.Add(`value.op == 'u' && header.x.value in [1, "2"]`)
	f.Fuzz(func(t *testing.T, text string) {
		rec := baseRecord()
		rec.Value = datum(t, nil, map[string]any{"op": "u"})
		c, err := newChainOf(debezium+"Filter", map[string]string{"language": "cel", "condition": text})
		if err == nil {
			_, _ = c.Apply(&rec) // may fail, must not panic
		}
	})
}
