package sdktest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// lines is a source of numbered lines; flaw makes it break one of the rules.
type lines struct{ flaw string }

func (lines) ConfigDef() sdk.ConfigDef {
	return sdk.ConfigDef{{Name: "topic", Type: sdk.String, Required: true}}
}

// lenient is a source that takes a configuration that it should refuse.
type lenient struct{ lines }

func (lenient) ConfigDef() sdk.ConfigDef {
	return sdk.ConfigDef{{Name: "topic", Type: sdk.String, Default: ""}}
}

func (l lines) Open(ctx context.Context, cfg sdk.Config, offsets sdk.OffsetReader) (sdk.Task, error) {
	p := map[string]any{"file": "f"}
	o, err := offsets.Offset(ctx, p)
	if err != nil {
		return nil, err
	}
	t := &lineTask{flaw: l.flaw, topic: cfg.String("topic"), partition: p, next: o.Int64("line")}
	switch {
	case l.flaw == "leak":
		go func() { select {} }()
	case l.flaw == "repeat" && t.next > 0:
		t.next--
	case l.flaw == "skip" && t.next > 0:
		t.next++
	case l.flaw == "lenient" && t.topic == "":
		t.topic = "default"
	}
	return t, nil
}

type lineTask struct {
	flaw, topic string
	partition   map[string]any
	next        int64
}

func (t *lineTask) Poll(ctx context.Context) ([]sdk.Record, error) {
	if t.next >= 40 {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	var out []sdk.Record
	for range 3 {
		t.next++
		r := sdk.Record{
			Topic: t.topic, Value: fmt.Sprint("line ", t.next),
			Partition: t.partition, Offset: sdk.Offset{"line": t.next},
		}
		switch t.flaw {
		case "wobble":
			r.Value = time.Now().UnixNano()
		case "unmoved":
			r.Partition = nil
		}
		out = append(out, r)
	}
	return out, nil
}

func (t *lineTask) Close() error { return nil }

func source(s sdk.Source) sdk.Connector {
	return sdk.Connector{Name: "lines", Version: "1", Classes: []string{"test.Lines"}, Source: s}
}

// envFlaw makes TestSourceSuite test a source that has a flaw.
const envFlaw = "SDKTEST_FLAW"

func TestSourceSuite(t *testing.T) {
	l := lines{flaw: os.Getenv(envFlaw)}
	c := source(l)
	if l.flaw == "lenient" {
		c = source(lenient{l})
	}
	TestSource(t, Source{
		Connector:  c,
		Config:     func(testing.TB) map[string]string { return map[string]string{"topic": "t"} },
		BadConfigs: map[string]map[string]string{"no topic": {}},
	})
}

// A suite that passes everything would be worth nothing: each flaw is found,
// by the test that is there for it.
func TestSuiteFindsFlaws(t *testing.T) {
	for flaw, want := range map[string]string{
		"leak":    "after Close goroutines are left",
		"repeat":  "TestSourceSuite/resume/after_record_",
		"skip":    "TestSourceSuite/resume/after_record_",
		"wobble":  "in one run and",
		"unmoved": "nothing could be resumed",
		"lenient": "neither Validate nor Open refuses it",
	} {
		t.Run(flaw, func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestSourceSuite$")
			cmd.Env = append(os.Environ(), envFlaw+"="+flaw)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), want) {
				t.Errorf("the suite ends with %v and does not say %q:\n%s", err, want, out)
			}
		})
	}
}

func TestSourceRun(t *testing.T) {
	run := StartSource(t, source(lines{}), map[string]string{"topic": "t"}, Offsets{`{"file":"f"}`: `{"line":36}`})
	records := run.Take(6)
	if got := records[0].Text(); got != `t null line 37` {
		t.Errorf("the first record is %q", got)
	}
	stored := make(Offsets)
	stored.Apply(records)
	if got := stored[`{"file":"f"}`]; got != `{"line":42}` {
		t.Errorf("stored is %s", got)
	}
	if more := run.TakeFor(50 * time.Millisecond); len(more) != 0 {
		t.Errorf("%d records follow the last", len(more))
	}
	run.Acknowledge()
	if rest := run.Stop(); len(rest) != 0 {
		t.Errorf("%d records come at the stop", len(rest))
	}
}

// failing is a source whose polls end in errors, the last one fatal.
type failing struct{ lines }

func (failing) Open(context.Context, sdk.Config, sdk.OffsetReader) (sdk.Task, error) {
	return &failingTask{}, nil
}

type failingTask struct {
	sdk.UnimplementedTask
	polls int
}

func (t *failingTask) Poll(context.Context) ([]sdk.Record, error) {
	if t.polls++; t.polls <= 2 {
		return nil, sdk.Retry(errors.New("away"), time.Millisecond)
	}
	return nil, errors.New("gone")
}

func TestFailures(t *testing.T) {
	run := StartSource(t, source(failing{}), map[string]string{"topic": "t"}, nil)
	if err := run.Fail(); !strings.Contains(err.Error(), "gone") {
		t.Errorf("it fails with %v", err)
	}
	if n := len(run.Retries()); n != 2 {
		t.Errorf("%d retries, want 2", n)
	}
	if _, err := OpenSource(t, source(lines{}), nil, nil); err == nil || !strings.Contains(err.Error(), `"topic"`) {
		t.Errorf("opening without a topic: %v", err)
	}
}

// appender is a sink that appends lines to a file, which starts with the next
// offset to write, so that nothing is written twice.
type appender struct{}

func (appender) ConfigDef() sdk.ConfigDef {
	return sdk.ConfigDef{{Name: "file", Type: sdk.String, Required: true}}
}

func (appender) Open(_ context.Context, cfg sdk.Config, c sdk.Control) (sdk.SinkTask, error) {
	return &appendTask{file: cfg.String("file"), control: c}, nil
}

type appendTask struct {
	sdk.UnimplementedSinkTask
	file    string
	control sdk.Control
	buffer  []string
}

func (t *appendTask) Put(_ context.Context, b *data.Batch) error {
	for i := range b.Records {
		r := &b.Records[i]
		v, err := r.Value.Value()
		if err != nil {
			return sdk.RecordError(i, err)
		}
		if v == "bad" {
			t.control.Report(r, errors.New("bad"))
			continue
		}
		t.buffer = append(t.buffer, fmt.Sprintf("%d %v", r.OriginalOffset, v))
	}
	return nil
}

func (t *appendTask) Flush(_ context.Context, o sdk.Offsets) error {
	old, err := os.ReadFile(t.file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return sdk.Retry(err, 0)
	}
	text := string(old)
	for _, l := range t.buffer {
		if !strings.Contains("\n"+text, "\n"+l+"\n") {
			text += l + "\n"
		}
	}
	t.buffer = nil
	return os.WriteFile(t.file, []byte(text), 0o600)
}

func TestSinkSuite(t *testing.T) {
	s := Sink{
		Connector: sdk.Connector{Name: "append", Version: "1", Classes: []string{"test.Append"}, Sink: appender{}},
		Config: func(t testing.TB) map[string]string {
			return map[string]string{"file": filepath.Join(t.TempDir(), "out")}
		},
		Read: func(t testing.TB, config map[string]string) []string {
			text, err := os.ReadFile(config["file"])
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			return strings.Fields(strings.ReplaceAll(strings.TrimSpace(string(text)), " ", "_"))
		},
		ExactlyOnce: true,
		BadConfigs:  map[string]map[string]string{"no file": {}},
	}
	for i := range 10 {
		s.Records = append(s.Records, LogRecord(t, "t", 2, int64(100+i), nil, fmt.Sprint("v", i)))
		s.Want = append(s.Want, fmt.Sprintf("%d_v%d", 100+i, i))
	}
	TestSink(t, s)
}

func TestSinkRun(t *testing.T) {
	run := StartSink(t, sdk.Connector{Name: "append", Version: "1", Classes: []string{"test.Append"}, Sink: appender{}},
		map[string]string{"file": filepath.Join(t.TempDir(), "out")})
	run.MustPut(LogRecord(t, "t", 2, 7, nil, "good"), LogRecord(t, "t", 2, 8, nil, "bad"))
	tp := sdk.TopicPartition{Topic: "t", Partition: 2}
	if got := run.Events().Errant[tp]; len(got) != 1 || got[0] != 8 {
		t.Errorf("errant records are %v", got)
	}
	if got := run.PreCommit(sdk.Offsets{tp: 9}); got[tp] != 9 {
		t.Errorf("pre-commit answers %v", got)
	}
}
