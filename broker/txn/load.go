package txn

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Load takes over a partition of __transaction_state, of which this broker has
// become the leader in an epoch, from all of its records in order; they must
// be committed. Until it returns, the partition's ids answer
// COORDINATOR_LOAD_IN_PROGRESS. Transactions that were decided are ended. A
// malformed record is an error, and the partition is not led. NOT_COORDINATOR
// means that Unload, or another Load, came in between.
func (c *Coordinator) Load(id, epoch int32, records iter.Seq2[Record, error]) error {
	p := c.parts[id]
	term := p.begin(true)
	txns, err := c.replay(epoch, records)
	p.mu.Lock()
	if p.term == term {
		p.loading = false
	} else if err == nil {
		err = kerr.NotCoordinator
	}
	if err != nil {
		p.mu.Unlock()
		return fmt.Errorf("load __transaction_state %d: %w", id, err)
	}
	p.epoch, p.txns, p.stalled = epoch, txns, make(map[*Txn]bool)
	p.mu.Unlock()
	unfinished := 0
	for _, t := range txns {
		p.mu.Lock()
		if p.term != term || !t.state.decided() {
			p.mu.Unlock()
			continue
		}
		unfinished++
		p.run(t, t.mark(time.Now()))
	}
	level := slog.LevelInfo
	if len(txns) == 0 {
		level = slog.LevelDebug // most of the fifty partitions of a small cluster
	}
	c.cfg.Logger.Log(context.Background(), level, "transaction partition loaded", "partition", id, "epoch", epoch,
		"transactional_ids", len(txns), "unfinished", unfinished)
	return nil
}

// Unload gives up a partition: its ids answer NOT_COORDINATOR, and so does
// what waits.
func (c *Coordinator) Unload(id int32) { c.parts[id].begin(false) }

// begin drops the ids there are and starts a new term.
func (p *partition) begin(loading bool) int {
	p.mu.Lock()
	old := p.txns
	p.txns, p.stalled, p.loading = nil, nil, loading
	p.term++
	term := p.term
	p.disarm()
	var actions []Action // replies
	for _, t := range old {
		actions = append(actions, t.kill(time.Now())...)
	}
	p.mu.Unlock()
	for _, a := range actions {
		a.Reply()
	}
	return term
}

// replay adds the records up to ids.
func (c *Coordinator) replay(epoch int32, records iter.Seq2[Record, error]) (map[string]*Txn, error) {
	txns := make(map[string]*Txn)
	for r, err := range records {
		if err != nil {
			return nil, err
		}
		id, m, ok, err := decodeRecord(r)
		switch {
		case err != nil:
			return nil, err
		case !ok:
		case m == nil:
			delete(txns, id)
		default:
			t := newTxn(id, &c.cfg, epoch)
			t.meta = *m
			txns[id] = t
		}
	}
	return txns, nil
}
