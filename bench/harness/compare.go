package harness

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Row is one measurement made on several subjects under the same conditions.
type Row struct {
	Name     string `json:"name"`
	Settings string `json:"settings"`
	Unit     string `json:"unit"`
	// Values holds every run of each subject, in the order they were made.
	Values map[string][]float64 `json:"values"`
}

// Comparison sets subjects side by side. Every measurement is made on each of
// them in turn, and the turns are repeated: what two turns of one subject
// differ by is noise.
type Comparison struct {
	*Report
	Subjects []string `json:"subjects"`
	// Base is the subject that the others are divided by in the table.
	Base string `json:"base"`
	Rows []Row  `json:"rows"`
}

// Row returns the row of that name, settings and unit, made if need be.
func (c *Comparison) Row(name, settings, unit string) *Row {
	for i := range c.Rows {
		if r := &c.Rows[i]; r.Name == name && r.Settings == settings && r.Unit == unit {
			return r
		}
	}
	c.Rows = append(c.Rows, Row{Name: name, Settings: settings, Unit: unit, Values: map[string][]float64{}})
	return &c.Rows[len(c.Rows)-1]
}

// Add records one run.
func (r *Row) Add(subject string, v float64) { r.Values[subject] = append(r.Values[subject], v) }

// Mean returns the mean of a subject's runs and how far they lie apart, in
// percent of it. ok is false if there was none.
func (r *Row) Mean(subject string) (mean, noise float64, ok bool) {
	values := r.Values[subject]
	if len(values) == 0 {
		return 0, 0, false
	}
	low, high, sum := values[0], values[0], 0.0
	for _, v := range values {
		low, high, sum = min(low, v), max(high, v), sum+v
	}
	mean = sum / float64(len(values))
	if mean != 0 {
		noise = 100 * (high - low) / mean
	}
	return mean, noise, true
}

// Print writes a table for a person: a subject's mean, its noise, and how many
// times the base's it is.
func (c *Comparison) Print(w io.Writer) error {
	fmt.Fprintf(w, "%s, %d cores, memory %s, %s\n\n", c.CPU, c.Cores, c.Memory, c.Go)
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprint(t, "WHAT")
	for _, s := range c.Subjects {
		fmt.Fprintf(t, "\t%s", s)
	}
	fmt.Fprintln(t, "\tUNIT\tSETTINGS")
	for i := range c.Rows {
		row := &c.Rows[i]
		base, _, based := row.Mean(c.Base)
		fmt.Fprint(t, row.Name)
		for _, s := range c.Subjects {
			mean, noise, ok := row.Mean(s)
			switch {
			case !ok:
				fmt.Fprint(t, "\t-")
			case based && s != c.Base && base != 0:
				fmt.Fprintf(t, "\t%s ±%.0f%% (%.2fx)", figure(mean), noise/2, mean/base)
			default:
				fmt.Fprintf(t, "\t%s ±%.0f%%", figure(mean), noise/2)
			}
		}
		fmt.Fprintf(t, "\t%s\t%s\n", row.Unit, row.Settings)
	}
	return t.Flush()
}

// Write stores the comparison as JSON.
func (c *Comparison) Write(path string) error { return writeJSON(path, c) }
