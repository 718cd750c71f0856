// Command files measures the connectors that read and write files, in this
// process: the log tail on raw lines and with parsers, by the processor time
// that it takes; what it costs to watch files that are idle; its memory over
// time; and the directory sink. What it prints is a table.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/millrace/millrace/connectors/logtail"
	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

func main() {
	var o options
	flag.IntVar(&o.megabytes, "mb", 1000, "megabytes to read or write for each figure")
	flag.IntVar(&o.runs, "runs", 3, "runs, of which the best counts")
	flag.IntVar(&o.files, "files", 10000, "files to watch")
	flag.DurationVar(&o.idle, "idle", 20*time.Second, "how long to watch them")
	flag.StringVar(&o.profile, "cpuprofile", "", "file for a profile of the processor time")
	flag.StringVar(&o.only, "only", "", "measure what has this in its name alone")
	flag.Parse()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type options struct {
	megabytes, runs, files int
	idle                   time.Duration
	profile, only          string
}

func run(o options) (err error) {
	if o.profile != "" {
		f, err := os.Create(o.profile)
		if err != nil {
			return err
		}
		defer func() { pprof.StopCPUProfile(); _ = f.Close() }() // the figures do not depend on it
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp("", "millrace-bench-files-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	fmt.Printf("%s, %d cores\n\n%-56s %10s %10s\n", runtime.Version(), runtime.NumCPU(), "WHAT", "MB/s", "MB/s a core")
	for _, m := range []struct {
		name, line string
		config     map[string]string
	}{
		{"log tail, lines of 200 bytes, raw", raw, nil},
		{"log tail, JSON of 200 bytes into six fields", object, map[string]string{
			"parser": "json", "parser.fields": "time:timestamp,level,service,status:int32,took:double,msg", "parser.time.field": "time"}},
		{"log tail, nginx's lines into columns", request, map[string]string{"parser": "nginx"}},
	} {
		if !strings.Contains(m.name, o.only) {
			continue
		}
		path := filepath.Join(dir, "a.log")
		if err := writeLines(path, m.line, o.megabytes<<20); err != nil {
			return err
		}
		var best figure
		for range o.runs {
			f, err := tail(path, m.config)
			if err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
			if f.perCore > best.perCore {
				best = f
			}
		}
		fmt.Printf("%-56s %10.0f %10.0f   memory %.0f MB after a tenth, %.0f MB at the end\n", m.name, best.rate, best.perCore, best.early, best.late)
	}
	if strings.Contains("idle", o.only) {
		if err := idle(filepath.Join(dir, "many"), o); err != nil {
			return err
		}
	}
	return sinks(dir, o)
}

// figure is what one run gave.
type figure struct {
	rate, perCore float64 // MB/s
	early, late   float64 // MB resident
}

// The lines, with a number in the place of the N.
var (
	raw     = "2024-01-02T03:04:05.678Z INFO checkout order NNNNNNNN was taken: " + strings.Repeat("lorem ipsum dolor ", 7) + "and so it ends"
	object  = `{"time":"2024-01-02T03:04:05.678Z","level":"info","service":"checkout","status":200,"took":12.345,"msg":"order NNNNNNNN was taken and paid for, and the customer was told about it by mail, all is well"}`
	request = `203.0.113.9 - - [10/Oct/2023:13:55:36 +0000] "GET /order?n=NNNNNNNN&x=aaaaaaaaaaaaaaaaaaaa HTTP/1.1" 200 2326 "https://shop.example/basket" "Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101"`
)

func writeLines(path, line string, size int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	before, after, _ := strings.Cut(line, "NNNNNNNN")
	for n := 0; n*(len(line)+1) < size; n++ {
		fmt.Fprintf(w, "%s%08d%s\n", before, n%100000000, after) // Flush has the error
	}
	return errors.Join(w.Flush(), f.Close())
}

// noOffsets is a store with nothing in it.
type noOffsets struct{}

func (noOffsets) Offset(context.Context, map[string]any) (sdk.Offset, error) { return nil, nil }
func (noOffsets) Offsets(_ context.Context, p []map[string]any) ([]sdk.Offset, error) {
	return make([]sdk.Offset, len(p)), nil
}

func open(include string, more map[string]string) (sdk.Task, error) {
	props := map[string]string{"include": include, "topic": "logs", "start.at": "beginning", "host.id": "bench"}
	for k, v := range more {
		props[k] = v
	}
	source := logtail.Source{}
	cfg, problems := source.ConfigDef().Parse(props)
	if len(problems) > 0 {
		return nil, problems[0]
	}
	return source.Open(context.Background(), cfg, noOffsets{})
}

// tail reads a file to its end.
func tail(path string, config map[string]string) (f figure, err error) {
	fi, err := os.Stat(path)
	if err != nil {
		return f, err
	}
	lines, err := countLines(path)
	if err != nil {
		return f, err
	}
	task, err := open(path, config)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, task.Close()) }()
	poller := task.(sdk.BatchPoller) // the log tail is one
	var b data.Batch
	began, used := time.Now(), processorTime()
	for n := 0; n < lines; {
		b.Records, b.Positions = b.Records[:0], b.Positions[:0]
		if err := poller.PollBatch(context.Background(), &b); err != nil {
			return f, err
		}
		if n += len(b.Records); f.early == 0 && n > lines/10 {
			f.early = resident()
		}
	}
	took, cpu := time.Since(began), processorTime()-used
	f.rate, f.perCore, f.late = float64(fi.Size())/1e6/took.Seconds(), float64(fi.Size())/1e6/cpu.Seconds(), resident()
	return f, nil
}

func countLines(path string) (int, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close() // nothing is written
	n := 0
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		n++
	}
	return n, lines.Err()
}

// idle watches files that nobody writes to.
func idle(dir string, o options) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for i := range o.files {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%05d.log", i)), fmt.Appendf(nil, "a line of file %d\n", i), 0o600); err != nil {
			return err
		}
	}
	task, err := open(dir+"/*.log", nil)
	if err != nil {
		return err
	}
	poller := task.(sdk.BatchPoller) // the log tail is one
	for n := 0; n < o.files; {
		var b data.Batch
		if err := poller.PollBatch(context.Background(), &b); err != nil {
			return errors.Join(err, task.Close())
		}
		n += len(b.Records)
	}
	settle, stop := context.WithTimeout(context.Background(), 12*time.Second) // files count as warm for ten
	err = poller.PollBatch(settle, &data.Batch{})
	stop()
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return errors.Join(err, task.Close())
	}
	ctx, stop := context.WithTimeout(context.Background(), o.idle)
	defer stop()
	used := processorTime()
	for ctx.Err() == nil {
		if err := poller.PollBatch(ctx, &data.Batch{}); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return errors.Join(err, task.Close())
		}
	}
	share := float64(processorTime()-used) / float64(o.idle)
	fmt.Printf("%-56s %9.2f %% of a core, %.0f MB\n", "log tail, "+strconv.Itoa(o.files)+" files that are idle", 100*share, resident())
	return task.Close()
}

// processorTime is what this process has used.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0 // it cannot fail for this process
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resident is the memory of this process in MB.
func resident() float64 {
	status, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(status))
	pages, err := strconv.Atoi(fields[1])
	if err != nil {
		return 0
	}
	return float64(pages) * float64(os.Getpagesize()) / 1e6
}
