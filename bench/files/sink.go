package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/connectors/filesink"
	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// control takes a task's requests, of which a benchmark needs none.
type control struct{ failed error }

func (c *control) Report(_ *data.Record, err error) { c.failed = err }
func (c *control) Rewind(sdk.Offsets)               {}
func (c *control) Pause(...sdk.TopicPartition)      {}
func (c *control) Resume(...sdk.TopicPartition)     {}
func (c *control) Timeout(time.Duration)            {}
func (c *control) RequestCommit()                   {}

// sinks measures the directory sink in its formats.
func sinks(dir string, o options) error {
	records, size, err := batch(1000)
	if err != nil {
		return err
	}
	for _, format := range []string{"avro", "json", "csv", "parquet"} {
		name := "directory sink, records of 1 KB as " + format
		if !strings.Contains(name, o.only) {
			continue
		}
		var best figure
		for i := range o.runs {
			f, err := write(filepath.Join(dir, format+strconv.Itoa(i)), format, records, size, o.megabytes<<20)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if f.perCore > best.perCore {
				best = f
			}
		}
		fmt.Printf("%-56s %10.0f %10.0f\n", name, best.rate, best.perCore)
	}
	return nil
}

// batch makes records of 1 KB, and says how large all are.
func batch(n int) (b *data.Batch, size int, err error) {
	schema := data.NewStructBuilder().Name("bench.Order").Field("id", data.Int64Schema).Field("who", data.StringSchema).
		Field("at", data.TimestampSchema).Field("amount", data.Float64Schema).Field("text", data.StringSchema).MustBuild()
	b = &data.Batch{}
	w := data.NewRowWriter(schema)
	for i := range n {
		w.Reset(nil)
		w.BeginStruct()
		w.Int64(int64(i))
		w.Text("customer " + strconv.Itoa(i))
		w.Int64(1_700_000_000_000)
		w.Float64(float64(i) / 7)
		w.Text(strings.Repeat("lorem ipsum ", 81))
		w.End()
		row, _, err := w.Finish()
		if err != nil {
			return nil, 0, err
		}
		size += len(row)
		b.Records = append(b.Records, data.Record{Topic: "orders", OriginalTopic: "orders", Position: data.NoPosition, Value: data.Datum{Schema: schema, State: data.Present, Row: row}})
	}
	return b, size, nil
}

// write measures one format, up to the commit of the last file.
func write(dir, format string, b *data.Batch, size, total int) (f figure, err error) {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return f, err
	}
	rounds := max(1, total/size)
	sink := filesink.Sink{}
	cfg, problems := sink.ConfigDef().Parse(map[string]string{
		"directory": dir, "format": format, "rotate.max.bytes": strconv.Itoa(100 << 20), "rotate.max.records": strconv.Itoa(rounds * len(b.Records)),
	})
	if len(problems) > 0 {
		return f, problems[0]
	}
	c := &control{}
	ctx := context.Background()
	task, err := sink.Open(ctx, cfg, c)
	if err != nil {
		return f, err
	}
	tp := sdk.TopicPartition{Topic: "orders"}
	if err := task.(sdk.PartitionOpener).OpenPartitions(ctx, sdk.Offsets{tp: 0}); err != nil { // the sink is one
		return f, err
	}
	began, used, next := time.Now(), processorTime(), int64(0)
	for range rounds {
		for i := range b.Records {
			b.Records[i].OriginalOffset = next
			next++
		}
		if err := task.Put(ctx, b); err != nil {
			return f, err
		}
		if c.failed != nil {
			return f, c.failed
		}
	}
	done, err := task.(sdk.PreCommitter).PreCommit(ctx, sdk.Offsets{tp: next}) // the sink is one
	if err != nil || done[tp] == 0 {
		return f, fmt.Errorf("%d records are committed of %d: %v", done[tp], next, err)
	}
	took, cpu := time.Since(began), processorTime()-used
	bytes := float64(size) * float64(rounds) / 1e6
	f.rate, f.perCore = bytes/took.Seconds(), bytes/cpu.Seconds()
	return f, task.Close()
}
