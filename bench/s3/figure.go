package main

import (
	"fmt"
	"time"

	"github.com/millrace/millrace/bench/harness"
)

// share is one of the processes that a figure is made by, with its processor
// time in seconds so far.
type share struct {
	name string
	cpu  func() (float64, error)
}

// alone reads the time of a process, without its children.
func alone(pid int) func() (float64, error) {
	return func() (float64, error) {
		all, err := harness.CPU(pid)
		if err != nil {
			return 0, err
		}
		below, err := below(pid)()
		return all - below, err
	}
}

// below reads the time of a process's children that run.
func below(pid int) func() (float64, error) {
	return func() (float64, error) {
		children, err := harness.Children(pid)
		total := 0.0
		for _, child := range children {
			if cpu, err := harness.CPU(child); err == nil { // else it has ended
				total += cpu
			}
		}
		return total, err
	}
}

// figure is the best of several runs, and what each process took for a byte in
// it: on a machine that others use as well, that says more than the rate.
type figure struct {
	rate  float64 // MB a second
	names []string
	cost  []float64 // ns a byte
}

// measure runs do, which returns how many MB it has stored, and keeps what it
// brings if it is the best.
func (f *figure) measure(shares []share, do func() (megabytes float64, err error)) error {
	before, err := times(shares)
	if err != nil {
		return err
	}
	began := time.Now()
	megabytes, err := do()
	if err != nil {
		return err
	}
	rate := megabytes / time.Since(began).Seconds()
	after, err := times(shares)
	if err != nil || rate <= f.rate {
		return err
	}
	*f = figure{rate: rate}
	for i, s := range shares {
		f.names = append(f.names, s.name)
		f.cost = append(f.cost, (after[i]-before[i])*1e3/megabytes)
	}
	return nil
}

func times(shares []share) ([]float64, error) {
	out := make([]float64, len(shares))
	for i, s := range shares {
		var err error
		if out[i], err = s.cpu(); err != nil {
			return nil, fmt.Errorf("processor time of %s: %w", s.name, err)
		}
	}
	return out, nil
}

// print prints the rate, its part of another, and the cost by process.
func (f figure) print(what string, of figure) {
	fmt.Printf("%-60s %8.0f MB/s  %4.0f %%\n", what, f.rate, 100*f.rate/of.rate)
	total, text := 0.0, ""
	for i, c := range f.cost {
		total += c
		text += fmt.Sprintf("   %s %.2f", f.names[i], c)
	}
	fmt.Printf("  ns of processor time a byte %5.2f:%s\n", total, text)
}
