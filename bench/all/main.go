// Command all measures the whole product and prints a table: the log with
// franz-go as the client, and change data capture from PostgreSQL end to end.
// Every figure counts records at the far end and is measured twice, so that
// the noise stands beside it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/millrace/millrace/bench/harness"
)

// options are the command's flags.
type options struct {
	bin      string
	duration time.Duration
	warmup   time.Duration
	rows     int
	only     string
	out      string
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin/millrace", "the binary to measure")
	flag.DurationVar(&o.duration, "duration", 60*time.Second, "steady state of each measurement of the log")
	flag.DurationVar(&o.warmup, "warmup", 5*time.Second, "warm-up before it")
	flag.IntVar(&o.rows, "rows", 500_000, "rows changed in each measurement of change data capture")
	flag.StringVar(&o.only, "only", "", "measure only these, separated by commas: start, log, cdc, file")
	flag.StringVar(&o.out, "out", "", "file for the JSON; by default bench/results/ and the time")
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
	report := harness.NewReport()
	for _, part := range []struct {
		name string
		run  func(context.Context, options, *harness.Report) error
	}{{"start", benchStart}, {"log", benchLog}, {"file", benchFile}, {"cdc", benchCDC}} {
		if o.only != "" && !strings.Contains(","+o.only+",", ","+part.name+",") {
			continue
		}
		fmt.Fprintf(os.Stderr, "measuring %s\n", part.name)
		if err := part.run(ctx, o, report); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	if err := report.Print(os.Stdout); err != nil {
		return err
	}
	if o.out == "" {
		o.out = filepath.Join("bench", "results", report.Time.Format("20060102T150405Z")+".json")
	}
	return report.Write(o.out)
}

// withNode runs f with a fresh server.
func withNode(ctx context.Context, o options, f func(*harness.Node) error) error {
	dir, err := os.MkdirTemp("", "millrace-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	node, err := harness.StartNode(ctx, o.bin, dir)
	if err != nil {
		return err
	}
	if err := f(node); err != nil {
		node.Kill()
		return err
	}
	return node.Stop()
}

// benchStart measures a node's start on an empty directory, and its memory
// when nothing has happened yet.
func benchStart(ctx context.Context, o options, r *harness.Report) error {
	var rss [2]float64
	i := 0
	err := r.Twice("start to ready", "all roles, empty data directory", "ms", func() (ms float64, err error) {
		err = withNode(ctx, o, func(n *harness.Node) error {
			ms = float64(n.StartTime.Microseconds()) / 1000
			b, err := n.RSS()
			rss[i%2] = float64(b) / (1 << 20)
			i++
			return err
		})
		return ms, err
	})
	r.Add("memory at rest", "all roles, empty data directory", "MiB", rss[0], rss[1])
	return err
}
