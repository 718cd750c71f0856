package postgres

import (
	"fmt"

	"github.com/millrace/millrace/plugins/sdk"
)

// failedEvent does what is configured about a change that no event can be made
// of.
func (t *task) failedEvent(tab *table, err error) error {
	switch t.cfg.onFailure {
	case "warn":
		t.log.Warn("a change is left out", "table", tab.id, "lsn", t.dec.origin.lsn.String(), "err", err)
		return nil
	case "skip", "ignore":
		t.log.Debug("a change is left out", "table", tab.id, "lsn", t.dec.origin.lsn.String(), "err", err)
		return nil
	}
	return sdk.Fatal(fmt.Errorf("change of %s at %s: %w: event.processing.failure.handling.mode=warn leaves such changes out", tab.id, t.dec.origin.lsn, err))
}
