package s3

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/connectors/objectfile/format"
	"github.com/millrace/millrace/connectors/objectfile/partition"
	"github.com/millrace/millrace/connectors/objectfile/rotation"
	"github.com/millrace/millrace/connectors/s3/aiven"
	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// nulls says what becomes of records without a value.
type nulls int

const (
	failNulls nulls = iota
	ignoreNulls
	writeNulls
	keepNulls // as records like others
)

// datumFunc returns what a file holds of a record, valid until it is called
// again; schemaFunc the schema of that.
type (
	datumFunc  = func(*data.Record) (data.Datum, error)
	schemaFunc = func(*data.Record) (*data.Schema, error)
)

// sinkConfig is a checked configuration in the form that the task uses.
type sinkConfig struct {
	connector string
	store     storeConfig
	layout    layout
	partition partition.Config
	rotation  rotation.Config

	value, keys, headers format.Format // keys and headers are nil if not stored
	metadata             format.Format // nil if not stored
	nulls                nulls
	reportNulls          bool
	tombstones           string

	// Of Aiven's sink: how objects are named, nil for layout and partition,
	// and what makes the content of a file, and its schema, of a record.
	names  *aiven.Template
	datum  func() datumFunc
	schema func() schemaFunc // nil for lines

	partSize, memory int64
	retry            time.Duration
	conditional      bool // an object that is there is not replaced
	tagged           bool
	tags             map[string]string
	tagsMustWork     bool
}

// layout says how objects are named.
type layout struct {
	dir, delim, fileDelim string
	pad                   int
}

// name returns the key of a file, without its extension.
func (l layout) name(topic, directory string, partition int32, offset int64) string {
	var b strings.Builder
	if l.dir != "" {
		b.WriteString(l.dir)
		b.WriteString(l.delim)
	}
	b.WriteString(topic)
	b.WriteString(l.delim)
	b.WriteString(directory)
	b.WriteString(l.delim)
	fmt.Fprintf(&b, "%s%s%d%s%0*d", topic, l.fileDelim, partition, l.fileDelim, l.pad, offset)
	return b.String()
}

// parser collects the problems of keys while their values are converted.
type parser struct {
	cfg      sdk.Config
	problems []sdk.Problem
}

func (p *parser) bad(key string, err error) {
	if err != nil {
		p.problems = append(p.problems, sdk.Problem{Key: key, Text: fmt.Sprintf("Invalid value for configuration %s: %v", key, err)})
	}
}

// newSinkConfig converts a configuration whose keys each passed their own
// rules, and reports what else is wrong with it.
func newSinkConfig(cfg sdk.Config) (*sinkConfig, []sdk.Problem) {
	p := &parser{cfg: cfg}
	name, _ := cfg.Original("name")
	c := &sinkConfig{
		connector: name, store: newStoreConfig(p), layout: newLayout(cfg), partition: newPartition(cfg),
		reportNulls: cfg.Bool("report.null.values.to.dlq"), tombstones: cfg.String("tombstone.encoded.partition"),
		partSize: cfg.Int64("s3.part.size"), memory: cfg.Int64(memoryKey), retry: cfg.Millis("retry.backoff.ms"),
		tagged: cfg.Bool("s3.object.tagging"), tagsMustWork: cfg.String("s3.object.behavior.on.tagging.error") == "fail",
	}
	c.partition.Extractor, c.partition.TimeField = cfg.String("timestamp.extractor"), cfg.String("timestamp.field")
	c.partition.SchemaName = map[string]partition.Affix{"PREFIX": partition.Prefix, "SUFFIX": partition.Suffix}[strings.ToUpper(cfg.String("s3.schema.partition.affix.type"))]
	checkPlaces(p, c.partition)
	c.rotate(p)
	c.formats(p)
	c.null(p)
	c.withMetadata(p)
	c.objects(p)
	return c, p.problems
}

func newLayout(cfg sdk.Config) layout {
	l := layout{dir: cfg.String("topics.dir"), delim: cfg.String("directory.delim"), fileDelim: cfg.String("file.delim")}
	return l
}

func newPartition(cfg sdk.Config) partition.Config {
	return partition.Config{
		Kind: simple(cfg.String("partitioner.class")), Delimiter: cfg.String("directory.delim"), Fields: cfg.List("partition.field.name"),
		Duration: cfg.Millis("partition.duration.ms"), PathFormat: cfg.String("path.format"), Locale: cfg.String("locale"), TimeZone: cfg.String("timezone"),
	}
}

// checkPlaces makes a partitioner to see what is wrong with its keys.
func checkPlaces(p *parser, c partition.Config) {
	_, err := partition.New(c)
	if problem := (*partition.Problem)(nil); errors.As(err, &problem) {
		p.bad(problem.Key, problem.Err)
	}
}

func (c *sinkConfig) rotate(p *parser) {
	c.layout.pad = p.cfg.Int("filename.offset.zero.pad.width")
	c.rotation = rotation.Config{
		FlushSize: p.cfg.Int("flush.size"), OnPartitionChange: p.cfg.Bool("rotate.file.on.partition.change"),
		Interval: p.cfg.Millis("rotate.interval.ms"), Schedule: p.cfg.Millis("rotate.schedule.interval.ms"),
		Compatibility: rotation.ParseCompatibility(p.cfg.String("schema.compatibility")), MaxFiles: max(0, p.cfg.Int("partitioner.max.open.files")),
	}
	if c.rotation.Schedule <= 0 {
		return
	}
	if c.partition.TimeZone == "" {
		p.bad("timezone", errors.New("timezone configuration must be set when using rotate.schedule.interval.ms"))
		return
	}
	zone, err := partition.ParseZone(c.partition.TimeZone)
	if !partition.TimeDerived(c.partition.Kind) { // else its own check says so
		p.bad("timezone", err)
	}
	c.rotation.Zone = zone
}

func (c *sinkConfig) formats(p *parser) {
	compression := format.Compression{Type: p.cfg.String("s3.compression.type"), Level: p.cfg.Int("s3.compression.level")}
	main := formatName(p.cfg.String("format.class"))
	if compression.Type != "none" && codecKeys[main] != "" {
		const why = "files of %s are compressed within, by %s: use s3.compression.type with JsonFormat or ByteArrayFormat"
		p.bad("s3.compression.type", fmt.Errorf(why, main+"Format", codecKeys[main]))
		p.bad("format.class", fmt.Errorf("s3.compression.type=%s does not go with %sFormat", compression.Type, main))
	}
	c.value = newFormat(p, main, compression)
	if p.cfg.Bool("store.kafka.keys") {
		c.keys = newFormat(p, formatName(p.cfg.String("keys.format.class")), compression)
	}
	if p.cfg.Bool("store.kafka.headers") {
		c.headers = newFormat(p, formatName(p.cfg.String("headers.format.class")), compression)
	}
}

// withMetadata checks what files of metadata go together with.
func (c *sinkConfig) withMetadata(p *parser) {
	if !p.cfg.Bool(metadataKey) {
		return
	}
	c.metadata = format.Avro{Codec: p.cfg.String("avro.codec"), Level: -1}
	switch {
	case c.keys == nil:
		p.bad(metadataKey, errors.New("it says which records have keys, so it needs store.kafka.keys=true"))
	case c.headers != nil:
		p.bad(metadataKey, errors.New("it stores headers as well: remove store.kafka.headers"))
	case c.nulls == writeNulls && c.rotation.Compatibility != rotation.NoCompatibility:
		p.bad(metadataKey, errors.New("with behavior.on.null.values=write it needs schema.compatibility=NONE, since nulls are of no schema"))
	}
}

var codecKeys = map[string]string{"Avro": "avro.codec", "Parquet": "parquet.codec"}

func newFormat(p *parser, name string, compression format.Compression) format.Format {
	cfg := p.cfg
	avro := data.AvroOptions{
		Enhanced: cfg.Bool("enhanced.avro.schema.support"), NoConnectMeta: !cfg.Bool("connect.meta.data"), AllowOptionalMapKeys: cfg.Bool("allow.optional.map.keys"),
	}
	switch name {
	case "Avro":
		return format.Avro{Codec: cfg.String("avro.codec"), Options: avro, Level: -1}
	case "Json":
		return format.JSON{Compression: compression, Options: data.JSONOptions{NumericDecimals: strings.EqualFold(cfg.String("json.decimal.format"), "NUMERIC")}}
	case "Csv":
		return format.CSV{NoHeader: !cfg.Bool(csvHeaderKey), Separator: csvSeparator(cfg), Compression: compression, Options: data.JSONOptions{NumericDecimals: strings.EqualFold(cfg.String("json.decimal.format"), "NUMERIC")}}
	case "Parquet":
		return format.Parquet{Codec: cfg.String("parquet.codec"), Options: avro}
	}
	return format.Bytes{Suffix: cfg.String("format.bytearray.extension"), Separator: separator(cfg), Compression: compression}
}

// separator reads the separator as it was given, blanks and all, with Java's
// escapes.
func separator(cfg sdk.Config) string {
	s, ok := cfg.Original(separatorKey)
	if !ok {
		return "\n"
	}
	if text, err := strconv.Unquote(`"` + strings.ReplaceAll(s, `"`, `\"`) + `"`); err == nil {
		return text
	}
	return s
}

func (c *sinkConfig) null(p *parser) {
	switch strings.ToLower(p.cfg.String("behavior.on.null.values")) {
	case "ignore":
		c.nulls = ignoreNulls
	case "write":
		c.nulls = writeNulls
		if c.keys == nil {
			p.bad("behavior.on.null.values", errors.New("write stores the keys of records without a value, so it needs store.kafka.keys=true"))
		}
	}
}

func (c *sinkConfig) objects(p *parser) {
	c.tags = make(map[string]string)
	for _, pair := range p.cfg.List("s3.object.tagging.key.value.pairs") {
		k, v, _ := strings.Cut(pair, ":")
		c.tags[strings.TrimSpace(k)] = strings.TrimSpace(v)
	}
	s := &c.store
	s.encryption, s.kmsKey, s.acl = p.cfg.String("s3.ssea.name"), p.cfg.String("s3.sse.kms.key.id"), p.cfg.String("s3.acl.canned")
	if s.customerKey != "" && s.encryption != "" && s.encryption != "AES256" {
		p.bad("s3.sse.customer.key", errors.New("a key of one's own goes with s3.ssea.name=AES256 only"))
	}
	if s.customerKey != "" && strings.HasPrefix(s.endpoint, "http://") {
		p.bad("s3.sse.customer.key", errors.New("the key would cross the network in the clear: use https in store.url"))
	}
	if s.kmsKey != "" && s.encryption != "aws:kms" {
		s.kmsKey = "" // as Confluent's, which has use for it with aws:kms alone
	}
	s.digests(p.cfg.String("s3.checksum"), p.cfg.String(signingKey))
	c.conditional = p.cfg.Bool("enable.conditional.writes") && c.rotation.Schedule > 0 && c.keys == nil && c.headers == nil
}
