package protobuf

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/schema-registry/verdicttest"
)

func mustParse(t testing.TB, text string, refs ...Reference) *Schema {
	t.Helper()
	s, err := Parse(text, refs, false)
	if err != nil {
		t.Fatalf("Parse(%s): %v", text, err)
	}
	return s
}

// summary is how verdicts.tsv writes a comparison's outcome.
func summary(reader, writer *Schema) string {
	diffs, err := Compare(reader, writer)
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
	verdicttest.Hold(t, verdicttest.Rows(t, 57), func(t testing.TB, reader, writer string) string {
		return summary(mustParse(t, reader), mustParse(t, writer))
	})
}
