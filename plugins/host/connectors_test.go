package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// countSource counts from the stored offset; its mode says what else it does.
type countSource struct{}

func (countSource) ConfigDef() sdk.ConfigDef {
	return sdk.ConfigDef{
		{Name: "mode", Type: sdk.String, Default: "count"},
		{Name: "records", Type: sdk.Int, Default: 10},
		{Name: "size", Type: sdk.Int, Default: 100},
		{Name: "password", Type: sdk.Password, Default: ""},
	}
}

func (countSource) Validate(_ context.Context, cfg sdk.Config) []sdk.Problem {
	switch cfg.String("mode") {
	case "bad":
		return []sdk.Problem{{Key: "mode", Text: "mode bad is bad"}, {Key: "other", Text: "other is missing"}}
	case "hang-in-validate":
		select {}
	}
	return nil
}

func (countSource) Plan(_ context.Context, cfg sdk.Config, maxTasks int) ([]map[string]string, error) {
	var out []map[string]string
	for i := range min(maxTasks, cfg.Int("records")) {
		out = append(out, map[string]string{"mode": cfg.String("mode"), "part": strconv.Itoa(i)})
	}
	return out, nil
}

func (countSource) Watch(ctx context.Context, cfg sdk.Config, replan func()) error {
	if cfg.String("mode") == "replan" {
		replan()
	}
	<-ctx.Done()
	return context.Cause(ctx)
}

func (countSource) ExactlyOnce(cfg sdk.Config) bool { return cfg.String("mode") == "count" }

func (countSource) DefinesTransactions(cfg sdk.Config) bool {
	return cfg.String("mode") == "transactions"
}

func (countSource) AlterOffsets(_ context.Context, _ sdk.Config, changes []sdk.Position) (bool, error) {
	if changes[0].Offset.Int64("n") < 0 {
		return false, errors.New("n must not be negative")
	}
	return true, nil
}

var partition = map[string]any{"source": "count"}

func (countSource) Open(ctx context.Context, cfg sdk.Config, offsets sdk.OffsetReader) (sdk.Task, error) {
	stored, err := offsets.Offset(ctx, partition)
	if err != nil {
		return nil, err
	}
	t := &countTask{mode: cfg.String("mode"), batch: cfg.Int("records"), next: stored.Int64("n") + 1, size: cfg.Int("size")}
	switch t.mode {
	case "refuse":
		return nil, sdk.Retry(errors.New("the server is away"), 7*time.Second)
	case "hang-in-open":
		select {}
	case "environ":
		text, err := os.ReadFile("/proc/self/cmdline")
		fmt.Fprintln(os.Stderr, "environ:", strings.Join(os.Environ(), ";"), "cmdline:", string(text), err)
	case "child":
		c := exec.Command("sleep", "1000")
		if err := c.Start(); err != nil {
			return nil, err
		}
		sdk.Logger(ctx).Info("child", "child", c.Process.Pid)
	case "print":
		fmt.Println("this went to stdout")
		fmt.Fprintln(os.Stderr, "plain words")
		sdk.Logger(ctx).Warn("disk is nearly full", "free", 12345678, "connector", "spoofed")
		fmt.Fprint(os.Stderr, strings.Repeat("long", 100<<10), "\n")
	}
	return t, nil
}

type countTask struct {
	sdk.UnimplementedTask
	mode  string
	batch int
	size  int
	next  int64
	fails int
	hoard [][]byte
	row   []byte
}

// Progress tells of work in tasks that only wait.
func (t *countTask) Progress() sdk.Progress {
	if t.mode != "wait" {
		return sdk.Progress{}
	}
	return sdk.Progress{Work: "waiting", Records: 7, Done: 0.5, PerSecond: 2, Left: 1500 * time.Millisecond}
}

func (t *countTask) PollBatch(ctx context.Context, b *data.Batch) error {
	switch t.mode {
	case "wait":
		<-ctx.Done()
		return context.Cause(ctx)
	case "deaf":
		select {}
	case "fatal":
		return errors.New("the table was dropped")
	case "panic":
		panic("a mistake of the author")
	case "crash":
		go func() { panic("out of ideas") }()
		select {}
	case "exit":
		fmt.Fprintln(os.Stderr, "I am leaving")
		os.Exit(42)
	case "retry":
		if t.fails++; t.fails <= 2 {
			return sdk.Retry(errors.New("connection reset"), time.Millisecond)
		}
	case "memory":
		t.hoard = append(t.hoard, bytes.Repeat([]byte("x"), 4<<20))
	case "flood":
		for i := range 20000 {
			fmt.Fprintln(os.Stderr, "line", i)
		}
		t.mode = "wait"
	}
	if err := t.count(b); err != nil || t.mode != "transactions" || !sdk.TransactionsDefined(ctx) {
		return err
	}
	b.Records[3].End, b.Records[7].End = sdk.CommitTransaction, sdk.AbortTransaction
	return nil
}

func (t *countTask) count(b *data.Batch) error {
	if len(t.row) != t.size {
		t.row = bytes.Repeat([]byte("r"), t.size)
	}
	for range t.batch {
		b.Records = append(b.Records, data.Record{
			Topic: "count", Partition: data.NoPartition, Timestamp: t.next,
			Value: data.Datum{State: data.Present, Schema: rowSchema, Row: t.row},
		})
		t.next++
	}
	b.Positions = append(b.Positions, data.Position{
		Partition: []byte(`{"source":"count"}`), Offset: fmt.Appendf(nil, `{"n":%d}`, t.next-1),
	})
	for i := range b.Records {
		b.Records[i].Position = data.NoPosition
	}
	b.Records[len(b.Records)-1].Position = 0
	return nil
}

var rowSchema = data.NewStructBuilder().Name("row").Field("text", data.NewBuilder(data.TypeString).MustBuild()).MustBuild()

// Acked and Committed log what they hear.
func (t *countTask) Acked(ctx context.Context, records uint64) error {
	if t.mode == "count" {
		sdk.Logger(ctx).Info("heard acked", "records", records)
	}
	return nil
}

func (t *countTask) Committed(ctx context.Context, positions []sdk.Position) error {
	if t.mode == "count" {
		sdk.Logger(ctx).Info("heard stored", "n", positions[0].Offset.Int64("n"))
	}
	return nil
}

func (t *countTask) Close() error {
	if t.mode == "hang-in-close" {
		select {}
	}
	return nil
}

// collectSink keeps what it is given until pre-commit; its mode says what goes
// wrong.
type collectSink struct{}

func (collectSink) ConfigDef() sdk.ConfigDef {
	return sdk.ConfigDef{{Name: "mode", Type: sdk.String, Default: ""}}
}

func (collectSink) Open(_ context.Context, cfg sdk.Config, c sdk.Control) (sdk.SinkTask, error) {
	return &collectTask{mode: cfg.String("mode"), control: c}, nil
}

type collectTask struct {
	mode    string
	control sdk.Control
	puts    int
	records int
}

func (t *collectTask) Put(ctx context.Context, b *data.Batch) error {
	t.puts++
	if len(b.Records) == 0 {
		t.control.RequestCommit()
		return nil
	}
	for i := range b.Records {
		r := &b.Records[i]
		if string(r.Value.Row) == "poison" {
			return sdk.RecordError(i, errors.New("poison"))
		}
		if t.mode == "errant" && r.Offset%2 == 1 {
			t.control.Report(r, fmt.Errorf("offset %d is odd", r.Offset))
			continue
		}
		t.records++
	}
	switch t.mode {
	case "busy":
		t.mode = ""
		t.control.Timeout(50 * time.Millisecond)
		return sdk.Retry(errors.New("too many requests"), time.Second)
	case "hang":
		select {}
	case "events":
		tp := sdk.TopicPartition{Topic: "t", Partition: 1}
		t.control.Rewind(sdk.Offsets{tp: 5})
		t.control.Pause(tp)
		t.control.Resume(tp)
	}
	return nil
}

func (t *collectTask) OpenPartitions(ctx context.Context, o sdk.Offsets) error {
	sdk.Logger(ctx).Info("opened partitions", "partitions", fmt.Sprint(o))
	return nil
}

func (t *collectTask) ClosePartitions(ctx context.Context, tps []sdk.TopicPartition, lost bool) error {
	sdk.Logger(ctx).Info("closed partitions", "partitions", fmt.Sprint(tps), "lost", lost)
	return nil
}

func (t *collectTask) PreCommit(ctx context.Context, o sdk.Offsets) (sdk.Offsets, error) {
	sdk.Logger(ctx).Info("pre-commit", "records", t.records, "puts", t.puts)
	if t.mode == "eager" {
		return sdk.Offsets{{Topic: "t", Partition: 1}: 1 << 40}, nil
	}
	return o, nil
}

func (t *collectTask) Close() error { return nil }
