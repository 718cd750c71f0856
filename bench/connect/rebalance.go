package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/bench/harness"
)

// benchRebalance lets a third worker join two that run many tasks, and looks at
// the tasks that need not move: their processes must be the same, and their
// records go on.
func benchRebalance(ctx context.Context, o options, r *harness.Report) error {
	var figures []rebalanced
	for range 2 {
		f, err := rebalance(ctx, o)
		if err != nil {
			return err
		}
		figures = append(figures, f)
	}
	a, b := figures[0], figures[1]
	settings := fmt.Sprintf("%d tasks, each with a record every 100 ms; a third worker joins two", o.tasks)
	r.Add("rebalance, tasks that stay and were restarted", settings, "tasks", float64(a.restarted), float64(b.restarted))
	r.Add("rebalance, tasks that moved", settings, "tasks", float64(a.moved), float64(b.moved))
	r.Add("rebalance, until all run again", settings, "s", a.took.Seconds(), b.took.Seconds())
	r.Add("rebalance, longest silence of a task that stays", settings, "ms", millis(a.silence), millis(b.silence))
	r.Add("longest silence of a task without rebalance", settings, "ms", millis(a.before), millis(b.before))
	return nil
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// rebalanced is what one rebalance did.
type rebalanced struct {
	moved, restarted int
	took             time.Duration
	silence, before  time.Duration
}

func rebalance(ctx context.Context, o options) (out rebalanced, err error) {
	dir, err := os.MkdirTemp("", "millrace-bench-rebalance-")
	if err != nil {
		return out, err
	}
	defer os.RemoveAll(dir)
	broker, err := harness.StartNode(ctx, o.bin, filepath.Join(dir, "broker"), "--roles", "broker")
	if err != nil {
		return out, err
	}
	nodes := []*harness.Node{broker}
	defer func() {
		for i := range nodes {
			err = errors.Join(err, nodes[len(nodes)-1-i].Stop())
		}
	}()
	join := func(name string) error {
		n, err := harness.StartNode(ctx, o.bin, filepath.Join(dir, name), "--roles", "connect", "--bootstrap-servers", broker.Kafka, "--plugin-path", o.plugins)
		if err == nil {
			nodes = append(nodes, n)
		}
		return err
	}
	if err := errors.Join(join("one"), join("two")); err != nil {
		return out, err
	}
	first := nodes[1]
	if err := first.CreateConnector(ctx, "many", map[string]string{
		"connector.class": "bench.LoadSource", "topic": "ticks", "pause.ms": "100", "tasks": fmt.Sprint(o.tasks), "tasks.max": fmt.Sprint(o.tasks), "value.converter": stringConverter,
	}); err != nil {
		return out, err
	}
	before, err := divided(ctx, first, o.tasks, 2)
	if err != nil {
		return out, err
	}
	ear, err := listen(broker.Kafka)
	if err != nil {
		return out, err
	}
	defer ear.stop()
	time.Sleep(10 * time.Second)
	quiet := ear.reset()
	began := time.Now()
	if err := join("three"); err != nil {
		return out, err
	}
	after, err := divided(ctx, first, o.tasks, 3)
	if err != nil {
		return out, err
	}
	out.took = time.Since(began)
	time.Sleep(time.Second)
	silences := ear.reset()
	for part, was := range before {
		out.before = max(out.before, quiet[part])
		switch is := after[part]; {
		case is.worker != was.worker:
			out.moved++
		case is.pid != was.pid:
			out.restarted++
			fallthrough
		default:
			out.silence = max(out.silence, silences[part])
		}
	}
	return out, nil
}

// place is where a task runs.
type place struct {
	worker string
	pid    int
}

// divided waits until all tasks run, over so many workers and evenly, and
// returns where.
func divided(ctx context.Context, n *harness.Node, tasks, workers int) (map[string]place, error) {
	for deadline := time.Now().Add(paceTimeout); ; {
		var st state
		places, shares := map[string]place{}, map[string]int{}
		if err := get(ctx, n.Connect, "/connectors/many/status", &st); err == nil {
			for _, t := range st.Tasks {
				if t.State == "RUNNING" && t.Process != nil {
					places[fmt.Sprint(t.ID)] = place{t.Worker, t.Process.PID}
					shares[t.Worker]++
				}
			}
		}
		even := len(places) == tasks && len(shares) == workers
		for _, share := range shares {
			even = even && share >= tasks/workers
		}
		if even {
			return places, nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return nil, fmt.Errorf("%d of %d tasks run, divided as %v", len(places), tasks, shares)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// ear hears the records of tasks, whose values are the tasks' numbers.
type ear struct {
	client *kgo.Client
	done   chan struct{}

	mu      sync.Mutex // guards below
	last    map[string]time.Time
	silence map[string]time.Duration
}

func listen(bootstrap string) (*ear, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.ConsumeTopics("ticks"), kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()))
	if err != nil {
		return nil, err
	}
	e := &ear{client: client, done: make(chan struct{}), last: map[string]time.Time{}, silence: map[string]time.Duration{}}
	go func() {
		defer close(e.done)
		for {
			fetches := client.PollFetches(context.Background())
			if fetches.IsClientClosed() {
				return
			}
			e.hear(fetches.Records())
		}
	}()
	return e, nil
}

func (e *ear) hear(records []*kgo.Record) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range records {
		part := string(r.Value)
		if was, ok := e.last[part]; ok {
			e.silence[part] = max(e.silence[part], r.Timestamp.Sub(was))
		}
		e.last[part] = r.Timestamp
	}
}

// reset returns the longest silence of each task since the last reset.
func (e *ear) reset() map[string]time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := e.silence
	e.silence = map[string]time.Duration{}
	return out
}

func (e *ear) stop() {
	e.client.Close()
	<-e.done
}
