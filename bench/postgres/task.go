package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/millrace/millrace/connectors/postgres"
	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// taskJob is what the task by itself is to do, and taskResult what came of it.
type (
	taskJob struct {
		Config  map[string]string
		Records int
	}
	taskResult struct {
		Records, PeakBytes  int64
		Seconds, CPUSeconds float64
	}
)

// noOffsets is the reader of a task that never ran.
type noOffsets struct{}

func (noOffsets) Offset(context.Context, map[string]any) (sdk.Offset, error) { return nil, nil }

func (noOffsets) Offsets(_ context.Context, partitions []map[string]any) ([]sdk.Offset, error) {
	return make([]sdk.Offset, len(partitions)), nil
}

// beTask runs a task in this process and drops what it emits. The clock runs
// from the first record to the last.
func beTask(ctx context.Context, in io.Reader, out io.Writer) error {
	var job taskJob
	if err := json.NewDecoder(in).Decode(&job); err != nil {
		return err
	}
	source := postgres.Connectors()[0].Source
	cfg, problems := source.ConfigDef().Parse(job.Config)
	if len(problems) > 0 {
		return fmt.Errorf("config: %v", problems)
	}
	opened, err := source.Open(ctx, cfg, noOffsets{})
	if err != nil {
		return err
	}
	task := opened.(sdk.BatchPoller)
	var r taskResult
	var began time.Time
	var before float64
	var b data.Batch
	for r.Records < int64(job.Records) {
		b = data.Batch{Records: b.Records[:0], Positions: b.Positions[:0]}
		if err := task.PollBatch(ctx, &b); err != nil {
			return errors.Join(err, opened.Close())
		}
		if r.Records == 0 && len(b.Records) > 0 {
			began, before = time.Now(), cpuSeconds()
		}
		r.Records += int64(len(b.Records))
	}
	r.Seconds, r.CPUSeconds = time.Since(began).Seconds(), cpuSeconds()-before
	if r.PeakBytes, err = peakMemory(); err != nil {
		return err
	}
	return errors.Join(json.NewEncoder(out).Encode(r), opened.Close())
}

func cpuSeconds() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// peakMemory is the most memory that was resident, as the kernel has counted it.
func peakMemory() (int64, error) {
	raw, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		if v, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(v), " kB"), 10, 64)
			return kb << 10, err
		}
	}
	return 0, errors.New("/proc/self/status has no VmHWM")
}

// alone runs a job in a process of its own.
func alone(ctx context.Context, job taskJob) (r taskResult, err error) {
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	raw, err := json.Marshal(job)
	if err != nil {
		return r, err
	}
	cmd := exec.CommandContext(ctx, self, "-task")
	cmd.Stdin, cmd.Stderr = bytes.NewReader(raw), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return r, fmt.Errorf("the task by itself: %w", err)
	}
	return r, json.Unmarshal(out, &r)
}

// tasks measures decoding and encoding by themselves, output dropped, beside
// pg_recvlogical writing the same changes to /dev/null.
func (b *bench) tasks(ctx context.Context) error {
	for _, l := range loads {
		if err := b.decoding(ctx, l, b.rows, "task alone, "+l.name, l.settings, nil); err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
	}
	return nil
}

// largeTransaction measures a task while one transaction of many rows passes
// through it.
func (b *bench) largeTransaction(ctx context.Context) error {
	large := load{
		tables: []string{"t"}, create: func(s string) []string { return []string{smallTable(s + ".t")} },
		change: func(s string, n int) []string {
			return []string{smallInsert(s+".t", "g", fmt.Sprintf("generate_series(1, %d) g", n))}
		},
	}
	for _, streaming := range []string{"off", "on"} {
		settings := fmt.Sprintf("%d inserts, millrace.streaming=%s", b.large, streaming)
		if err := b.decoding(ctx, large, b.large, "task alone, one transaction", settings, map[string]string{"millrace.streaming": streaming}); err != nil {
			return fmt.Errorf("streaming %s: %w", streaming, err)
		}
	}
	return nil
}

func (b *bench) decoding(ctx context.Context, l load, rows int, name, settings string, more map[string]string) error {
	run := b.name()
	if err := b.exec(ctx, append([]string{"CREATE SCHEMA " + run}, l.create(run)...)...); err != nil {
		return err
	}
	if err := b.exec(ctx, "CREATE PUBLICATION "+run+" FOR ALL TABLES",
		fmt.Sprintf("SELECT pg_create_logical_replication_slot('%[1]s', 'pgoutput'), pg_create_logical_replication_slot('%[1]s_raw', 'pgoutput')", run)); err != nil {
		return err
	}
	if err := b.exec(ctx, l.change(run, rows)...); err != nil {
		return err
	}
	want := rows
	if l.name == "wide rows" {
		want = max(rows/10000, 1) * 1000
	}
	seconds, err := b.receive(ctx, run)
	if err != nil {
		return err
	}
	b.Row(name, settings+", to nowhere; the server by pg_recvlogical", "rows/s").Add("server", float64(want)/seconds)
	config := b.config(run, l.tables, map[string]string{"snapshot.mode": "no_data", "publication.autocreate.mode": "disabled"})
	for k, v := range more {
		config[k] = v
	}
	r, err := alone(ctx, taskJob{config, want})
	if err != nil {
		return err
	}
	b.Row(name, settings+", to nowhere; the server by pg_recvlogical", "rows/s").Add("millrace", float64(r.Records)/r.Seconds)
	b.Row(name+", memory", settings+", most that was resident", "MiB").Add("millrace", float64(r.PeakBytes)/(1<<20))
	b.Row(name+", processor", settings, "µs/row").Add("millrace", 1e6*r.CPUSeconds/float64(r.Records))
	if err := b.slot(ctx, run, false); err != nil {
		return err
	}
	return b.exec(ctx, fmt.Sprintf("SELECT pg_drop_replication_slot('%[1]s'), pg_drop_replication_slot('%[1]s_raw')", run), "DROP SCHEMA "+run+" CASCADE", "DROP PUBLICATION "+run)
}

// receive has pg_recvlogical read the slot to the present end of the log, and
// returns how long it took.
func (b *bench) receive(ctx context.Context, run string) (float64, error) {
	var end string
	if err := b.db.QueryRow(ctx, "SELECT pg_current_wal_insert_lsn()::text").Scan(&end); err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, b.server.Program("pg_recvlogical"), "--dbname", b.server.URL("postgres"), "--slot", run+"_raw", "--start", "--no-loop",
		"--endpos", end, "--file", "/dev/null", "--fsync-interval", "0", "--option", "proto_version=1", "--option", "publication_names="+run)
	began := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("pg_recvlogical: %w: %s", err, out)
	}
	return time.Since(began).Seconds(), nil
}
