// Command takeover runs Kafka Connect on an Apache Kafka cluster, stops it, and
// lets a Millrace worker with the same group and topics go on: connectors,
// their offsets and their data must continue as if nothing had happened.
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

	"github.com/twmb/franz-go/pkg/kgo"

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

// storage is what the two workers share.
var storage = map[string]string{
	"group.id": "takeover", "config.storage.topic": "takeover-configs", "offset.storage.topic": "takeover-offsets",
	"status.storage.topic": "takeover-status", "key.converter": "org.apache.kafka.connect.storage.StringConverter",
	"value.converter": "org.apache.kafka.connect.storage.StringConverter",
}

const lines = 100 // in each half

func run(ctx context.Context, bin, lib string) (err error) {
	lib, err = filepath.Abs(lib)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "millrace-takeover-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	kafka, err := peers.StartKafka(ctx, lib, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, kafka.Stop()) }()
	worker, err := peers.StartConnect(ctx, lib, dir, kafka.Addr, storage)
	if err != nil {
		return err
	}
	in, out := filepath.Join(dir, "in.txt"), filepath.Join(dir, "out.txt")
	if err := appendLines(in, 0, lines); err != nil {
		return err
	}
	for name, config := range map[string]map[string]string{
		"source": {"connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector", "file": in, "topic": "lines"},
		"sink":   {"connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector", "file": out, "topics": "lines"},
	} {
		config["name"], config["tasks.max"] = name, "1"
		if err := put(ctx, worker.Addr, name, config); err != nil {
			return errors.Join(err, worker.Stop())
		}
	}
	if err := holds(ctx, out, lines); err != nil {
		return errors.Join(err, worker.Stop())
	}
	fmt.Println("ok Kafka Connect moves the first half")
	if err := worker.Stop(); err != nil { // which commits offsets
		return err
	}
	if err := appendLines(in, lines, 2*lines); err != nil {
		return err
	}
	return goOn(ctx, bin, dir, kafka.Addr, out)
}

// goOn starts Millrace in Kafka Connect's place and looks at what comes of it.
func goOn(ctx context.Context, bin, dir, bootstrap, out string) (err error) {
	var section strings.Builder
	section.WriteString("connect:\n")
	for k, v := range storage {
		fmt.Fprintf(&section, "  %s: %q\n", k, v)
	}
	config := filepath.Join(dir, "millrace.yaml")
	if err := os.WriteFile(config, []byte(section.String()), 0o600); err != nil {
		return err
	}
	node, err := harness.StartNode(ctx, bin, filepath.Join(dir, "millrace"), "--config", config, "--roles", "connect", "--bootstrap-servers", bootstrap)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Stop()) }()
	if err := holds(ctx, out, 2*lines); err != nil {
		return fmt.Errorf("%w\nsource: %s\nsink: %s", err, node.Status(ctx, "source"), node.Status(ctx, "sink"))
	}
	fmt.Println("ok Millrace moves the second half, each line once and in order, from source to sink")
	if err := topicHolds(ctx, bootstrap, 2*lines); err != nil {
		return err
	}
	fmt.Println("ok the topic has each line once and in order")
	return nil
}

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

func put(ctx context.Context, addr, name string, config map[string]string) error {
	body, err := json.Marshal(config)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+addr+"/connectors/"+name+"/config", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("create %s: %s: %s", name, resp.Status, raw)
	}
	return err
}

const patience = 90 * time.Second

// holds waits until a file has that many lines, and fails if they are others
// than the first ones in order.
func holds(ctx context.Context, path string, n int) error {
	for end := time.Now().Add(patience); ; {
		raw, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		got := strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n")
		if len(got) >= n {
			return inOrder(got, n)
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return fmt.Errorf("%s has %d lines after %s, want %d", filepath.Base(path), len(got), patience, n)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func inOrder(got []string, n int) error {
	if len(got) != n {
		return fmt.Errorf("%d lines, want %d", len(got), n)
	}
	for i, line := range got {
		if want := fmt.Sprintf("line %d", i); line != want {
			return fmt.Errorf("line %d is %q, want %q", i, line, want)
		}
	}
	return nil
}

func topicHolds(ctx context.Context, bootstrap string, n int) error {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.ConsumeTopics("lines"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer client.Close()
	var got []string
	for len(got) < n {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		fetches.EachRecord(func(r *kgo.Record) { got = append(got, string(r.Value)) })
	}
	return inOrder(got, n)
}
