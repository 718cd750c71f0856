package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// Clock is a source that tells the time every second, and needs no offsets.
type Clock struct{}

func (Clock) ConfigDef() sdk.ConfigDef {
	return sdk.ConfigDef{{Name: "topic", Type: sdk.String, Required: true, Doc: "Topic to write to."}}
}

func (Clock) Open(_ context.Context, cfg sdk.Config, _ sdk.OffsetReader) (sdk.Task, error) {
	return &clockTask{topic: cfg.String("topic"), tick: time.NewTicker(time.Second)}, nil
}

type clockTask struct {
	topic string
	tick  *time.Ticker
}

func (t *clockTask) Poll(ctx context.Context) ([]sdk.Record, error) {
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case now := <-t.tick.C:
		return []sdk.Record{{Topic: t.topic, Value: now.Format(time.RFC3339), Timestamp: now}}, nil
	}
}

func (t *clockTask) Close() error { t.tick.Stop(); return nil }

// Log is a sink that logs what it is given, and has thereby written it.
type Log struct{}

func (Log) ConfigDef() sdk.ConfigDef { return nil }

func (Log) Open(context.Context, sdk.Config, sdk.Control) (sdk.SinkTask, error) {
	return logTask{}, nil
}

type logTask struct{}

func (logTask) Put(ctx context.Context, b *data.Batch) error {
	for i := range b.Records {
		v, err := b.Records[i].Value.Value()
		if err != nil {
			return sdk.RecordError(i, err)
		}
		sdk.Logger(ctx).Info("record", "value", data.Text(v))
	}
	return nil
}

func (logTask) Close() error { return nil }

// A plugin with two connectors: this is its main function.
func ExampleServe() {
	sdk.Serve(
		sdk.Connector{Name: "clock", Version: "1.0.0", Classes: []string{"com.example.ClockSource"}, Source: Clock{}},
		sdk.Connector{Name: "log", Version: "1.0.0", Classes: []string{"com.example.LogSink"}, Sink: Log{}},
	)
}

// An error says what may be done about it: the worker acts on the class, and the
// user reads the text.
func ExampleRecordError() {
	parse := func(i int, line string) error {
		if _, err := strconv.Atoi(line); err != nil {
			return sdk.RecordError(i, fmt.Errorf("line %d: %w", i+1, err))
		}
		return nil
	}
	for i, line := range []string{"1", "two"} {
		fmt.Println(parse(i, line))
	}
	fmt.Println(sdk.Retry(errors.New("the server is starting"), 5*time.Second))
	// Output:
	// <nil>
	// line 2: strconv.Atoi: parsing "two": invalid syntax
	// the server is starting
}

// A stored offset has what the connector gave its last record; none reads as
// zero.
func ExampleOffset() {
	stored := sdk.Offset{"line": int64(41), "file": "a.log"}
	fmt.Println(stored.Int64("line")+1, stored.String("file"))
	var none sdk.Offset
	fmt.Println(none.Int64("line") + 1)
	// Output:
	// 42 a.log
	// 1
}
