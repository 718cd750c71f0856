// Versioned is a plugin for tests: a source whose version is set when it is
// built, and which misbehaves as its mode says.
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"time"

	"github.com/millrace/millrace/plugins/sdk"
)

var version = "0" // set by the linker

func main() {
	sdk.Serve(sdk.Connector{Name: "versioned", Version: version, Classes: []string{"com.example.VersionedSource"}, Source: source{}})
}

type source struct{}

func (source) ConfigDef() sdk.ConfigDef {
	return sdk.ConfigDef{
		{Name: "topic", Type: sdk.String, Required: true},
		{Name: "mode", Type: sdk.String, Default: "version"},
		{Name: "pin", Type: sdk.Password, Default: ""},
	}
}

func (source) Open(_ context.Context, cfg sdk.Config, _ sdk.OffsetReader) (sdk.Task, error) {
	return &task{cfg: cfg, tick: time.NewTicker(20 * time.Millisecond)}, nil
}

type task struct {
	cfg   sdk.Config
	tick  *time.Ticker
	hoard [][]byte
}

// Poll tells the version, or the secret, every tick.
func (t *task) Poll(ctx context.Context) ([]sdk.Record, error) {
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-t.tick.C:
	}
	value := version
	switch t.cfg.String("mode") {
	case "crash":
		for n := range 5 {
			fmt.Fprintln(os.Stderr, "last words", n, t.cfg.String("pin"))
		}
		os.Exit(3)
	case "hoard":
		t.hoard = append(t.hoard, bytes.Repeat([]byte("x"), 8<<20))
		return nil, nil
	case "tell":
		value = t.cfg.String("pin")
	}
	return []sdk.Record{{Topic: t.cfg.String("topic"), Value: value}}, nil
}

func (t *task) Close() error {
	t.tick.Stop()
	return nil
}
