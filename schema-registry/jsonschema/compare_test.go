package jsonschema

import (
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/schema-registry/verdicttest"
)

func mustParse(t testing.TB, text string, refs ...Reference) *Schema {
	t.Helper()
	s, err := Parse(text, refs)
	if err != nil {
		t.Fatalf("Parse(%s): %v", text, err)
	}
	return s
}

// summary is how verdicts.tsv writes a comparison's outcome.
func summary(reader, writer *Schema, tolerant bool) string {
	diffs, err := Compare(reader, writer, tolerant)
	if err != nil {
		return err.Error()
	}
	var kinds []string
	for _, d := range diffs {
		if !d.Compatible {
			kinds = append(kinds, string(d.Kind))
		}
	}
	if kinds == nil {
		return "-"
	}
	return strings.Join(kinds, "+")
}

func TestVerdicts(t *testing.T) {
	verdicttest.Hold(t, verdicttest.Rows(t, 59), func(t testing.TB, reader, writer string) string {
		return summary(mustParse(t, reader), mustParse(t, writer), false)
	})
}

// The policy LENIENT changes the verdict of these rows and of no others.
func TestLenientVerdicts(t *testing.T) {
	backward := []string{"J01", "J05", "J10", "J11", "J57"}
	forward := []string{"J02", "J03", "J04", "J12"}
	for _, r := range verdicttest.Rows(t, 59) {
		id := r.Change[:3]
		older, newer := mustParse(t, r.Old), mustParse(t, r.New)
		if got, want := summary(newer, older, true) == "-", r.Backward == "-" || slices.Contains(backward, id); got != want {
			t.Errorf("%s: new reads old: %v, want %v", r.Change, got, want)
		}
		if got, want := summary(older, newer, true) == "-", r.Forward == "-" || slices.Contains(forward, id); got != want {
			t.Errorf("%s: old reads new: %v, want %v", r.Change, got, want)
		}
	}
}
