package worker

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/connect/client"
	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/connect/task"
	"github.com/millrace/millrace/plugins/catalog"
	"github.com/millrace/millrace/plugins/host"
)

func TestExactlyOnceKeys(t *testing.T) {
	vouching := host.Target{Plugin: &catalog.Plugin{Kind: catalog.Source, Abilities: []string{"exactly-once"}}}
	silent := host.Target{Plugin: &catalog.Plugin{Kind: catalog.Source}}
	required := func(more ...string) connector.Config {
		cfg := connector.Config{"exactly.once.support": "REQUIRED"}
		for i := 0; i < len(more); i += 2 {
			cfg[more[i]] = more[i+1]
		}
		return cfg
	}
	for _, tt := range []struct {
		name        string
		off         bool // the worker's setting
		target      host.Target
		cfg         connector.Config
		known, once bool
		defines     bool
		want        string // "" for no error
	}{
		{"required and vouched for", false, vouching, required(), true, true, false, ""},
		{"requested of a worker without", true, vouching, connector.Config{"exactly.once.support": "requested"}, true, true, false, ""},
		{"required of a worker without", true, vouching, required(), true, true, false, "exactly.once.source.support is not enabled"},
		{"required of a silent connector", false, silent, required(), false, false, false, "lacks ExactlyOnce"},
		{"required, no with this configuration", false, vouching, required(), true, false, false, "it cannot with this configuration"},
		{"required, no answer", false, vouching, required(), false, false, false, "does not say whether it can"},
		{"required with acks of one", false, vouching, required("producer.override.acks", "1"), true, true, false, "acks is 1"},
		{"required without idempotence", false, vouching, required("producer.override.enable.idempotence", "false"), true, true, false, "enable.idempotence is false"},
		{"required on other brokers", false, vouching, required("producer.override.bootstrap.servers", "127.0.0.1:1"), true, true, false, "other brokers"},
		{"boundary of the connector", false, vouching, connector.Config{"transaction.boundary": "connector"}, true, true, false, "does not define transaction boundaries"},
		{"interval as long as the timeout", false, vouching, connector.Config{"transaction.boundary.interval.ms": "60000"}, true, true, false, "less than the producer's transaction.timeout.ms, 60000"},
		{"interval under a longer timeout", false, vouching, connector.Config{
			"transaction.boundary.interval.ms": "60000", "producer.override.transaction.timeout.ms": "90000",
		}, true, true, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := New(Config{Brokers: client.Target{Seeds: []string{"127.0.0.1:9092"}}, ExactlyOnce: ExactlyOnce{Enabled: !tt.off}, Logger: slog.New(slog.DiscardHandler)})
			b := &infoBuilder{byName: map[string]int{}}
			w.validateExactly(b, tt.target, tt.cfg, host.Validation{ExactlyOnceKnown: tt.known, ExactlyOnce: tt.once, DefinesTransactions: tt.defines})
			got := strings.Join(b.build("").Errors(), "\n")
			if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("errors %q, want %q", got, tt.want)
			}
		})
	}
}

// A task whose producer was taken over is started again and never FAILED,
// whatever errors.restart says; a worker that lost its work does not start it.
func TestSuperviseOfATaskTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, lose := context.WithCancelCause(t.Context())
		var r trail
		var starts []time.Time
		supervise(ctx, restartPolicy{longest: time.Minute}, slog.New(slog.DiscardHandler), r.report, func() {}, func(context.Context) error {
			if starts = append(starts, time.Now()); len(starts) == 2 {
				time.AfterFunc(firstRestart/2, func() { lose(connector.ErrFenced) })
			}
			return fmt.Errorf("task: %w", task.ErrTakenOver)
		})
		if len(starts) != 2 || starts[1].Sub(starts[0]) != firstRestart {
			t.Errorf("starts %v, want two, %s apart", starts, firstRestart)
		}
		if slices.Contains(r.states, connector.Failed) || len(r.states) != 2 {
			t.Errorf("states %v, want UNASSIGNED twice", r.states)
		}
	})
}
