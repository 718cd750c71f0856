package host

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/plugins/data"
)

func openSink(t testing.TB, h *Host, mode string, events SinkEvents) *Sink {
	t.Helper()
	s, err := h.OpenSink(t.Context(), SinkSpec{
		Target: Target{builtin(), "test.Collect"}, Connector: "archive", Task: 1,
		Config: map[string]string{"mode": mode}, Events: events, BatchBytes: 4 << 10,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func logRecords(n int) []data.Record {
	out := make([]data.Record, n)
	for i := range out {
		out[i] = data.Record{
			Topic: "t", Partition: 1, Offset: int64(i), OriginalTopic: "t", OriginalPartition: 1, OriginalOffset: int64(i),
			Value: data.Datum{State: data.Present, Schema: rowSchema, Row: []byte(strings.Repeat("v", 100))},
		}
	}
	return out
}

func TestSinkLife(t *testing.T) {
	h, log := newHost(t, Config{})
	commits := 0
	s := openSink(t, h, "", SinkEvents{RequestCommit: func() { commits++ }})
	ctx, tp := t.Context(), TopicPartition{Topic: "t", Partition: 1}
	if err := s.Assigned(ctx, Offsets{tp: 0}); err != nil {
		t.Fatal(err)
	}
	for range 3 { // each in some fifty pieces
		if n, err := s.Put(ctx, logRecords(2000)); err != nil || n != 2000 {
			t.Fatalf("put took %d records, error %v", n, err)
		}
	}
	if n, err := s.Put(ctx, nil); err != nil || n != 0 {
		t.Fatalf("empty put took %d records, error %v", n, err)
	}
	if commits != 1 {
		t.Errorf("%d commits were asked for, want 1", commits)
	}
	offsets, err := s.PreCommit(ctx, Offsets{tp: 2000})
	if err != nil || len(offsets) != 1 || offsets[tp] != 2000 {
		t.Errorf("offsets %v, error %v", offsets, err)
	}
	if err := s.Revoked(ctx, []TopicPartition{tp}, true); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"opened partitions", "records=6000", "closed partitions", "lost=true", "connector=archive", "task=1"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q", want)
		}
	}
}

// A record that cannot be written is named by its place in the whole put; what
// came before it was taken.
func TestPoisonRecordIsFound(t *testing.T) {
	h, _ := newHost(t, Config{})
	s := openSink(t, h, "", SinkEvents{})
	defer closeQuietly(t, s.Close)
	records := logRecords(1000)
	records[777].Value.Row = []byte("poison")
	n, err := s.Put(t.Context(), records)
	var e *Error
	if !errors.As(err, &e) || e.Class != Record || e.Index != 777 || n != 777 {
		t.Fatalf("put took %d records, error %v (%+v)", n, err, e)
	}
	// The rest without the culprit goes through.
	if n, err := s.Put(t.Context(), records[n+1:]); err != nil || n != 222 {
		t.Errorf("put took %d records, error %v", n, err)
	}
}

func TestTransientPutIsRepeated(t *testing.T) {
	h, _ := newHost(t, Config{})
	var timeout time.Duration
	s := openSink(t, h, "busy", SinkEvents{Timeout: func(d time.Duration) { timeout = d }})
	defer closeQuietly(t, s.Close)
	records := logRecords(500)
	n, err := s.Put(t.Context(), records)
	var e *Error
	if !errors.As(err, &e) || e.Class != Transient || e.RetryAfter != time.Second || n != 0 {
		t.Fatalf("put took %d records, error %v", n, err)
	}
	if timeout != 50*time.Millisecond {
		t.Errorf("timeout is %v", timeout)
	}
	if n, err := s.Put(t.Context(), records[n:]); err != nil || n != 500 {
		t.Errorf("put took %d records, error %v", n, err)
	}
}

func TestSinkEvents(t *testing.T) {
	h, _ := newHost(t, Config{})
	var got []string
	note := func(format string, args ...any) { got = append(got, fmt.Sprintf(format, args...)) }
	s := openSink(t, h, "events", SinkEvents{
		Rewind: func(o Offsets) { note("rewind %v", o) },
		Pause:  func(tps []TopicPartition) { note("pause %v", tps) },
		Resume: func(tps []TopicPartition) { note("resume %v", tps) },
	})
	if _, err := s.Put(t.Context(), logRecords(1)); err != nil {
		t.Fatal(err)
	}
	// What was asked for during a put is known when it returns.
	if want := "rewind map[{t 1}:5], pause [{t 1}], resume [{t 1}]"; strings.Join(got, ", ") != want {
		t.Errorf("events are %v, want %s", got, want)
	}
	closeQuietly(t, s.Close)

	var errant []int64
	s = openSink(t, h, "errant", SinkEvents{Errant: func(tp TopicPartition, offset int64, err error) {
		if tp.Topic != "t" || !strings.Contains(err.Error(), "is odd") {
			t.Errorf("errant record of %v: %v", tp, err)
		}
		errant = append(errant, offset)
	}})
	if n, err := s.Put(t.Context(), logRecords(6)); err != nil || n != 6 {
		t.Errorf("put took %d records, error %v", n, err)
	}
	if fmt.Sprint(errant) != "[1 3 5]" {
		t.Errorf("errant records are %v", errant)
	}
	closeQuietly(t, s.Close)
}

func TestPreCommitBeyondWhatWasPutIsRefused(t *testing.T) {
	h, _ := newHost(t, Config{})
	s := openSink(t, h, "eager", SinkEvents{})
	defer closeQuietly(t, s.Close)
	_, err := s.PreCommit(t.Context(), Offsets{{Topic: "t", Partition: 1}: 5})
	if err == nil || !strings.Contains(err.Error(), "was not put") {
		t.Errorf("error is %v", err)
	}
}

func TestPutThatHangsIsKilled(t *testing.T) {
	h, _ := newHost(t, Config{StopGrace: time.Second})
	s := openSink(t, h, "hang", SinkEvents{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := s.Put(ctx, logRecords(1)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v", err)
	}
	pid := s.Stats().PID
	if err := s.Close(t.Context()); !errors.As(err, new(*ExitError)) || !strings.Contains(err.Error(), "did not answer in time") {
		t.Errorf("close says %v", err)
	}
	if alive(pid) {
		t.Error("the process is alive")
	}
}

func TestWrongKindOfTask(t *testing.T) {
	h, _ := newHost(t, Config{})
	_, err := h.OpenSink(t.Context(), SinkSpec{Target: Target{builtin(), "test.Count"}})
	if err == nil || !strings.Contains(err.Error(), "count is not a sink") {
		t.Errorf("error is %v", err)
	}
	_, err = h.OpenSource(t.Context(), SourceSpec{Target: Target{builtin(), "test.Collect"}})
	if err == nil || !strings.Contains(err.Error(), "collect is not a source") {
		t.Errorf("error is %v", err)
	}
}

func BenchmarkSink(b *testing.B) {
	h, _ := newHost(b, Config{})
	s, err := h.OpenSink(b.Context(), SinkSpec{Target: Target{builtin(), "test.Collect"}})
	if err != nil {
		b.Fatal(err)
	}
	defer closeQuietly(b, s.Close)
	records := logRecords(20000)
	n := 0
	for b.Loop() {
		taken, err := s.Put(b.Context(), records)
		if err != nil {
			b.Fatal(err)
		}
		n += taken
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "records/s")
	b.ReportMetric(float64(n)*100/1e6/b.Elapsed().Seconds(), "MB/s")
}
