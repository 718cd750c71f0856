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
			Doc: "RESTORE_BACKUP reads what the S3 sink wrote; GENERIC reads objects of any name."},
		{Name: "format.class", Type: sdk.Class, Required: true, Check: checkReadFormat, Importance: configdef.High, Group: "Source",
			Doc: "Format of the files of values: AvroFormat, JsonFormat, ParquetFormat or ByteArrayFormat of io.confluent.connect.s3.format, StringFormat, or CsvFormat."},
		{Name: "topic.regex.list", Type: sdk.List, Default: []string{}, Check: checkTopics, Importance: configdef.High, Group: "Source",
			Doc: "In the mode GENERIC, pairs topic:pattern: objects whose name matches a pattern go to its topic, by the first that does; others are left out."},
		{Name: "reread.on.change", Type: sdk.Boolean, Default: false, Importance: configdef.Low, Group: "Source",
			Doc: "In the mode GENERIC, whether an object that was replaced is read again, from its first record. Millrace's own."},
		{Name: "rescan.listings", Type: sdk.Int, Default: 10, Rules: atLeast(1), Importance: configdef.Low, Group: "Source",
			Doc: "In the mode GENERIC, every so many listings begin with the first name, not after the last one that was seen. Millrace's own."},
		{Name: retentionKey, Type: sdk.Long, Default: 7 * 24 * 3600 * 1000, Rules: atLeast(-1), Importance: configdef.Low, Group: "Source",
			Doc: "In the mode GENERIC, for how long after an object was last modified its offset is kept; an object that appears with an older time, after all were listed, is not read. -1 keeps offsets for ever. Millrace's own."},
		{Name: "task.batch.size", Type: sdk.Int, Default: 10, Group: "Source", Doc: noEffect + "each task finds its objects by itself."},
		{Name: csvHeaderKey, Type: sdk.Boolean, Default: true, Group: "Source", Doc: "Whether CSV files begin with the names of their fields. Millrace's own."},
		{Name: csvSeparatorKey, Type: sdk.String, Default: ",", Check: checkCSVSeparator, Group: "Source", Doc: "What parts the fields of CSV files: one character. Millrace's own."},
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
	case "RESTORE_BACKUP", generic:
		return nil
	}
	return errors.New("the modes are RESTORE_BACKUP and GENERIC")
}

const generic = "GENERIC"

func checkReadFormat(v any) error {
	s, ok := v.(string)
	if ok && formatName(s) == "" && readName(s) == "" {
		return errors.New("the formats here are AvroFormat, JsonFormat, ParquetFormat, ByteArrayFormat, StringFormat and CsvFormat")
	}
	return nil // it is required, which says enough
}

// readName returns the formats that are read beside those of formatName.
func readName(class string) string {
	if name := strings.TrimSuffix(simple(class), "Format"); name == string(read.Text) {
		return name
	}
	return ""
}

// topicPattern says where objects go.
type topicPattern struct {
	topic   string
	pattern *regexp.Regexp
}

func parseTopics(list []string) ([]topicPattern, error) {
	var out []topicPattern
	for _, item := range list {
		topic, pattern, ok := strings.Cut(item, ":")
		if topic = strings.TrimSpace(topic); !ok || topic == "" {
			return nil, fmt.Errorf("%q is not of the form topic:pattern", item)
		}
		re, err := regexp.Compile("^(?:" + pattern + ")$") // Java's matches() is anchored
		if err != nil {
			return nil, fmt.Errorf("pattern of topic %s: %w", topic, err)
		}
		out = append(out, topicPattern{topic, re})
	}
	return out, nil
}

func checkTopics(v any) error {
	list, _ := v.([]string)
	_, err := parseTopics(list)
	return err
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
	csv        read.CSVOptions
	names      *regexp.Regexp
	folders    []string
	tombstones string
	most       int
	interval   time.Duration
	since      time.Time
	ignore     bool // objects that cannot be read
	task, of   uint32

	generic bool
	topics  []topicPattern
	reread  bool // objects that were replaced
	rescan  int  // listings
	// retention is for how long offsets of objects are kept, negative for ever.
	retention time.Duration
}

func newSourceConfig(cfg sdk.Config) (*sourceConfig, []sdk.Problem) {
	p := &parser{cfg: cfg}
	c := &sourceConfig{
		store: newStoreConfig(p), layout: newLayout(cfg), kind: read.Kind(formatName(cfg.String("format.class"))), separator: separator(cfg),
		folders: cfg.List("folders"), tombstones: cfg.String("tombstone.encoded.partition"), most: cfg.Int("record.batch.max.size"),
		interval: cfg.Millis("s3.poll.interval.ms"), since: time.Unix(cfg.Int64("file.discovery.starting.timestamp"), 0),
		ignore: strings.EqualFold(cfg.String("behavior.on.error"), "ignore"), of: 1,
	}
	if c.kind == "" {
		c.kind = read.Kind(readName(cfg.String("format.class")))
	}
	c.generic = strings.EqualFold(cfg.String("mode"), generic)
	c.reread, c.rescan = cfg.Bool("reread.on.change"), cfg.Int("rescan.listings")
	c.retention = cfg.Millis(retentionKey)
	c.csv = read.CSVOptions{Header: cfg.Bool(csvHeaderKey), Separator: csvSeparator(cfg)}
	c.extension = map[read.Kind]string{read.Avro: ".avro", read.JSON: ".json", read.Parquet: ".parquet", read.CSV: ".csv"}[c.kind]
	if c.kind == read.Bytes {
		c.extension = cfg.String("format.bytearray.extension")
	}
	var err error
	c.topics, err = parseTopics(cfg.List("topic.regex.list"))
	p.bad("topic.regex.list", err)
	switch {
	case c.generic && len(c.topics) == 0 && err == nil:
		p.bad("topic.regex.list", errors.New("the mode GENERIC needs it, as orders:.*orders.*"))
	case c.kind == read.Text && !c.generic:
		p.bad("format.class", errors.New("the S3 sink writes no StringFormat: it goes with the mode GENERIC"))
	}
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
	metaPart
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
	if stem, columns := strings.CutSuffix(plain, ".parquet"); columns { // its codec stands before that
		for _, codec := range []string{".snappy", ".gz", ".zstd", ".lz4raw", ".br"} {
			stem = strings.TrimSuffix(stem, codec)
		}
		plain = stem + ".parquet"
	}
	if stem = strings.TrimSuffix(plain, path.Ext(plain)); stem != plain {
		for infix, which := range map[string]part{".keys": keyPart, ".headers": headerPart, ".meta": metaPart} {
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
		return read.Parquet, nil
	}
	return read.Bytes, nil
}
