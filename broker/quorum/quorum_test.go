package quorum

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/millrace/millrace/broker/metadata"
)

func TestMain(m *testing.M) {
	code := m.Run()
	for deadline := time.Now().Add(2 * time.Second); ; runtime.Gosched() {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		if !strings.Contains(string(stacks), "quorum.(*Node)") && !strings.Contains(string(stacks), "raft.(*Raft)") {
			break
		}
		if time.Now().After(deadline) {
			fmt.Fprintf(os.Stderr, "goroutines left:\n%s", stacks)
			code = 1
			break
		}
	}
	os.Exit(code)
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func format(t testing.TB, dir string) Identity {
	t.Helper()
	id, err := Format(dir, 7, "")
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func open(t testing.TB, dir string, id Identity) *Node {
	t.Helper()
	n, err := Open(within(t), Config{Dir: dir, Identity: id, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

func propose(t testing.TB, n *Node, c metadata.Command) (any, uint64) {
	t.Helper()
	got, index, err := n.Propose(within(t), c)
	if err != nil {
		t.Fatalf("Propose(%T) = %v", c, err)
	}
	return got, index
}

func register(t testing.TB, n *Node) {
	t.Helper()
	propose(t, n, &metadata.RegisterBroker{Broker: metadata.Broker{ID: 7, Incarnation: metadata.NewID()}})
}

func topic(name string) *metadata.CreateTopic {
	return &metadata.CreateTopic{ID: metadata.NewID(), Name: name, Replicas: [][]int32{{7}}}
}

func TestProposeAndReopen(t *testing.T) {
	dir := t.TempDir()
	id := format(t, dir)
	n := open(t, dir, id)
	register(t, n)
	first, _ := propose(t, n, &metadata.AllocateProducerIDs{Count: 1000})
	if first != int64(0) {
		t.Errorf("first producer id is %v", first)
	}
	propose(t, n, topic("a"))
	if _, _, err := n.Propose(within(t), topic("a")); !errors.Is(err, metadata.ErrTopicExists) {
		t.Errorf("the same topic again: %v", err)
	}
	before := n.Image()
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := n.Propose(within(t), topic("b")); !errors.Is(err, metadata.ErrOutcomeUnknown) && !errors.Is(err, metadata.ErrNotController) {
		t.Errorf("Propose after Close: %v", err)
	}

	again, err := ReadIdentity(dir)
	if err != nil || again != id {
		t.Fatalf("ReadIdentity = %+v, %v; want %+v", again, err, id)
	}
	n = open(t, dir, id)
	after := n.Image()
	if len(metadata.Diff(before, after)) != 1 { // the same topic, as another value
		t.Errorf("topics after reopening differ: %v", metadata.Diff(before, after))
	}
	if got, want := after.Topic("a"), before.Topic("a"); !reflect.DeepEqual(got, want) {
		t.Errorf("topic a is %+v, was %+v", got, want)
	}
	if next, _ := propose(t, n, &metadata.AllocateProducerIDs{Count: 1}); next != int64(1000) {
		t.Errorf("producer ids go on at %v, want 1000", next)
	}
}

func TestSnapshotAndRestore(t *testing.T) {
	dir := t.TempDir()
	id := format(t, dir)
	n := open(t, dir, id)
	register(t, n)
	for i := range 20 {
		propose(t, n, topic(fmt.Sprint("t", i)))
	}
	if err := n.raft.Snapshot().Error(); err != nil {
		t.Fatal(err)
	}
	propose(t, n, topic("after"))
	want := n.Image().Snapshot()
	n.Close()
	n = open(t, dir, id)
	if got := n.Image().Snapshot(); string(got) != string(want) {
		t.Errorf("image after a restore has %d topics, want 21", n.Image().NumTopics())
	}
}

// The listener sees images in order, each against the one it saw before, and
// at last the newest.
func TestPublish(t *testing.T) {
	dir := t.TempDir()
	n := open(t, dir, format(t, dir))
	register(t, n)
	var mu sync.Mutex
	var last *metadata.Image
	seen := map[string]bool{}
	n.Publish(func(_ context.Context, before, after *metadata.Image) {
		mu.Lock()
		defer mu.Unlock()
		if last != nil && before != last {
			t.Errorf("before is image %d, the last seen was %d", before.Index, last.Index)
		}
		if after.Index < before.Index {
			t.Errorf("image %d came after %d", after.Index, before.Index)
		}
		last = after
		for _, c := range metadata.Diff(before, after) {
			seen[c.After.Name] = true
		}
	})
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			_, index, err := n.Propose(within(t), topic(fmt.Sprint("t", i)))
			if err != nil {
				t.Errorf("Propose: %v", err)
				return
			}
			if err := n.WaitPublished(within(t), index); err != nil {
				t.Errorf("WaitPublished: %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			if !seen[fmt.Sprint("t", i)] {
				t.Errorf("topic t%d was not published when WaitPublished returned", i)
			}
		})
	}
	wg.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := n.WaitPublished(ctx, 1<<60); !errors.Is(err, context.Canceled) {
		t.Errorf("WaitPublished of the far future: %v", err)
	}
}

func TestStartIsFast(t *testing.T) {
	dir := t.TempDir()
	id := format(t, dir)
	began := time.Now()
	open(t, dir, id)
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("a quorum of one took %v to start", took)
	} else {
		t.Logf("started in %v", took)
	}
}

// An entry that this version cannot decode stops the node instead of being
// skipped.
func TestUnknownCommandStops(t *testing.T) {
	dir := t.TempDir()
	id := format(t, dir)
	n := open(t, dir, id)
	register(t, n)
	if err := n.raft.Apply([]byte{1, 250, 0}, time.Second).Error(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-n.Failed():
	case <-within(t).Done():
		t.Fatal("Failed is not closed")
	}
	index := n.Image().Index
	if _, _, err := n.Propose(within(t), topic("x")); !errors.Is(err, metadata.ErrDecode) || n.Image().Index != index {
		t.Errorf("after the failure Propose = %v, index %d, was %d", err, n.Image().Index, index)
	}
	if err := n.Close(); !errors.Is(err, metadata.ErrDecode) {
		t.Errorf("Close = %v", err)
	}
	if _, err := Open(within(t), Config{Dir: dir, Identity: id, Logger: slog.New(slog.DiscardHandler)}); !errors.Is(err, metadata.ErrDecode) {
		t.Errorf("Open on such a log = %v", err)
	}
}

func TestFormatRefuses(t *testing.T) {
	if _, err := Format(t.TempDir(), -1, ""); err == nil {
		t.Error("a negative node id was accepted")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "orders-0"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Format(dir, 1, ""); err == nil || !strings.Contains(err.Error(), "orders-0") {
		t.Errorf("a directory with data in it: %v", err)
	}
	dir = t.TempDir()
	format(t, dir)
	if _, err := Format(dir, 7, ""); err == nil {
		t.Error("a formatted directory was formatted again")
	}
}

// Wherever a crash interrupts Format, the directory ends formatted or can be
// formatted again.
func TestFormatInterrupted(t *testing.T) {
	t.Run("before meta.properties", func(t *testing.T) {
		dir := t.TempDir()
		if err := bootstrap(filepath.Join(dir, formatDir), Identity{NodeID: 7}); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadIdentity(dir); !errors.Is(err, ErrNotFormatted) {
			t.Fatalf("ReadIdentity = %v", err)
		}
		open(t, dir, format(t, dir))
	})
	t.Run("before the rename", func(t *testing.T) {
		dir := t.TempDir()
		id := format(t, dir)
		if err := os.Rename(filepath.Join(dir, stateDir), filepath.Join(dir, formatDir)); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadIdentity(dir); err != nil || got != id {
			t.Fatalf("ReadIdentity = %+v, %v", got, err)
		}
		open(t, dir, id)
	})
	t.Run("log lost", func(t *testing.T) {
		dir := t.TempDir()
		id := format(t, dir)
		if err := os.RemoveAll(filepath.Join(dir, stateDir)); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(dir, stateDir), 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(within(t), Config{Dir: dir, Identity: id, Logger: slog.New(slog.DiscardHandler)}); err == nil || !strings.Contains(err.Error(), "no metadata log") {
			t.Errorf("Open without the log = %v", err)
		}
	})
}

func TestParseProperties(t *testing.T) {
	id := Identity{ClusterID: "c", NodeID: 3, DirectoryID: metadata.NewID()}
	good := fmt.Sprintf("#comment\nversion=1\ncluster.id=c\nnode.id=3\ndirectory.id=%s\n", id.DirectoryID)
	if got, err := parseProperties([]byte(good)); err != nil || got != id {
		t.Errorf("parseProperties = %+v, %v; want %+v", got, err, id)
	}
	for _, cut := range []string{"version=1", "cluster.id=c", "node.id=3", "directory.id="} {
		if got, err := parseProperties([]byte(strings.Replace(good, cut, "x=", 1))); err == nil {
			t.Errorf("without %s: %+v", cut, got)
		}
	}
}

func FuzzProperties(f *testing.F) {
	f.Add([]byte("version=1\ncluster.id=c\nnode.id=3\ndirectory.id=AAAAAAAAAAAAAAAAAAAAAA\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if id, err := parseProperties(b); err == nil && (id.NodeID < 0 || id.ClusterID == "") {
			t.Errorf("accepted %+v", id)
		}
	})
}

func TestLock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	l, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(dir); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("second Lock = %v, want ErrLocked with the process id", err)
	}
	if err := l.Unlock(); err != nil {
		t.Fatal(err)
	}
	l, err = Lock(dir)
	if err != nil {
		t.Fatalf("Lock after Unlock = %v", err)
	}
	l.Unlock()
}

var _ raft.FSM = (*fsm)(nil)
