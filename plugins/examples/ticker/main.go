// Ticker is a connector plugin as a third party would write it: a source that
// counts, and never twice nor with a gap, however often it is restarted.
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace/millrace/plugins/sdk"
)

func main() {
	sdk.Serve(sdk.Connector{
		Name: "ticker", Version: "1.0.0",
		Classes:       []string{"com.example.TickerSourceConnector"},
		Documentation: "Counts up, one record per tick.",
		Source:        Source{},
	})
}

// Source counts up from the last stored offset, for ever.
type Source struct{}

// ConfigDef implements sdk.Source.
func (Source) ConfigDef() sdk.ConfigDef {
	return sdk.ConfigDef{
		{Name: "topic", Type: sdk.String, Required: true, Doc: "Topic to write to."},
		{Name: "interval.ms", Type: sdk.Long, Default: 1000, Doc: "Time between records."},
	}
}

// Open implements sdk.Source.
func (Source) Open(ctx context.Context, cfg sdk.Config, offsets sdk.OffsetReader) (sdk.Task, error) {
	t := &task{topic: cfg.String("topic"), partition: map[string]any{"ticker": cfg.String("name")}}
	last, err := offsets.Offset(ctx, t.partition)
	if err != nil {
		return nil, fmt.Errorf("read stored offset: %w", err)
	}
	t.next = last.Int64("n") + 1 // no offset reads as zero: the first record is 1
	t.tick = time.NewTicker(max(cfg.Millis("interval.ms"), time.Millisecond))
	sdk.Logger(ctx).Info("ticker opened", "next", t.next)
	return t, nil
}

type task struct {
	topic     string
	partition map[string]any
	next      int64
	tick      *time.Ticker
}

// Poll blocks until the next tick, or returns ctx's error when the task is
// stopped.
func (t *task) Poll(ctx context.Context) ([]sdk.Record, error) {
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case now := <-t.tick.C:
		r := sdk.Record{
			Topic: t.topic, Value: t.next, Timestamp: now,
			Partition: t.partition, Offset: sdk.Offset{"n": t.next},
		}
		t.next++
		return []sdk.Record{r}, nil
	}
}

// Close implements sdk.Task.
func (t *task) Close() error {
	t.tick.Stop()
	return nil
}
