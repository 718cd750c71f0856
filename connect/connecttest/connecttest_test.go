package connecttest

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/connect/connector"
)

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
