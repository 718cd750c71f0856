package postgres

import (
	"context"
	"time"

	"github.com/millrace/millrace/plugins/sdk"
)

// counts are what the emitter has written since they were told last.
type counts struct{ read, created, updated, deleted, truncated, messages, unconvertible uint64 }

// figures are what the task tells the worker of itself.
type figures struct {
	read, created, updated, deleted, truncated *sdk.Counter
	messages, transactions, unconvertible      *sdk.Counter
	retained, behind, held                     *sdk.Gauge
}

func newFigures(ctx context.Context) *figures {
	counter := func(name string) *sdk.Counter { return sdk.NewCounter(ctx, name) }
	return &figures{
		read: counter("rows_read"), created: counter("rows_created"), updated: counter("rows_updated"), deleted: counter("rows_deleted"),
		truncated: counter("tables_truncated"), messages: counter("logical_messages"), transactions: counter("transactions"),
		unconvertible: counter("values_left_out"),
		retained:      sdk.NewGauge(ctx, "slot_retained_bytes"), behind: sdk.NewGauge(ctx, "behind_milliseconds"),
		held: sdk.NewGauge(ctx, "transactions_held_bytes"),
	}
}

// tell adds what was counted.
func (f *figures) tell(c *counts) {
	f.read.Add(c.read)
	f.created.Add(c.created)
	f.updated.Add(c.updated)
	f.deleted.Add(c.deleted)
	f.truncated.Add(c.truncated)
	f.messages.Add(c.messages)
	f.unconvertible.Add(c.unconvertible)
	*c = counts{}
}

// committed tells of a transaction that was handled to its end.
func (f *figures) committed(micros int64, held int64) {
	f.transactions.Add(1)
	f.behind.Set(max(time.Now().UnixMicro()-micros, 0) / 1000)
	f.held.Set(held)
}

// count counts a change by its operation.
func (c *counts) count(op byte) {
	switch op {
	case 'r':
		c.read++
	case 'c':
		c.created++
	case 'u':
		c.updated++
	case 'd':
		c.deleted++
	}
}
