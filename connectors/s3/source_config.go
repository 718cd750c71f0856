package s3

import (
	"errors"
	"fmt"
	"hash/fnv"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/connectors/objectfile/read"
	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/sdk"
)

// taskKey is set by Plan in the configuration of a task: its number, a slash
// and the number of tasks.
const taskKey = "s3.source.task"

// sourceKeys are the source's own.
func sourceKeys() sdk.ConfigDef {
	atLeast := func(n float64) []configdef.Rule { return []configdef.Rule{configdef.AtLeast(n)} }
	return sdk.ConfigDef{
		{Name: "mode", Type: sdk.String, Default: "RESTORE_BACKUP", Check: checkMode, Importance: configdef.High, Group: "Source",
			Doc: "RESTORE_BACKUP reads what the S3 sink wrote."},
		{Name: "format.class", Type: sdk.Class, Required: true, Check: checkReadFormat, Importance: configdef.High, Group: "Source",
			Doc: "Format of the files of values: AvroFormat, JsonFormat or ByteArrayFormat of io.confluent.connect.s3.format."},
		{Name: "filename.regex", Type: sdk.String, Default: `(.+)\+(\d+)\+.+$`, Check: checkNames, Group: "Source",
			Doc: "Pattern of the names of files, whose first group is the topic and whose second the partition."},
		{Name: "folders", Type: sdk.List, Default: []string{}, Group: "Source", Doc: "Folders below topics.dir to read; all where it is empty."},
		{Name: "record.batch.max.size", Type: sdk.Int, Default: 200, Rules: atLeast(1), Group: "Source", Doc: "The most records to hand over at once."},
		{Name: "s3.poll.interval.ms", Type: sdk.Long, Default: 60000, Rules: atLeast(1), Group: "Source", Doc: "Wait before objects are listed again when all are read."},
		{Name: "file.discovery.starting.timestamp", Type: sdk.Long, Default: 0, Group: "Source", Doc: "Objects last modified before it, in seconds since 1970, are left out."},
		{Name: "behavior.on.error", Type: sdk.String, Default: "fail", Rules: []configdef.Rule{configdef.OneOfFold("fail", "ignore")}, Group: "Source",
			Doc: "What to do with an object that cannot be read: fail, or go on with the next."},
		{Name: "format.bytearray.extension", Type: sdk.String, Default: ".bin", Group: "Source", Doc: "Extension of byte array files."},
		{Name: separatorKey, Type: sdk.String, Group: "Source", Doc: "What follows each record of a byte array file; a line feed by default."},
		{Name: "tombstone.encoded.partition", Type: sdk.String, Default: "tombstone", Group: "Source", Doc: "Directory of the keys of records without a value."},
		{Name: "schema.cache.size", Type: sdk.Int, Default: 50, Group: "Source", Doc: ignoredCache},
	}
}

func checkMode(v any) error {
	switch s, _ := v.(string); strings.ToUpper(s) {
	case "RESTORE_BACKUP":
		return nil
	case "GENERIC":
		return errors.New("GENERIC reads objects of any name, which this source does not: it reads what the S3 sink wrote (RESTORE_BACKUP)")
	}
	return errors.New("the mode here is RESTORE_BACKUP")
}

func checkReadFormat(v any) error {
	s, ok := v.(string)
	switch name := formatName(s); {
	case !ok: // it is required, which says enough
	case name == "Parquet":
		return errors.New("Parquet files are written, not read, here: AvroFormat, JsonFormat and ByteArrayFormat are read")
	case name == "":
		return errors.New("the formats here are AvroFormat, JsonFormat and ByteArrayFormat")
	}
	return nil
}

func checkNames(v any) error {
	s, _ := v.(string)
	re, err := regexp.Compile(s)
	if err != nil {
		return err
	}
	if re.NumSubexp() < 2 {
		return errors.New("it needs two groups, of the topic and of the partition")
	}
	return nil
}

// sourceConfig is a checked configuration in the form that the task uses.
type sourceConfig struct {
	store      storeConfig
	layout     layout
	kind       read.Kind
	extension  string
	separator  string
	names      *regexp.Regexp
	folders    []string
	tombstones string
	most       int
	interval   time.Duration
	since      time.Time
	ignore     bool // objects that cannot be read
	task, of   uint32
}

func newSourceConfig(cfg sdk.Config) (*sourceConfig, []sdk.Problem) {
	p := &parser{cfg: cfg}
	c := &sourceConfig{
		store: newStoreConfig(p), layout: newLayout(cfg), kind: read.Kind(formatName(cfg.String("format.class"))), separator: separator(cfg),
		folders: cfg.List("folders"), tombstones: cfg.String("tombstone.encoded.partition"), most: cfg.Int("record.batch.max.size"),
		interval: cfg.Millis("s3.poll.interval.ms"), since: time.Unix(cfg.Int64("file.discovery.starting.timestamp"), 0),
		ignore: strings.EqualFold(cfg.String("behavior.on.error"), "ignore"), of: 1,
	}
	c.extension = map[read.Kind]string{read.Avro: ".avro", read.JSON: ".json"}[c.kind]
	if c.kind == read.Bytes {
		c.extension = cfg.String("format.bytearray.extension")
	}
	var err error
	c.names, err = regexp.Compile(cfg.String("filename.regex"))
	p.bad("filename.regex", err)
	if text, ok := cfg.Original(taskKey); ok {
		if _, err := fmt.Sscanf(text, "%d/%d", &c.task, &c.of); err != nil || c.of == 0 {
			p.bad(taskKey, fmt.Errorf("%q is not of the form 0/1: the worker sets it", text))
		}
	}
	return c, p.problems
}

// stream is the files of one partition in one folder.
type stream struct {
	folder    string // the directory, without the delimiter at its end
	file      string // topic and partition, as names of files begin
	topic     string
	partition int32
}

// source returns the source partition that the position in a stream is stored
// under.
func (s stream) source(bucket string) map[string]any {
	return map[string]any{"bucket": bucket, "folder": s.folder, "file": s.file}
}

// mine reports whether a stream belongs to the task. All folders of a partition
// do, or none.
func (c *sourceConfig) mine(s stream) bool {
	h := fnv.New32a()
	fmt.Fprintf(h, "%s\x00%d", s.topic, s.partition) // a hash takes all it is given
	return h.Sum32()%c.of == c.task
}

// part says which of the files of one rotation an object is.
type part int

const (
	noPart part = iota // none: another extension
	valuePart
	keyPart
	headerPart
)

// parse reads an object's name: which stream it is of, the offset of its first
// record, and the name that it shares with the files beside it.
func (c *sourceConfig) parse(key string) (s stream, offset int64, base string, which part, err error) {
	i := strings.LastIndex(key, c.layout.delim)
	name := key[i+len(c.layout.delim):]
	stem, which := c.part(name)
	if which == noPart {
		return s, 0, "", noPart, nil
	}
	m := c.names.FindStringSubmatch(name)
	j := strings.LastIndex(stem, c.layout.fileDelim)
	if m == nil || j < 0 {
		return s, 0, "", which, fmt.Errorf("object %s: its name does not match filename.regex", key)
	}
	partition, err := strconv.ParseInt(m[2], 10, 32)
	if err == nil {
		offset, err = strconv.ParseInt(stem[j+len(c.layout.fileDelim):], 10, 64)
	}
	if err != nil || i < 0 {
		return s, 0, "", which, fmt.Errorf("object %s: its name has no partition and offset: %v", key, err)
	}
	s = stream{folder: key[:i], file: stem[:j], topic: m[1], partition: int32(partition)}
	return s, offset, key[:i+len(c.layout.delim)] + stem, which, nil
}

// part tells values from keys and headers, and cuts off the extensions.
func (c *sourceConfig) part(name string) (stem string, which part) {
	plain := name
	for _, compressed := range []string{".gz", ".zst", ".sz"} {
		plain = strings.TrimSuffix(plain, compressed)
	}
	if stem = strings.TrimSuffix(plain, path.Ext(plain)); stem != plain {
		for infix, which := range map[string]part{".keys": keyPart, ".headers": headerPart} {
			if s, ok := strings.CutSuffix(stem, infix); ok {
				return s, which
			}
		}
	}
	if stem, ok := strings.CutSuffix(plain, c.extension); ok {
		return stem, valuePart
	}
	return "", noPart
}

// kindOf is the format of a file of keys or headers, by its extension.
func (c *sourceConfig) kindOf(key string) (read.Kind, error) {
	for _, compressed := range []string{".gz", ".zst", ".sz"} {
		key = strings.TrimSuffix(key, compressed)
	}
	switch path.Ext(key) {
	case ".avro":
		return read.Avro, nil
	case ".json":
		return read.JSON, nil
	case ".parquet":
		return "", &read.DataError{Err: fmt.Errorf("%s: Parquet files are not read here", key)}
	}
	return read.Bytes, nil
}
