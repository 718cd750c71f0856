package connecttest

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/plugins/sdk"
)

// counter is a source that counts, in this process, and tells when it is opened.
type counter struct{ opened chan struct{} }

func (counter) ConfigDef() sdk.ConfigDef {
	return sdk.ConfigDef{{Name: "topic", Type: sdk.String, Required: true}}
}

func (counter) ExactlyOnce(sdk.Config) bool { return true }

func (c counter) Open(ctx context.Context, cfg sdk.Config, offsets sdk.OffsetReader) (sdk.Task, error) {
	c.opened <- struct{}{}
	partition := map[string]any{"c": "c"}
	o, err := offsets.Offset(ctx, partition)
	return &counting{topic: cfg.String("topic"), partition: partition, n: o.Int64("n")}, err
}

type counting struct {
	topic     string
	partition map[string]any
	n         int64
}

func (t *counting) Poll(ctx context.Context) ([]sdk.Record, error) {
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-time.After(time.Millisecond):
	}
	t.n++
	return []sdk.Record{{Topic: t.topic, Value: fmt.Sprint(t.n), Partition: t.partition, Offset: sdk.Offset{"n": t.n}}}, nil
}

func (t *counting) Close() error { return nil }

// A connector in the test's own process runs on a node as one in a process of
// its own does.
func TestInProcess(t *testing.T) {
	opened := make(chan struct{}, 100)
	n := StartInProcess(t, sdk.Connector{Name: "counter", Version: "1", Classes: []string{"test.Counter"}, Source: counter{opened}})
	isOpened := func() {
		t.Helper()
		select {
		case <-opened:
		case <-time.After(time.Minute):
			t.Fatal("the connector is not opened")
		}
	}
	config := map[string]string{"connector.class": "test.Counter", "topic": "t", "value.converter": "org.apache.kafka.connect.storage.StringConverter"}
	if why := n.Refusal(map[string]string{"connector.class": "test.Counter"}); !strings.Contains(why, "topic") {
		t.Errorf("a config without topic is refused with %q", why)
	}
	n.Create("c", config)
	isOpened()
	first := len(n.Read("t", 20))
	n.Restart()
	isOpened()
	n.Await("c", connector.Running)
	for i, r := range n.Read("t", first+20) {
		if got := string(r.Value); got != fmt.Sprint(i+1) {
			t.Fatalf("record %d is %s", i+1, got)
		}
	}
	if len(opened) > 0 {
		t.Errorf("the connector was opened %d times more than it was started", len(opened))
	}
}

// The example plugin counts on a node without a gap, also over a restart of the
// worker.
func TestTicker(t *testing.T) {
	n := Start(t, Build(t, filepath.Join("..", "..", "plugins", "examples", "ticker")))
	if why := n.Refusal(map[string]string{"connector.class": "TickerSource"}); !strings.Contains(why, "topic") {
		t.Errorf("a config without topic is refused with %q", why)
	}
	config := map[string]string{"connector.class": "TickerSource", "topic": "ticks", "interval.ms": "5", "value.converter": "org.apache.kafka.connect.storage.StringConverter"}
	if why := n.Refusal(config); why != "" {
		t.Errorf("a good config is refused: %s", why)
	}
	n.Create("tick", config)
	first := len(n.Read("ticks", 5))
	n.Restart()
	n.Await("tick", connector.Running)
	for i, r := range n.Read("ticks", first+5) {
		if got := string(r.Value); got != fmt.Sprint(i+1) {
			t.Fatalf("record %d is %s", i+1, got)
		}
	}
	n.Delete("tick")
}
