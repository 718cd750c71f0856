package commitlog

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/broker/recordbatch"
)

// TestMain fails the package when a goroutine outlives the tests.
func TestMain(m *testing.M) {
	code := m.Run()
	for deadline := time.Now().Add(2 * time.Second); ; runtime.Gosched() {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		if !strings.Contains(string(stacks), "commitlog.(*Log)") {
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

func mustOpen(t testing.TB, dir string, cfg Config) *Log {
	t.Helper()
	l, err := Open(dir, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// batch is what tests append; zero fields are those of a plain batch.
type batch struct {
	n        int // records, 1 if zero
	size     int // bytes of each value
	time     int64
	producer int64 // 0 for none
	epoch    int16
	seq      int32
	txn      bool
}

func (b batch) view(t testing.TB) recordbatch.View {
	t.Helper()
	var bld recordbatch.Builder
	for i := range max(b.n, 1) {
		value := bytes.Repeat([]byte{byte('a' + i%26)}, b.size)
		if err := bld.Add(b.time+int64(i), fmt.Appendf(nil, "k%d", i), value); err != nil {
			t.Fatal(err)
		}
	}
	p := recordbatch.NoProducer
	if b.producer != 0 {
		p = recordbatch.Producer{ID: b.producer, Epoch: b.epoch, BaseSequence: b.seq, Transactional: b.txn}
	}
	return bld.Batch(p)
}

func mustAppend(t testing.TB, l *Log, b batch) Appended {
	t.Helper()
	a, err := l.Append(b.view(t), 0)
	if err != nil {
		t.Fatalf("Append(%+v): %v", b, err)
	}
	return a
}

// readAll reads every batch from offset to bound, chunk by chunk.
func readAll(t testing.TB, l *Log, offset, bound int64, maxBytes int) []byte {
	t.Helper()
	var out []byte
	for offset < bound {
		c, err := l.Read(offset, maxBytes, bound, true)
		if err != nil {
			t.Fatalf("Read(%d, %d, %d): %v", offset, maxBytes, bound, err)
		}
		b, err := c.AppendTo(nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if len(b) == 0 {
			t.Fatalf("Read(%d, %d, %d) is empty", offset, maxBytes, bound)
		}
		for rest := b; len(rest) > 0; {
			var v recordbatch.View
			if v, rest, err = recordbatch.Parse(rest); err != nil {
				t.Fatalf("Read(%d, %d, %d) cuts a batch: %v", offset, maxBytes, bound, err)
			}
			if err := v.CheckCRC(); err != nil {
				t.Fatal(err)
			}
			offset = v.NextOffset()
		}
		out = append(out, b...)
	}
	return out
}

func offsetsOf(t testing.TB, b []byte) []int64 {
	t.Helper()
	var out []int64
	for len(b) > 0 {
		v, rest, err := recordbatch.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		out, b = append(out, v.BaseOffset()), rest
	}
	return out
}

// markerView is the end of a transaction as a coordinator writes it.
func markerView(t testing.TB, id int64, epoch int16, kind recordbatch.ControlType, coordinator int32) recordbatch.View {
	t.Helper()
	var b recordbatch.Builder
	v, err := b.Marker(0, id, epoch, recordbatch.Marker{Type: kind, CoordinatorEpoch: coordinator})
	if err != nil {
		t.Fatal(err)
	}
	return v
}
