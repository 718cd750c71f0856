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
	report := harness.NewReport()
	var parts []harness.Part
	for _, p := range []struct {
		name string
		run  func(context.Context, options, *harness.Report) error
	}{{"start", benchStart}, {"log", benchLog}, {"file", benchFile}, {"cdc", benchCDC}} {
		parts = append(parts, harness.Part{Name: p.name, Run: func(ctx context.Context) error { return p.run(ctx, o, report) }})
	}
	if err := harness.Measure(ctx, o.only, 1, parts...); err != nil {
		return err
	}
	return report.Publish("all", o.out)
}

// benchStart measures a node's start on an empty directory, and its memory
// when nothing has happened yet.
func benchStart(ctx context.Context, o options, r *harness.Report) error {
	var rss [2]float64
	i := 0
	err := r.Twice("start to ready", "all roles, empty data directory", "ms", func() (ms float64, err error) {
		err = harness.WithNode(ctx, o.bin, "", func(n *harness.Node) error {
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
