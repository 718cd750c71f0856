package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/millrace/millrace/plugins/sdk"
)

// A blocking snapshot reads tables while the stream waits. It is read as the
// first one is, in an ordinary snapshot that sees all that was streamed; what
// it sees besides is left out of the stream when that goes on, for the tables
// that were read whole.

// blockingTable is a table of a blocking snapshot.
type blockingTable struct {
	ID  string `json:"id"`
	SQL string `json:"sql,omitempty"` // a statement that selects its rows, "" for all
}

// tables returns the tables of a blocking snapshot, nil for another.
func (p *position) tables() ([]blockingTable, error) {
	if p.only == "" {
		return nil, nil
	}
	var out []blockingTable
	if err := json.Unmarshal([]byte(p.only), &out); err != nil {
		return nil, fmt.Errorf("mr_snapshot_tables: %w", err)
	}
	return out, nil
}

// whole returns those of them that are read whole.
func (p *position) whole() (map[string]bool, error) {
	tables, err := p.tables()
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for _, t := range tables {
		if t.SQL == "" {
			out[t.ID] = true
		}
	}
	return out, nil
}

// shows reports whether a change shows in the blocking snapshot already.
func (d *decoder) shows(tab *table) bool {
	return d.partly && d.only[tab.relation.schema+"."+tab.name]
}

// block stops the stream and has tables read.
func (t *task) block(tables []incrementalTable) error {
	if t.pos.visible != "" {
		return fmt.Errorf("%w: the stream has not passed the last snapshot yet", errSignal)
	}
	var list []blockingTable
	for _, n := range tables {
		list = append(list, blockingTable{n.ID, deref(n.Condition)})
	}
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	t.pos.only, t.pos.snapshot, t.pos.completed, t.pos.base, t.pos.read = string(text), "BLOCKING", false, "", ""
	t.dirty = true
	t.setStream(nil)
	t.dec.reset()
	t.phase = phaseStart
	t.log.Info("streaming waits for a snapshot", "tables", tableList(tables))
	return nil
}

// settle waits until a snapshot would see all that was streamed.
func (t *task) settle(ctx context.Context) error {
	first, err := readMoment(ctx, t.conn)
	if err != nil {
		return err
	}
	for now := first; now.seen.min < first.seen.max; {
		if err := wait(ctx, lookEvery); err != nil {
			return err
		}
		if now, err = readMoment(ctx, t.conn); err != nil {
			return err
		}
	}
	return nil
}

// restrict returns what of a blocking snapshot's tables there is, with the
// statements of those that have one.
func (p *position) restrict(all []*catalogTable) ([]*catalogTable, map[string]string, error) {
	tables, err := p.tables()
	if err != nil {
		return nil, nil, sdk.Fatal(fmt.Errorf("stored offset: %w", err))
	}
	if tables == nil {
		return all, nil, nil
	}
	statements := map[string]string{}
	out := slices.DeleteFunc(all, func(c *catalogTable) bool {
		i := slices.IndexFunc(tables, func(b blockingTable) bool { return b.ID == c.schema+"."+c.name })
		if i >= 0 && tables[i].SQL != "" {
			statements[tables[i].ID] = tables[i].SQL
		}
		return i < 0
	})
	return out, statements, nil
}
