package replica

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/broker/commitlog"
	"github.com/millrace/millrace/broker/metadata"
	"github.com/millrace/millrace/broker/recordbatch"
)

func TestMain(m *testing.M) {
	code := m.Run()
	for deadline := time.Now().Add(2 * time.Second); ; runtime.Gosched() {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		if !strings.Contains(string(stacks), "replica.(*") && !strings.Contains(string(stacks), "commitlog.(*Log)") {
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

// disk is the operating system's file system with faults.
type disk struct {
	commitlog.OSFS
	full   atomic.Bool   // writes fail with ENOSPC
	broken atomic.Bool   // fdatasync fails
	syncs  atomic.Int64  // of segments
	gate   chan struct{} // if set, fdatasync of segments waits for it
}

type diskFile struct {
	commitlog.File
	d       *disk
	segment bool
}

func (d *disk) OpenFile(path string, flag int, perm fs.FileMode) (commitlog.File, error) {
	f, err := d.OSFS.OpenFile(path, flag, perm)
	if err != nil {
		return nil, err
	}
	return diskFile{f, d, strings.HasSuffix(path, ".log")}, nil
}

func (f diskFile) WriteAt(b []byte, at int64) (int, error) {
	if f.d.full.Load() {
		return 0, syscall.ENOSPC
	}
	return f.File.WriteAt(b, at)
}

func (f diskFile) Datasync() error {
	if f.segment {
		f.d.syncs.Add(1)
		if f.d.gate != nil {
			<-f.d.gate
		}
		if f.d.broken.Load() {
			return syscall.EIO
		}
	}
	return f.File.Datasync()
}

// rig is a Set with the image it follows.
type rig struct {
	*Set
	disk  *disk
	image *metadata.Image
	now   atomic.Int64 // Unix milliseconds; 0 for the real time
}

func newRig(t testing.TB, dir string, d *disk) *rig {
	t.Helper()
	r := &rig{disk: d, image: new(metadata.Image)}
	r.start(t, dir)
	r.apply(t, &metadata.RegisterBroker{Broker: metadata.Broker{ID: 1}})
	return r
}

func (r *rig) start(t testing.TB, dir string) {
	t.Helper()
	b, err := metadata.NewBrokerConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	clock := func() time.Time {
		if ms := r.now.Load(); ms != 0 {
			return time.UnixMilli(ms)
		}
		return time.Now()
	}
	r.Set, err = Open(Config{Dir: dir, NodeID: 1, Broker: b, FS: r.disk, Clock: clock, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	set := r.Set
	t.Cleanup(func() { set.Close() })
}

func (r *rig) apply(t testing.TB, cs ...metadata.Command) {
	t.Helper()
	before := r.image
	for _, c := range cs {
		next, _, err := r.image.Apply(r.image.Index+1, c)
		if err != nil {
			t.Fatal(err)
		}
		r.image = next
	}
	r.Apply(t.Context(), before, r.image)
}

var lastID atomic.Uint32

// create creates a topic with one partition and returns that.
func (r *rig) create(t testing.TB, name string, configs map[string]string) *Partition {
	t.Helper()
	n := lastID.Add(1)
	r.apply(t, &metadata.CreateTopic{ID: metadata.ID{0: byte(n), 1: byte(n >> 8), 2: 1}, Name: name, Replicas: [][]int32{{1}}, Configs: configs})
	p := r.Partition(r.image.Topic(name).ID, 0)
	if p == nil || p.Err() != nil {
		t.Fatalf("partition %s-0 is %v", name, p)
	}
	return p
}

func batch(t testing.TB, ms int64, key, value string) recordbatch.View {
	t.Helper()
	var b recordbatch.Builder
	var k []byte
	if key != "" {
		k = []byte(key)
	}
	if err := b.Add(ms, k, []byte(value)); err != nil {
		t.Fatal(err)
	}
	return b.Batch(recordbatch.NoProducer)
}

func now(t testing.TB) recordbatch.View { return batch(t, time.Now().UnixMilli(), "k", "v") }

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// Nothing is committed, and so nothing acknowledged or readable, before it is
// on disk.
func TestCommittedMeansDurable(t *testing.T) {
	d := &disk{}
	r := newRig(t, t.TempDir(), d)
	p := r.create(t, "a", nil)
	d.gate = make(chan struct{})
	a, err := p.Append(now(t), true)
	if err != nil || a.BaseOffset != 0 {
		t.Fatalf("Append = %+v, %v", a, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := p.WaitCommitted(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("WaitCommitted before the fdatasync = %v", err)
	}
	if hw := p.HighWatermark(); hw != 0 {
		t.Errorf("high watermark is %d before the fdatasync", hw)
	}
	close(d.gate)
	if err := p.WaitCommitted(within(t), 1); err != nil || p.HighWatermark() != 1 {
		t.Errorf("WaitCommitted = %v, high watermark %d", err, p.HighWatermark())
	}
	c, err := p.Read(0, 1<<20, p.HighWatermark(), true)
	if err != nil || c.Len() == 0 {
		t.Errorf("Read = %d bytes, %v", c.Len(), err)
	}
	c.Close()
}

func TestFlushNever(t *testing.T) {
	d := &disk{}
	r := newRig(t, t.TempDir(), d)
	p := r.create(t, "a", map[string]string{"flush.before.ack": "never"})
	before := d.syncs.Load()
	if _, err := p.Append(now(t), true); err != nil {
		t.Fatal(err)
	}
	if p.HighWatermark() != 1 || d.syncs.Load() != before {
		t.Errorf("high watermark is %d after %d fdatasyncs, want 1 after none", p.HighWatermark(), d.syncs.Load()-before)
	}
	// The config acts from the next append on.
	r.apply(t, &metadata.AlterTopicConfigs{ID: p.TopicID, Set: map[string]string{"flush.before.ack": "always"}})
	if _, err := p.Append(now(t), true); err != nil {
		t.Fatal(err)
	}
	if err := p.WaitCommitted(within(t), 2); err != nil || d.syncs.Load() == before {
		t.Errorf("WaitCommitted = %v after %d fdatasyncs", err, d.syncs.Load()-before)
	}
}

// Many appends that wait share few fdatasyncs.
func TestGroupCommit(t *testing.T) {
	d := &disk{}
	r := newRig(t, t.TempDir(), d)
	p := r.create(t, "a", nil)
	d.gate = make(chan struct{})
	const n = 200
	var wg sync.WaitGroup
	for range n {
		a, err := p.Append(now(t), true)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			if err := p.WaitCommitted(within(t), a.LastOffset+1); err != nil {
				t.Errorf("WaitCommitted(%d) = %v", a.LastOffset+1, err)
			}
		})
	}
	before := d.syncs.Load()
	close(d.gate)
	wg.Wait()
	if got := d.syncs.Load() - before; got > 3 {
		t.Errorf("%d appends needed %d more fdatasyncs", n, got)
	}
}

func TestDiskFull(t *testing.T) {
	d := &disk{}
	r := newRig(t, t.TempDir(), d)
	p := r.create(t, "a", nil)
	d.full.Store(true)
	if _, err := p.Append(now(t), true); !errors.Is(err, ErrStorage) || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("Append on a full disk = %v", err)
	}
	if p.EndOffset() != 0 || p.Err() != nil {
		t.Errorf("after the failure the log ends at %d, partition is %v", p.EndOffset(), p.Err())
	}
	d.full.Store(false)
	a, err := p.Append(now(t), true)
	if err != nil || a.BaseOffset != 0 {
		t.Fatalf("Append when there is room again = %+v, %v", a, err)
	}
	if err := p.WaitCommitted(within(t), 1); err != nil {
		t.Error(err)
	}
}

// A failed fdatasync acknowledges nothing, and takes the partition offline.
func TestFailedSync(t *testing.T) {
	d := &disk{}
	r := newRig(t, t.TempDir(), d)
	p := r.create(t, "a", nil)
	d.broken.Store(true)
	if _, err := p.Append(now(t), true); err != nil {
		t.Fatal(err)
	}
	if err := p.WaitCommitted(within(t), 1); !errors.Is(err, ErrStorage) {
		t.Errorf("WaitCommitted = %v", err)
	}
	d.broken.Store(false)
	if _, err := p.Append(now(t), true); !errors.Is(err, ErrStorage) || p.HighWatermark() != 0 {
		t.Errorf("Append afterwards = %v, high watermark %d", err, p.HighWatermark())
	}
	if s := r.Stats(); s.Partitions != 1 || s.Offline != 1 {
		t.Errorf("Stats = %+v", s)
	}
}

func TestValidation(t *testing.T) {
	r := newRig(t, t.TempDir(), &disk{})
	plain := r.create(t, "plain", map[string]string{"max.message.bytes": "200"})
	compact := r.create(t, "compact", map[string]string{"cleanup.policy": "compact"})
	bounded := r.create(t, "bounded", map[string]string{"message.timestamp.before.max.ms": "1000", "message.timestamp.after.max.ms": "1000"})
	stamped := r.create(t, "stamped", map[string]string{"message.timestamp.type": "LogAppendTime", "message.timestamp.before.max.ms": "1000"})
	ms := time.Now().UnixMilli()
	torn := now(t)
	torn[len(torn)-1]++
	for _, tt := range []struct {
		name string
		p    *Partition
		v    recordbatch.View
		want error
	}{
		{"good", plain, now(t), nil},
		{"no key", plain, batch(t, ms, "", "v"), nil},
		{"torn", plain, torn, recordbatch.ErrCRC},
		{"large", plain, batch(t, ms, "k", strings.Repeat("v", 200)), ErrBatchTooLarge},
		{"no key for compaction", compact, batch(t, ms, "", "v"), ErrKeyMissing},
		{"key for compaction", compact, batch(t, ms, "k", "v"), nil},
		{"old", bounded, batch(t, ms-60000, "k", "v"), ErrTimestamp},
		{"in time", bounded, batch(t, ms, "k", "v"), nil},
		{"from the future", bounded, batch(t, ms+60000, "k", "v"), ErrTimestamp},
		{"an hour and more ahead", plain, batch(t, ms+3700000, "k", "v"), ErrTimestamp},
		{"old, but the broker's time counts", stamped, batch(t, ms-60000, "k", "v"), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			end := tt.p.EndOffset()
			a, err := tt.p.Append(tt.v, true)
			if !errors.Is(err, tt.want) {
				t.Fatalf("Append = %+v, %v; want %v", a, err, tt.want)
			}
			if tt.want != nil && tt.p.EndOffset() != end {
				t.Error("a refused batch was appended")
			}
			if tt.p == stamped && a.LogAppendTime < ms {
				t.Errorf("log append time is %d", a.LogAppendTime)
			}
		})
	}
	_, err := compact.Append(batch(t, ms, "", "v"), true)
	if re := (*RecordError)(nil); !errors.As(err, &re) || re.Index != 0 {
		t.Errorf("error does not name the record: %v", err)
	}
}

func TestEpochs(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, dir, &disk{})
	p := r.create(t, "a", nil)
	if _, err := p.Append(now(t), true); err != nil {
		t.Fatal(err)
	}
	r.apply(t, &metadata.RegisterBroker{Broker: metadata.Broker{ID: 1}, Unclean: true})
	if p.LeaderEpoch() != 1 {
		t.Fatalf("leader epoch is %d after an unclean registration", p.LeaderEpoch())
	}
	for epoch, want := range map[int32]error{-1: nil, 0: ErrFencedEpoch, 1: nil, 2: ErrUnknownEpoch} {
		if err := p.CheckEpoch(epoch); !errors.Is(err, want) {
			t.Errorf("CheckEpoch(%d) = %v, want %v", epoch, err, want)
		}
	}
	if e, end := p.EpochEnd(0); e != 0 || end != 1 {
		t.Errorf("epoch 0 ended at %d (%d), want 1 (0)", end, e)
	}
	if _, err := p.Append(now(t), true); err != nil {
		t.Error(err)
	}
	if e, end := p.EpochEnd(1); e != 1 || end != 2 {
		t.Errorf("epoch 1 ends at %d (%d), want 2 (1)", end, e)
	}
}

// watcher records what it is told.
type watcher struct {
	mu     sync.Mutex // guards below
	events []string
}

func (w *watcher) Lead(p *Partition) { w.note("lead", p) }
func (w *watcher) Drop(p *Partition) { w.note("drop", p) }
func (w *watcher) note(what string, p *Partition) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, fmt.Sprintf("%s %s-%d", what, p.Topic, p.ID))
}

func TestDeleteAndRecreate(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, dir, &disk{})
	w := new(watcher)
	r.Watch(w)
	old := r.create(t, "a", nil)
	if _, err := old.Append(now(t), true); err != nil {
		t.Fatal(err)
	}
	// Deleted and created in one step, as a publisher that lags sees it.
	before := r.image
	for _, c := range []metadata.Command{
		&metadata.DeleteTopic{ID: old.TopicID},
		&metadata.CreateTopic{ID: metadata.ID{9, 9}, Name: "a", Replicas: [][]int32{{1}}},
	} {
		var err error
		if r.image, _, err = r.image.Apply(r.image.Index+1, c); err != nil {
			t.Fatal(err)
		}
	}
	r.Apply(t.Context(), before, r.image)
	p := r.Partition(metadata.ID{9, 9}, 0)
	if p == nil || p.Err() != nil || p.EndOffset() != 0 {
		t.Fatalf("the new topic's partition is %+v", p)
	}
	if _, err := old.Append(now(t), true); !errors.Is(err, ErrNotLeader) && !errors.Is(err, ErrClosed) {
		t.Errorf("Append to the deleted partition = %v", err)
	}
	if r.Partition(old.TopicID, 0) != nil {
		t.Error("the deleted partition can still be found")
	}
	if got, want := strings.Join(w.events, ", "), "lead a-0, drop a-0, lead a-0"; got != want {
		t.Errorf("watch was told %q, want %q", got, want)
	}
}

// What a crash in the middle of a deletion leaves is removed at the next
// start, and nothing else is.
func TestStrays(t *testing.T) {
	dir := t.TempDir()
	d := &disk{}
	r := newRig(t, dir, d)
	p := r.create(t, "keep", nil)
	if _, err := p.Append(now(t), true); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"gone-3", "half-0-delete", "notes", "notes-old"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r.start(t, dir)
	if !r.Clean() {
		t.Error("Clean is false after Close")
	}
	r.Apply(t.Context(), new(metadata.Image), r.image)
	for name, want := range map[string]bool{"keep-0": true, "gone-3": false, "half-0-delete": false, "notes": true, "notes-old": true} {
		if _, err := os.Stat(filepath.Join(dir, name)); (err == nil) != want {
			t.Errorf("%s exists: %v, want %v", name, err == nil, want)
		}
	}
	again := r.Partition(p.TopicID, 0)
	if again.EndOffset() != 1 || again.HighWatermark() != 1 {
		t.Errorf("reopened log ends at %d, high watermark %d; want 1 and 1", again.EndOffset(), again.HighWatermark())
	}
}

func TestCleanMarker(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, dir, &disk{})
	if !r.Clean() {
		t.Error("a fresh directory is not clean")
	}
	r.create(t, "a", nil)
	r.start(t, dir) // as after a crash: the first Set was not closed
	if r.Clean() {
		t.Error("a directory that was not closed is clean")
	}
}

func TestRetention(t *testing.T) {
	r := newRig(t, t.TempDir(), &disk{})
	p := r.create(t, "a", map[string]string{"segment.bytes": "1024", "retention.ms": "60000"})
	ms := time.Now().UnixMilli()
	for range 50 {
		if _, err := p.Append(batch(t, ms, "k", strings.Repeat("v", 100)), true); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.WaitCommitted(within(t), 50); err != nil {
		t.Fatal(err)
	}
	r.each("", r.enforceRetention)
	if p.StartOffset() != 0 {
		t.Fatalf("log starts at %d before anything is old", p.StartOffset())
	}
	r.now.Store(ms + 61000)
	r.each("", r.enforceRetention)
	if p.StartOffset() == 0 || p.EndOffset() != 50 {
		t.Errorf("log is from %d to %d after a minute", p.StartOffset(), p.EndOffset())
	}
}

// flush.ms writes to disk although nobody waits for it.
func TestFlushInterval(t *testing.T) {
	d := &disk{}
	r := newRig(t, t.TempDir(), d)
	if got := r.flushInterval(); got != time.Hour {
		t.Errorf("without flush.ms the interval is %v", got)
	}
	p := r.create(t, "a", map[string]string{"flush.before.ack": "never", "flush.ms": "20"})
	if got := r.flushInterval(); got != 20*time.Millisecond {
		t.Errorf("the interval is %v, want 20ms", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	before := d.syncs.Load()
	if _, err := p.Append(now(t), false); err != nil {
		t.Fatal(err)
	}
	for limit := within(t); d.syncs.Load() == before; runtime.Gosched() {
		if limit.Err() != nil {
			t.Fatal("not flushed")
		}
	}
	cancel()
	running.Wait()
}

func TestAppendAllocations(t *testing.T) {
	r := newRig(t, t.TempDir(), &disk{})
	p := r.create(t, "a", map[string]string{"flush.before.ack": "never"})
	v := now(t)
	if n := testing.AllocsPerRun(500, func() {
		v.SetBaseOffset(0)
		if _, err := p.Append(v, true); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("Append allocates %v times", n)
	}
}

func BenchmarkAppendDurable(b *testing.B) {
	r := newRig(b, b.TempDir(), &disk{})
	p := r.create(b, "a", nil)
	b.SetBytes(int64(len(now(b))))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		v := now(b)
		for pb.Next() {
			v.SetBaseOffset(0)
			a, err := p.Append(v, true)
			if err == nil {
				err = p.WaitCommitted(context.Background(), a.LastOffset+1)
			}
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
}
