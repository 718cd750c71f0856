package store

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/broker/brokertest"
)

// Offsets that a task writes in a transaction count once it is committed, and
// never if it is aborted; a reader waits for an open one.
func TestOffsetsOfTransactions(t *testing.T) {
	c := brokertest.Start(t)
	ctx := t.Context()
	o, err := OpenOffsets(ctx, config(c, "offsets", 5))
	must(t, err)
	defer o.Close()
	partition := []byte(`{"server":"a"}`)
	must(t, o.Put(ctx, "c", []Entry{{Partition: partition, Offset: []byte(`{"lsn":1}`)}}))
	producer := c.Client(t, kgo.TransactionalID("g-c-0"))
	write := func(offset string) {
		t.Helper()
		must(t, producer.BeginTransaction())
		records, err := o.Records("c", []Entry{{Partition: partition, Offset: []byte(offset)}})
		must(t, err)
		must(t, producer.ProduceSync(ctx, records...).FirstErr())
	}
	want := func(offset string) {
		t.Helper()
		got, err := o.Get(ctx, "c", partition)
		must(t, err)
		if string(got[0]) != offset {
			t.Errorf("offset %s, want %s", got[0], offset)
		}
	}
	write(`{"lsn":2}`)
	must(t, producer.EndTransaction(ctx, kgo.TryAbort))
	want(`{"lsn":1}`)

	write(`{"lsn":3}`)
	// Who opens the store, or lists what it holds, does not wait.
	fresh, err := OpenOffsets(ctx, config(c, "offsets", 5))
	must(t, err)
	defer fresh.Close()
	if all, err := fresh.List(ctx, "c"); err != nil || len(all) != 1 || string(all[0].Offset) != `{"lsn":1}` {
		t.Errorf("listed %v (%v), want lsn 1", all, err)
	}
	early := make(chan string, 1)
	go func() {
		got, err := o.Get(ctx, "c", partition)
		if err != nil {
			early <- err.Error()
			return
		}
		early <- string(got[0])
	}()
	select {
	case got := <-early:
		t.Errorf("Get answered %s while a transaction was open", got)
	case <-time.After(300 * time.Millisecond): // long enough for an answer that does not wait
		must(t, producer.EndTransaction(ctx, kgo.TryCommit))
		if got := <-early; got != `{"lsn":3}` {
			t.Errorf("offset %s after the commit, want lsn 3", got)
		}
	}
}
