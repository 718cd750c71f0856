package harness

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

// Result is one measured figure. Each is measured twice under the same
// conditions: what A and B differ by is noise.
type Result struct {
	Name     string  `json:"name"`
	Settings string  `json:"settings"`
	Unit     string  `json:"unit"`
	A        float64 `json:"a"`
	B        float64 `json:"b"`
}

// Noise is the difference of A and B, in percent of their mean.
func (r Result) Noise() float64 {
	mean := (r.A + r.B) / 2
	if mean == 0 {
		return 0
	}
	return 100 * (max(r.A, r.B) - min(r.A, r.B)) / mean
}

// Report is all that one run measured, and where.
type Report struct {
	Time    time.Time `json:"time"`
	CPU     string    `json:"cpu"`
	Cores   int       `json:"cores"`
	Memory  string    `json:"memory"`
	Go      string    `json:"go"`
	Results []Result  `json:"results"`
}

// NewReport describes the machine.
func NewReport() *Report {
	return &Report{
		Time: time.Now().UTC(), Cores: runtime.NumCPU(), Go: runtime.Version(),
		CPU: procValue("/proc/cpuinfo", "model name"), Memory: procValue("/proc/meminfo", "MemTotal"),
	}
}

func procValue(path, key string) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(raw)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}

// Twice measures twice and adds the result.
func (r *Report) Twice(name, settings, unit string, measure func() (float64, error)) error {
	res := Result{Name: name, Settings: settings, Unit: unit}
	for _, into := range []*float64{&res.A, &res.B} {
		v, err := measure()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		*into = v
	}
	r.Results = append(r.Results, res)
	return nil
}

// Add adds a figure whose two measurements were made elsewhere.
func (r *Report) Add(name, settings, unit string, a, b float64) {
	r.Results = append(r.Results, Result{Name: name, Settings: settings, Unit: unit, A: a, B: b})
}

// Print writes a table for a person.
func (r *Report) Print(w io.Writer) error {
	fmt.Fprintf(w, "%s, %d cores, memory %s, %s\n\n", r.CPU, r.Cores, r.Memory, r.Go)
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "WHAT\tA\tB\tNOISE\tUNIT\tSETTINGS")
	for _, res := range r.Results {
		fmt.Fprintf(t, "%s\t%s\t%s\t%.1f %%\t%s\t%s\n", res.Name, figure(res.A), figure(res.B), res.Noise(), res.Unit, res.Settings)
	}
	return t.Flush()
}

func figure(v float64) string {
	if v >= 1000 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// Write stores the report as JSON.
func (r *Report) Write(path string) error { return writeJSON(path, r) }

func writeJSON(path string, v any) error {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(raw, '\n'), 0o644)
}
