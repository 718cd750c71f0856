// Package spooldir reads files that are put into a directory, each once, and
// moves them away when everything in them is durable: the connectors of
// jcustenborder's kafka-connect-spooldir, and one for Parquet.
package spooldir

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// Version is the version that the connectors report.
const Version = "1.0.0"

// kind is what the files of a connector are.
type kind string

const (
	csvFiles     kind = "csv"
	jsonFiles    kind = "json"
	anyJSONFiles kind = "json-schemaless"
	lineFiles    kind = "lines"
	avroFiles    kind = "avro"
	parquetFiles kind = "parquet"
)

// Connectors returns the sources, one for each kind of files.
func Connectors() []sdk.Connector {
	var out []sdk.Connector
	for _, k := range []struct {
		kind kind
		name string
	}{
		{csvFiles, "SpoolDirCsvSource"}, {jsonFiles, "SpoolDirJsonSource"}, {anyJSONFiles, "SpoolDirSchemaLessJsonSource"},
		{lineFiles, "SpoolDirLineDelimitedSource"}, {avroFiles, "SpoolDirAvroSource"}, {parquetFiles, "SpoolDirParquetSource"},
	} {
		prefix := "com.github.jcustenborder.kafka.connect.spooldir."
		if k.kind == parquetFiles { // which that project has not
			prefix = "io.millrace."
		}
		out = append(out, sdk.Connector{
			Name: "spool-" + string(k.kind), Version: Version,
			Classes:       []string{prefix + k.name + "Connector", k.name + "Connector", k.name},
			Documentation: "connectors/spooldir/README.md",
			Source:        Source{kind: k.kind},
		})
	}
	return out
}

// Source reads files of one kind.
type Source struct{ kind kind }

// ConfigDef defines the keys.
func (s Source) ConfigDef() sdk.ConfigDef {
	def := commonKeys()
	switch s.kind {
	case csvFiles:
		return append(append(def, schemaKeys()...), csvKeys()...)
	case jsonFiles:
		return append(def, schemaKeys()...)
	}
	return def
}

// Validate checks keys that only mean something together.
func (s Source) Validate(_ context.Context, cfg sdk.Config) []sdk.Problem {
	_, problems := newSettings(s.kind, cfg)
	return problems
}

// ExactlyOnce says that files do not change once they are there.
func (Source) ExactlyOnce(sdk.Config) bool { return true }

// Plan has each task read the files that a hash of their names gives it.
func (Source) Plan(_ context.Context, cfg sdk.Config, maxTasks int) ([]map[string]string, error) {
	out := make([]map[string]string, maxTasks)
	for i := range out {
		out[i] = cfg.Originals()
		out[i]["task.count"], out[i]["task.index"] = strconv.Itoa(maxTasks), strconv.Itoa(i)
	}
	return out, nil
}

// AlterOffsets checks offsets that somebody wants to store.
func (Source) AlterOffsets(_ context.Context, _ sdk.Config, changes []sdk.Position) (bool, error) {
	for _, c := range changes {
		if c.Offset == nil {
			continue
		}
		if name, ok := c.Partition["fileName"].(string); !ok || name == "" {
			return false, errors.New(`a source partition must have "fileName"`)
		}
		if n, ok := c.Offset["offset"].(int64); !ok || n < 0 {
			return false, fmt.Errorf(`"offset" is %v: it must be a whole number that is not negative`, c.Offset["offset"])
		}
	}
	return true, nil
}

// Open starts a task. Its directories must exist.
func (s Source) Open(ctx context.Context, cfg sdk.Config, offsets sdk.OffsetReader) (sdk.Task, error) {
	c, problems := newSettings(s.kind, cfg)
	if len(problems) > 0 {
		errs := make([]error, len(problems))
		for i, p := range problems {
			errs[i] = p
		}
		return nil, sdk.Fatal(errors.Join(errs...))
	}
	for _, dir := range []struct{ key, path string }{{"input.path", c.input}, {"finished.path", c.finished}, {"error.path", c.failed}} {
		if dir.path == "" {
			continue
		}
		if fi, err := os.Stat(dir.path); err != nil || !fi.IsDir() {
			return nil, sdk.Fatal(fmt.Errorf("%s: %s is no directory on this worker: make it, and let the worker write there", dir.key, dir.path))
		}
	}
	t := &task{
		settings: c, log: sdk.Logger(ctx), offsets: offsets, now: time.Now, text: data.NewRowWriter(data.StringSchema), number: data.NewRowWriter(data.Int64Schema),
		when: data.NewRowWriter(data.TimestampSchema), ended: make(map[string]ending), resume: make(map[string]sdk.Offset), passed: make(map[string]identity),
		records: sdk.NewCounter(ctx, "records"), files: sdk.NewCounter(ctx, "files_finished"), bad: sdk.NewCounter(ctx, "files_failed"),
	}
	return t, nil
}
