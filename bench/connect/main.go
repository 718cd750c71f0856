// Command connect measures the Connect runtime: records through a source and a
// sink with and without transforms, how soon a connector's first record is
// there, what an idle task takes, how long many connectors take to start, and
// what a rebalance interrupts. Every figure is measured twice.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"

	"github.com/millrace/millrace/bench/harness"
)

// options are the command's flags.
type options struct {
	bin        string
	records    int64
	connectors int
	tasks      int
	only       string
	out        string
	plugins    string // directory with the load plugin
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin/millrace", "the binary to measure")
	flag.Int64Var(&o.records, "records", 10_000_000, "records of each measurement of throughput")
	flag.IntVar(&o.connectors, "connectors", 200, "connectors that one worker is to start")
	flag.IntVar(&o.tasks, "tasks", 200, "tasks that are divided over three workers")
	flag.StringVar(&o.only, "only", "", "measure only these, separated by commas: source, sink, first, idle, start, rebalance")
	flag.StringVar(&o.out, "out", "", "file for the JSON; by default one in bench/results that is named after the time")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench: "+err.Error())
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "millrace-bench-connect-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	o.plugins = dir
	build := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(dir, "load"), "./bench/connect/load")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the load plugin, from the repository's root: %w\n%s", err, out)
	}
	report := harness.NewReport()
	var parts []harness.Part
	for _, p := range []struct {
		name string
		run  func(context.Context, options, *harness.Report) error
	}{{"source", benchSource}, {"sink", benchSink}, {"first", benchFirst}, {"idle", benchIdle}, {"start", benchStart}, {"rebalance", benchRebalance}} {
		parts = append(parts, harness.Part{Name: p.name, Run: func(ctx context.Context) error { return p.run(ctx, o, report) }})
	}
	if err := harness.Measure(ctx, o.only, 1, parts...); err != nil {
		return err
	}
	return report.Publish("connect", o.out)
}

// withNode runs f with a fresh server that has the load plugin.
func withNode(ctx context.Context, o options, f func(*harness.Node) error) error {
	return harness.WithNode(ctx, o.bin, "", f, "--plugin-path", o.plugins)
}
