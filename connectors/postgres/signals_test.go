package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/broker/brokertest"
	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// sender sends signals by one of the channels.
type sender struct {
	send func(kind, data string)
	// behind reports how many of the signals the channel still holds.
	behind func() int
}

// object is a signal as topics and files have it.
func object(kind, data string) string {
	if data == "" {
		return fmt.Sprintf(`{"id":"%d","type":%q}`, time.Now().UnixNano(), kind)
	}
	return fmt.Sprintf(`{"id":"%d","type":%q,"data":%s}`, time.Now().UnixNano(), kind, data)
}

// byTopic sends signals for the connector, and others between them.
func byTopic(t *testing.T, props map[string]string) sender {
	b := brokertest.Start(t)
	client := b.Client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic("shop-signal"), kgo.AllowAutoTopicCreation())
	admin := kadm.NewClient(client)
	if _, err := admin.CreateTopic(t.Context(), 1, 1, nil, "shop-signal"); err != nil {
		t.Fatal(err)
	}
	props["signal.enabled.channels"], props["signal.kafka.bootstrap.servers"] = "kafka", b.Addr()
	return sender{
		send: func(kind, data string) {
			records := []*kgo.Record{
				{Key: []byte("other"), Value: []byte(object("stop-snapshot", ""))}, {Key: []byte("shop"), Value: []byte("no signal")},
				{Key: []byte("shop"), Value: []byte(object(kind, data))}, {Key: []byte("shop")},
			}
			if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
				t.Fatal(err)
			}
		},
		behind: func() int {
			ends, err := admin.ListEndOffsets(t.Context(), "shop-signal")
			if err != nil {
				t.Fatal(err)
			}
			end, _ := ends.Lookup("shop-signal", 0)
			offsets, err := admin.FetchOffsets(t.Context(), "kafka-signal")
			if err != nil {
				t.Fatal(err)
			}
			at, _ := offsets.Lookup("shop-signal", 0)
			return int(end.Offset - at.At)
		},
	}
}

// byFile appends signals to a file.
func byFile(t *testing.T, props map[string]string) sender {
	path := filepath.Join(t.TempDir(), "signals.txt")
	props["signal.enabled.channels"], props["signal.file"] = "source,file", path
	return sender{
		send: func(kind, data string) {
			f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := fmt.Fprintf(f, "no signal\n\n%s\n", object(kind, data)); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		},
		behind: func() int {
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			return strings.Count(string(content), "\n")
		},
	}
}

var senders = map[string]func(*testing.T, map[string]string) sender{"kafka": byTopic, "file": byFile}

// withChannel is a worker that streams, and the sender of its signals.
func withChannel(t *testing.T, channel string, props map[string]string, more ...string) (*worker, sender) {
	t.Helper()
	p := map[string]string{"signal.poll.interval.ms": "0"} // at each poll
	for k, v := range props {
		p[k] = v
	}
	s := senders[channel](t, p)
	return streaming(t, p, more...), s
}

// TestSignalsOfChannels has all signals do what they do by the table.
func TestSignalsOfChannels(t *testing.T) {
	for name := range senders {
		t.Run(name, func(t *testing.T) {
			w, s := withChannel(t, name, map[string]string{"incremental.snapshot.chunk.size": "5"})
			var log strings.Builder
			w.task.log = slog.New(slog.NewTextHandler(&log, nil))
			rows, marks := 0, map[string]int{}
			count := func(e event) {
				rows++
				marks[open(t, e).Source.Snapshot]++
			}
			s.send("execute-snapshot", `{"type":"incremental","data-collections":["public\\.t"]}`)
			pollUntil(t, w, func() bool { return rows > 10 }, count)
			s.send("pause-snapshot", "{}")
			pollUntil(t, w, func() bool { return w.task.inc.state.Paused }, count)
			s.send("log", `{"message":"we are at {}"}`)
			s.send("dance", "")
			pollUntil(t, w, func() bool {
				return strings.Contains(log.String(), `we are at {\"messageType\"`) && strings.Contains(log.String(), "dance")
			}, count)
			s.send("resume-snapshot", "")
			at := rows
			pollUntil(t, w, func() bool { return rows > at+10 }, count)
			s.send("stop-snapshot", `{"data-collections":["public.t"]}`)
			pollUntil(t, w, w.idle, count)
			if rows >= 500 || marks["incremental"] != rows {
				t.Fatalf("%d rows, marked %v", rows, marks)
			}
			clear(marks)
			s.send("execute-snapshot", `{"type":"blocking","data-collections":["public.t"]}`)
			pollUntil(t, w, func() bool { return marks["last"] == 1 && w.task.phase == phaseStreaming }, count)
			if marks["first"] != 1 || marks["true"] != 498 || marks["incremental"] != 0 {
				t.Errorf("rows of the blocking snapshot are marked %v", marks)
			}
			pollUntil(t, w, func() bool { return s.behind() == 0 }, count)
			w.exec("INSERT INTO t VALUES (1000, 'new')")
			pollUntil(t, w, func() bool { return marks["false"] == 1 }, count)
		})
	}
}

// TestSignalsOfChannelsAreActedOnOnce ends the task at each point between the
// reading of a signal and the end of what it asks for. Each row is read once,
// but for those of batches that were not stored.
func TestSignalsOfChannelsAreActedOnOnce(t *testing.T) {
	for name := range senders {
		t.Run(name, func(t *testing.T) {
			w, s := withChannel(t, name, nil)
			stop := func(store bool) {
				if store {
					w.store()
				}
				w.stop()
			}
			for _, polls := range []int{0, 1, 2, 4, 8} {
				for _, store := range []bool{false, true} {
					seen := map[string]int{}
					s.send("execute-snapshot", `{"data-collections":["public.t"]}`)
					for range polls {
						b, err := w.pollBriefly()
						if err != nil {
							t.Fatal(err)
						}
						if !store {
							continue // none of these batches counts
						}
						for _, e := range b {
							seen[e.key]++
						}
						w.store()
					}
					stop(store)
					pollUntil(t, w, func() bool { return len(seen) == 500 && w.idle() && s.behind() == 0 }, func(e event) { seen[e.key]++ })
					w.stop() // nothing is left to act on
					w.exec("INSERT INTO t VALUES (1000, 'new')", "DELETE FROM t WHERE id = 1000")
					var more []string
					pollUntil(t, w, func() bool { return len(more) == 3 }, func(e event) { more = append(more, e.key) })
					if got := strings.Join(more, " "); got != strings.TrimSpace(strings.Repeat(`{"id":1000} `, 3)) {
						t.Fatalf("after %d polls, stored %v: more came, %s", polls, store, got)
					}
					for key, n := range seen {
						if n != 1 {
							t.Fatalf("after %d polls, stored %v: %s came %d times", polls, store, key, n)
						}
					}
				}
			}
		})
	}
}

// pollBriefly polls once, and takes nothing for an answer.
func (w *worker) pollBriefly() ([]event, error) {
	w.tb.Helper()
	ctx, cancel := context.WithTimeout(w.tb.Context(), 50*time.Millisecond)
	defer cancel()
	var b data.Batch
	var retry *sdk.Error
	if err := w.run().PollBatch(ctx, &b); err != nil && ctx.Err() == nil && !(errors.As(err, &retry) && retry.SafeToRetry()) {
		return nil, err
	}
	w.note(&b)
	var out []event
	for i := range b.Records {
		out = append(out, asEvent(w.tb, &b.Records[i]))
	}
	return out, nil
}
