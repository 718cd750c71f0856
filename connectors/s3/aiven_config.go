package s3

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/connectors/objectfile/format"
	"github.com/millrace/millrace/connectors/objectfile/partition"
	"github.com/millrace/millrace/connectors/objectfile/rotation"
	"github.com/millrace/millrace/connectors/s3/aiven"
	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// AivenSink is Aiven's S3 sink connector, with the machinery of Sink.
type AivenSink struct{ Sink }

// aivenTemplate is the name of objects unless it is configured.
const aivenTemplate = "{{topic}}-{{partition}}-{{start_offset}}"

// ConfigDef defines the keys of Aiven's connector.
func (AivenSink) ConfigDef() sdk.ConfigDef {
	return slices.Concat(aivenStoreKeys(), aivenFileKeys(), memoryKeys())
}

func aivenStoreKeys() sdk.ConfigDef {
	const group, roles = "AWS", "AWS STS"
	return sdk.ConfigDef{
		{Name: "aws.s3.bucket.name", Type: sdk.String, Required: true, Aliases: []string{"aws_s3_bucket"}, Rules: []configdef.Rule{configdef.NonEmpty()}, Importance: configdef.High, Group: group, Doc: "The bucket. It must exist."},
		{Name: "aws.s3.region", Type: sdk.String, Default: "us-east-1", Aliases: []string{"aws_s3_region"}, Group: group, Doc: "The region of the bucket."},
		{Name: "aws.s3.endpoint", Type: sdk.String, Aliases: []string{"aws_s3_endpoint"}, Check: checkURL, Importance: configdef.Low, Group: group, Doc: "Address of a store other than Amazon's, whose paths begin with the bucket's name."},
		{Name: "aws.access.key.id", Type: sdk.Password, Aliases: []string{"aws_access_key_id"}, Group: group, Doc: "Access key. Without key and secret, and without a role, the chain of the AWS SDK finds credentials."},
		{Name: "aws.secret.access.key", Type: sdk.Password, Aliases: []string{"aws_secret_access_key"}, Group: group, Doc: "Secret of the access key."},
		{Name: "aws.credentials.provider", Type: sdk.Class, Default: "com.amazonaws.auth.DefaultAWSCredentialsProviderChain", Check: checkProvider, Importance: configdef.Low, Group: group, Doc: "Where credentials come from: the chain of the AWS SDK, or its environment variables."},
		{Name: "aws.s3.sse.algorithm", Type: sdk.String, Default: "", Rules: []configdef.Rule{configdef.OneOf("", "AES256", "aws:kms", "aws:kms:dsse")}, Group: group, Doc: "Encryption that the store does by itself."},
		{Name: "aws.s3.part.size.bytes", Type: sdk.Int, Default: 5 << 20, Rules: []configdef.Rule{configdef.AtLeast(5 << 20), configdef.AtMost(2_000_000_000)}, Group: group, Doc: "The most bytes of a part of an upload. Smaller files are sent at once."},
		{Name: "aws.sts.role.arn", Type: sdk.String, Default: "", Group: roles, Doc: "Role to assume."},
		{Name: "aws.sts.role.session.name", Type: sdk.String, Default: "", Group: roles, Doc: "Name of the session of an assumed role."},
		{Name: "aws.sts.role.session.duration", Type: sdk.Int, Default: 3600, Rules: []configdef.Rule{configdef.AtLeast(900), configdef.AtMost(43200)}, Group: roles, Doc: "Seconds that the session of an assumed role lasts."},
		{Name: "aws.sts.role.external.id", Type: sdk.String, Default: "", Group: roles, Doc: "External id to assume a role with."},
		{Name: "aws.sts.config.endpoint", Type: sdk.String, Default: "https://sts.amazonaws.com", Group: roles, Doc: "Address of the STS."},
		{Name: "aws.s3.backoff.delay.ms", Type: sdk.Long, Default: 100, Rules: []configdef.Rule{configdef.AtLeast(1)}, Group: group, Doc: "Wait before the first repetition of a request; it doubles with each, less a random part."},
		{Name: "aws.s3.backoff.max.delay.ms", Type: sdk.Long, Default: 20000, Rules: []configdef.Rule{configdef.AtLeast(1)}, Group: group, Doc: "The longest such wait."},
		{Name: "aws.s3.backoff.max.retries", Type: sdk.Int, Default: 3, Rules: []configdef.Rule{configdef.AtLeast(1), configdef.AtMost(30)}, Group: group, Doc: "How often one request is repeated in a row before kafka.retry.backoff.ms is waited."},
		{Name: "kafka.retry.backoff.ms", Type: sdk.Long, Default: 5000, Rules: []configdef.Rule{configdef.AtLeast(0), configdef.AtMost(24 * 3600 * 1000)}, Group: group, Doc: "Wait before an upload that failed for the time being is begun again."},
	}
}

func aivenFileKeys() sdk.ConfigDef {
	const file, content = "File", "Format"
	compressions := []string{"none", "gzip", "snappy", "zstd"}
	return sdk.ConfigDef{
		{Name: "file.name.template", Type: sdk.String, Importance: configdef.High, Group: file, Doc: "Names of objects, of the variables topic, partition, start_offset, timestamp and key in double braces; " + aivenTemplate + " and the ends of format and compression by default. Its variables say which records share an object."},
		{Name: "file.name.prefix", Type: sdk.String, Default: "", Group: file, Doc: "What stands before the names of objects."},
		{Name: "aws.s3.prefix", Type: sdk.String, Default: "", Aliases: []string{"aws_s3_prefix"}, Group: file, Doc: "What stands before the names of objects, as a template; offsets then have 20 digits. It goes without file.name.template and file.name.prefix."},
		{Name: "file.compression.type", Type: sdk.String, Default: "gzip", Aliases: []string{"output_compression"}, Rules: []configdef.Rule{configdef.OneOfFold(compressions...)}, Importance: configdef.High, Group: file, Doc: "Compression of objects; of Parquet, its codec."},
		{Name: "file.max.records", Type: sdk.Int, Default: 0, Rules: []configdef.Rule{configdef.AtLeast(0)}, Importance: configdef.High, Group: file, Doc: "The most records of a topic's partition between two commits of files; 0 is no bound."},
		{Name: "file.name.timestamp.timezone", Type: sdk.String, Default: "UTC", Aliases: []string{"timestamp.timezone"}, Check: checkZone, Importance: configdef.Low, Group: file, Doc: "Zone of timestamps in names."},
		{Name: "file.name.timestamp.source", Type: sdk.String, Default: "wallclock", Aliases: []string{"timestamp.source"}, Check: checkTimeSource, Importance: configdef.Low, Group: file, Doc: "What timestamps in names are: wallclock, or event for the records' own, with which names are the same when records come again."},
		{Name: "file.record.grouper.builder", Type: sdk.Class, Unsupported: "groupers in Java classes cannot run here: use file.name.template", Importance: configdef.Low, Group: file, Doc: "Aiven's way to group records by a class."},
		{Name: "format.output.type", Type: sdk.String, Default: "csv", Rules: []configdef.Rule{configdef.OneOfFold("csv", "json", "jsonl", "parquet", "avro")}, Importance: configdef.High, Group: content, Doc: "Format of objects."},
		{Name: "format.output.fields", Type: sdk.List, Default: []string{aiven.Value}, Aliases: []string{"output_fields"}, Check: checkOutputFields, Importance: configdef.High, Group: content, Doc: "What of each record objects hold: key, value, offset, timestamp, headers."},
		{Name: "format.output.fields.value.encoding", Type: sdk.String, Default: "base64", Rules: []configdef.Rule{configdef.OneOfFold("base64", "none")}, Group: content, Doc: "Form of the value in CSV."},
		{Name: "format.output.envelope", Type: sdk.Boolean, Default: true, Group: content, Doc: "Whether the only field of a record stands in an object of its own."},
		{Name: "avro.codec", Type: sdk.String, Default: "null", Check: checkAvroCodec, Importance: configdef.Low, Group: content, Doc: "Compression within Avro files: null, deflate, snappy or zstandard."},
	}
}

func checkZone(v any) error {
	s, _ := v.(string)
	_, err := partition.ParseZone(s)
	return err
}

func checkTimeSource(v any) error {
	s, _ := v.(string)
	switch kind, _, _ := strings.Cut(strings.ToLower(s), ":"); kind {
	case "wallclock", "event":
		return nil
	case "header", "simple_data", "custom":
		return errors.New("times of headers, fields and Java classes are not read here: use event, after a transform that sets the timestamp")
	}
	return errors.New("it is neither wallclock nor event")
}

func checkOutputFields(v any) error {
	list, _ := v.([]string)
	if len(list) == 0 {
		return errors.New("it names no field: key, value, offset, timestamp, headers")
	}
	for i, f := range list {
		if !slices.Contains([]string{aiven.Key, aiven.Value, aiven.Offset, aiven.Timestamp, aiven.Headers}, strings.ToLower(f)) {
			return fmt.Errorf("%q is not one of key, value, offset, timestamp, headers", f)
		}
		if slices.Contains(list[:i], f) {
			return fmt.Errorf("%s is there twice", f)
		}
	}
	return nil
}

// Validate checks keys against each other.
func (AivenSink) Validate(_ context.Context, cfg sdk.Config) []sdk.Problem {
	_, problems := newAivenConfig(cfg)
	return problems
}

// Open starts a task. The bucket must exist.
func (s AivenSink) Open(ctx context.Context, cfg sdk.Config, control sdk.Control) (sdk.SinkTask, error) {
	c, problems := newAivenConfig(cfg)
	if len(problems) > 0 {
		return nil, sdk.Fatal(problems[0])
	}
	if !c.conditional {
		sdk.Logger(ctx).Warn("records may be written twice after a crash, or objects replaced: the names of objects depend on the clock, or hold the latest record of a key (file.name.template, file.name.timestamp.source)")
	}
	return s.start(ctx, c, cfg, control)
}

// newAivenConfig converts a configuration into that of the task.
func newAivenConfig(cfg sdk.Config) (*sinkConfig, []sdk.Problem) {
	p := &parser{cfg: cfg}
	name, _ := cfg.Original("name")
	limit := cfg.Int("file.max.records")
	if limit == 0 {
		limit = math.MaxInt
	}
	c := &sinkConfig{
		connector: name, store: aivenStore(p), nulls: keepNulls, partition: partition.Config{Kind: partition.Default},
		rotation: rotation.Config{FlushSize: limit}, partSize: cfg.Int64("aws.s3.part.size.bytes"), memory: cfg.Int64(memoryKey),
		retry: cfg.Millis("kafka.retry.backoff.ms"), tags: map[string]string{},
	}
	c.store.encryption = cfg.String("aws.s3.sse.algorithm")
	c.content(p)
	names := aivenNames(p)
	if names == nil {
		return c, p.problems
	}
	if names.Latest() && cfg.Int("file.max.records") > 1 {
		p.bad("file.max.records", errors.New("files of the latest record of a key hold one: 1 or 0 go with key in file.name.template"))
	}
	c.names, c.conditional = names, names.Deterministic()
	if names.Latest() {
		c.rotation.FlushSize = math.MaxInt
	}
	return c, p.problems
}

func aivenStore(p *parser) storeConfig {
	cfg := p.cfg
	s := storeConfig{
		bucketKey: "aws.s3.bucket.name, aws.s3.region and aws.s3.endpoint",
		bucket:    cfg.String("aws.s3.bucket.name"), region: cfg.String("aws.s3.region"), endpoint: withScheme(cfg.String("aws.s3.endpoint")),
		accessKey: cfg.String("aws.access.key.id"), secret: cfg.String("aws.secret.access.key"),
		role: cfg.String("aws.sts.role.arn"), session: cfg.String("aws.sts.role.session.name"), externalID: cfg.String("aws.sts.role.external.id"),
		stsEndpoint: cfg.String("aws.sts.config.endpoint"), roleTime: time.Duration(cfg.Int("aws.sts.role.session.duration")) * time.Second,
		attempts: cfg.Int("aws.s3.backoff.max.retries") + 1, backoff: cfg.Millis("aws.s3.backoff.delay.ms"), longest: cfg.Millis("aws.s3.backoff.max.delay.ms"),
	}
	s.pathStyle = s.endpoint != ""
	var err error
	s.provider, err = parseProvider(cfg.String("aws.credentials.provider"))
	p.bad("aws.credentials.provider", err)
	if (s.accessKey == "") != (s.secret == "") {
		p.bad("aws.secret.access.key", errors.New("aws.access.key.id and aws.secret.access.key are needed both, or neither"))
	}
	if s.role != "" {
		// As Aiven's, whose role goes before an access key.
		s.provider, s.accessKey, s.secret = roleProvider, "", ""
		if s.session == "" {
			p.bad("aws.sts.role.session.name", errors.New("a role needs the name of its session"))
		}
	}
	s.digests(cfg.String("s3.checksum"), cfg.String(signingKey))
	return s
}

// content sets what objects hold.
func (c *sinkConfig) content(p *parser) {
	cfg := p.cfg
	fields := make([]string, 0, 5)
	for _, f := range cfg.List("format.output.fields") {
		fields = append(fields, strings.ToLower(f))
	}
	envelope := cfg.Bool("format.output.envelope")
	if !envelope && len(fields) != 1 {
		p.bad("format.output.envelope", errors.New("false goes with one field in format.output.fields"))
		return
	}
	compression := format.Compression{Type: strings.ToLower(cfg.String("file.compression.type")), Level: -1}
	if compression.Type == "snappy" {
		compression.Type = "xerial" // which Aiven's connector writes
	}
	lines := func(line func([]byte, *data.Record) ([]byte, error)) {
		c.datum = func() datumFunc { return aiven.Lines(line) }
	}
	switch strings.ToLower(cfg.String("format.output.type")) {
	case "json":
		c.value = format.Joined{First: "[\n", Between: ",\n", Last: "\n]", Compression: compression}
		lines(aiven.JSON(fields, envelope))
	case "jsonl":
		c.value = format.Joined{Between: "\n", Compression: compression}
		lines(aiven.JSON(fields, envelope))
	case "avro":
		c.value = format.Compressed{Format: format.Avro{Codec: cfg.String("avro.codec"), Level: -1}, Compression: compression}
		c.envelope(fields, envelope)
	case "parquet":
		codec := strings.ToLower(cfg.String("file.compression.type"))
		c.value = format.Parquet{Codec: codec}
		c.envelope(fields, envelope)
	default:
		c.value = format.Joined{Between: "\n", Compression: compression}
		lines(aiven.CSV(fields, strings.EqualFold(cfg.String("format.output.fields.value.encoding"), "none")))
	}
}

func (c *sinkConfig) envelope(fields []string, wrapped bool) {
	c.schema = func() schemaFunc { return aiven.NewEnvelope(fields, !wrapped).Schema }
	c.datum = func() datumFunc { return aiven.NewEnvelope(fields, !wrapped).Datum }
}

// aivenNames makes the template of names, nil if it is wrong.
func aivenNames(p *parser) *aiven.Template {
	cfg := p.cfg
	key, text := "file.name.template", cfg.String("file.name.template")
	end := ""
	if strings.EqualFold(cfg.String("format.output.type"), "avro") {
		end = ".avro"
	}
	end += map[string]string{"gzip": ".gz", "snappy": ".snappy", "zstd": ".zst"}[strings.ToLower(cfg.String("file.compression.type"))]
	old := cfg.String("aws.s3.prefix")
	switch {
	case old != "" && (text != "" || cfg.String("file.name.prefix") != ""):
		p.bad("aws.s3.prefix", errors.New("it goes without file.name.template and file.name.prefix: put the prefix into file.name.template"))
		return nil
	case old != "":
		key, text = "aws.s3.prefix", old+"{{topic}}-{{partition}}-{{start_offset:padding=true}}"+end
	case text == "":
		text = aivenTemplate + end
	}
	zone, err := partition.ParseZone(cfg.String("file.name.timestamp.timezone"))
	if err != nil {
		return nil // its own check has said so
	}
	names, err := aiven.Parse(text, zone, strings.EqualFold(cfg.String("file.name.timestamp.source"), "event"))
	if err == nil {
		err = names.Check()
	}
	if err != nil {
		p.bad(key, err)
		return nil
	}
	return names.After(cfg.String("file.name.prefix"))
}
