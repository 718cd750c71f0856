package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

// output prints a command's result in the form that -o names.
type output struct{ format string }

func (o *output) addFlag(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&o.format, "output", "o", "table", "output format: table, json or yaml")
}

// print writes v as JSON or YAML, or has text lay it out for a person.
func (o *output) print(w io.Writer, v any, text func(*table)) error {
	switch o.format {
	case "json":
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(v)
	case "yaml":
		// By way of JSON, so that the field names are the same in both.
		raw, err := json.Marshal(v)
		if err != nil {
			return err
		}
		var plain any
		if err := yaml.Unmarshal(raw, &plain); err != nil {
			return err
		}
		return yaml.NewEncoder(w).Encode(plain)
	case "table":
		t := &table{w: tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)}
		text(t)
		return t.w.Flush()
	}
	return usagef("output format %q: must be table, json or yaml", o.format)
}

// table lays out rows in aligned columns.
type table struct{ w *tabwriter.Writer }

func (t *table) row(cells ...any) {
	parts := make([]string, len(cells))
	for i, c := range cells {
		parts[i] = fmt.Sprint(c)
	}
	fmt.Fprintln(t.w, strings.Join(parts, "\t"))
}

func (t *table) line(s string) { fmt.Fprintln(t.w, s) }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
