package avro

import (
	"errors"
	"strings"
	"testing"

	"github.com/millrace/millrace/schema-registry/verdicttest"
)

func TestCanonical(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"primitive", ` "int" `, `"int"`},
		{"primitive in an object", `{"type" : "string"}`, `"string"`},
		{"properties stay", `{"logicalType":"date","type":"int","z":1,"a":[1.0,{"y":2,"x":null}]}`, `{"type":"int","logicalType":"date","z":1,"a":[1.0,{"y":2,"x":null}]}`},
		{"record", `{"name":"a.R","doc":"d","x":1,"aliases":["Q","b.Q"],"fields":[{"order":"Descending","default":1e3,"doc":"f","y":2,"aliases":["g"],"type":"double","name":"f"}],"type":"record"}`,
			`{"type":"record","name":"R","namespace":"a","doc":"d","fields":[{"name":"f","type":"double","doc":"f","default":1e3,"order":"descending","aliases":["g"],"y":2}],"x":1,"aliases":["Q","b.Q"]}`},
		{"namespace only where it differs", `{"type":"record","name":"R","namespace":"a","fields":[{"name":"i","type":{"type":"record","name":"a.I","fields":[]}},{"name":"j","type":{"type":"fixed","name":"J","namespace":"b","size":1}},{"name":"k","type":"b.J"},{"name":"l","type":"I"}]}`,
			`{"type":"record","name":"R","namespace":"a","fields":[{"name":"i","type":{"type":"record","name":"I","fields":[]}},{"name":"j","type":{"type":"fixed","name":"J","namespace":"b","size":1}},{"name":"k","type":"b.J"},{"name":"l","type":"I"}]}`},
		{"no namespace inside of one", `{"type":"record","name":"a.R","fields":[{"name":"i","type":{"type":"record","name":"I","namespace":"","fields":[]}},{"name":"j","type":"I"}]}`,
			`{"type":"record","name":"R","namespace":"a","fields":[{"name":"i","type":{"type":"record","name":"I","namespace":"","fields":[]}},{"name":"j","type":"I"}]}`},
		{"enum", `{"symbols":["A","B"],"type":"enum","default":"A","name":"E"}`, `{"type":"enum","name":"E","symbols":["A","B"],"default":"A"}`},
		{"array and map", `{"type":"array","java-class":"L","items":{"values":"long","type":"map"}}`, `{"type":"array","items":{"type":"map","values":"long"},"java-class":"L"}`},
		{"characters", `{"type":"string","p":"\u00e9<>&\u0001\n\"/"}`, `{"type":"string","p":"é<>&\u0001\n\"/"}`},
		{"bytes default", `{"type":"record","name":"R","fields":[{"name":"b","type":"bytes","default":"\u00ff"}]}`, `{"type":"record","name":"R","fields":[{"name":"b","type":"bytes","default":"ÿ"}]}`},
		{"a default's null", `{"type":"record","name":"R","fields":[{"name":"b","type":["null","int"],"default":null}]}`, `{"type":"record","name":"R","fields":[{"name":"b","type":["null","int"],"default":null}]}`},
		{"union default of a later branch", `{"type":"record","name":"R","fields":[{"name":"b","type":["null","string"],"default":"null"}]}`, `{"type":"record","name":"R","fields":[{"name":"b","type":["null","string"],"default":"null"}]}`},
		{"member given twice", `{"type":"fixed","size":1,"name":"F","size":2}`, `{"type":"fixed","name":"F","size":2}`},
		{"error", `{"type":"error","name":"E","fields":[]}`, `{"type":"error","name":"E","fields":[]}`},
		{"type in a type", `{"type":{"type":"string"}}`, `"string"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := mustParse(t, tt.text)
			if got := s.Canonical(); got != tt.want {
				t.Fatalf("got  %s\nwant %s", got, tt.want)
			}
			if again := mustParse(t, s.Canonical()).Canonical(); again != tt.want {
				t.Errorf("not stable: %s", again)
			}
			if !s.Equal(mustParse(t, s.Normalized())) {
				t.Errorf("normalising changed it to %s", s.Normalized())
			}
		})
	}
}

func TestNormalized(t *testing.T) {
	s := mustParse(t, `{"type":"record","namespace":"a","name":"R","z":1,"b":{"y":1,"x":2},"aliases":["Q","P"],"doc":"d","fields":[
		{"name":"m","type":{"type":"bytes","scale":0,"precision":9,"logicalType":"decimal","x":1},"doc":"f","default":"","x":2},
		{"name":"r","type":["null","R"],"default":null}]}`)
	const want = `{"name":"a.R","type":"record","fields":[` +
		`{"name":"m","type":{"type":"bytes","logicalType":"decimal","precision":9,"x":1},"order":"ascending","doc":"f","default":"","x":2},` +
		`{"name":"r","type":["null","a.R"],"order":"ascending","default":null}],"doc":"d","aliases":["P","Q"],"b":{"x":2,"y":1},"z":1}`
	if got := s.Normalized(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestEqual(t *testing.T) {
	for _, tt := range []struct {
		name, a, b string
		want       bool
	}{
		{"order of attributes", `{"type":"fixed","name":"F","size":1}`, `{"size":1,"name":"F","type":"fixed"}`, true},
		{"order of properties", `{"type":"int","a":1,"b":2}`, `{"type":"int","b":2,"a":1}`, true},
		{"qualified name", `{"type":"fixed","name":"a.F","size":1}`, `{"size":1,"name":"F","namespace":"a","type":"fixed"}`, true},
		{"doc", `{"type":"fixed","name":"F","size":1}`, `{"type":"fixed","name":"F","size":1,"doc":""}`, false},
		{"alias", `{"type":"fixed","name":"F","size":1}`, `{"type":"fixed","name":"F","size":1,"aliases":["G"]}`, false},
		{"default", `{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}`, `{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":0}]}`, false},
		{"property", `{"type":"int","a":1}`, `{"type":"int","a":2}`, false},
		{"order of fields", `{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"b","type":"int"}]}`, `{"type":"record","name":"R","fields":[{"name":"b","type":"int"},{"name":"a","type":"int"}]}`, false},
	} {
		if got := mustParse(t, tt.a).Equal(mustParse(t, tt.b)); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestRefusals(t *testing.T) {
	for _, tt := range []struct {
		name, text, want string
		storedToo        bool // refused as a stored schema as well
	}{
		{"empty", ``, "ends too early", true},
		{"not JSON", `int`, "not JSON", true},
		{"half", `{"type":"record"`, "ends too early", true},
		{"more", `"int" "int"`, "more after the schema", true},
		{"number", `7`, "a type is expected", true},
		{"no UTF-8", "\"\xff\"", "not UTF-8", true},
		{"unknown name", `"Foo"`, `undefined name: "Foo"`, true},
		{"no type", `{"name":"R"}`, "has no type", true},
		{"no fields", `{"type":"record","name":"R"}`, "no fields", true},
		{"no name", `{"type":"record","fields":[]}`, "no name", true},
		{"bad name", `{"type":"record","name":"a-b","fields":[]}`, "illegal name", false},
		{"bad namespace", `{"type":"record","name":"R","namespace":"a..b","fields":[]}`, "illegal namespace", false},
		{"primitive's name", `{"type":"record","name":"int","fields":[]}`, "named after a primitive", false},
		{"twice declared", `["null",{"type":"fixed","name":"F","size":1},{"type":"record","name":"F","fields":[]}]`, "can't redefine: F", true},
		{"field twice", `{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"a","type":"int"}]}`, "duplicate field a", true},
		{"union in union", `["null",["int"]]`, "nested union", true},
		{"branch twice", `["int","string",{"type":"int","x":1}]`, "duplicate in union: int", true},
		{"symbol twice", `{"type":"enum","name":"E","symbols":["A","A"]}`, "duplicate enum symbol", true},
		{"bad symbol", `{"type":"enum","name":"E","symbols":["A B"]}`, "illegal enum symbol", false},
		{"enum default", `{"type":"enum","name":"E","symbols":["A"],"default":"B"}`, "not one of its symbols", true},
		{"no size", `{"type":"fixed","name":"F"}`, "no size", true},
		{"negative size", `{"type":"fixed","name":"F","size":-1}`, "not a number of bytes", true},
		{"order", `{"type":"record","name":"R","fields":[{"name":"a","type":"int","order":"sideways"}]}`, "the order", true},
		{"default of another type", `{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":"1"}]}`, "at /fields/0/default", false},
		{"int too large", `{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":3000000000}]}`, "invalid default", false},
		{"no branch fits", `{"type":"record","name":"R","fields":[{"name":"a","type":["null","int"],"default":"x"}]}`, "invalid default", false},
		{"default that needs itself", `{"type":"record","name":"R","fields":[{"name":"r","type":"R","default":{}}]}`, "invalid default", false},
		{"attributes beside a type", `{"type":{"type":"string"},"logicalType":"uuid"}`, "move them into it", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse(tt.text, nil)
			var e *Error
			if !errors.As(err, &e) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Parse: %v, want %q in it", err, tt.want)
			}
			if _, err := ParseStored(tt.text, nil); (err != nil) != tt.storedToo {
				t.Errorf("ParseStored: %v, want an error: %v", err, tt.storedToo)
			}
		})
	}
}

func TestReferences(t *testing.T) {
	const (
		inner = `{"type":"record","name":"x.Inner","fields":[{"name":"i","type":"int"}]}`
		outer = `{"type":"record","name":"x.Outer","fields":[{"name":"a","type":"Inner"},{"name":"b","type":["null","x.Inner"]}]}`
	)
	s := mustParse(t, outer, inner)
	if got, want := s.Canonical(), `{"type":"record","name":"Outer","namespace":"x","fields":[{"name":"a","type":"Inner"},{"name":"b","type":["null","Inner"]}]}`; got != want {
		t.Errorf("canonical %s, want %s", got, want)
	}
	if got, want := s.Resolved(), `{"type":"record","name":"Outer","namespace":"x","fields":[{"name":"a","type":{"type":"record","name":"Inner","fields":[{"name":"i","type":"int"}]}},{"name":"b","type":["null","Inner"]}]}`; got != want {
		t.Errorf("resolved %s, want %s", got, want)
	}
	if got := summary(mustParse(t, s.Resolved()), s); got != "-" {
		t.Errorf("the resolved schema cannot read the other: %s", got)
	}
	changed := mustParse(t, outer, strings.Replace(inner, `"int"`, `"string"`, 1))
	if got := summary(s, changed); got == "-" {
		t.Error("a change in a referenced type went unseen")
	}
	if _, err := Parse(outer, nil); err == nil {
		t.Error("a missing reference was not missed")
	}
	if _, err := Parse(inner, []string{inner}); err == nil {
		t.Error("a type was declared and referenced at once")
	}
}

func TestHiddenNameIsPrintedWithADot(t *testing.T) {
	const text = `{"type":"record","name":"Top","fields":[{"name":"i","type":{"type":"fixed","name":"I","size":1}},` +
		`{"name":"r","type":{"type":"record","name":"a.R","fields":[{"name":"j","type":{"type":"fixed","name":"I","size":2}},{"name":"k","type":".I"}]}}]}`
	s := mustParse(t, text)
	for _, printed := range []string{s.Canonical(), s.Normalized()} {
		if got := summary(mustParse(t, printed), s); got != "-" {
			t.Errorf("%s means another type: %s", printed, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, r := range verdicttest.Rows(f, 70) {
		f.Add(r.Old, r.New)
	}
	f.Add(`{"type":"record","name":"a.R","fields":[{"name":"i","type":{"type":"record","name":"I","namespace":"","fields":[]}},{"name":"j","type":"I"}]}`, `"int"`)
	f.Fuzz(func(t *testing.T, a, b string) {
		s, err := ParseStored(a, nil)
		if err != nil {
			return
		}
		text := s.Canonical()
		again, err := ParseStored(text, nil)
		if err != nil {
			t.Fatalf("canonical %s does not parse: %v", text, err)
		}
		if again.Canonical() != text || !again.Equal(s) {
			t.Fatalf("canonical text is not stable: %s, then %s", text, again.Canonical())
		}
		if n, err := ParseStored(s.Normalized(), nil); err != nil || n.Normalized() != s.Normalized() {
			t.Fatalf("normalised text is not stable: %s: %v", s.Normalized(), err)
		}
		if _, err := Parse(a, nil); err == nil {
			if _, err := Parse(text, nil); err != nil {
				t.Fatalf("canonical text of a valid schema is refused: %s: %v", text, err)
			}
		}
		if d, err := Compare(s, again); err == nil && len(d) > 0 {
			t.Fatalf("%s cannot read itself: %+v", text, d)
		}
		if u, err := ParseStored(b, nil); err == nil {
			_, _ = Compare(s, u) // must end, without a panic
			_, _ = Compare(u, s)
		}
	})
}
