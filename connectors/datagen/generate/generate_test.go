package generate

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/millrace/millrace/plugins/data"
)

func recordOf(field string) string {
	return `{"type":"record","name":"r","namespace":"a.b","fields":[{"name":"f","type":` + field + `}]}`
}

func values(t *testing.T, field string, n int) []any {
	t.Helper()
	g, err := New(recordOf(field), "f")
	if err != nil {
		t.Fatalf("%s: %v", field, err)
	}
	var out []any
	for i := range n {
		_, key, v, err := g.Next(nil, 42, int64(i))
		if err != nil {
			t.Fatalf("%s: %v", field, err)
		}
		s, err := v.Value()
		if err != nil {
			t.Fatalf("%s: row %d: %v", field, i, err)
		}
		f, err := s.(*data.Struct).Get("f")
		if err != nil {
			t.Fatal(err)
		}
		if k, err := key.Value(); err != nil || !data.EqualValues(k, f) {
			t.Fatalf("%s: the key of row %d is %v, %v, and the field %v", field, i, k, err, f)
		}
		out = append(out, f)
	}
	return out
}

// TestEveryValueFits makes 500 of each kind and holds each against a pattern of
// its text.
func TestEveryValueFits(t *testing.T) {
	file := filepath.Join(t.TempDir(), "options.json")
	if err := os.WriteFile(file, []byte(`["one","two"]`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ field, want string }{
		{`"int"`, `-?\d{1,10}`},
		{`"long"`, `-?\d{1,19}`},
		{`{"type":"int","arg.properties":{"range":{"min":-2,"max":3}}}`, `-[12]|[0-2]`},
		{`{"type":"int","arg.properties":{"range":{"max":-2147483645}}}`, `-214748364[678]`},
		{`{"type":"long","arg.properties":{"range":{"min":9223372036854775806}}}`, `922337203685477580[67]`},
		{`{"type":"long","logicalType":"timestamp-millis","arg.properties":{"range":{"min":5,"max":7}}}`, `[56]`},
		{`{"type":"int","logicalType":"date","arg.properties":{"options":[1,2]}}`, `[12]`},
		{`{"type":"int","logicalType":"time-millis"}`, `\d{1,8}`},
		{`{"type":"int","connect.type":"int8"}`, `-?\d{1,3}`},
		{`{"type":"int","connect.type":"int16","arg.properties":{"range":{"min":300}}}`, `\d{3,5}`},
		{`"double"`, `0\.\d+|\d\.\d+E-\d+`},
		{`{"type":"double","arg.properties":{"range":{"min":1.5,"max":2}}}`, `1\.[5-9]\d*`},
		{`{"type":"float","arg.properties":{"range":{"min":1}}}`, `\d\.\d+E\d+`},
		{`"boolean"`, `true|false`},
		{`{"type":"boolean","arg.properties":{"odds":1}}`, `true`},
		{`{"type":"boolean","arg.properties":{"odds":0.0}}`, `false`},
		{`"string"`, `[a-zA-Z0-9]{8,15}`},
		{`{"type":"string","arg.properties":{"length":5}}`, `.{5}`},
		{`{"type":"string","arg.properties":{"length":{"min":1,"max":3},"prefix":"<","suffix":">"}}`, `<.{1,2}>`},
		{`{"type":"string","arg.properties":{"regex":"[A-Z]{2}\\d{6}[^\\W_]","prefix":"p-"}}`, `p-[A-Z]{2}\d{6}[a-zA-Z0-9]`},
		{`{"type":"string","arg.properties":{"regex":"(ab|c)+x?y*.","length":{"min":5,"max":9}}}`, `(ab|c)+x?y*.`},
		{`{"type":"string","arg.properties":{"regex":"[a-z]*","length":10}}`, `[a-z]{10,}`},
		{`{"type":"string","arg.properties":{"options":["x","y"]}}`, `x|y`},
		{`{"type":"string","arg.properties":{"options":{"file":"` + file + `","encoding":"json"}}}`, `one|two`},
		{`{"type":"enum","name":"E","symbols":["A","B"]}`, `A|B`},
		{`{"type":"enum","name":"E","symbols":["A","B"],"arg.properties":{"options":["B"]}}`, `B`},
		{`{"type":"bytes","arg.properties":{"length":3}}`, `[\w+/]{4}`},
		{`{"type":"fixed","name":"F","size":6}`, `[\w+/]{8}`},
		{`{"type":"bytes","logicalType":"decimal","precision":4,"scale":2,"arg.properties":{"range":{"min":10.0,"max":12}}}`, `1[01]\.\d\d`},
		{`{"type":"bytes","logicalType":"decimal","precision":3,"scale":0}`, `-?\d{1,3}`},
		{`{"type":"bytes","logicalType":"decimal","precision":4,"scale":2,"arg.properties":{"options":[1.5,2]}}`, `1\.50|2\.00`},
		{`{"type":"array","items":{"type":"int","arg.properties":{"range":{"min":1,"max":2}}},"arg.properties":{"length":{"min":1,"max":3}}}`, `\[1(, 1)?\]`},
		{`{"type":"array","items":"string","arg.properties":{"options":[["a"],["b","c"]]}}`, `\[a\]|\[b, c\]`},
		{`{"type":"map","values":{"type":"int","arg.properties":{"options":[7]}},"arg.properties":{"length":1,"keys":{"regex":"k[12]"}}}`, `\{k[12]=7\}`},
		{`{"type":"map","values":"string","arg.properties":{"options":[{"a":"x"}]}}`, `\{a=x\}`},
		{`["null",{"type":"string","arg.properties":{"regex":"s"}}]`, `null|s`},
		{`[{"type":"string","arg.properties":{"regex":"s"}},"null",{"type":"int","arg.properties":{"options":[1]}}]`, `null|Struct\{(string=s|int=1)\}`},
		{`{"type":"record","name":"in","fields":[{"name":"x","type":"boolean"}],"arg.properties":{"options":[{"x":true}]}}`, `Struct\{x=true\}`},
		{`{"type":{"type":"string"},"arg.properties":{"regex":"n"}}`, `n`},
	} {
		want := regexp.MustCompile(`(?s)^(?:` + tt.want + `)$`)
		for i, v := range values(t, tt.field, 500) {
			if got := data.Text(v); !want.MatchString(got) {
				t.Errorf("%s: value %d is %q", tt.field, i, got)
				break
			}
		}
	}
}

func TestIteration(t *testing.T) {
	for _, tt := range []struct{ field, want string }{
		{`{"type":"int","arg.properties":{"iteration":{"start":3}}}`, `[3 4 5 6 7]`},
		{`{"type":"long","arg.properties":{"iteration":{"start":3,"step":-10}}}`, `[3 -7 -17 -27 -37]`},
		{`{"type":"int","arg.properties":{"iteration":{"start":2147483646}}}`, `[2147483646 2147483647 -2147483648 -2147483647 -2147483646]`},
		{`{"type":"long","arg.properties":{"iteration":{"start":1,"restart":4}}}`, `[1 2 3 1 2]`},
		{`{"type":"long","arg.properties":{"iteration":{"start":1,"restart":4,"initial":3}}}`, `[3 1 2 3 1]`},
		{`{"type":"long","arg.properties":{"iteration":{"start":3,"restart":0}}}`, `[3 2 1 3 2]`},
		{`{"type":"double","arg.properties":{"iteration":{"start":0.5,"step":0.25}}}`, `[0.5 0.75 1 1.25 1.5]`},
		{`{"type":"double","arg.properties":{"iteration":{"start":0,"restart":2}}}`, `[0 1 0 1 0]`},
		{`{"type":"string","arg.properties":{"iteration":{"start":9},"prefix":"n"}}`, `[n9 n10 n11 n12 n13]`},
		{`{"type":"boolean","arg.properties":{"iteration":{"start":true}}}`, `[true false true false true]`},
	} {
		if got := fmt.Sprint(values(t, tt.field, 5)); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.field, got, tt.want)
		}
	}
}

func TestRefused(t *testing.T) {
	for field, want := range map[string]string{
		`{"type":"int","arg.properties":{"range":{"min":3,"max":3}}}`:                 "less than max",
		`{"type":"int","arg.properties":{"range":{"min":"x"}}}`:                       "whole numbers",
		`{"type":"int","arg.properties":{"range":{"min":0.5}}}`:                       "whole numbers",
		`{"type":"int","arg.properties":{"range":{}}}`:                                "must have min or max",
		`{"type":"int","arg.properties":{"range":3}}`:                                 "must be an object",
		`{"type":"int","arg.properties":{"iteration":{"step":3}}}`:                    "needs start",
		`{"type":"int","arg.properties":{"iteration":{"start":3,"restart":3}}}`:       "differ",
		`{"type":"int","arg.properties":{"iteration":{"start":3,"step":0}}}`:          "not be 0",
		`{"type":"int","arg.properties":{"iteration":{"start":3,"step":"x"}}}`:        "step of iteration",
		`{"type":"int","arg.properties":{"options":[]}}`:                              "empty",
		`{"type":"int","arg.properties":{"options":[1,"x"]}}`:                         "option 2",
		`{"type":"int","arg.properties":{"options":[4294967296]}}`:                    "option 1",
		`{"type":"int","arg.properties":{"options":[1],"range":{"min":1}}}`:           "exclude",
		`{"type":"int","arg.properties":{"options":{"file":"x","encoding":"bin"}}}`:   "binary",
		`{"type":"int","arg.properties":{"options":{"file":"/x","encoding":"json"}}}`: "on the worker",
		`{"type":"string","arg.properties":{"regex":"(?=x)"}}`:                        "look-around",
		`{"type":"string","arg.properties":{"regex":"[a-z]{3}","length":5}}`:          "none the wanted length",
		`{"type":"string","arg.properties":{"regex":"\\bx"}}`:                         "cannot be generated",
		`{"type":"string","arg.properties":{"length":-1}}`:                            "length",
		`{"type":"boolean","arg.properties":{"odds":2}}`:                              "odds",
		`{"type":"string","arg.properties":"x"}`:                                      "not an object",
		`{"type":"string","arg.properties":{"regex":"(((a{100}){100}){100})"}}`:       "regex",
	} {
		if _, err := New(recordOf(field), ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", field, err, want)
		}
	}
	for _, text := range []string{``, `{`, `"string"`, strings.Repeat(" ", maxSchema+1)} {
		if _, err := New(text, ""); err == nil {
			t.Errorf("%.20q is taken", text)
		}
	}
}

// TestNamedTypes are defined once and used by name.
func TestNamedTypes(t *testing.T) {
	g, err := New(`{"type":"record","name":"r","namespace":"n","fields":[
		{"name":"a","type":{"type":"enum","name":"E","symbols":["X"]}},{"name":"b","type":"E"},{"name":"c","type":["null","n.E"]}]}`, "")
	if err != nil {
		t.Fatal(err)
	}
	_, _, v, err := g.Next(nil, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := v.Value(); err != nil || !strings.HasPrefix(data.Text(s), "Struct{a=X,b=X") {
		t.Errorf("the row is %v, %v", s, err)
	}
}

// TestRowsAreFunctionsOfTheirNumber, whatever was made before.
func TestRowsAreFunctionsOfTheirNumber(t *testing.T) {
	field := `{"type":"array","items":["null","string","double"]}`
	forward := values(t, field, 50)
	g, err := New(recordOf(field), "f")
	if err != nil {
		t.Fatal(err)
	}
	for i := 49; i >= 0; i-- {
		_, key, _, err := g.Next(nil, 42, int64(i))
		if err != nil {
			t.Fatal(err)
		}
		if k, err := key.Value(); err != nil || !data.EqualValues(k, forward[i]) {
			t.Errorf("row %d is %v, %v; it was %v", i, k, err, forward[i])
		}
	}
	if _, _, other, err := g.Next(nil, 43, 0); err != nil || strings.Contains(data.Text(forward[0]), string(other.Row)) {
		t.Errorf("another seed makes %q, %v", other.Row, err)
	}
}

func FuzzSchema(f *testing.F) {
	f.Add(recordOf(`{"type":"string","arg.properties":{"regex":"[a-z]{3}"}}`))
	f.Add(recordOf(`{"type":"int","arg.properties":{"iteration":{"start":3,"restart":9}}}`))
	f.Add(recordOf(`["null",{"type":"map","values":{"type":"array","items":"double","arg.properties":{"length":2}}}]`))
	f.Fuzz(func(t *testing.T, text string) {
		g, err := New(text, "")
		if err != nil {
			return
		}
		for n := range int64(3) {
			_, _, v, err := g.Next(nil, 1, n)
			if err != nil {
				return
			}
			if _, err := v.Value(); err != nil {
				t.Fatalf("row %d of %s: %v", n, text, err)
			}
		}
	})
}
