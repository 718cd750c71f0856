// Package filesink writes topics to files of a directory, which it ends by
// records, bytes or time, compresses and partitions, so that each record is in
// one complete file whatever is killed in between.
package filesink

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/millrace/millrace/connectors/objectfile/format"
	"github.com/millrace/millrace/connectors/objectfile/partition"
	"github.com/millrace/millrace/connectors/objectfile/rotation"
	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// Version is the version that the connector reports.
const Version = "1.0.0"

// Connectors returns the sink.
func Connectors() []sdk.Connector {
	return []sdk.Connector{{
		Name: "directory-sink", Version: Version,
		Classes:       []string{"io.millrace.DirectorySinkConnector", "DirectorySinkConnector", "DirectorySink"},
		Documentation: "connectors/filesink/README.md",
		Sink:          Sink{},
	}}
}

// Sink writes files on the worker's host.
type Sink struct{ fs fileSystem }

// ConfigDef defines the keys. Those that say which directory a record goes to
// are those of Confluent's storage connectors.
func (Sink) ConfigDef() sdk.ConfigDef {
	oneOf := func(choices ...string) []configdef.Rule { return []configdef.Rule{configdef.OneOf(choices...)} }
	positive := []configdef.Rule{configdef.AtLeast(1)}
	const places = "io.confluent.connect.storage.partitioner."
	return sdk.ConfigDef{
		{Name: "directory", Type: sdk.String, Required: true, Rules: []configdef.Rule{configdef.NonEmpty()}, Importance: configdef.High, Doc: "Directory for the files, which must exist. Below it is one for each topic."},
		{Name: "format", Type: sdk.String, Default: "json", Rules: oneOf("json", "csv", "avro", "parquet", "bytes", "string"), Importance: configdef.High, Doc: "What the files are: lines of JSON, CSV with a header, Avro object containers, Parquet, values as they are followed by format.separator, or a line for each value as Java prints it."},
		{Name: "format.separator", Type: sdk.String, Default: `\n`, Doc: "What follows each value, with format=bytes."},
		{Name: "compression", Type: sdk.String, Default: "none", Rules: oneOf("none", "gzip", "zstd", "lz4", "snappy"), Doc: "How files are compressed; those of avro and parquet within (avro: none, gzip as deflate, zstd, snappy; parquet: all, gzip and zstd and snappy and lz4 as lz4_raw)."},
		{Name: "rotate.max.records", Type: sdk.Int, Default: 100000, Rules: positive, Importance: configdef.High, Doc: "After how many records of a topic's partition its files are ended."},
		{Name: "rotate.max.bytes", Type: sdk.Long, Default: 128 << 20, Rules: positive, Doc: "After how many bytes of rows of a topic's partition, before compression."},
		{Name: "rotate.interval.ms", Type: sdk.Long, Default: 60000, Rules: positive, Doc: "How long after their first record files are ended, by the clock."},
		{Name: "schema.compatibility", Type: sdk.String, Default: "NONE", Rules: []configdef.Rule{configdef.OneOfFold("NONE")}, Doc: "A record of another schema ends the file."},
		{Name: "max.open.files", Type: sdk.Int, Default: 100, Rules: positive, Doc: "How many files a topic's partition has open; one more ends them."},
		{Name: "fsync", Type: sdk.String, Default: "commit", Rules: oneOf("commit", "never"), Doc: "Whether files and directories are synced before offsets are committed. never loses records when the machine stops."},
		{Name: "retry.backoff.ms", Type: sdk.Long, Default: 5000, Rules: positive, Doc: "How long to wait after an error of the disk, such as a full one."},
		{Name: "partitioner.class", Type: sdk.String, Default: places + partition.Default, Doc: "How records are divided into directories: DefaultPartitioner, FieldPartitioner, TimeBasedPartitioner, HourlyPartitioner or DailyPartitioner, as in Confluent's storage connectors."},
		{Name: "partition.field.name", Type: sdk.List, Default: "", Doc: "Fields of the FieldPartitioner."},
		{Name: "partition.duration.ms", Type: sdk.Long, Default: -1, Doc: "Duration of the TimeBasedPartitioner."},
		{Name: "path.format", Type: sdk.String, Default: "", Doc: "Pattern of the TimeBasedPartitioner."},
		{Name: "locale", Type: sdk.String, Default: "en-US", Doc: "Locale of times in directories."},
		{Name: "timezone", Type: sdk.String, Default: "UTC", Doc: "Time zone of directories."},
		{Name: "timestamp.extractor", Type: sdk.String, Default: "Record", Doc: "Which time makes the directory: Record, RecordField or Wallclock."},
		{Name: "timestamp.field", Type: sdk.String, Default: "timestamp", Doc: "Field of timestamp.extractor=RecordField."},
		{Name: "file", Type: sdk.String, Default: "", Unsupported: "names are made of topic, partition and offsets, by which a task knows what is written: set directory, and partitioner.class for directories of fields and times", Doc: "A name for the files."},
		{Name: "keep.files", Type: sdk.Int, Default: -1, Unsupported: keepsAll, Doc: "How many files to keep."},
		{Name: "keep.days", Type: sdk.Int, Default: -1, Unsupported: keepsAll, Doc: "For how many days to keep files."},
	}
}

const keepsAll = "no file is deleted once it is complete: what reads them does that, or a job of the host such as find -mtime"

// settings are a checked configuration.
type settings struct {
	root      string
	format    format.Format
	rotation  rotation.Config
	bytes     int64
	interval  time.Duration
	sync      bool
	retry     time.Duration
	partition partition.Config
}

func newSettings(cfg sdk.Config) (settings, []sdk.Problem) {
	var problems []sdk.Problem
	bad := func(key string, err error) {
		problems = append(problems, sdk.Problem{Key: key, Text: fmt.Sprintf("Invalid value for configuration %s: %v", key, err)})
	}
	s := settings{
		root: filepath.Clean(cfg.String("directory")), bytes: cfg.Int64("rotate.max.bytes"), interval: cfg.Millis("rotate.interval.ms"),
		sync: cfg.String("fsync") == "commit", retry: cfg.Millis("retry.backoff.ms"),
		rotation: rotation.Config{FlushSize: cfg.Int("rotate.max.records"), MaxFiles: cfg.Int("max.open.files")},
		partition: partition.Config{
			Kind: simple(cfg.String("partitioner.class")), Delimiter: "/", Fields: cfg.List("partition.field.name"), Duration: cfg.Millis("partition.duration.ms"),
			PathFormat: cfg.String("path.format"), Locale: cfg.String("locale"), TimeZone: cfg.String("timezone"),
			Extractor: cfg.String("timestamp.extractor"), TimeField: cfg.String("timestamp.field"),
		},
	}
	if _, err := partition.New(s.partition); err != nil {
		if p := (*partition.Problem)(nil); errors.As(err, &p) {
			bad(p.Key, p.Err)
		} else {
			bad("partitioner.class", err)
		}
	}
	var err error
	if s.format, err = newFormat(cfg); err != nil {
		bad("compression", err)
	}
	return s, problems
}

func simple(class string) string {
	for i := len(class) - 1; i >= 0; i-- {
		if class[i] == '.' {
			return class[i+1:]
		}
	}
	return class
}

func newFormat(cfg sdk.Config) (format.Format, error) {
	name := cfg.String("compression")
	c := format.Compression{Type: name, Level: -1}
	switch cfg.String("format") {
	case "csv":
		return format.CSV{Compression: c, Options: data.JSONOptions{NumericDecimals: true}}, nil
	case "string":
		return format.Text{Compression: c}, nil
	case "avro":
		codec, ok := map[string]string{"none": "null", "gzip": "deflate", "zstd": "zstandard", "snappy": "snappy"}[name]
		if !ok {
			return nil, fmt.Errorf("%s does not go with format=avro: use gzip, zstd or snappy", name)
		}
		return format.Avro{Codec: codec, Level: -1}, nil
	case "parquet":
		if name == "lz4" {
			name = "lz4_raw"
		}
		return format.Parquet{Codec: name}, nil
	case "bytes":
		text, ok := cfg.Original("format.separator")
		if !ok {
			text = `\n`
		}
		return format.Bytes{Suffix: ".bin", Separator: unescaped(text), Compression: c}, nil
	}
	return format.JSON{Compression: c, Options: data.JSONOptions{NumericDecimals: true}}, nil
}

// Validate checks keys that only mean something together.
func (Sink) Validate(_ context.Context, cfg sdk.Config) []sdk.Problem {
	_, problems := newSettings(cfg)
	return problems
}

// Open starts a task. The directory must exist.
func (s Sink) Open(ctx context.Context, cfg sdk.Config, control sdk.Control) (sdk.SinkTask, error) {
	c, problems := newSettings(cfg)
	if len(problems) > 0 {
		return nil, sdk.Fatal(problems[0])
	}
	if fi, err := os.Stat(c.root); err != nil || !fi.IsDir() {
		return nil, sdk.Fatal(fmt.Errorf("directory: %s is no directory on this worker: make it, and let the worker write there", c.root))
	}
	places, err := partition.New(c.partition)
	if err != nil {
		return nil, sdk.Fatal(err)
	}
	t := &task{
		settings: c, control: control, log: sdk.Logger(ctx), places: places, now: time.Now, fs: s.fs, writers: make(map[sdk.TopicPartition]*writer),
		records: sdk.NewCounter(ctx, "records"), files: sdk.NewCounter(ctx, "files"), failures: sdk.NewCounter(ctx, "disk_errors"),
	}
	if t.fs == nil {
		t.fs = disk{}
	}
	return t, nil
}
