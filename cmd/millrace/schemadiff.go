package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

func newSchemaDiff(c *schemaClient) *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:     "diff SUBJECT VERSION VERSION",
		Short:   "Show how two versions differ, line by line",
		Example: "  millrace schema diff orders-value 1 latest",
		Args:    exactArgs("SUBJECT", "VERSION", "VERSION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var sides [2][]string
			for i, version := range args[1:] {
				var s schemaVersion
				if err := c.call(cmd.Context(), http.MethodGet, subjectPath(args[0], "/versions/"+url.PathEscape(version)+"?deleted=true"), nil, &s); err != nil {
					return err
				}
				sides[i] = schemaLines(s.Schema)
			}
			lines := diffLines(sides[0], sides[1])
			return out.print(cmd.OutOrStdout(), lines, func(t *table) {
				for _, l := range lines {
					t.line(l.Change + " " + l.Text)
				}
			})
		},
	}
	out.addFlag(cmd)
	return cmd
}

// schemaLines lays a schema out, one thing to a line.
func schemaLines(text string) []string {
	var b bytes.Buffer
	if json.Indent(&b, []byte(text), "", "  ") == nil {
		text = b.String()
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// diffLine is a line of either side or of both.
type diffLine struct {
	Change string `json:"change"` // "-", "+" or " "
	Text   string `json:"text"`
}

// maxDiffCells bounds the table of a comparison; longer texts differ as a
// whole between their common ends.
const maxDiffCells = 16 << 20

// diffLines compares by the longest common subsequence.
func diffLines(a, b []string) []diffLine {
	var head, tail []diffLine
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		head = append(head, diffLine{" ", a[0]})
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		tail = append(tail, diffLine{" ", a[len(a)-1]})
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	out := append(head, middle(a, b)...)
	for i := len(tail) - 1; i >= 0; i-- {
		out = append(out, tail[i])
	}
	return out
}

func middle(a, b []string) []diffLine {
	var out []diffLine
	if len(a)*len(b) > maxDiffCells {
		for _, s := range a {
			out = append(out, diffLine{"-", s})
		}
		for _, s := range b {
			out = append(out, diffLine{"+", s})
		}
		return out
	}
	common := make([][]int32, len(a)+1) // of what is left from here
	for i := range common {
		common[i] = make([]int32, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, diffLine{" ", a[i]})
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			out = append(out, diffLine{"-", a[i]})
			i++
		default:
			out = append(out, diffLine{"+", b[j]})
			j++
		}
	}
	return out
}
