// Command load is the plugin that bench/connect measures the runtime with: a
// source that has its records at hand, and a sink that throws them away, so that
// what is measured is the way between them and the log.
package main

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

func main() {
	sdk.Serve(
		sdk.Connector{Name: "load-source", Version: "1.0.0", Classes: []string{"bench.LoadSource"}, Source: source{}},
		sdk.Connector{Name: "load-sink", Version: "1.0.0", Classes: []string{"bench.LoadSink"}, Sink: sink{}},
	)
}

// recordBytes is about the size of a record's value.
const recordBytes = 200

// batchRecords is how many records a poll returns.
const batchRecords = 1000

// row is a record with fields, of about recordBytes as JSON.
var row = data.NewStructBuilder().Name("bench.Row").
	Field("id", data.Int64Schema).Field("kind", data.StringSchema).Field("amount", data.Float64Schema).
	Field("open", data.BooleanSchema).Field("text", data.StringSchema).MustBuild()

type source struct{}

func (source) ConfigDef() sdk.ConfigDef {
	return sdk.ConfigDef{
		{Name: "topic", Type: sdk.String, Required: true, Doc: "Topic to write to."},
		{Name: "form", Type: sdk.String, Default: "text", Rules: []configdef.Rule{configdef.OneOf("text", "row")}, Doc: "What values are."},
		{Name: "records", Type: sdk.Long, Default: 0, Doc: "How many records; 0 is without end."},
		{Name: "tasks", Type: sdk.Int, Default: 1, Doc: "How many tasks."},
		{Name: "pause.ms", Type: sdk.Long, Default: 0, Doc: "Pause between two polls, of one record each then."},
	}
}

// ExactlyOnce implements sdk.ExactlyOncer.
func (source) ExactlyOnce(sdk.Config) bool { return true }

// Plan implements sdk.Planner.
func (source) Plan(_ context.Context, cfg sdk.Config, maxTasks int) ([]map[string]string, error) {
	var out []map[string]string
	for n := range min(cfg.Int("tasks"), maxTasks) {
		task := cfg.Originals()
		task["part"] = fmt.Sprint(n)
		out = append(out, task)
	}
	return out, nil
}

func (source) Open(ctx context.Context, cfg sdk.Config, offsets sdk.OffsetReader) (sdk.Task, error) {
	part, _ := cfg.Original("part")
	partition := map[string]any{"load": cfg.String("name") + part}
	stored, err := offsets.Offset(ctx, partition)
	if err != nil {
		return nil, err
	}
	t := &task{
		topic: cfg.String("topic"), rows: cfg.String("form") == "row", next: stored.Int64("n"), last: cfg.Int64("records"), pause: cfg.Millis("pause.ms"),
		partition: fmt.Appendf(nil, `{"load":%q}`, cfg.String("name")+part), text: strings.Repeat("x", recordBytes), writer: data.NewRowWriter(row),
	}
	if t.last == 0 {
		t.last = math.MaxInt64
	}
	if t.pause > 0 {
		t.text = part // who is heard, and when
	}
	return t, nil
}

type task struct {
	sdk.UnimplementedTask
	topic, text string
	rows        bool
	next, last  int64
	pause       time.Duration
	partition   []byte
	writer      *data.RowWriter
	mem         []byte
}

// PollBatch implements sdk.BatchPoller.
func (t *task) PollBatch(ctx context.Context, b *data.Batch) error {
	n := min(batchRecords, t.last-t.next)
	if t.pause > 0 {
		n = min(n, 1)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(t.pause):
		}
	}
	if n <= 0 {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	t.mem = t.mem[:0]
	for range n {
		t.next++
		value := data.Datum{Schema: data.StringSchema, State: data.Present}
		start := len(t.mem)
		var err error
		if t.rows {
			value.Schema = row
			err = t.writeRow()
		} else {
			t.mem, _, err = data.Encode(t.mem, data.StringSchema, t.text)
		}
		if err != nil {
			return err
		}
		value.Row = t.mem[start:len(t.mem):len(t.mem)]
		b.Records = append(b.Records, data.Record{
			Topic: t.topic, Partition: data.NoPartition, Timestamp: data.NoTimestamp, Value: value, Position: data.NoPosition,
		})
	}
	b.Positions = append(b.Positions, data.Position{Partition: t.partition, Offset: fmt.Appendf(nil, `{"n":%d}`, t.next)})
	b.Records[len(b.Records)-1].Position = 0
	return nil
}

func (t *task) writeRow() (err error) {
	w := t.writer
	w.Reset(t.mem)
	w.BeginStruct()
	w.Int64(t.next)
	w.Text("order")
	w.Float64(float64(t.next) / 4)
	w.Boolean(t.next%2 == 0)
	w.Text(t.text[:recordBytes-72])
	w.End()
	t.mem, _, err = w.Finish()
	return err
}

func (t *task) Close() error { return nil }

type sink struct{}

func (sink) ConfigDef() sdk.ConfigDef { return nil }

func (sink) Open(context.Context, sdk.Config, sdk.Control) (sdk.SinkTask, error) { return drain{}, nil }

// drain takes everything.
type drain struct{}

func (drain) Put(context.Context, *data.Batch) error { return nil }
func (drain) Close() error                           { return nil }
