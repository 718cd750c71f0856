// Command mixed runs a worker of Kafka Connect and one of Millrace in one
// Connect group on an Apache Kafka cluster: each must take its share of the
// work, serve requests for the other's, and take over all when the other stops.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/millrace/millrace/bench/harness"
	"github.com/millrace/millrace/bench/peers"
)

func main() {
	bin := flag.String("bin", "bin/millrace", "the binary to run")
	lib := flag.String("kafka", ".run/peers/lib", "Apache Kafka's jars, as bench/peers/fetch.sh brings them")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *bin, *lib); err != nil {
		fmt.Println("FAIL", err)
		stop()
		os.Exit(1)
	}
}

// settings are what the workers share. The delay is for the worker that is
// gone to come back; here it does not.
var settings = map[string]string{
	"group.id": "mixed", "config.storage.topic": "mixed-configs", "offset.storage.topic": "mixed-offsets",
	"status.storage.topic": "mixed-status", "key.converter": "org.apache.kafka.connect.storage.StringConverter",
	"value.converter": "org.apache.kafka.connect.storage.StringConverter", "scheduled.rebalance.max.delay.ms": "2000",
}

// connectors is how many there are, of one task each.
const connectors = 6

const patience = 90 * time.Second

// group is the cluster under test: the REST address of each worker by name.
type group map[string]string

func run(ctx context.Context, bin, lib string) (err error) {
	if lib, err = filepath.Abs(lib); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "millrace-mixed-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	kafka, err := peers.StartKafka(ctx, lib, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, kafka.Stop()) }()
	if err := strangers(ctx, bin, dir, kafka.Addr); err != nil {
		return err
	}
	for round, first := range []string{"kafka", "millrace"} { // who leads at first
		sub := filepath.Join(dir, fmt.Sprint(round))
		if err := os.Mkdir(sub, 0o755); err != nil {
			return err
		}
		if err := play(ctx, bin, lib, sub, kafka.Addr, round, first); err != nil {
			return fmt.Errorf("%s first: %w", first, err)
		}
	}
	return nil
}

// workers starts both kinds.
type workers struct {
	bin, lib, dir, bootstrap string
	settings                 map[string]string
	started                  int
}

func (w *workers) start(ctx context.Context, kind string) (addr string, stop func() error, err error) {
	w.started++
	dir := filepath.Join(w.dir, fmt.Sprint(kind, w.started))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", nil, err
	}
	if kind == "kafka" {
		p, err := peers.StartConnect(ctx, w.lib, dir, w.bootstrap, w.settings)
		if err != nil {
			return "", nil, err
		}
		return p.Addr, p.Stop, nil
	}
	n, err := startMillrace(ctx, w.bin, dir, w.bootstrap, w.settings)
	if err != nil {
		return "", nil, err
	}
	return n.Connect, n.Stop, nil
}

func startMillrace(ctx context.Context, bin, dir, bootstrap string, settings map[string]string) (*harness.Node, error) {
	var section strings.Builder
	section.WriteString("connect:\n")
	for k, v := range settings {
		fmt.Fprintf(&section, "  %s: %q\n", k, v)
	}
	config := filepath.Join(dir, "millrace.yaml")
	if err := os.WriteFile(config, []byte(section.String()), 0o600); err != nil {
		return nil, err
	}
	return harness.StartNode(ctx, bin, filepath.Join(dir, "data"), "--config", config, "--roles", "connect", "--bootstrap-servers", bootstrap)
}

// play starts one worker, gives it connectors, adds the other, and stops each
// in turn.
func play(ctx context.Context, bin, lib, dir, bootstrap string, round int, first string) (err error) {
	own := map[string]string{}
	for k, v := range settings {
		own[k] = v
	}
	for _, k := range []string{"group.id", "config.storage.topic", "offset.storage.topic", "status.storage.topic"} {
		own[k] += fmt.Sprint(round)
	}
	w := &workers{bin: bin, lib: lib, dir: dir, bootstrap: bootstrap, settings: own}
	second := map[string]string{"kafka": "millrace", "millrace": "kafka"}[first]
	g, stops := group{}, map[string]func() error{}
	defer func() {
		for _, stop := range stops {
			err = errors.Join(err, stop())
		}
	}()
	add := func(kind string) error {
		var stop func() error
		if g[kind], stop, err = w.start(ctx, kind); err != nil {
			return err
		}
		stops[kind] = stop
		return nil
	}
	drop := func(kind string) error {
		stop := stops[kind]
		delete(stops, kind)
		delete(g, kind)
		return stop()
	}
	lines := 0
	grow := func() error {
		lines += 10
		for n := range connectors {
			if err := appendLines(input(dir, n), lines-10, lines); err != nil {
				return err
			}
		}
		return nil
	}
	if err := errors.Join(add(first), grow()); err != nil {
		return err
	}
	for n := range connectors {
		if err := g.put(ctx, first, n, round, dir); err != nil {
			return err
		}
	}
	if err := g.settled(ctx, first, dir, 1); err != nil {
		return err
	}
	if err := add(second); err != nil {
		return err
	}
	if err := g.settled(ctx, first, dir, 2); err != nil {
		return err
	}
	fmt.Printf("ok %s leads, %s joins: %d connectors and tasks are balanced over both\n", first, second, connectors)
	// Through the one that does not lead, and about what the other runs.
	if err := g.requests(ctx, second, round, dir); err != nil {
		return err
	}
	fmt.Printf("ok requests to %s reach whoever must serve them\n", second)
	if err := errors.Join(drop(first), g.settled(ctx, second, dir, 1), add(first), g.settled(ctx, second, dir, 2)); err != nil {
		return err
	}
	fmt.Printf("ok %s stops, %s runs everything; %s comes back and has its share\n", first, second, first)
	if err := errors.Join(drop(second), g.settled(ctx, first, dir, 1), grow()); err != nil {
		return err
	}
	fmt.Printf("ok %s stops, %s runs everything\n", second, first)
	return outputs(ctx, bootstrap, round, lines)
}

func input(dir string, n int) string { return filepath.Join(dir, fmt.Sprintf("in-%d.txt", n)) }

func topic(round, n int) string { return fmt.Sprintf("mixed-%d-%d", round, n) }

func appendLines(path string, from, to int) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	for i := from; i < to; i++ {
		fmt.Fprintf(f, "line %d\n", i)
	}
	return f.Close()
}

// call sends a request and returns its answer, or an error for a status that is
// not 2xx.
func (g group) call(ctx context.Context, at, method, path string, body any) ([]byte, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithTimeout(ctx, 30*time.Second)
	defer stop()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+g[at]+path, bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("%s %s at %s: %s: %s", method, path, at, resp.Status, answer)
	}
	return answer, err
}

// eventually repeats f until it returns nil.
func eventually(ctx context.Context, what string, f func() error) error {
	for end := time.Now().Add(patience); ; {
		err := f()
		if err == nil {
			return nil
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func (g group) put(ctx context.Context, at string, n, round int, dir string) error {
	config := map[string]string{
		"connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector", "tasks.max": "1", "file": input(dir, n), "topic": topic(round, n),
	}
	return eventually(ctx, "create a connector", func() error {
		_, err := g.call(ctx, at, http.MethodPut, fmt.Sprintf("/connectors/c%d/config", n), config)
		return err
	})
}

// settled waits until everything runs, over so many workers and balanced.
func (g group) settled(ctx context.Context, at, _ string, workers int) error {
	return eventually(ctx, fmt.Sprintf("%d connectors over %d workers", connectors, workers), func() error {
		raw, err := g.call(ctx, at, http.MethodGet, "/connectors?expand=status", nil)
		if err != nil {
			return err
		}
		var all map[string]struct {
			Status struct {
				Connector struct{ State, Worker_ID string }
				Tasks     []struct {
					State, Trace string
					Worker_ID    string
				}
			}
		}
		if err := json.Unmarshal(raw, &all); err != nil {
			return err
		}
		objects, tasks := map[string]int{}, map[string]int{}
		for _, c := range all {
			if c.Status.Connector.State == "RUNNING" {
				objects[c.Status.Connector.Worker_ID]++
			}
			for _, t := range c.Status.Tasks {
				if t.State == "RUNNING" {
					tasks[t.Worker_ID]++
				}
			}
		}
		for _, share := range []map[string]int{objects, tasks} {
			if len(share) != workers {
				return fmt.Errorf("work is divided as %v and %v: %s", objects, tasks, raw)
			}
			for _, n := range share {
				if n != connectors/workers {
					return fmt.Errorf("work is divided as %v and %v", objects, tasks)
				}
			}
		}
		return nil
	})
}

// requests asks one worker for what the leader or the other must do.
func (g group) requests(ctx context.Context, at string, round int, dir string) error {
	for n := range connectors {
		name := fmt.Sprintf("/connectors/c%d", n)
		if err := eventually(ctx, "restart a task", func() error {
			_, err := g.call(ctx, at, http.MethodPost, name+"/tasks/0/restart", nil)
			return err
		}); err != nil {
			return err
		}
	}
	// A new connector, whose tasks its worker hands to the leader, signed.
	extra := connectors
	if err := appendLines(input(dir, extra), 0, 1); err != nil {
		return err
	}
	for _, n := range []int{extra, extra + 1} { // one on each worker
		if err := appendLines(input(dir, n), 0, 1); err != nil {
			return err
		}
		if err := g.put(ctx, at, n, round, dir); err != nil {
			return err
		}
		path := fmt.Sprintf("/connectors/c%d", n)
		if err := eventually(ctx, "a new connector's task", func() error {
			raw, err := g.call(ctx, at, http.MethodGet, path+"/tasks/0/status", nil)
			if err == nil && !bytes.Contains(raw, []byte(`"RUNNING"`)) {
				err = fmt.Errorf("%s", raw)
			}
			return err
		}); err != nil {
			return err
		}
	}
	for _, n := range []int{extra, extra + 1} {
		if err := eventually(ctx, "delete a connector", func() error {
			_, err := g.call(ctx, at, http.MethodDelete, fmt.Sprintf("/connectors/c%d", n), nil)
			return err
		}); err != nil {
			return err
		}
	}
	return g.settled(ctx, at, dir, 2)
}
