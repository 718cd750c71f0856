package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/connect/connector"
)

// TestDatagenOnceWhateverIsKilled kills the server and the task's process while
// a task without a seed makes records: the topic holds each of them once, in
// order, and the task ends in FAILED with Confluent's words.
func TestDatagenOnceWhateverIsKilled(t *testing.T) {
	s := startServer(t)
	const records = 6000
	s.create("gen", map[string]string{
		"connector.class": "io.confluent.kafka.connect.datagen.DatagenConnector", "kafka.topic": "orders", "quickstart": "orders",
		"max.interval": "1", "iterations": "6000", "errors.restart.delay.max.ms": "300", "exactly.once.support": "required",
		"key.converter": "org.apache.kafka.connect.storage.StringConverter", "value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
	})
	for round := range 2 {
		s.awaitTask("gen", connector.Running)
		s.awaitRecords("orders", int64(500+2000*round))
		if round == 0 {
			for _, pid := range s.taskProcesses("datagen") {
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
					t.Logf("process %d: %v", pid, err) // it may have ended meanwhile
				}
			}
			continue
		}
		s.kill()
		s.restart()
	}
	st := s.awaitTask("gen", connector.Failed)
	eventually(t, "the end", func() error {
		st = s.awaitTask("gen", connector.Failed)
		if !strings.Contains(st.Tasks[0].Trace, "Stopping connector: generated the configured 6000 number of messages") {
			return errNotYet(st.Tasks[0].Trace)
		}
		return nil
	})
	c := s.client(kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	next := map[int32]int{}
	seen, lives := map[int]bool{}, map[string]bool{}
	for len(seen) < records {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("after %d of %d records: %v", len(seen), records, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			var v struct{ OrderID int }
			if err := json.Unmarshal(r.Value, &v); err != nil {
				t.Fatal(err)
			}
			if seen[v.OrderID] || v.OrderID < next[r.Partition] {
				t.Fatalf("order %d is there twice or out of order", v.OrderID)
			}
			seen[v.OrderID], next[r.Partition] = true, v.OrderID
			lives[string(r.Headers[0].Value)] = true
		})
	}
	if len(lives) < 2 {
		t.Errorf("the task had lives %v: nothing was killed while it worked", lives)
	}
}

// awaitRecords waits until a topic has so many committed records.
func (s *server) awaitRecords(topic string, n int64) {
	s.t.Helper()
	admin := kadm.NewClient(s.client())
	eventually(s.t, "records", func() error {
		ends, err := admin.ListCommittedOffsets(s.t.Context(), topic)
		if err != nil {
			return err
		}
		total := int64(0)
		ends.Each(func(o kadm.ListedOffset) { total += o.Offset })
		if total < n {
			return fmt.Errorf("%d records, %v", total, ends.Error())
		}
		return nil
	})
}

// errNotYet is a trace that is not the one that is waited for.
type errNotYet string

func (e errNotYet) Error() string { return string(e) }
