package sdktest

import (
	"encoding/json"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/millrace/millrace/plugins/sdk"
)

// Source tells TestSource about a source connector.
type Source struct {
	Connector sdk.Connector
	// Config returns a configuration that works, with at least Records records
	// to read. It is called for each run; all runs must find the same records.
	Config func(t testing.TB) map[string]string
	// Records is how many records each run reads: 20 if it is 0.
	Records int
	// BadConfigs are configurations that must be refused, by what is wrong
	// with them.
	BadConfigs map[string]map[string]string
	// Text tells records apart and shows them: Record.Text if it is nil.
	Text func(Record) string
}

// TestSource checks what every source must do: refuse bad configurations,
// deliver in an order that is the same each time, continue right after a
// stored offset, stop and close when told to, and leave nothing running.
func TestSource(t *testing.T, s Source) {
	if s.Records == 0 {
		s.Records = 20
	}
	if s.Text == nil {
		s.Text = Record.Text
	}
	t.Run("configuration", s.testConfig)
	t.Run("order", s.testOrder)
	t.Run("resume", s.testResume)
	t.Run("stop", s.testStop)
	t.Run("close without stop", func(t *testing.T) {
		config := s.Config(t)
		before := goroutines()
		StartSource(t, s.Connector, config, nil).Close()
		checkLeaks(t, before)
	})
}

func (s Source) testConfig(t *testing.T) {
	if problems := Validate(t, s.Connector, s.Config(t)); len(problems) > 0 {
		t.Errorf("the good configuration has problems: %q", problems)
	}
	for name, config := range s.BadConfigs {
		t.Run(name, func(t *testing.T) {
			if len(Validate(t, s.Connector, config)) > 0 {
				return
			}
			run, err := OpenSource(t, s.Connector, config, nil)
			if err == nil {
				run.Close()
				t.Error("neither Validate nor Open refuses it")
			}
		})
	}
}

// read reads s.Records records from stored offsets on.
func (s Source) read(t *testing.T, offsets Offsets, n int) []Record {
	t.Helper()
	run := StartSource(t, s.Connector, s.Config(t), offsets)
	records := run.Take(n)
	run.Stop()
	run.Close()
	return records
}

func (s Source) testOrder(t *testing.T) {
	first, second := s.read(t, nil, s.Records), s.read(t, nil, s.Records)
	moves := 0
	for i := range first {
		if a, b := s.Text(first[i]), s.Text(second[i]); a != b {
			t.Fatalf("record %d is %s in one run and %s in another", i, a, b)
		}
		if m := first[i].Move; m != nil {
			moves++
			if !isObject(m.Partition) || m.Offset != nil && !isObject(m.Offset) {
				t.Errorf("record %d moves %s to %s, which are not JSON objects", i, m.Partition, m.Offset)
			}
		}
	}
	if moves == 0 {
		t.Errorf("none of %d records moves a source offset: nothing could be resumed", len(first))
	}
}

func isObject(text []byte) bool {
	var m map[string]any
	return json.Unmarshal(text, &m) == nil && m != nil
}

// testResume stops after some of the records that move an offset, and starts
// again from what would be stored then: the rest must follow, no record twice
// and none missing.
func (s Source) testResume(t *testing.T) {
	all := s.read(t, nil, s.Records)
	offsets := make(Offsets)
	cuts := 0
	for i := range all[:len(all)-1] {
		offsets.Apply(all[i : i+1])
		if all[i].Move == nil || cuts > 0 && i%max(len(all)/4, 1) != 0 {
			continue
		}
		cuts++
		t.Run(fmt.Sprintf("after record %d", i), func(t *testing.T) {
			rest := s.read(t, maps.Clone(offsets), len(all)-i-1)
			for j, got := range rest {
				if a, b := s.Text(got), s.Text(all[i+1+j]); a != b {
					t.Fatalf("from %v on, record %d is %s, want %s", offsets, j, a, b)
				}
			}
		})
	}
	if cuts == 0 {
		t.Error("there is no place to resume from")
	}
}

// testStop stops a task that delivers, and one that has nothing to deliver or
// whose consumer takes nothing.
func (s Source) testStop(t *testing.T) {
	config := s.Config(t)
	before := goroutines()
	run := StartSource(t, s.Connector, config, nil)
	run.Take(s.Records / 2)
	run.Acknowledge()
	started := time.Now()
	run.Stop()
	run.Acknowledge()
	run.Close()
	if took := time.Since(started); took > Patience/3 {
		t.Errorf("the stop took %v", took)
	}
	checkLeaks(t, before)

	run = StartSource(t, s.Connector, s.Config(t), nil)
	run.TakeFor(200 * time.Millisecond) // perhaps all there is
	run.Stop()
	run.Close()
	checkLeaks(t, before)
}
