// Command log measures logs that speak the Kafka protocol side by side:
// Millrace, Apache Kafka if its jars are at hand, and any other that runs
// already. The same load is put on each in turn, more than once, so that the
// noise stands beside every figure.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/bench/harness"
	"github.com/millrace/millrace/bench/peers"
)

type options struct {
	bin      string
	kafka    string
	peers    peerList
	duration time.Duration
	warmup   time.Duration
	turns    int
	only     string
	out      string
	dir      string
}

// peerList is a repeatable flag NAME=HOST:PORT.
type peerList []subject

func (l *peerList) String() string { return "" }

func (l *peerList) Set(v string) error {
	name, addr, ok := strings.Cut(v, "=")
	if !ok {
		return errors.New("say NAME=HOST:PORT")
	}
	*l = append(*l, subject{name: name, addr: addr})
	return nil
}

// subject is one of what is compared.
type subject struct {
	name    string
	addr    string
	pid     int // 0 if it is not ours
	configs map[string]*string
}

// unsynced is Millrace answering as Kafka does: before the disk has it.
const unsynced = "millrace-unsynced"

func main() {
	var o options
	flag.StringVar(&o.bin, "bin", "bin/millrace", "the binary to measure")
	flag.StringVar(&o.kafka, "kafka", ".run/peers/lib", "Apache Kafka's jars, as bench/peers/fetch.sh brings them; left out if there are none")
	flag.Var(&o.peers, "peer", "another log that runs already, as NAME=HOST:PORT; may be repeated")
	flag.DurationVar(&o.duration, "duration", 10*time.Second, "steady state of each run")
	flag.DurationVar(&o.warmup, "warmup", 2*time.Second, "warm-up before it")
	flag.IntVar(&o.turns, "turns", 2, "runs of each measurement on each subject")
	flag.StringVar(&o.only, "only", "", "measure only these, separated by commas: machine, start, produce, consume, latency, partitions, idle")
	flag.StringVar(&o.out, "out", "", "file for the JSON; by default one in bench/results that is named after the time")
	flag.StringVar(&o.dir, "dir", "", "folder for the logs' data; by default a temporary one")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench/log: "+err.Error())
		stop()
		os.Exit(1)
	}
}

// bench is one run of the command.
type bench struct {
	options
	*harness.Comparison
	subjects []subject
}

func run(ctx context.Context, o options) error {
	if o.dir == "" {
		dir, err := os.MkdirTemp("", "millrace-bench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		o.dir = dir
	}
	b := &bench{options: o, Comparison: &harness.Comparison{Report: harness.NewReport(), Base: "kafka"}}
	if !b.haveKafka() {
		fmt.Fprintf(os.Stderr, "no Apache Kafka in %s (bench/peers/fetch.sh brings it): measuring without\n", o.kafka)
		b.Base = "millrace"
	}
	err := b.measure(ctx)
	if err != nil {
		return errors.Join(err, b.Print(os.Stdout)) // what there is
	}
	return b.Publish("log", o.out)
}

func (b *bench) haveKafka() bool {
	jars, _ := filepath.Glob(filepath.Join(b.kafka, "kafka_2.13-*.jar")) // the pattern is good
	return len(jars) > 0
}

func (b *bench) wants(part string) bool {
	return b.only == "" || slices.Contains(strings.Split(b.only, ","), part)
}

func (b *bench) measure(ctx context.Context) error {
	b.Subjects = append(b.Subjects, "machine")
	if b.haveKafka() {
		b.Subjects = append(b.Subjects, "kafka")
	}
	b.Subjects = append(b.Subjects, "millrace", unsynced)
	for _, p := range b.peers {
		b.Subjects = append(b.Subjects, p.name)
	}
	if b.wants("machine") {
		if err := b.machine(ctx); err != nil {
			return fmt.Errorf("machine: %w", err)
		}
	}
	if b.wants("start") {
		if err := b.starts(ctx); err != nil {
			return fmt.Errorf("start: %w", err)
		}
	}
	return b.withServers(ctx, b.loads)
}

// withServers starts what is compared and runs f.
func (b *bench) withServers(ctx context.Context, f func(context.Context) error) (err error) {
	if b.haveKafka() {
		kafka, err := b.startKafka(ctx)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, kafka.Stop()) }()
		// What is deleted goes from the disk soon, or the runs to come pay for it.
		b.subjects = append(b.subjects, subject{name: "kafka", addr: kafka.Addr, pid: kafka.PID(),
			configs: map[string]*string{"file.delete.delay.ms": kadm.StringPtr("100")}})
	}
	node, err := b.startMillrace(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Stop()) }()
	b.subjects = append(b.subjects,
		subject{name: "millrace", addr: node.Kafka, pid: node.PID()},
		subject{name: unsynced, addr: node.Kafka, pid: node.PID(), configs: map[string]*string{"flush.before.ack": kadm.StringPtr("never")}})
	b.subjects = append(b.subjects, b.peers...)
	return f(ctx)
}

func (b *bench) startKafka(ctx context.Context) (*peers.Process, error) {
	dir, err := os.MkdirTemp(b.dir, "kafka-")
	if err != nil {
		return nil, err
	}
	return peers.StartKafka(ctx, b.kafka, dir)
}

func (b *bench) startMillrace(ctx context.Context) (*harness.Node, error) {
	dir, err := os.MkdirTemp(b.dir, "millrace-")
	if err != nil {
		return nil, err
	}
	return harness.StartNode(ctx, b.bin, dir, "--roles", "broker")
}

func (b *bench) loads(ctx context.Context) error {
	for _, part := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"produce", b.throughput}, {"consume", b.catchUp}, {"latency", b.latency},
		{"partitions", b.manyPartitions}, {"idle", b.idleConnections},
	} {
		if !b.wants(part.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s measuring %s\n", time.Now().Format(time.TimeOnly), part.name)
		if err := part.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return nil
}

// eachTurn runs f on every subject in turn, as often as the options say.
func (b *bench) eachTurn(f func(subject) error) error {
	for range b.turns {
		for _, s := range b.subjects {
			if err := f(s); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
	}
	return nil
}

// withTopic makes a topic, runs f and deletes the topic.
func (b *bench) withTopic(ctx context.Context, s subject, partitions int32, f func(topic string, admin *kadm.Client) error) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(s.addr))
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	topic := fmt.Sprintf("bench-%d", time.Now().UnixNano())
	if resp, err := admin.CreateTopic(ctx, partitions, 1, s.configs, topic); err != nil {
		return fmt.Errorf("create a topic: %w: %s", err, resp.ErrMessage)
	}
	if err := waitForLeaders(ctx, admin, topic, int(partitions)); err != nil {
		return err
	}
	if err := f(topic, admin); err != nil {
		return err
	}
	_, err = admin.DeleteTopics(ctx, topic)
	return err
}

func waitForLeaders(ctx context.Context, admin *kadm.Client, topic string, partitions int) error {
	ctx, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	for {
		ends, err := admin.ListEndOffsets(ctx, topic)
		if err == nil && ends.Error() == nil && len(ends[topic]) == partitions {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("topic %s has no leaders: %w", topic, errors.Join(err, ends.Error()))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// offsets returns the end of each partition.
func offsets(ctx context.Context, admin *kadm.Client, topic string) (ends []int64, total int64, err error) {
	listed, err := admin.ListEndOffsets(ctx, topic)
	if err = errors.Join(err, listed.Error()); err != nil {
		return nil, 0, err
	}
	ends = make([]int64, len(listed[topic]))
	for n, o := range listed[topic] {
		ends[n] = o.Offset
		total += o.Offset
	}
	return ends, total, nil
}
