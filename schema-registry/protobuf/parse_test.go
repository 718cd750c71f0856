package protobuf

import (
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/schema-registry/verdicttest"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestRefusedTexts(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"syntax error", "message M {\n  int32 a = ;\n}", "line 2, column 13"},
		{"nothing of it", "hello", "syntax error"},
		{"unknown syntax", `syntax = "proto4";`, `unknown syntax "proto4"`},
		{"field number twice", "message M { int32 a = 1; oneof o { int32 b = 1; } }", "the field number 1 is used twice"},
		{"field name twice", "message M { int32 a = 1; int32 a = 2; }", `the name "a" is declared twice`},
		{"message twice", "message M {} message M {}", `the name "M" is declared twice`},
		{"field number too great", "message M { int32 a = 536870912; }", "is above 536870911"},
		{"unknown type", "message M { Other a = 1; }", "could not resolve type: Other in message M"},
		{"missing import", `import "o.proto"; message M { map<string, Other> a = 1; }`, `no reference is given for the import "o.proto"`},
		{"nesting", strings.Repeat("message M {", 1000) + strings.Repeat("}", 1000), "nests deeper than 100"},
		{"options nesting", `option (x) = ` + strings.Repeat("{a: ", 1000) + "1" + strings.Repeat("}", 1000) + ";", "nests deeper than 100"},
		{"size", "// " + strings.Repeat("x", MaxBytes), "more than the limit"},
		{"no descriptor", base64.StdEncoding.EncodeToString([]byte("garbage\xff")), "neither a .proto file nor"},
	} {
		_, err := Parse(tt.text, nil, false)
		var fault *Error
		if !errors.As(err, &fault) || !strings.Contains(fault.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	for _, text := range []string{`syntax = "proto3"; enum E { A = 1; }`, `syntax = "proto3"; message M { int32 a = 0; }`, `syntax = "proto3"; message M { int32 a = 19500; }`} {
		if _, err := Parse(text, nil, false); err != nil {
			t.Errorf("%s: %v, but Confluent's registry takes it", text, err)
		}
		if _, err := Parse(text, nil, true); err == nil {
			t.Errorf("%s was compiled", text)
		}
	}
	if _, err := Parse(`message M {}`, []Reference{{Name: "bad.proto", Text: "x"}}, false); err == nil || !strings.Contains(err.Error(), `reference "bad.proto"`) {
		t.Errorf("broken reference: %v", err)
	}
}

func TestBracketsInStringsAndCommentsDoNotNest(t *testing.T) {
	many := strings.Repeat("{", 200)
	for _, text := range []string{"// " + many + "\nmessage M {}", "/* " + many + " */ message M {}", `option java_package = "` + many + `\"{"; message M {}`} {
		if _, err := Parse(text, nil, false); err != nil {
			t.Errorf("%.40s: %v", text, err)
		}
	}
}

// The files that everybody has can be read, and compiled against each other.
func TestKnownFiles(t *testing.T) {
	var imports strings.Builder
	for _, path := range knownPaths {
		text, ok := knownText(path)
		if !ok {
			t.Fatalf("%s is not there", path)
		}
		if _, err := Parse(text, nil, false); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		fmt.Fprintf(&imports, "import %q;\n", path)
	}
	text := `syntax = "proto3";` + imports.String() + `message M { google.type.Date d = 1 [(confluent.field_meta).doc = "x"]; confluent.type.Decimal e = 2; google.protobuf.Timestamp t = 3; }`
	if _, err := Parse(text, nil, true); err != nil {
		t.Errorf("compiled: %v", err)
	}
}

// everything is a file with everything that one may hold.
const everything = "testdata/everything.proto"

func TestPrinted(t *testing.T) {
	raw, err := os.ReadFile(everything)
	if err != nil {
		t.Fatal(err)
	}
	s := mustParse(t, string(raw))
	for _, p := range []struct{ file, got string }{
		{"testdata/canonical.proto", s.Canonical()}, {"testdata/normalized.proto", s.Normalized()}, {"testdata/plain.proto", s.WithoutExtensions()},
	} {
		if *update {
			if err := os.WriteFile(p.file, []byte(p.got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(p.file)
		if err != nil {
			t.Fatal(err)
		}
		if p.got != string(want) {
			t.Errorf("%s: printed\n%s", p.file, p.got)
		}
		again := mustParse(t, p.got)
		if p.file == "testdata/canonical.proto" && again.Canonical() != p.got {
			t.Errorf("what was printed prints otherwise:\n%s", again.Canonical())
		}
		if p.file == "testdata/normalized.proto" && again.Normalized() != p.got {
			t.Errorf("what was normalised is not normal:\n%s", again.Normalized())
		}
	}
}

// A descriptor says what its text says.
func TestDescriptorsRoundTrip(t *testing.T) {
	raw, err := os.ReadFile(everything)
	if err != nil {
		t.Fatal(err)
	}
	s := mustParse(t, string(raw))
	serialized, err := s.Serialized()
	if err != nil {
		t.Fatal(err)
	}
	d := mustParse(t, serialized)
	for _, pair := range [][2]*Schema{{s, d}, {d, s}} {
		if got := summary(pair[0], pair[1]); got != "-" {
			t.Errorf("text and descriptor differ: %s\n%s", got, d.Canonical())
		}
	}
	if !strings.Contains(d.Canonical(), "optional int32 number = 1") || !strings.Contains(d.Canonical(), "reserved 90 to 95") {
		t.Errorf("labels or reserved numbers are lost:\n%s", d.Canonical())
	}
}

func TestReferencedMessagesAreCompared(t *testing.T) {
	schema := func(subject, ref string) *Schema {
		return mustParse(t, `syntax = "proto3"; import "r.proto"; message M { r.R a = 1; }`, Reference{"r.proto", `syntax = "proto3"; package r; ` + ref, subject})
	}
	for _, tt := range []struct{ name, oldOrigin, newOrigin, want string }{
		{"another version", "r/1", "r/2", "FIELD_SCALAR_KIND_CHANGED+FIELD_NAMED_TYPE_CHANGED"},
		{"the same version", "r/1", "r/1", "-"},
		{"unknown versions", "", "", "FIELD_SCALAR_KIND_CHANGED+FIELD_NAMED_TYPE_CHANGED"},
	} {
		older, newer := schema(tt.oldOrigin, "message R { int32 x = 1; }"), schema(tt.newOrigin, "message R { string x = 1; }")
		if got := summary(newer, older); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// Messages that refer to each other in two ways make paths without number.
func TestHostileSchemas(t *testing.T) {
	text := func(leaf string) string {
		var b strings.Builder
		b.WriteString(`syntax = "proto3"; package r; message M0 { ` + leaf + ` a = 1; }`)
		for i := range 60 {
			fmt.Fprintf(&b, " message M%d { M%d a = 1; M%d b = 2; }", i+1, i, i)
		}
		return b.String()
	}
	schema := func(leaf, origin string) *Schema {
		return mustParse(t, `syntax = "proto3"; message T { r.M60 a = 1; }`, Reference{"r.proto", text(leaf), origin})
	}
	began := time.Now()
	if got := summary(schema("string", "2"), schema("int32", "1")); !strings.HasPrefix(got, "FIELD_SCALAR_KIND_CHANGED") {
		t.Errorf("got %s", got)
	}
	if _, err := Compare(schema("int32", "2"), schema("int64", "1")); err != nil {
		t.Errorf("compatible messages: %v", err)
	}
	if _, err := Compare(schema("int32", "2"), schema("int32", "1")); err != nil {
		t.Errorf("equal messages: %v", err)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("took %s", took)
	}
}

func FuzzParse(f *testing.F) {
	for _, r := range verdicttest.Rows(f, 57) {
		f.Add(r.Old, r.New)
	}
	raw, err := os.ReadFile(everything)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(raw), "Cg==")
	f.Fuzz(func(t *testing.T, a, b string) {
		older, err := ParseStored(a, nil)
		if err != nil {
			return
		}
		again, err := ParseStored(older.Canonical(), nil)
		if err != nil {
			t.Fatalf("%q became %q: %v", a, older.Canonical(), err)
		}
		if again.Canonical() != older.Canonical() {
			t.Fatalf("%q became %q, then %q", a, older.Canonical(), again.Canonical())
		}
		_ = older.Normalized()
		if newer, err := ParseStored(b, []Reference{{Name: "a", Text: a}}); err == nil {
			_, _ = Compare(newer, older) // must end
		}
	})
}
