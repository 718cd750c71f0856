package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Part is a measurement that can be asked for by its name.
type Part struct {
	Name string
	Run  func(context.Context) error
}

// Measure runs the parts that only names, separated by commas, or all of them
// when it is empty, each as often as turns says.
func Measure(ctx context.Context, only string, turns int, parts ...Part) error {
	names := make([]string, len(parts))
	for i, p := range parts {
		names[i] = p.Name
	}
	wanted := names
	if only != "" {
		wanted = strings.Split(only, ",")
	}
	for _, w := range wanted {
		if !slices.Contains(names, w) {
			return fmt.Errorf("-only: there is no part %q: they are %s", w, strings.Join(names, ", "))
		}
	}
	for _, p := range parts {
		if !slices.Contains(wanted, p.Name) {
			continue
		}
		for turn := range turns {
			fmt.Fprintf(os.Stderr, "measuring %s", p.Name)
			if turns > 1 {
				fmt.Fprintf(os.Stderr, ", turn %d of %d", turn+1, turns)
			}
			fmt.Fprintln(os.Stderr)
			if err := p.Run(ctx); err != nil {
				return fmt.Errorf("%s: %w", p.Name, err)
			}
		}
	}
	return nil
}

// WithNode runs f with a server, on a directory that is new and goes with it
// when dir is "".
func WithNode(ctx context.Context, bin, dir string, f func(*Node) error, args ...string) (err error) {
	if dir == "" {
		top, err := os.MkdirTemp("", "millrace-bench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(top)
		dir = filepath.Join(top, "node")
	}
	node, err := StartNode(ctx, bin, dir, args...)
	if err != nil {
		return err
	}
	if err := f(node); err != nil {
		node.Kill()
		return err
	}
	return node.Stop()
}

// Publish prints the table, and keeps the figures in a file: path, or one that
// is named after kind and the time.
func (r *Report) Publish(kind, path string) error {
	return errors.Join(r.Print(os.Stdout), r.Write(r.file(kind, path)))
}

// Publish is Report's for a comparison.
func (c *Comparison) Publish(kind, path string) error {
	return errors.Join(c.Print(os.Stdout), c.Write(c.file(kind, path)))
}

func (r *Report) file(kind, path string) string {
	if path != "" {
		return path
	}
	return filepath.Join("bench", "results", kind+"-"+r.Time.Format("20060102T150405Z")+".json")
}
