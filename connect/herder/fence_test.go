package herder

import (
	"errors"
	"testing"

	"github.com/millrace/millrace/connect/connector"
)

// A task is confirmed on the worker that has it, by its own config, and
// nowhere else.
func TestConfirmTask(t *testing.T) {
	c := startCluster(t, startBroker(t), 2, nil)
	c[0].put(t, "a", connector.Config{"n": "2"})
	at := c.awaitEach(t, items("a", 2)...)
	id := connector.TaskID{Connector: "a"}
	owner, other := c[at["a-0"]], c[1-at["a-0"]]
	cfg := owner.configs.Snapshot().Tasks("a")[0]
	if err := owner.ConfirmTask(t.Context(), id, cfg); err != nil {
		t.Errorf("its owner: %v", err)
	}
	for what, err := range map[string]error{
		"another worker": other.ConfirmTask(t.Context(), id, cfg),
		"another config": owner.ConfirmTask(t.Context(), id, connector.Config{"i": "7"}),
		"no such task":   owner.ConfirmTask(t.Context(), connector.TaskID{Connector: "a", Task: 2}, cfg),
		"no connector":   owner.ConfirmTask(t.Context(), connector.TaskID{Connector: "b"}, cfg),
	} {
		var refused *connector.Error
		if !errors.As(err, &refused) || refused.Fault != connector.Conflict {
			t.Errorf("%s: %v, want a conflict", what, err)
		}
	}
}
