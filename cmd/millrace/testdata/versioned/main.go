// Versioned is a plugin for tests: a source whose version follows its
// executable's end, and which misbehaves as its mode says.
package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"time"

	"github.com/millrace/millrace/plugins/sdk"
)

var version = ownVersion()

func main() {
	sdk.Serve(sdk.Connector{Name: "versioned", Version: version, Classes: []string{"com.example.VersionedSource"}, Source: source{}})
}

// ownVersion returns what the executable ends with: a build per version would
// take the tests seconds each.
func ownVersion() string {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	return string(program[bytes.LastIndexByte(program, ' ')+1:])
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
