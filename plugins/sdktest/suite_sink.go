package sdktest

import (
	"slices"
	"testing"

	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// Sink tells TestSink about a sink connector.
type Sink struct {
	Connector sdk.Connector
	// Config returns a configuration that works and writes to an empty place.
	// It is called for each run.
	Config func(t testing.TB) map[string]string
	// Records are what is put: of one partition, with rising offsets.
	Records []data.Record
	// Read returns what a configuration's place holds, one text for each
	// record, in order.
	Read func(t testing.TB, config map[string]string) []string
	// Want is what Read returns when all Records were written once. Its texts
	// differ.
	Want []string
	// ExactlyOnce says that records put again, after a restart from the
	// committed offset, are not written twice.
	ExactlyOnce bool
	// BadConfigs are configurations that must be refused, by what is wrong
	// with them.
	BadConfigs map[string]map[string]string
}

// TestSink checks what every sink must do: refuse bad configurations, write
// what it was given in order, promise no more than it has written, lose nothing
// when it is restarted from what it promised, and leave nothing running.
func TestSink(t *testing.T, s Sink) {
	t.Run("configuration", s.testConfig)
	t.Run("written in order", s.testOrder)
	t.Run("restart loses nothing", s.testRestart)
	t.Run("nothing to do", s.testIdle)
}

func (s Sink) testConfig(t *testing.T) {
	if problems := Validate(t, s.Connector, s.Config(t)); len(problems) > 0 {
		t.Errorf("the good configuration has problems: %q", problems)
	}
	for name, config := range s.BadConfigs {
		t.Run(name, func(t *testing.T) {
			if len(Validate(t, s.Connector, config)) > 0 {
				return
			}
			run, err := OpenSink(t, s.Connector, config)
			if err == nil {
				run.Close()
				t.Error("neither Validate nor Open refuses it")
			}
		})
	}
}

func (s Sink) partition() sdk.TopicPartition {
	return sdk.TopicPartition{Topic: s.Records[0].OriginalTopic, Partition: s.Records[0].OriginalPartition}
}

// end is the offset after the first n records.
func (s Sink) end(n int) sdk.Offsets {
	offset := s.Records[0].OriginalOffset
	if n > 0 {
		offset = s.Records[n-1].OriginalOffset + 1
	}
	return sdk.Offsets{s.partition(): offset}
}

// promised checks the answer to a pre-commit after n records and returns the
// number of records that need not be put again.
func (s Sink) promised(t *testing.T, answer sdk.Offsets, n, before int) int {
	t.Helper()
	offset, ok := answer[s.partition()]
	if !ok {
		return before // nothing new
	}
	if limit := s.end(n)[s.partition()]; offset > limit || len(answer) > 1 {
		t.Fatalf("pre-commit answers %v after offset %d", answer, limit)
	}
	done := 0
	for done < len(s.Records) && s.Records[done].OriginalOffset < offset {
		done++
	}
	if done < before {
		t.Fatalf("pre-commit answers %d records after it had answered %d", done, before)
	}
	return done
}

func (s Sink) testOrder(t *testing.T) {
	config := s.Config(t)
	before := goroutines()
	run := StartSink(t, s.Connector, config)
	run.Assign(s.end(0))
	done := 0
	for n := range s.Records {
		run.MustPut(s.Records[n])
		if n%3 == 2 {
			done = s.promised(t, run.PreCommit(s.end(n+1)), n+1, done)
		}
	}
	n := len(s.Records)
	done = s.promised(t, run.PreCommit(s.end(n)), n, done)
	run.Revoke(false, s.partition())
	run.Close()
	checkLeaks(t, before)
	got := s.Read(t, config)
	if len(got) < done || !slices.Equal(got[:done], s.Want[:done]) {
		t.Errorf("it promised %d records and wrote\n%q\nwant\n%q", done, got, s.Want)
	}
}

// testRestart ends a task twice without warning, in the middle of what it was
// given, and starts another from what was promised.
func (s Sink) testRestart(t *testing.T) {
	config := s.Config(t)
	n := len(s.Records)
	done := 0
	for _, stop := range []int{n / 3, 2 * n / 3, n} {
		run := StartSink(t, s.Connector, config)
		run.Assign(s.end(done))
		stop = max(stop, done)
		run.MustPut(s.Records[done:stop]...)
		now := s.promised(t, run.PreCommit(s.end(stop)), stop, done)
		if stop < n {
			run.MustPut(s.Records[stop]) // may be lost with the task, and comes again
		}
		run.Close()
		done = now
	}
	if done == 0 {
		t.Fatal("it never promises anything: nothing would ever be committed")
	}
	got := s.Read(t, config)
	for i, want := range s.Want[:done] {
		if !slices.Contains(got, want) {
			t.Errorf("record %d, %q, was promised and is missing", i, want)
		}
	}
	if unique := len(slices.Compact(slices.Sorted(slices.Values(got)))); s.ExactlyOnce && unique < len(got) {
		t.Errorf("after restarts there are %d records twice in\n%q", len(got)-unique, got)
	}
}

// testIdle runs a task that gets nothing but the passing of time.
func (s Sink) testIdle(t *testing.T) {
	config := s.Config(t)
	before := goroutines()
	run := StartSink(t, s.Connector, config)
	run.MustPut()
	run.Assign(s.end(0))
	run.MustPut()
	run.Revoke(true, s.partition())
	run.Close()
	checkLeaks(t, before)
	if got := s.Read(t, config); len(got) > 0 {
		t.Errorf("it wrote %q without having been given anything", got)
	}
}
