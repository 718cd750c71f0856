package configdef

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var def = Def{
	{Name: "name", Type: String, Required: true, Rules: []Rule{PlainName()}, Importance: High, Group: "Common"},
	{Name: "tasks.max", Type: Int, Default: 1, Rules: []Rule{AtLeast(1), AtMost(64)}, Importance: High,
		Group: "Common", Width: ShortWidth, DisplayName: "Tasks max", Doc: "Upper bound on tasks."},
	{Name: "mode", Type: String, Default: "bulk", Rules: []Rule{OneOf("bulk", "stream")}, Dependents: []string{"poll.ms"}},
	{Name: "format", Type: String, Default: "BASE64", Rules: []Rule{OneOfFold("BASE64", "NUMERIC")}},
	{Name: "poll.ms", Type: Long, Default: "500", Recommend: func(c Config) ([]string, bool) {
		return []string{"100", "500"}, c.String("mode") == "bulk"
	}},
	{Name: "tables", Type: List, Default: []string{}, Aliases: []string{"table.whitelist"}},
	{Name: "ratio", Type: Double, Default: 0.5},
	{Name: "enabled", Type: Boolean, Default: true},
	{Name: "retries", Type: Short},
	{Name: "password", Type: Password, Default: ""},
	{Name: "topic.prefix", Type: String, Rules: []Rule{NonEmpty(), Matches(`[\w.]+`)}},
	{Name: "randomize", Type: Boolean, Default: false, Unsupported: "one address is tried after the other"},
	{Name: "even", Type: Int, Default: 2, Check: func(v any) error {
		if n, ok := v.(int64); ok && n%2 != 0 {
			return errors.New("Value must be even")
		}
		return nil
	}},
}

func TestDefIsSound(t *testing.T) {
	if err := def.Check(); err != nil {
		t.Fatal(err)
	}
}

func TestMessages(t *testing.T) {
	for _, tt := range []struct {
		name  string
		props map[string]string
		want  []string
	}{
		{"fine", map[string]string{"name": "c", "tasks.max": " 4 ", "enabled": "TRUE", "format": "numeric"}, nil},
		{"missing", map[string]string{}, []string{`Missing required configuration "name" which has no default value.`}},
		{"bad number says two things", map[string]string{"name": "c", "tasks.max": "abc"}, []string{
			"Invalid value abc for configuration tasks.max: Not a number of type INT",
			"Invalid value null for configuration tasks.max: Value must be non-null",
		}},
		{"too small", map[string]string{"name": "c", "tasks.max": "0"},
			[]string{"Invalid value 0 for configuration tasks.max: Value must be at least 1"}},
		{"too large", map[string]string{"name": "c", "tasks.max": "65"},
			[]string{"Invalid value 65 for configuration tasks.max: Value must be no more than 64"}},
		{"out of 32 bits", map[string]string{"name": "c", "even": "4294967296"},
			[]string{"Invalid value 4294967296 for configuration even: Not a number of type INT"}},
		{"boolean", map[string]string{"name": "c", "enabled": "yes"},
			[]string{"Invalid value yes for configuration enabled: Expected value to be either true or false"}},
		{"choice", map[string]string{"name": "c", "mode": "Bulk"},
			[]string{"Invalid value Bulk for configuration mode: String must be one of: bulk, stream"}},
		{"choice of any case", map[string]string{"name": "c", "format": "hex"},
			[]string{"Invalid value hex for configuration format: String must be one of (case insensitive): BASE64, NUMERIC"}},
		{"empty", map[string]string{"name": "c", "topic.prefix": " "},
			[]string{"Invalid value  for configuration topic.prefix: String must be non-empty"}},
		{"empty name", map[string]string{"name": ""},
			[]string{"Invalid value  for configuration name: String may not be empty"}},
		{"pattern", map[string]string{"name": "c", "topic.prefix": "a b"},
			[]string{`Invalid value a b for configuration topic.prefix: String must match pattern [\w.]+`}},
		{"check", map[string]string{"name": "c", "even": "3"},
			[]string{"Invalid value 3 for configuration even: Value must be even"}},
		{"unsupported", map[string]string{"name": "c", "randomize": "true"},
			[]string{"Invalid value true for configuration randomize: one address is tried after the other"}},
		{"unsupported but the default", map[string]string{"name": "c", "randomize": "false"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, problems := def.Parse(tt.props)
			var got []string
			for _, p := range problems {
				got = append(got, p.Error())
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("problems are %q, want %q", got, tt.want)
			}
		})
	}
}

func TestTypedValues(t *testing.T) {
	c, problems := def.Parse(map[string]string{
		"name": " c ", "tables": " a , b ,, c", "ratio": "1e3", "enabled": "False", "poll.ms": "+250",
		"password": "hunter2", "prod.acks": "all", "prod.x": "1",
	})
	if problems != nil {
		t.Fatal(problems)
	}
	for _, tt := range []struct {
		what      string
		got, want any
	}{
		{"string", c.String("name"), "c"},
		{"original", mustOriginal(c, "name"), " c "},
		{"list", c.List("tables"), []string{"a", "b", "", "c"}},
		{"double", c.Float64("ratio"), 1000.0},
		{"boolean", c.Bool("enabled"), false},
		{"long", c.Int64("poll.ms"), int64(250)},
		{"millis", c.Millis("poll.ms"), 250 * time.Millisecond},
		{"int default", c.Int("tasks.max"), 1},
		{"null", c.IsNull("retries"), true},
		{"null as zero", c.Int("retries"), 0},
		{"not null", c.IsNull("name"), false},
		{"password", c.String("password"), "hunter2"},
		{"prefix", c.WithPrefix("prod."), map[string]string{"acks": "all", "x": "1"}},
		{"given", c.Given("tables"), true},
		{"not given", c.Given("mode"), false},
	} {
		if !reflect.DeepEqual(tt.got, tt.want) {
			t.Errorf("%s is %#v, want %#v", tt.what, tt.got, tt.want)
		}
	}
	if c, _ := def.Parse(map[string]string{"tables": ""}); len(c.List("tables")) != 0 {
		t.Errorf("an empty text is the list %q", c.List("tables"))
	}
	defer func() {
		if recover() == nil {
			t.Error("an undefined key does not panic")
		}
	}()
	c.String("no.such.key")
}

func mustOriginal(c Config, name string) string {
	v, _ := c.Original(name)
	return v
}

func TestValidate(t *testing.T) {
	infos := def.Validate(map[string]string{"name": "c", "password": "hunter2", "mode": "stream", "tasks.max": "0"})
	text, err := json.Marshal(infos)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "hunter2") {
		t.Error("the password is in the result")
	}
	got, err := json.Marshal(infos[1])
	if err != nil {
		t.Fatal(err)
	}
	want := `{"definition":{"name":"tasks.max","type":"INT","required":false,"default_value":"1","importance":"HIGH",` +
		`"documentation":"Upper bound on tasks.","group":"Common","width":"SHORT","display_name":"Tasks max","dependents":[],"order":2},` +
		`"value":{"name":"tasks.max","value":"0","recommended_values":[],` +
		`"errors":["Invalid value 0 for configuration tasks.max: Value must be at least 1"],"visible":true}}`
	if string(got) != want {
		t.Errorf("info is\n%s\nwant\n%s", got, want)
	}
	for _, i := range infos {
		switch i.Value.Name {
		case "password":
			if *i.Value.Value != Hidden {
				t.Errorf("password shows as %q", *i.Value.Value)
			}
		case "poll.ms":
			if i.Value.Visible || !slices.Equal(i.Value.RecommendedValues, []string{"100", "500"}) {
				t.Errorf("poll.ms is %+v", *i.Value)
			}
		case "retries":
			if i.Value.Value != nil || i.Definition.DefaultValue != nil {
				t.Errorf("retries is %+v", *i.Value)
			}
		}
	}
	if got := def.Groups(); !slices.Equal(got, []string{"Common"}) {
		t.Errorf("groups are %q", got)
	}
}

func TestJSON(t *testing.T) {
	text, err := json.Marshal(def)
	if err != nil {
		t.Fatal(err)
	}
	var back Def
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back.Definitions(), def.Definitions()) {
		t.Errorf("definitions came back as\n%+v\nwant\n%+v", back.Definitions(), def.Definitions())
	}
	props := map[string]string{"tasks.max": "x", "mode": "y", "table.whitelist": "a,b"}
	c, got := back.Parse(props)
	if _, want := def.Parse(props); !slices.Equal(got, want) {
		t.Errorf("problems are %v, want %v", got, want)
	}
	if !slices.Equal(c.List("tables"), []string{"a", "b"}) {
		t.Errorf("the alias gives %q", c.List("tables"))
	}
}

func TestRedact(t *testing.T) {
	props := map[string]string{
		"name": "c", "password": "hunter2", "database.password": "p", "value.converter.basic.auth.user.info": "u:p",
		"aws.secret.access.key": "s", "sasl.jaas.config": "j", "other.password": "${file:/x:y}", "topic.prefix": "t",
	}
	want := map[string]string{
		"name": "c", "password": Hidden, "database.password": Hidden, "value.converter.basic.auth.user.info": Hidden,
		"aws.secret.access.key": Hidden, "sasl.jaas.config": Hidden, "other.password": "${file:/x:y}", "topic.prefix": "t",
	}
	if got := def.Redact(props); !reflect.DeepEqual(got, want) {
		t.Errorf("redacted is %v, want %v", got, want)
	}
	if _, problems := (Def{{Name: "pin", Type: Password, Rules: []Rule{Matches(`\d+`)}}}).Parse(map[string]string{"pin": "hunter2"}); len(problems) != 1 ||
		strings.Contains(problems[0].Text, "hunter2") {
		t.Errorf("a problem shows the password: %v", problems)
	}
}

// Keys that others bring about are read, and no reason to warn.
func TestOpenedKeys(t *testing.T) {
	d := Def{{Name: "names", Type: List, Default: "", Opens: []string{"{}.type", "all.{}.*"}}, {Name: "columns", Type: List, Default: "", Opens: []string{"mask.*.with.salt.*"}}}
	var got []string
	for _, w := range d.Warnings(map[string]string{
		"names": "a, b,", "a.type": "", "b.type": "", "c.type": "", "a.types": "", "all.b.": "", "all.b.x.y": "", "all.c.x": "", ".type": "",
		"mask.MD5.with.salt.1": "", "mask.with.salt.": "", "mask.v2.MD5.with.salt.with.salt.": "",
	}) {
		got = append(got, w.Key)
	}
	if want := ".type a.types all.c.x c.type mask.with.salt."; strings.Join(got, " ") != want {
		t.Errorf("warned of %s, want %s", strings.Join(got, " "), want)
	}
}

func TestWarnings(t *testing.T) {
	got := def.Warnings(map[string]string{
		"name": "c", "tasksMax": "1", "task.max": "1", "table.whitelist": "a", "tables": "b",
		"producer.override.acks": "all", "zebra": "1", "topic.perfix": "x", "prefix": "x",
	}, "producer.override.")
	want := map[string]string{
		"prefix": "topic.prefix", "table.whitelist": "tables", "task.max": "tasks.max", "tasksMax": "tasks.max",
		"topic.perfix": "topic.prefix", "zebra": "",
	}
	if len(got) != len(want) {
		t.Errorf("%d warnings, want %d: %v", len(got), len(want), got)
	}
	for _, w := range got {
		if m, ok := want[w.Key]; !ok || m != w.Meant {
			t.Errorf("%s: meant %q, want %q", w.Key, w.Meant, m)
		}
	}
	if !strings.Contains(got[1].Text, "set as well and wins") {
		t.Errorf("both names set: %q", got[1].Text)
	}
}

func TestCheckFindsMistakes(t *testing.T) {
	for _, tt := range []struct {
		name string
		def  Def
		want string
	}{
		{"twice", Def{{Name: "a", Type: Int}, {Name: "b", Type: Int, Aliases: []string{"a"}}}, `"a" is empty or defined twice`},
		{"type", Def{{Name: "a", Type: "duration"}}, "unknown type"},
		{"default", Def{{Name: "a", Type: Int, Default: "x"}}, "Not a number"},
		{"default breaks a rule", Def{{Name: "a", Type: Int, Default: 0, Rules: []Rule{AtLeast(1)}}}, "at least 1"},
		{"pattern", Def{{Name: "a", Type: String, Rules: []Rule{Matches("(")}}}, "pattern"},
		{"dependent", Def{{Name: "a", Type: String, Dependents: []string{"b"}}}, `"b" is not defined`},
		{"required with default", Def{{Name: "a", Type: String, Required: true, Default: "x"}}, "has a default"},
		{"rule", Def{{Name: "a", Type: String, Rules: []Rule{{Kind: "odd"}}}}, "unknown rule"},
	} {
		if err := tt.def.Check(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error is %v, want %q in it", tt.name, err, tt.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("tasks.max", "1")
	f.Add("tables", "a,b")
	f.Fuzz(func(t *testing.T, key, value string) {
		props := map[string]string{key: value}
		_, problems := def.Parse(props)
		for _, p := range problems {
			if p.Text == "" {
				t.Error("a problem without text")
			}
		}
		def.Warnings(props)
		def.Redact(props)
	})
}

func TestLongest(t *testing.T) {
	table := map[string]string{"a.": "all", "a.b.": "some", "a.b.c": "one"}
	for name, want := range map[string]string{"a.b.c": "one", "a.b.d": "some", "a.x.y": "all", "a": "", "ab.c": ""} {
		if got := Longest(table, name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
