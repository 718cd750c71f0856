package broker

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// crashDir is the environment variable that makes a test process a broker on
// that directory.
const crashDir = "MILLRACE_TEST_BROKER_DIR"

// crashBroker serves until it is killed. It prints its address when ready.
func crashBroker(dir string) {
	address := os.Getenv(crashDir + "_ADDR")
	l, err := net.Listen("tcp", address)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	b, err := New(Config{DataDir: dir, NodeID: 1, Listeners: []Listener{{Name: "PLAINTEXT", Listener: l}},
		Properties: map[string]string{"log.segment.bytes": "200000", "transaction.abort.timed.out.transaction.cleanup.interval.ms": "200"}, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go func() {
		<-b.Ready()
		fmt.Println(l.Addr())
	}()
	fmt.Fprintln(os.Stderr, b.Run(context.Background()))
	os.Exit(1)
}

// startProcess runs this test binary as a broker and returns it with its
// address when it is ready.
func startProcess(t *testing.T, dir, address string) (*exec.Cmd, string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), crashDir+"="+dir, crashDir+"_ADDR="+address)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("broker process did not start: %v", err)
	}
	return cmd, strings.TrimSpace(line)
}

// A broker is killed again and again while idempotent producers write with
// acks=all. Every acknowledged record is there afterwards, once, in order.
func TestKillNine(t *testing.T) {
	const rounds, partitions = 4, 3
	dir := t.TempDir()
	cmd, address := startProcess(t, dir, "127.0.0.1:0")
	cl, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.DefaultProduceTopic("t"), kgo.MaxBufferedRecords(200), kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if _, err := kadm.NewClient(cl).CreateTopic(within(t), partitions, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}

	var mu sync.Mutex // guards below
	acked := make([]map[int]bool, partitions)
	for i := range acked {
		acked[i] = map[int]bool{}
	}
	progress := make(chan struct{}, 1) // something was acknowledged
	ctx, stop := context.WithCancel(t.Context())
	var producers sync.WaitGroup
	for part := range partitions {
		producers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				r := &kgo.Record{Partition: int32(part), Value: fmt.Appendf(nil, "%d %s", i, strings.Repeat("x", rand.IntN(500)))}
				cl.Produce(context.Background(), r, func(_ *kgo.Record, err error) {
					if err != nil {
						t.Errorf("record %d of partition %d: %v", i, part, err)
						return
					}
					mu.Lock()
					acked[part][i] = true
					mu.Unlock()
					select {
					case progress <- struct{}{}:
					default:
					}
				})
			}
		})
	}
	count := func() (n int) {
		mu.Lock()
		defer mu.Unlock()
		for _, m := range acked {
			n += len(m)
		}
		return n
	}
	for round := range rounds {
		for limit, goal := within(t), count()+300+rand.IntN(500); count() < goal; {
			select {
			case <-progress:
			case <-limit.Done():
				t.Fatalf("round %d: %d records acknowledged, waiting for %d", round, count(), goal)
			}
		}
		cmd.Process.Kill()
		cmd.Wait()
		cmd, _ = startProcess(t, dir, address)
	}
	stop()
	producers.Wait()
	if err := cl.Flush(within(t)); err != nil {
		t.Fatalf("flush: %v", err)
	}
	t.Logf("%d records acknowledged over %d kills", count(), rounds)
	verify(t, address, acked)
	cmd.Process.Kill()
	cmd.Wait()
}

// verify reads everything back and compares it with what was acknowledged.
func verify(t *testing.T, address string, acked []map[int]bool) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.ConsumeTopics("t"))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(within(t), "t")
	if err != nil {
		t.Fatal(err)
	}
	left := int64(0)
	ends.Each(func(o kadm.ListedOffset) { left += o.Offset })
	next := make([]int, len(acked))
	for left > 0 {
		fs := cl.PollFetches(within(t))
		if err := fs.Err(); err != nil {
			t.Fatalf("fetch with %d records left: %v", left, err)
		}
		fs.EachRecord(func(r *kgo.Record) {
			left--
			var i int
			fmt.Sscan(string(r.Value), &i)
			if i != next[r.Partition] {
				t.Errorf("partition %d offset %d holds record %d, want %d", r.Partition, r.Offset, i, next[r.Partition])
			}
			next[r.Partition] = i + 1
		})
	}
	for part, m := range acked {
		for i := range m {
			if i >= next[part] {
				t.Errorf("record %d of partition %d was acknowledged and is lost", i, part)
			}
		}
	}
}
