// Package verdicttest holds comparers of schemas against tables of verdicts.
package verdicttest

import (
	"os"
	"strings"
	"testing"
)

// Row is a line of testdata/verdicts.tsv: two versions of a schema, and what
// keeps either from reading the other, "-" for nothing.
type Row struct{ Change, Old, New, Backward, Forward string }

// Rows reads testdata/verdicts.tsv, which must have n of them.
func Rows(t testing.TB, n int) []Row {
	t.Helper()
	raw, err := os.ReadFile("testdata/verdicts.tsv")
	if err != nil {
		t.Fatal(err)
	}
	var out []Row
	for line := range strings.Lines(string(raw)) {
		c := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(c) != 5 {
			t.Fatalf("verdicts.tsv: %d columns in %q", len(c), line)
		}
		if !strings.HasPrefix(c[0], "#") {
			out = append(out, Row{c[0], c[1], c[2], c[3], c[4]})
		}
	}
	if len(out) != n {
		t.Fatalf("verdicts.tsv has %d rows, want %d", len(out), n)
	}
	return out
}

// Hold checks each row. why says what keeps a reader from reading what a
// writer wrote.
func Hold(t *testing.T, rows []Row, why func(t testing.TB, reader, writer string) string) {
	for _, r := range rows {
		t.Run(r.Change, func(t *testing.T) {
			if got := why(t, r.New, r.Old); got != r.Backward {
				t.Errorf("new reads old: %s, want %s", got, r.Backward)
			}
			if got := why(t, r.Old, r.New); got != r.Forward {
				t.Errorf("old reads new: %s, want %s", got, r.Forward)
			}
			for _, text := range []string{r.Old, r.New} {
				if got := why(t, text, text); got != "-" {
					t.Errorf("%s cannot read itself: %s", text, got)
				}
			}
		})
	}
}
