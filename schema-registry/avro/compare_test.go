package avro

import (
	"errors"
	"strings"
	"testing"

	"github.com/millrace/millrace/schema-registry/verdicttest"
)

func mustParse(t testing.TB, text string, refs ...string) *Schema {
	t.Helper()
	s, err := Parse(text, refs)
	if err != nil {
		t.Fatalf("Parse(%s): %v", text, err)
	}
	return s
}

// summary is how verdicts.tsv writes a comparison's outcome.
func summary(reader, writer *Schema) string {
	diffs, err := Compare(reader, writer)
	if errors.Is(err, ErrAmbiguous) {
		return "EXCEPTION"
	}
	if err != nil {
		return err.Error()
	}
	if len(diffs) == 0 {
		return "-"
	}
	var types []string
	for _, d := range diffs {
		types = append(types, string(d.Type))
	}
	return strings.Join(types, "+")
}

func TestVerdicts(t *testing.T) {
	verdicttest.Hold(t, verdicttest.Rows(t, 70), func(t testing.TB, reader, writer string) string {
		return summary(mustParse(t, reader), mustParse(t, writer))
	})
}

func TestDifferencePlaces(t *testing.T) {
	for _, tt := range []struct{ name, reader, writer, path, info string }{
		{"root", `"long"`, `"string"`, "/", "reader type: LONG not compatible with writer type: STRING"},
		{"field", `{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"b","type":"int"}]}`,
			`{"type":"record","name":"R","fields":[{"name":"b","type":"long"},{"name":"a","type":"int"}]}`,
			"/fields/1/type", "reader type: INT not compatible with writer type: LONG"},
		{"missing", `{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}`, `{"type":"record","name":"R","fields":[]}`, "/fields/0", "a"},
		{"name", `{"type":"fixed","name":"F","size":1}`, `{"type":"fixed","name":"x.G","size":1}`, "/name", "expected: x.G"},
		{"size", `{"type":"fixed","name":"F","size":1}`, `{"type":"fixed","name":"F","size":2}`, "/size", "expected: 2, found: 1"},
		{"symbols", `{"type":"enum","name":"E","symbols":["A"]}`, `{"type":"enum","name":"E","symbols":["D","A","C"]}`, "/symbols", "[C, D]"},
		{"union", `["null","int"]`, `["null","string"]`, "/1", "reader union lacking writer type: STRING"},
		{"deep", `{"type":"map","values":{"type":"array","items":"int"}}`, `{"type":"map","values":{"type":"array","items":"string"}}`,
			"/values/items", "reader type: INT not compatible with writer type: STRING"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, err := Compare(mustParse(t, tt.reader), mustParse(t, tt.writer))
			if err != nil || len(d) != 1 || d[0].Path != tt.path || d[0].Info != tt.info {
				t.Errorf("got %+v, %v, want %s: %s", d, err, tt.path, tt.info)
			}
		})
	}
}

// A branch that fails must not leave behind what was believed while it was
// tried: here B is compared while A is still assumed to be readable.
func TestAssumptionsOfFailedBranchesAreDropped(t *testing.T) {
	const rest = `{"name":"b","type":["null","B"]}]}`
	const a = `{"type":"record","name":"A","fields":[
		{"name":"b","type":{"type":"record","name":"B","fields":[{"name":"a","type":["null","A"]}]}}`
	writer := mustParse(t, `{"type":"record","name":"H","fields":[{"name":"u","type":`+a+`]}},`+rest)
	reader := mustParse(t, `{"type":"record","name":"H","fields":[{"name":"u","type":[`+
		a+`,{"name":"z","type":"int"}]},{"type":"record","name":"Spare","aliases":["A"],"fields":[]}]},`+rest)
	if got := summary(reader, writer); got != "MISSING_UNION_BRANCH" {
		t.Errorf("got %s: Spare reads the A of u, but nothing reads the A in the B of b", got)
	}
}

func TestAllDifferencesAreToldUpToALimit(t *testing.T) {
	var fields []string
	for i := range 300 {
		fields = append(fields, `{"name":"f`+string(rune('a'+i/26))+string(rune('a'+i%26))+`","type":"int"}`)
	}
	reader := mustParse(t, `{"type":"record","name":"R","fields":[`+strings.Join(fields, ",")+`]}`)
	d, err := Compare(reader, mustParse(t, `{"type":"record","name":"R","fields":[]}`))
	if err != nil || len(d) != maxDifferences {
		t.Errorf("%d differences, %v, want %d", len(d), err, maxDifferences)
	}
}

func TestManyRecursiveTypesCompareQuickly(t *testing.T) {
	// 60 records that each refer to all those before: every path through them
	// cannot be walked.
	var b strings.Builder
	b.WriteString(`{"type":"record","name":"Root","fields":[`)
	for i := range 60 {
		if i > 0 {
			b.WriteByte(',')
		}
		n := string(rune('A'+i/26)) + string(rune('a'+i%26))
		b.WriteString(`{"name":"` + n + `","type":{"type":"record","name":"` + n + `","fields":[{"name":"r","type":["null","Root"]}`)
		for j := range i {
			m := string(rune('A'+j/26)) + string(rune('a'+j%26))
			b.WriteString(`,{"name":"` + m + `","type":["null","` + m + `"]}`)
		}
		b.WriteString(`]}}`)
	}
	b.WriteString(`]}`)
	s, u := mustParse(t, b.String()), mustParse(t, b.String())
	if got := summary(s, u); got != "-" {
		t.Errorf("got %s", got)
	}
}

func TestTooComplex(t *testing.T) {
	nested := func(n int, leaf string) string {
		var b strings.Builder
		b.WriteString(`[`)
		for i := range n {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(`{"type":"record","name":"` + leaf + string(rune('A'+i/676)) + string(rune('a'+i/26%26)) + string(rune('a'+i%26)) + `","fields":[]}`)
		}
		return b.String() + `]`
	}
	a, b := mustParse(t, nested(3000, "X")), mustParse(t, nested(3000, "Y"))
	if _, err := Compare(a, b); !errors.Is(err, ErrTooComplex) {
		t.Errorf("got %v, want ErrTooComplex", err)
	}
}
