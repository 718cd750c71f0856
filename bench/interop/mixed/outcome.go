package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// outputs holds the topics to their files: with sources that deliver at least
// once nothing may be missing, and what came first is in order.
func outputs(ctx context.Context, bootstrap string, round, lines int) error {
	for n := range connectors {
		if err := eachLine(ctx, bootstrap, topic(round, n), lines); err != nil {
			return err
		}
	}
	fmt.Printf("ok every line of every file is in its topic\n")
	return nil
}

func eachLine(ctx context.Context, bootstrap, topic string, lines int) error {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	if err != nil {
		return err
	}
	defer client.Close()
	seen := map[string]bool{}
	for len(seen) < lines {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("topic %s has %d of %d lines: %w", topic, len(seen), lines, err)
		}
		for _, r := range fetches.Records() {
			if v := string(r.Value); !seen[v] {
				if want := fmt.Sprintf("line %d", len(seen)); v != want {
					return fmt.Errorf("topic %s: %q comes before %q", topic, v, want)
				}
				seen[v] = true
			}
		}
	}
	return nil
}

// strangers starts two Millrace workers that share a group id and nothing else:
// the second must refuse, and say why.
func strangers(ctx context.Context, bin, dir, bootstrap string) (err error) {
	props := func(topics string) map[string]string {
		return map[string]string{"group.id": "strangers", "config.storage.topic": topics + "-c", "offset.storage.topic": topics + "-o", "status.storage.topic": topics + "-s"}
	}
	for _, name := range []string{"one", "two"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			return err
		}
	}
	first, err := startMillrace(ctx, bin, filepath.Join(dir, "one"), bootstrap, props("one"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, first.Stop()) }()
	ctx, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	second, err := startMillrace(ctx, bin, filepath.Join(dir, "two"), bootstrap, props("two"))
	if err == nil {
		return errors.Join(errors.New("a worker with other topics joined the group"), second.Stop())
	}
	if !strings.Contains(err.Error(), "one-c") || !strings.Contains(err.Error(), "two-c") {
		return fmt.Errorf("a worker with other topics is refused without naming both: %w", err)
	}
	fmt.Println("ok a cluster with other topics is refused the group id, with both named")
	return nil
}
