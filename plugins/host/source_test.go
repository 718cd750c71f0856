package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/plugins/data"
)

// next returns the next batch of a source that must have one, and its records
// and last position; it releases the batch.
func next(t testing.TB, s *Source) (seq uint64, first, last int64, position string) {
	t.Helper()
	b, seq, release, err := s.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if n := len(b.Positions); n > 0 {
		position = string(b.Positions[n-1].Offset)
	}
	return seq, b.Records[0].Timestamp, b.Records[len(b.Records)-1].Timestamp, position
}

func TestSourceRunsFromStoredOffsetToStop(t *testing.T) {
	h, log := newHost(t, Config{})
	asked := ""
	s := openSource(t, h, SourceSpec{
		Connector: "orders", Task: 3, Config: map[string]string{"records": "10"}, Window: 2 << 10,
		Offsets: func(_ context.Context, partitions [][]byte) ([][]byte, error) {
			asked = string(partitions[0])
			return [][]byte{[]byte(`{"n":41}`)}, nil
		},
	})
	if asked != `{"source":"count"}` {
		t.Errorf("it asked for the offset of %q", asked)
	}
	seq, first, last, position := next(t, s)
	if seq != 1 || first != 42 || last != 51 || position != `{"n":51}` {
		t.Errorf("batch %d has records %d to %d at %s", seq, first, last, position)
	}
	seq, first, _, _ = next(t, s)
	if seq != 2 || first != 52 {
		t.Errorf("batch %d begins with record %d", seq, first)
	}
	for _, call := range []func() error{func() error { return s.Acked(1) }, func() error { return s.Stored(1) }, func() error { return s.Acked(2) }} {
		if err := call(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	rest := drainAll(t, s)
	if rest%10 != 0 {
		t.Errorf("%d records came between the last batch and the stop", rest)
	}
	if _, _, _, err := s.Next(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("after the end comes %v", err)
	}
	if err := s.Stored(2); err != nil { // the last acknowledgement, given after the stop
		t.Fatal(err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`msg="heard stored"`, "n=61", "records=20", "connector=orders", "task=3"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, log)
		}
	}
	if alive(s.Stats().PID) {
		t.Error("the process is alive after Close")
	}
}

// A task says where transactions end if it is to; batches end there. A poll
// that crosses in pieces says so.
func TestTransactionsEndWithBatches(t *testing.T) {
	h, _ := newHost(t, Config{})
	for _, tt := range []struct {
		defines bool
		want    string
	}{
		{true, "4 records, end 1, more true; 4 records, end 2, more true; 2 records, end 0, more false; "},
		{false, "10 records, end 0, more false; 10 records, end 0, more false; 10 records, end 0, more false; "},
	} {
		s := openSource(t, h, SourceSpec{
			Connector: "orders", Config: map[string]string{"mode": "transactions", "records": "10"}, DefinesTransactions: tt.defines,
		})
		got := ""
		for range 3 {
			b, _, release, err := s.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got += fmt.Sprintf("%d records, end %d, more %v; ", len(b.Records), b.End, b.More)
			release()
		}
		if got != tt.want {
			t.Errorf("defined by the task %v: %s\nwant %s", tt.defines, got, tt.want)
		}
		closeQuietly(t, s.Close)
	}
}

// A consumer that takes nothing must not make the worker's memory grow: the
// task stops when its credit is used up.
func TestCreditBoundsWhatIsInFlight(t *testing.T) {
	h, _ := newHost(t, Config{})
	const window, size = 1 << 20, 64 << 10
	s := openSource(t, h, SourceSpec{
		Config: map[string]string{"records": "64", "size": "1024"}, Window: window, BatchBytes: size,
	})
	defer closeQuietly(t, s.Close)
	stalled := func() uint64 {
		var before, after uint64
		for before, after = 1, 0; before != after; {
			before = s.source.Received()
			time.Sleep(100 * time.Millisecond) // the absence of traffic needs some time to show
			after = s.source.Received()
		}
		return after
	}
	if n := stalled(); n < window || n > window+2*size {
		t.Errorf("%d bytes arrived while nothing was taken, want about %d", n, window)
	}
	var held []func()
	for range 8 {
		b, _, release, err := s.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(b.Records) != 64 {
			t.Fatalf("%d records", len(b.Records))
		}
		held = append(held, release)
	}
	before := stalled()
	for _, release := range held {
		release()
	}
	eventually(t, "more to arrive after the release", func() bool { return s.source.Received() > before })
	if n := stalled(); n > before+8*2*size {
		t.Errorf("%d bytes arrived after the release of %d", n-before, 8*size)
	}
}

func TestProgressReachesTheWorker(t *testing.T) {
	h, _ := newHost(t, Config{})
	s := openSource(t, h, SourceSpec{Connector: "orders", Config: map[string]string{"mode": "wait"}})
	eventually(t, "the progress", func() bool { return s.Progress().Work != "" })
	if got, want := s.Progress(), (Progress{Work: "waiting", Records: 7, Done: 0.5, PerSecond: 2, Left: 1500 * time.Millisecond}); got != want {
		t.Errorf("progress is %+v, want %+v", got, want)
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestPauseAndResume(t *testing.T) {
	h, _ := newHost(t, Config{})
	s := openSource(t, h, SourceSpec{Config: map[string]string{"records": "1"}, Window: 4 << 10})
	defer closeQuietly(t, s.Close)
	if err := s.Pause(true); err != nil {
		t.Fatal(err)
	}
	// After a pause the source dries up, however much is taken.
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		_, _, release, err := s.Next(ctx)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		release()
	}
	if err := s.Pause(false); err != nil {
		t.Fatal(err)
	}
	next(t, s)
}

func TestErrorsAreClassed(t *testing.T) {
	h, _ := newHost(t, Config{})
	_, err := h.OpenSource(t.Context(), SourceSpec{Target: Target{builtin(), "test.Count"}, Config: map[string]string{"mode": "refuse"}})
	var e *Error
	if !errors.As(err, &e) || e.Class != Transient || e.RetryAfter != 7*time.Second || !strings.Contains(err.Error(), "the server is away") {
		t.Errorf("error of the opening is %v, class %v", err, e)
	}
	_, err = h.OpenSource(t.Context(), SourceSpec{Target: Target{builtin(), "test.Count"}, Config: map[string]string{"records": "x", "size": "y"}})
	if !errors.As(err, &e) || e.Class != Fatal || !strings.Contains(err.Error(), "records") || !strings.Contains(err.Error(), "size") {
		t.Errorf("error of a bad configuration is %v", err)
	}
	for mode, want := range map[string]string{"fatal": "the table was dropped", "panic": "panic in Poll: a mistake of the author"} {
		s := openSource(t, h, SourceSpec{Config: map[string]string{"mode": mode}})
		_, _, _, err := s.Next(t.Context())
		if !errors.As(err, &e) || e.Class != Fatal || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v", mode, err)
		}
		closeQuietly(t, s.Close)
	}
	var retried atomic.Int32
	s := openSource(t, h, SourceSpec{
		Config: map[string]string{"mode": "retry"},
		Retrying: func(err error) {
			if strings.Contains(err.Error(), "connection reset") {
				retried.Add(1)
			}
		},
	})
	next(t, s)
	if retried.Load() != 2 {
		t.Errorf("%d retries were told, want 2", retried.Load())
	}
	closeQuietly(t, s.Close)
}

func TestOffsetReaderErrorReachesTheConnector(t *testing.T) {
	h, _ := newHost(t, Config{})
	_, err := h.OpenSource(t.Context(), SourceSpec{
		Target: Target{builtin(), "test.Count"},
		Offsets: func(context.Context, [][]byte) ([][]byte, error) {
			return nil, errors.New("the offsets topic is not readable")
		},
	})
	if err == nil || !strings.Contains(err.Error(), "the offsets topic is not readable") {
		t.Errorf("error is %v", err)
	}
}

func TestEndOfTheProcessIsExplained(t *testing.T) {
	h, _ := newHost(t, Config{StopGrace: time.Second, memoryPeriod: 20 * time.Millisecond})
	for _, tt := range []struct {
		mode   string
		limit  int64
		signal syscall.Signal
		code   int
		want   []string
	}{
		{mode: "exit", code: 42, want: []string{"exited with status 42", "I am leaving"}},
		{mode: "crash", code: 2, want: []string{"out of ideas", "the connector crashed"}},
		{mode: "memory", limit: 150 << 20, signal: syscall.SIGKILL, code: -1, want: []string{"memory", "its limit is 150 MiB"}},
	} {
		t.Run(tt.mode, func(t *testing.T) {
			err := runToItsEnd(t, h, SourceSpec{Config: map[string]string{"mode": tt.mode}, MemoryLimit: tt.limit})
			var e *ExitError
			if !errors.As(err, &e) || e.Signal != tt.signal || e.Code != tt.code {
				t.Fatalf("error is %v", err)
			}
			for _, want := range append(tt.want, fmt.Sprint(e.PID)) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
		})
	}
}

// runToItsEnd reads a source until it fails and returns why. One whose process
// ends at once may do so before it was seen to be open.
func runToItsEnd(t *testing.T, h *Host, spec SourceSpec) error {
	t.Helper()
	spec.Target = Target{builtin(), "test.Count"}
	s, err := h.OpenSource(t.Context(), spec)
	if err != nil {
		return err
	}
	for err == nil {
		var release func()
		if _, _, release, err = s.Next(t.Context()); err == nil {
			release()
		}
	}
	if cerr := s.Close(t.Context()); cerr == nil {
		t.Error("close hides how the process ended")
	}
	return err
}

func TestKilledChildIsAnError(t *testing.T) {
	h, _ := newHost(t, Config{})
	s := openSource(t, h, SourceSpec{Config: map[string]string{"mode": "wait"}})
	if err := syscall.Kill(s.Stats().PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_, _, _, err := s.Next(t.Context())
	var e *ExitError
	if !errors.As(err, &e) || e.Signal != syscall.SIGKILL || e.Killed != "" || !strings.Contains(err.Error(), "somebody killed it") {
		t.Errorf("error is %v", err)
	}
	if err := s.Acked(1); !errors.As(err, &e) {
		t.Errorf("acknowledging to a dead task: %v", err)
	}
	if err := s.Close(t.Context()); !errors.As(err, &e) {
		t.Errorf("close says %v", err)
	}
}

// A process that does not stop, or that does not run at all, is killed within
// the grace.
func TestHungTaskIsKilled(t *testing.T) {
	h, _ := newHost(t, Config{StopGrace: time.Second})
	for _, mode := range []string{"deaf", "hang-in-close", "stopped by a signal"} {
		t.Run(mode, func(t *testing.T) {
			s := openSource(t, h, SourceSpec{Config: map[string]string{"mode": mode}})
			if mode == "stopped by a signal" {
				if err := syscall.Kill(s.Stats().PID, syscall.SIGSTOP); err != nil {
					t.Fatal(err)
				}
				// The signal acts some time after kill has returned.
				eventually(t, "the process to stop", func() bool {
					threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", s.Stats().PID))
					return err == nil && len(threads) > 0 && !slices.ContainsFunc(threads, func(path string) bool {
						stat, err := os.ReadFile(path)
						return err != nil || !strings.Contains(string(stat), ") T ")
					})
				})
			}
			started := time.Now()
			err := s.Close(t.Context())
			var e *ExitError
			if !errors.As(err, &e) || e.Signal != syscall.SIGKILL || !strings.Contains(err.Error(), "did not close in time") {
				t.Fatalf("close says %v", err)
			}
			if took := time.Since(started); took > 4*time.Second {
				t.Errorf("it took %v", took)
			}
			if alive(e.PID) {
				t.Error("the process is alive")
			}
		})
	}
}

func TestTaskThatHangsInOpenIsKilled(t *testing.T) {
	h, _ := newHost(t, Config{CallTimeout: time.Second, StopGrace: time.Second})
	_, err := h.OpenSource(t.Context(), SourceSpec{Target: Target{builtin(), "test.Count"}, Config: map[string]string{"mode": "hang-in-open"}})
	if err == nil || !strings.Contains(err.Error(), "no answer within 1s") {
		t.Errorf("error is %v", err)
	}
}

func TestCrashLoop(t *testing.T) {
	h, _ := newHost(t, Config{})
	for i := range 10 {
		if err := runToItsEnd(t, h, SourceSpec{Config: map[string]string{"mode": "exit"}}); !errors.As(err, new(*ExitError)) {
			t.Fatalf("try %d: %v", i, err)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.processes) != 0 {
		t.Errorf("%d processes are still counted", len(h.processes))
	}
}

// Ctrl-C in the worker's terminal reaches the whole session; tasks end when
// the worker stops them, not before.
func TestInterruptDoesNotEndTasks(t *testing.T) {
	h, _ := newHost(t, Config{})
	s := openSource(t, h, SourceSpec{Config: map[string]string{"records": "1"}})
	defer closeQuietly(t, s.Close)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if err := syscall.Kill(s.Stats().PID, sig); err != nil {
			t.Fatal(err)
		}
	}
	// Everything that was in flight has been taken, and more comes.
	for range 3000 {
		next(t, s)
	}
	group, err := syscall.Getpgid(s.Stats().PID)
	if err != nil || group != s.Stats().PID {
		t.Errorf("its process group is %d, error %v", group, err)
	}
}

func TestStats(t *testing.T) {
	h, _ := newHost(t, Config{})
	s := openSource(t, h, SourceSpec{Config: map[string]string{"records": "100"}})
	for range 50 {
		next(t, s)
	}
	eventually(t, "processor time to be counted", func() bool { next(t, s); return s.Stats().CPU > 0 })
	if st := s.Stats(); st.RSS < 1<<20 || st.RSS > 1<<30 || st.Uptime <= 0 {
		t.Errorf("stats are %+v", st)
	}
	closeQuietly(t, s.Close)
	if st := s.Stats(); st.RSS != 0 || st.CPU == 0 {
		t.Errorf("stats after the end are %+v", st)
	}
}

// Benchmarks of the boundary alone: records of 100 bytes in payloads of 256
// KiB from a process that does nothing else.
func BenchmarkSource(b *testing.B) {
	h, _ := newHost(b, Config{})
	s := openSource(b, h, SourceSpec{Config: map[string]string{"records": "2500", "mode": "bench"}})
	defer closeQuietly(b, s.Close)
	var records, bytes int
	for b.Loop() {
		batch, seq, release, err := s.Next(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		records += len(batch.Records)
		bytes += rowBytes(batch)
		release()
		if seq%64 == 0 {
			if err := s.Stored(seq); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(records)/b.Elapsed().Seconds(), "records/s")
	b.ReportMetric(float64(bytes)/1e6/b.Elapsed().Seconds(), "MB/s")
}

func rowBytes(b *data.Batch) (n int) {
	for i := range b.Records {
		n += len(b.Records[i].Value.Row)
	}
	return n
}
