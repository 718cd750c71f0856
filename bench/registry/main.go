// Command registry measures the schema registry over HTTP and prints a table:
// look-ups of a known id on kept connections, registrations through the log,
// and a start over many versions. Every figure is measured twice.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/millrace/millrace/bench/harness"
)

// options are the command's flags.
type options struct {
	bin         string
	duration    time.Duration
	connections int
	versions    int
	out         string
}

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin/millrace", "the binary to measure")
	flag.DurationVar(&o.duration, "duration", 20*time.Second, "how long each measurement runs")
	flag.IntVar(&o.connections, "connections", 50, "clients at once")
	flag.IntVar(&o.versions, "versions", 100_000, "schema versions to start over")
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
	dir, err := os.MkdirTemp("", "millrace-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	err = withNode(ctx, o, filepath.Join(dir, "requests"), func(n *harness.Node) error {
		return errors.Join(lookups(ctx, o, n, report), registrations(ctx, o, n, report))
	})
	if err != nil {
		return err
	}
	if err := starts(ctx, o, filepath.Join(dir, "start"), report); err != nil {
		return err
	}
	return report.Publish("registry", o.out)
}

// withNode runs f with a server on a directory.
func withNode(ctx context.Context, o options, dir string, f func(*harness.Node) error) error {
	return harness.WithNode(ctx, o.bin, dir, f, "--roles", "broker,registry")
}

// starts fills a topic with versions and starts a node over it.
func starts(ctx context.Context, o options, dir string, r *harness.Report) error {
	if err := withNode(ctx, o, dir, func(n *harness.Node) error { return fill(ctx, n.Kafka, o.versions) }); err != nil {
		return err
	}
	var rss [2]float64
	i := 0
	err := r.Twice("start to ready", fmt.Sprintf("broker and registry, %d versions", o.versions), "ms", func() (ms float64, err error) {
		err = withNode(ctx, o, dir, func(n *harness.Node) error {
			ms = float64(n.StartTime.Microseconds()) / 1000
			if err := hasAll(n.Registry, o.versions); err != nil {
				return err
			}
			b, err := n.RSS()
			rss[i%2] = float64(b) / (1 << 20)
			i++
			return err
		})
		return ms, err
	})
	r.Add("memory after it", fmt.Sprintf("broker and registry, %d versions", o.versions), "MiB", rss[0], rss[1])
	return err
}
