package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// runTool runs a command to its end and returns what it printed.
func runTool(t *testing.T, stdin, name string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err = cmd.Run()
	return out.String(), errOut.String(), err
}

func mustRun(t *testing.T, stdin, name string, args ...string) string {
	t.Helper()
	out, errOut, err := runTool(t, stdin, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, errOut)
	}
	return out
}

func TestKcat(t *testing.T) {
	if _, err := exec.LookPath("kcat"); err != nil {
		t.Fatal("kcat is not installed: run make test-deps")
	}
	s := startServer(t)
	mustRun(t, "k1:v1\nk2:v2\nk3:v3\n", "kcat", "-b", s.addrs.Kafka, "-P", "-t", "cats", "-K", ":")
	out := mustRun(t, "", "kcat", "-b", s.addrs.Kafka, "-C", "-t", "cats", "-e", "-q", "-f", "%k=%s\n")
	if out != "k1=v1\nk2=v2\nk3=v3\n" {
		t.Errorf("consumed %q", out)
	}
	out = mustRun(t, "", "kcat", "-b", s.addrs.Kafka, "-G", "lions", "-c", "3", "-e", "-q", "-X", "auto.offset.reset=earliest", "cats")
	if out != "v1\nv2\nv3\n" {
		t.Errorf("consumed %q with a group", out)
	}
	// The group remembers: only what came since is consumed.
	mustRun(t, "k4:v4\n", "kcat", "-b", s.addrs.Kafka, "-P", "-t", "cats", "-K", ":")
	out = mustRun(t, "", "kcat", "-b", s.addrs.Kafka, "-G", "lions", "-c", "1", "-q", "-X", "auto.offset.reset=earliest", "cats")
	if out != "v4\n" {
		t.Errorf("consumed %q the second time, want only v4", out)
	}
	meta := mustRun(t, "", "kcat", "-b", s.addrs.Kafka, "-L", "-J")
	var m struct{ Topics []struct{ Topic string } }
	if err := json.Unmarshal([]byte(meta), &m); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(fmt.Sprint(m.Topics), "{cats}") {
		t.Errorf("topics %v, want cats among them", m.Topics)
	}
}

func TestFranzGoDefaults(t *testing.T) {
	s := startServer(t)
	mustRun(t, "", binary, "topic", "create", "orders", "-p", "3", "-b", s.addrs.Kafka)
	producer := s.client()
	const n = 1000
	for i := range n {
		r := &kgo.Record{Topic: "orders", Key: fmt.Appendf(nil, "k%d", i%10), Value: fmt.Append(nil, i)}
		producer.Produce(t.Context(), r, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Errorf("produce: %v", err)
			}
		})
	}
	if err := producer.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	consumer := s.client(kgo.ConsumerGroup("g"), kgo.ConsumeTopics("orders"))
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	last := map[string]int{} // by key: order within a key is kept
	for got := 0; got < n; {
		fetches := consumer.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			got++
			var v int
			if _, err := fmt.Sscan(string(r.Value), &v); err != nil {
				t.Fatal(err)
			}
			if prev, ok := last[string(r.Key)]; ok && v <= prev {
				t.Errorf("key %s: %d after %d", r.Key, v, prev)
			}
			last[string(r.Key)] = v
		})
	}
	if err := consumer.CommitUncommittedOffsets(ctx); err != nil {
		t.Errorf("commit: %v", err)
	}
}

func TestCommands(t *testing.T) {
	s := startServer(t)
	b := []string{"-b", s.addrs.Kafka}
	mustRun(t, "", binary, append([]string{"topic", "create", "t", "-p", "2", "-c", "retention.ms=60000"}, b...)...)
	mustRun(t, "a=1\nb=2\n", binary, append([]string{"produce", "t", "-K", "="}, b...)...)
	out := mustRun(t, "", binary, append([]string{"consume", "t", "--exit", "-o", "json"}, b...)...)
	if strings.Count(out, "\n") != 2 || !strings.Contains(out, `"key":"a","value":"1"`) {
		t.Errorf("consume printed %q", out)
	}
	var rows []topicRow
	if err := json.Unmarshal([]byte(mustRun(t, "", binary, append([]string{"topic", "list", "-o", "json"}, b...)...)), &rows); err != nil {
		t.Fatal(err)
	}
	found := false
	for _, r := range rows {
		found = found || r.Name == "t" && r.Partitions == 2 && r.Records == 2
	}
	if !found {
		t.Errorf("topic list: %+v, want t with 2 partitions and 2 records", rows)
	}
	out = mustRun(t, "", binary, append([]string{"topic", "describe", "t"}, b...)...)
	if !strings.Contains(out, "retention.ms=60000") || !strings.Contains(out, "PARTITION") {
		t.Errorf("topic describe printed %q", out)
	}
	u := []string{"-u", "http://" + s.addrs.Connect}
	config := `{"name":"src","config":{"connector.class":"FileStreamSource","file":"/dev/null","topic":"t","tasks.max":1}}`
	mustRun(t, config, binary, append([]string{"connector", "create", "-f", "-"}, u...)...)
	s.awaitTask("src", "RUNNING")
	out = mustRun(t, "", binary, append([]string{"connector", "list"}, u...)...)
	if !strings.Contains(out, "src") || !strings.Contains(out, "1/1 running") {
		t.Errorf("connector list printed %q", out)
	}
	for _, verb := range []string{"pause", "resume", "stop", "delete"} {
		mustRun(t, "", binary, append([]string{"connector", verb, "src"}, u...)...)
	}
	mustRun(t, "", binary, append([]string{"topic", "delete", "t"}, b...)...)

	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"topic", "delete", "nope", "-b", s.addrs.Kafka}, exitFailed, "UNKNOWN_TOPIC_OR_PARTITION"},
		{[]string{"connector", "status", "nope", "-u", "http://" + s.addrs.Connect}, exitFailed, "No status found"},
		{[]string{"topic", "list", "-b", "127.0.0.1:1"}, exitFailed, "is the server running"},
		{[]string{"topic", "create"}, exitUsage, "NAME"},
		{[]string{"topic", "list", "--wings"}, exitUsage, "--help"},
		{[]string{"fly"}, exitUsage, "unknown command"},
		{[]string{"server", "--roles", "pilot"}, exitFailed, "the roles are broker, registry and connect"},
	} {
		_, errOut, err := runTool(t, "", binary, tt.args...)
		var exit *exec.ExitError
		if err == nil {
			t.Errorf("%v succeeded", tt.args)
			continue
		}
		if e, ok := err.(*exec.ExitError); ok {
			exit = e
		}
		if exit == nil || exit.ExitCode() != tt.code || !strings.Contains(errOut, tt.want) {
			t.Errorf("%v: %v, %q; want exit %d and %q", tt.args, err, errOut, tt.code, tt.want)
		}
	}
}
