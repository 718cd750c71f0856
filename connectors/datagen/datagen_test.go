package datagen

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
	"github.com/millrace/millrace/plugins/sdktest"
)

func props(extra ...string) map[string]string {
	out := map[string]string{"name": "gen", "connector.class": "DatagenConnector", "kafka.topic": "t", "quickstart": "orders", "max.interval": "0", "random.seed": "7"}
	for i := 0; i+1 < len(extra); i += 2 {
		out[extra[i]] = extra[i+1]
	}
	return out
}

func TestConformance(t *testing.T) {
	file := filepath.Join(t.TempDir(), "schema.avsc")
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	sdktest.TestSource(t, sdktest.Source{
		Connector: Connectors()[0],
		Config:    func(testing.TB) map[string]string { return props() },
		Records:   50,
		Text: func(r sdktest.Record) string { // without the header that counts the task's lives
			r.Headers = r.Headers[1:]
			return r.Text()
		},
		BadConfigs: map[string]map[string]string{
			"no topic": {"quickstart": "orders"}, "nothing to make": {"kafka.topic": "t"},
			"two things to make":  props("schema.string", `{"type":"record","name":"r","fields":[]}`),
			"unknown quickstart":  props("quickstart", "nonsense"),
			"key that is none":    props("schema.keyfield", "nonsense"),
			"no Avro":             props("quickstart", "", "schema.string", "{"),
			"no record":           props("quickstart", "", "schema.string", `"string"`),
			"file without Avro":   props("quickstart", "", "schema.filename", file),
			"no file":             props("quickstart", "", "schema.filename", file+"x"),
			"range upside down":   props("quickstart", "", "schema.string", recordOf(`{"type":"int","arg.properties":{"range":{"min":5,"max":5}}}`)),
			"unknown on.complete": props("on.complete", "explode"),
		},
	})
}

func recordOf(field string) string {
	return `{"type":"record","name":"r","fields":[{"name":"f","type":` + field + `}]}`
}

// TestQuickstarts makes records of each, and holds that the key is the value of
// its field.
func TestQuickstarts(t *testing.T) {
	if len(quickstarts) != 38 {
		t.Errorf("there are %d quickstarts", len(quickstarts))
	}
	for _, q := range quickstarts {
		t.Run(q.name, func(t *testing.T) {
			run := sdktest.StartSource(t, Connectors()[0], props("quickstart", strings.ToUpper(q.name), "task.id", "3"), nil)
			distinct := make(map[string]bool)
			for i, r := range run.Take(200) {
				v, err := r.Value.Value()
				if err != nil {
					t.Fatal(err)
				}
				key, err := r.Key.Value()
				if err != nil {
					t.Fatal(err)
				}
				if want, err := v.(*data.Struct).Get(q.key); err != nil || !data.EqualValues(key, want) {
					t.Fatalf("record %d: the key is %v, the field %v, %v", i, key, want, err)
				}
				for h, want := range map[int]string{0: "task.generation=0", 1: "task.id=3", 2: fmt.Sprintf("current.iteration=%d", i)} {
					n, err := r.Headers[h].Value.Value()
					if got := r.Headers[h].Name + "=" + data.Text(n); err != nil || got != want {
						t.Fatalf("record %d: header %s, %v, want %s", i, got, err, want)
					}
				}
				distinct[data.Text(v)] = true
			}
			if len(distinct) < 6 {
				t.Errorf("200 records are %d different ones", len(distinct))
			}
		})
	}
}

// TestGoesOnWithItsSeed starts a task without a seed, and again from an offset:
// the records are those that it would have made.
func TestGoesOnWithItsSeed(t *testing.T) {
	cfg := props()
	delete(cfg, "random.seed")
	one := sdktest.StartSource(t, Connectors()[0], cfg, nil)
	all := one.Take(2500)
	offsets := sdktest.Offsets{}
	at := 0
	for i, r := range all {
		if r.Move != nil {
			offsets.Apply(all[i : i+1])
			at = i + 1
			break
		}
	}
	two := sdktest.StartSource(t, Connectors()[0], cfg, offsets)
	for i, r := range two.Take(1000) {
		if want := strings.Replace(all[at+i].Text(), "task.generation=0", "task.generation=1", 1); r.Text() != want {
			t.Fatalf("record %d after the restart is %s, want %s", at+i, r.Text(), want)
		}
	}
	three := sdktest.StartSource(t, Connectors()[0], cfg, nil)
	if three.Take(1)[0].Text() == all[0].Text() {
		t.Error("two tasks without a seed make the same")
	}
	if a, b := taskRecords(t, "0"), taskRecords(t, "1"); a == b {
		t.Error("two tasks of a seed make the same")
	}
}

func taskRecords(t *testing.T, id string) string {
	t.Helper()
	r := sdktest.StartSource(t, Connectors()[0], props("task.id", id), nil).Take(1)[0]
	r.Headers = nil
	return r.Text()
}

// TestIterations ends after as many records, when they are in the log, and at
// once after a restart.
func TestIterations(t *testing.T) {
	cfg := props("iterations", "1500")
	run := sdktest.StartSource(t, Connectors()[0], cfg, nil)
	all := run.Take(1500)
	if early := run.TakeFor(50 * time.Millisecond); len(early) > 0 {
		t.Fatalf("%d records too many", len(early))
	}
	run.Acknowledge()
	const want = "Stopping connector: generated the configured 1500 number of messages"
	if err := run.Fail(); !strings.Contains(err.Error(), want) {
		t.Errorf("it fails with %v", err)
	}
	offsets := sdktest.Offsets{}
	offsets.Apply(all)
	if err := sdktest.StartSource(t, Connectors()[0], cfg, offsets).Fail(); !strings.Contains(err.Error(), want) {
		t.Errorf("after a restart it fails with %v", err)
	}
	idle := sdktest.StartSource(t, Connectors()[0], props("iterations", "3", "on.complete", "idle"), nil)
	idle.Take(3)
	idle.Acknowledge()
	if more := idle.TakeFor(50 * time.Millisecond); len(more) > 0 {
		t.Errorf("an idle task makes %d more", len(more))
	}
	idle.Stop()
}

type noOffsets struct{ sdk.OffsetReader }

func (noOffsets) Offset(context.Context, map[string]any) (sdk.Offset, error) { return nil, nil }

// TestInterval waits half the longest interval on average.
func TestInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, problems := Source{}.ConfigDef().Parse(props("max.interval", "500"))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		opened, err := Source{}.Open(t.Context(), cfg, noOffsets{})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		for i := range 1000 {
			var b data.Batch
			if err := opened.(sdk.BatchPoller).PollBatch(t.Context(), &b); err != nil || len(b.Records) != 1 {
				t.Fatalf("poll %d makes %d records, %v", i, len(b.Records), err)
			}
		}
		if took := time.Since(start); took < 200*time.Second || took > 300*time.Second {
			t.Errorf("1000 records took %s, want about 250s", took)
		}
	})
}

func TestAlterOffsets(t *testing.T) {
	good := sdk.Offset{"task.generation": int64(1), "current.iteration": int64(5), "random.seed": int64(-9)}
	for _, tt := range []struct {
		name   string
		change sdk.Position
		ok     bool
	}{
		{"fine", sdk.Position{Partition: map[string]any{"task.id": int64(0)}, Offset: good}, true},
		{"removal", sdk.Position{Partition: map[string]any{"task.id": int64(0)}}, true},
		{"no task", sdk.Position{Partition: map[string]any{"id": int64(0)}, Offset: good}, false},
		{"text", sdk.Position{Partition: map[string]any{"task.id": "0"}, Offset: good}, false},
		{"half an offset", sdk.Position{Partition: map[string]any{"task.id": int64(0)}, Offset: sdk.Offset{"current.iteration": int64(5)}}, false},
	} {
		if ok, err := (Source{}).AlterOffsets(t.Context(), sdk.Config{}, []sdk.Position{tt.change}); ok != tt.ok || (err == nil) != tt.ok {
			t.Errorf("%s: %v, %v", tt.name, ok, err)
		}
	}
}

func BenchmarkOrders(b *testing.B) {
	q, _ := find("orders")
	c, problems := newConfig(parse(b, props("quickstart", q.name)))
	if len(problems) > 0 {
		b.Fatal(problems)
	}
	b.ReportAllocs()
	var buf []byte
	n := int64(0)
	for b.Loop() {
		var err error
		if buf, _, _, err = c.generator.Next(buf[:0], 1, n); err != nil {
			b.Fatal(err)
		}
		n++
	}
}

func parse(t testing.TB, props map[string]string) sdk.Config {
	t.Helper()
	cfg, problems := Source{}.ConfigDef().Parse(props)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return cfg
}
