package filestream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// Sink appends values as lines to one file.
type Sink struct{}

// ConfigDef defines the keys of Kafka's FileStreamSinkConnector.
func (Sink) ConfigDef() sdk.ConfigDef {
	return sdk.ConfigDef{
		{Name: "file", Type: sdk.String, Required: true, Check: checkFile("write to", "standard output"),
			Importance: configdef.High, Doc: "File to append lines to. It is made when it is missing, its directory is not."},
	}
}

// Open opens the file for appending.
func (Sink) Open(_ context.Context, cfg sdk.Config, _ sdk.Control) (sdk.SinkTask, error) {
	path := cfg.String("file")
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, sdk.Fatal(fmt.Errorf("open %s: the directory %s does not exist on this worker: make it, or change \"file\"", path, filepath.Dir(path)))
	}
	if err != nil {
		return nil, sdk.Fatal(err)
	}
	return &sinkTask{path: path, file: f, out: bufio.NewWriterSize(f, 64<<10)}, nil
}

type sinkTask struct {
	path  string
	file  *os.File
	out   *bufio.Writer
	line  []byte
	dirty bool // something was written since the last sync
}

// Put appends one line for each record. A value that cannot be read is bad
// data: the records before it were taken.
func (t *sinkTask) Put(_ context.Context, b *data.Batch) error {
	for i := range b.Records {
		v, err := b.Records[i].Value.Value()
		if err != nil {
			return sdk.RecordError(i, fmt.Errorf("read the value: %w", err))
		}
		t.line = append(append(t.line[:0], data.Text(v)...), '\n')
		t.dirty = true
		if _, err := t.out.Write(t.line); err != nil {
			return t.broken(err)
		}
	}
	// People watch the file, so it shows what was put at once, as Kafka's does.
	if err := t.out.Flush(); err != nil {
		return t.broken(err)
	}
	return nil
}

// PreCommit makes the lines durable before their offsets count as consumed.
func (t *sinkTask) PreCommit(_ context.Context, offsets sdk.Offsets) (sdk.Offsets, error) {
	if !t.dirty {
		return offsets, nil
	}
	if err := t.out.Flush(); err != nil {
		return nil, t.broken(err)
	}
	if err := t.file.Sync(); err != nil {
		return nil, t.broken(err)
	}
	t.dirty = false
	return offsets, nil
}

// broken ends the task: after a failed write or sync nobody knows what the
// file holds, and only a new task that starts from the committed offsets
// writes everything that is missing.
func (t *sinkTask) broken(err error) error {
	return sdk.Fatal(fmt.Errorf("write %s: %w", t.path, err))
}

// Close closes the file. What was not committed comes again.
func (t *sinkTask) Close() error { return t.file.Close() }
