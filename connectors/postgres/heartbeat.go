package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace/millrace/plugins/sdk"
)

// due returns how long the server may be waited for.
func (t *task) due() time.Duration {
	next := retainedEvery // not less often
	if t.dirty {
		next = idleEvery - time.Since(t.handed)
		if t.dec.asked {
			next = 0
		}
	}
	if t.cfg.heartbeat > 0 && !t.dec.inTx {
		next = min(next, t.cfg.heartbeat-time.Since(t.beat))
	}
	if !t.dec.inTx {
		next = min(next, t.inc.patience())
		if t.asks != nil {
			// Signals were looked for just now; with a short interval, or a slow
			// disk, they would be due again, and the stream never read.
			next = min(next, max(t.asks.Due(), time.Millisecond))
		}
	}
	return next
}

// heartbeat appends a heartbeat when one is due, and runs its statement.
func (t *task) heartbeat(ctx context.Context) error {
	if t.cfg.heartbeat <= 0 || time.Since(t.beat) < t.cfg.heartbeat || t.dec.inTx {
		return nil
	}
	t.beat = time.Now()
	if err := t.em.heartbeat(ctx, t.beat); err != nil {
		return err
	}
	if t.cfg.heartbeatQuery == "" {
		return nil
	}
	_, err := query(ctx, t.conn, t.cfg.heartbeatQuery)
	switch code := sqlState(err); {
	case err == nil:
		return nil
	case code == codeNoTable || code == codeTerminated:
		return sdk.Fatal(fmt.Errorf("heartbeat.action.query: %w", err))
	case code == "":
		return fmt.Errorf("heartbeat.action.query: %w", err)
	}
	t.log.Warn("heartbeat.action.query", "err", err)
	return nil
}
