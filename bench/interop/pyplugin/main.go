// Command pyplugin runs the example plugin in Python on a node: it must be
// found, refuse a bad config, and count without a gap although its process is
// killed.
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
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/bench/harness"
)

func main() {
	bin := flag.String("bin", "bin/millrace", "the binary to run")
	plugin := flag.String("plugin", "", "executable that starts counter.py")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *bin, *plugin); err != nil {
		fmt.Println("FAIL", err)
		stop()
		os.Exit(1)
	}
}

const (
	count    = 5000
	patience = 2 * time.Minute
)

func run(ctx context.Context, bin, plugin string) (err error) {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	dir, err := os.MkdirTemp("", "millrace-pyplugin-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	node, err := harness.StartNode(ctx, bin, filepath.Join(dir, "data"), "--plugin-path", filepath.Dir(plugin))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Stop()) }()
	body, err := answer(ctx, node, http.MethodGet, "/connector-plugins", "")
	if err != nil || !strings.Contains(body, `{"class":"com.example.PythonCounterSource","type":"source","version":"1.0"}`) {
		return fmt.Errorf("the plugin is not listed: %s %w", body, err)
	}
	fmt.Println("ok the plugin describes itself")
	body, err = answer(ctx, node, http.MethodPut, "/connector-plugins/PythonCounterSource/config/validate", `{"connector.class":"PythonCounterSource","name":"c","count":"many"}`)
	if err != nil || !strings.Contains(body, `"error_count":2`) || !strings.Contains(body, "count must be a whole number") {
		return fmt.Errorf("a bad config is taken: %s %w", body, err)
	}
	fmt.Println("ok it refuses a bad config")
	if err := node.CreateConnector(ctx, "c", map[string]string{
		"connector.class": "PythonCounterSource", "topic": "numbers", "count": fmt.Sprint(count),
		"value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
	}); err != nil {
		return err
	}
	return counted(ctx, node)
}

func answer(ctx context.Context, n *harness.Node, method, path, body string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+n.Connect+path, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return string(raw), err
}

// counted reads the numbers, and kills the task's process on the way.
func counted(ctx context.Context, node *harness.Node) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(node.Kafka), kgo.ConsumeTopics("numbers"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer client.Close()
	killed := 0
	for next := 1; next <= count; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("%w after %d of %d numbers; %s", err, next-1, count, node.Status(ctx, "c"))
		}
		for _, r := range fetches.Records() {
			var v struct {
				N    int
				Text string
			}
			if err := json.NewDecoder(bytes.NewReader(r.Value)).Decode(&v); err != nil || v.Text != fmt.Sprintf("number %d", v.N) {
				return fmt.Errorf("record %s: %w", r.Value, err)
			}
			switch {
			case v.N == next:
				next++
			case v.N > next:
				return fmt.Errorf("%d comes after %d", v.N, next-1)
			}
		}
		if killed == 0 && next > count/10 {
			children, err := harness.Children(node.PID())
			if err != nil {
				return err
			}
			for _, pid := range children {
				if syscall.Kill(pid, syscall.SIGKILL) == nil {
					killed++
				}
			}
		}
	}
	if killed == 0 {
		return errors.New("no process was killed on the way")
	}
	fmt.Printf("ok it counts to %d without a gap, although its process was killed\n", count)
	return nil
}
