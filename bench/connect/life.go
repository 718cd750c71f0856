package main

import (
	"context"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/bench/harness"
)

// benchFirst measures the time from the POST of a connector to its first record
// at a consumer.
func benchFirst(ctx context.Context, o options, r *harness.Report) error {
	return r.Twice("POST to first record", "a source at rest otherwise, consumer and topic there, mean of 10", "ms", func() (mean float64, err error) {
		const times = 10
		err = withNode(ctx, o, func(n *harness.Node) error {
			for i := range times {
				took, err := firstRecord(ctx, n, fmt.Sprint("first-", i))
				if err != nil {
					return err
				}
				mean += float64(took) / float64(time.Millisecond) / times
			}
			return nil
		})
		return mean, err
	})
}

func firstRecord(ctx context.Context, n *harness.Node, name string) (time.Duration, error) {
	ctx, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	client, err := kgo.NewClient(kgo.SeedBrokers(n.Kafka), kgo.ConsumeTopics(name), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return 0, err
	}
	defer client.Close()
	resp, err := kadm.NewClient(client).CreateTopic(ctx, 1, 1, nil, name)
	if err = errors.Join(err, resp.Err); err != nil {
		return 0, err
	}
	idle, cancel := context.WithTimeout(ctx, time.Second)
	client.PollFetches(idle) // until it knows where to look
	cancel()
	began := time.Now()
	if err := n.CreateConnector(ctx, name, map[string]string{"connector.class": "bench.LoadSource", "topic": name, "records": "1"}); err != nil {
		return 0, err
	}
	for {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return 0, fmt.Errorf("first record of %s: %w; %s", name, err, n.Status(ctx, name))
		}
		if fetches.NumRecords() > 0 {
			return time.Since(began), n.DeleteConnector(ctx, name)
		}
	}
}

// fileSources creates so many file sources, each with a file of its own.
func fileSources(ctx context.Context, n *harness.Node, dir string, count int) error {
	for i := range count {
		path := filepath.Join(dir, fmt.Sprint("in-", i))
		if err := os.WriteFile(path, []byte("line\n"), 0o600); err != nil {
			return err
		}
		config := map[string]string{"connector.class": "FileStreamSource", "file": path, "topic": "lines", "value.converter": stringConverter}
		if err := n.CreateConnector(ctx, fmt.Sprint("file-", i), config); err != nil {
			return err
		}
	}
	return nil
}

// benchIdle measures the resident memory of tasks that have nothing to do.
func benchIdle(ctx context.Context, o options, r *harness.Report) error {
	dir, err := os.MkdirTemp("", "millrace-bench-idle-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	return r.Twice("idle task's process", "FileStreamSource, largest of 5, 10 s after its start", "MiB", func() (most float64, err error) {
		err = withNode(ctx, o, func(n *harness.Node) error {
			const count = 5
			if err := errors.Join(fileSources(ctx, n, dir, count), allRunning(ctx, n, count)); err != nil {
				return err
			}
			time.Sleep(10 * time.Second)
			children, err := harness.Children(n.PID())
			if err != nil {
				return err
			}
			for _, pid := range children {
				rss, err := harness.RSS(pid)
				if err != nil {
					return err
				}
				most = max(most, float64(rss)/(1<<20))
			}
			return nil
		})
		return most, err
	})
}

// benchStart measures how long a worker takes until all of many connectors run
// again after its restart.
func benchStart(ctx context.Context, o options, r *harness.Report) error {
	settings := fmt.Sprintf("%d FileStreamSource connectors of one task, from the start of the process until all run", o.connectors)
	return r.Twice("start of many connectors", settings, "s", func() (float64, error) {
		dir, err := os.MkdirTemp("", "millrace-bench-start-")
		if err != nil {
			return 0, err
		}
		defer os.RemoveAll(dir)
		data := filepath.Join(dir, "data")
		n, err := harness.StartNode(ctx, o.bin, data, "--plugin-path", o.plugins)
		if err != nil {
			return 0, err
		}
		if err := errors.Join(fileSources(ctx, n, dir, o.connectors), allRunning(ctx, n, o.connectors), n.Stop()); err != nil {
			return 0, err
		}
		began := time.Now()
		if n, err = harness.StartNode(ctx, o.bin, data, "--plugin-path", o.plugins); err != nil {
			return 0, err
		}
		err = allRunning(ctx, n, o.connectors)
		took := time.Since(began).Seconds()
		return took, errors.Join(err, n.Stop())
	})
}

// state is what of a status counts here.
type state struct {
	Connector struct{ State string }
	Tasks     []struct {
		ID      int
		State   string
		Worker  string `json:"worker_id"`
		Process *struct{ PID int }
	}
}

func get(ctx context.Context, addr, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, resp.Status)
	}
	return stdjson.NewDecoder(resp.Body).Decode(into)
}

// allRunning waits until so many connectors and their tasks run as the worker
// that answers now says: it was asked after its start.
func allRunning(ctx context.Context, n *harness.Node, count int) error {
	for deadline := time.Now().Add(paceTimeout); ; {
		var all map[string]struct{ Status state }
		running := 0
		if err := get(ctx, n.Connect, "/connectors?expand=status", &all); err == nil {
			for _, c := range all {
				if c.Status.Connector.State == "RUNNING" && len(c.Status.Tasks) > 0 && c.Status.Tasks[0].State == "RUNNING" {
					running++
				}
			}
		}
		// A status may be from before the start: what counts is its process.
		children, err := harness.Children(n.PID())
		if err != nil {
			return err
		}
		if running == count && len(children) >= count {
			return nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return fmt.Errorf("%d of %d connectors run, with %d processes", running, count, len(children))
		}
		time.Sleep(20 * time.Millisecond)
	}
}
