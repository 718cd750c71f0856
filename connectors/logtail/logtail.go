// Package logtail follows log files: many of them, through rotation, truncation
// and compression, from where the last task stopped.
package logtail

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/millrace/millrace/connectors/logtail/parse"
	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// Version is the version that the connector reports.
const Version = "1.1.0"

// Connectors returns the source.
func Connectors() []sdk.Connector {
	return []sdk.Connector{{
		Name: "log-tail", Version: Version,
		Classes:       []string{"io.millrace.LogTailSource", "LogTailSource", "LogTail"},
		Documentation: "connectors/logtail/README.md",
		Source:        Source{},
	}}
}

// Source follows files on the worker's host.
type Source struct{}

// ConfigDef defines the keys.
func (Source) ConfigDef() sdk.ConfigDef {
	return append(append(append(fileKeys(), lineKeys()...), groupKeys()...), parserKeys()...)
}

// Validate checks keys that only mean something together.
func (Source) Validate(_ context.Context, cfg sdk.Config) []sdk.Problem {
	_, problems := newSettings(cfg)
	return problems
}

// ExactlyOnce says that a task continues right after the offset it starts
// from: files that are only appended to are read exactly once.
func (Source) ExactlyOnce(sdk.Config) bool { return true }

// Open reads the stored offsets of all files of this host.
func (Source) Open(ctx context.Context, cfg sdk.Config, offsets sdk.OffsetReader) (sdk.Task, error) {
	s, problems := newSettings(cfg)
	if len(problems) > 0 {
		errs := make([]error, len(problems))
		for i, p := range problems {
			errs[i] = p
		}
		return nil, sdk.Fatal(errors.Join(errs...))
	}
	parser, err := parse.New(parserConfig(cfg))
	if err != nil {
		return nil, sdk.Fatal(err)
	}
	t := &task{
		settings: s, log: sdk.Logger(ctx), count: newCounts(ctx), now: time.Now, parser: parser,
		nodes: make(map[inode]*file), twins: make(map[inode][]*file), paths: make(map[string]*file), heads: newHeads(), originals: make(map[*file]bool),
		listed: make(map[string][]os.DirEntry), failed: make(map[string]bool), durable: durable{files: make(map[string]progress)},
		textRow: data.NewRowWriter(data.StringSchema), numberRow: data.NewRowWriter(data.Int64Schema),
	}
	if t.host == "" {
		if t.host, err = os.Hostname(); err != nil {
			return nil, fmt.Errorf("name of the host: %w: set host.id", err)
		}
	}
	before, err := t.load(ctx, offsets)
	if err != nil {
		return nil, err
	}
	t.atEnd = cfg.String("start.at") == "end" && !before
	t.watch()
	if t.deleteAfter >= 0 {
		return deleting{t}, nil
	}
	return t, nil
}
