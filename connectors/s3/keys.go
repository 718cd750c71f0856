package s3

import (
	"math"

	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/sdk"
)

// Reasons why keys have no effect, or only one value.
const (
	noEffect      = "Accepted and without effect: "
	ignoredDigest = noEffect + "the parts' CRC32 checksums take its place."
	ignoredBuffer = noEffect + "buffers always grow as they fill."
	ignoredCache  = noEffect + "nothing is converted twice for the same schema."
)

// ignored are the keys that are accepted and do nothing here, with the default.
// A task logs those that are given.
var ignored = []sdk.Key{
	{Name: "storage.class", Type: sdk.String, Default: storageClass, Rules: []configdef.Rule{configdef.OneOf(storageClass)},
		Doc: noEffect + "the store is S3."},
	{Name: "s3.send.digest", Type: sdk.Boolean, Default: false, Doc: ignoredDigest},
	{Name: "s3.http.send.expect.continue", Type: sdk.Boolean, Default: true, Doc: noEffect + "the SDK decides."},
	{Name: "s3.elastic.buffer.enable", Type: sdk.Boolean, Default: false, Doc: ignoredBuffer},
	{Name: "s3.elastic.buffer.init.capacity", Type: sdk.Int, Default: 131072, Rules: []configdef.Rule{configdef.AtLeast(4096)}, Doc: ignoredBuffer},
	{Name: "schemas.cache.config", Type: sdk.Int, Default: 1000, Aliases: []string{"schemas.cache.size"}, Doc: ignoredCache},
	{Name: "shutdown.timeout.ms", Type: sdk.Long, Default: 3000, Doc: noEffect + "the worker bounds how long a task may take to end."},
	{Name: "max.files.scan.limit", Type: sdk.Int, Default: 100, Doc: noEffect + "an object that is there says itself where to go on."},
}

// signingKey says whether the content of objects is signed.
const signingKey = "s3.payload.signing"

const storageClass = "io.confluent.connect.s3.storage.S3Storage"

// storeKeys say where the store is and who asks; source and sink share them.
func storeKeys() sdk.ConfigDef {
	const group = "S3"
	return sdk.ConfigDef{
		{Name: "s3.bucket.name", Type: sdk.String, Required: true, Rules: []configdef.Rule{configdef.NonEmpty()}, Importance: configdef.High, Group: group,
			Doc: "The bucket. It must exist."},
		{Name: "s3.region", Type: sdk.String, Default: "us-west-2", Importance: configdef.Medium, Group: group,
			Doc: "The region of the bucket, which requests are signed for."},
		{Name: "store.url", Type: sdk.String, Check: checkURL, Importance: configdef.High, Group: group,
			Doc: "Address of a store other than Amazon's; https:// is put before it where no scheme is."},
		{Name: "s3.path.style.access.enabled", Type: sdk.Boolean, Default: true, Importance: configdef.Low, Group: group,
			Doc: "Whether the bucket's name stands in the path of addresses, not in the host."},
		{Name: "s3.wan.mode", Type: sdk.Boolean, Default: false, Group: group,
			Doc: "Whether to use S3's accelerated endpoint, which needs s3.path.style.access.enabled=false."},
		{Name: "aws.access.key.id", Type: sdk.String, Default: "", Importance: configdef.High, Group: group,
			Doc: "Access key. Without key and secret the chain of the AWS SDK finds credentials."},
		{Name: "aws.secret.access.key", Type: sdk.Password, Importance: configdef.High, Group: group, Doc: "Secret of the access key."},
		{Name: providerKey, Type: sdk.Class, Default: defaultProvider, Check: checkProvider, Importance: configdef.Low, Group: group,
			Doc: "Where credentials come from: the chain of the AWS SDK, its environment variables, or " + assumeRole + "."},
		{Name: stsPrefix + "role.arn", Type: sdk.String, Default: "", Group: group, Doc: "Role to assume."},
		{Name: stsPrefix + "role.session.name", Type: sdk.String, Default: "", Group: group, Doc: "Name of the session of an assumed role."},
		{Name: stsPrefix + "role.external.id", Type: sdk.String, Default: "", Group: group, Doc: "External id to assume a role with."},
		{Name: stsPrefix + "region", Type: sdk.String, Default: "", Group: group, Doc: "Region of the STS; s3.region by default."},
		{Name: stsPrefix + "aws.access.key.id", Type: sdk.String, Default: "", Group: group, Doc: "Access key to assume a role with."},
		{Name: stsPrefix + "aws.secret.key.id", Type: sdk.Password, Group: group, Doc: "Secret of the key to assume a role with."},
		{Name: "s3.part.retries", Type: sdk.Int, Default: 3, Rules: []configdef.Rule{configdef.AtLeast(0)}, Group: group,
			Doc: "How often one request is tried in a row before retry.backoff.ms is waited."},
		{Name: "s3.retry.backoff.ms", Type: sdk.Long, Default: 200, Rules: []configdef.Rule{configdef.AtLeast(0)}, Group: group,
			Doc: "Wait before the first repetition of a request; it doubles with each, up to 20 s, less a random part."},
		{Name: "s3.proxy.url", Type: sdk.String, Default: "", Check: checkURL, Group: group, Doc: "HTTP proxy to reach the store by."},
		{Name: "s3.proxy.user", Type: sdk.String, Group: group, Doc: "User of the proxy."},
		{Name: "s3.proxy.password", Type: sdk.Password, Group: group, Doc: "Password of the proxy."},
		{Name: "s3.sse.customer.key", Type: sdk.Password, Check: checkCustomerKey, Group: group,
			Doc: "Key of 32 bytes in base64 that the store encrypts objects with and forgets (SSE-C)."},
	}
}

// layoutKeys say how objects are named.
func layoutKeys() sdk.ConfigDef {
	const group = "Storage"
	return sdk.ConfigDef{
		{Name: "topics.dir", Type: sdk.String, Default: "topics", Importance: configdef.High, Group: group,
			Doc: "Directory above all topics. Empty is none."},
		{Name: "directory.delim", Type: sdk.String, Default: "/", Importance: configdef.Medium, Group: group, Doc: "What parts directories."},
		{Name: "file.delim", Type: sdk.String, Default: "+", Importance: configdef.Medium, Group: group,
			Doc: "What parts topic, partition and offset in the names of files."},
		{Name: "partitioner.class", Type: sdk.Class, Default: partitionerPrefix + "DefaultPartitioner", Check: checkPartitioner, Importance: configdef.High, Group: "Partitioner",
			Doc: "What directory a record goes to: Default, Field, TimeBased, Hourly or DailyPartitioner of " + partitionerPrefix[:len(partitionerPrefix)-1] + "."},
		{Name: "partition.field.name", Type: sdk.List, Default: []string{}, Group: "Partitioner", Doc: "Fields that name directories, nested ones as outer.inner."},
		{Name: "partition.duration.ms", Type: sdk.Long, Default: -1, Group: "Partitioner", Doc: "The time that one directory of the TimeBasedPartitioner holds."},
		{Name: "path.format", Type: sdk.String, Default: "", Group: "Partitioner", Doc: "Joda-Time pattern of the TimeBasedPartitioner's directories."},
		{Name: "locale", Type: sdk.String, Default: "", Group: "Partitioner", Doc: "Locale of the words in path.format. They are English."},
		{Name: "timezone", Type: sdk.String, Default: "", Group: "Partitioner", Doc: "Time zone of directories and of scheduled rotation."},
	}
}

// sinkKeys are the sink's own.
func sinkKeys() sdk.ConfigDef {
	atLeast := func(n float64) []configdef.Rule { return []configdef.Rule{configdef.AtLeast(n)} }
	oneOf := func(s ...string) []configdef.Rule { return []configdef.Rule{configdef.OneOf(s...)} }
	return sdk.ConfigDef{
		{Name: "format.class", Type: sdk.Class, Required: true, Check: checkFormat(true), Importance: configdef.High, Group: "Connector",
			Doc: "Format of files: AvroFormat, JsonFormat, ByteArrayFormat or ParquetFormat of io.confluent.connect.s3.format, or CsvFormat."},
		{Name: csvHeaderKey, Type: sdk.Boolean, Default: true, Importance: configdef.Low, Group: "Connector", Doc: "Whether CSV files begin with the names of their fields. Millrace's own."},
		{Name: csvSeparatorKey, Type: sdk.String, Default: ",", Check: checkCSVSeparator, Importance: configdef.Low, Group: "Connector", Doc: "What parts the fields of CSV files: one character. Millrace's own."},
		{Name: "flush.size", Type: sdk.Int, Required: true, Rules: atLeast(1), Importance: configdef.High, Group: "Connector",
			Doc: "Records of a topic's partition, in all its open files, after which they are committed."},
		{Name: "rotate.interval.ms", Type: sdk.Long, Default: -1, Importance: configdef.High, Group: "Connector",
			Doc: "Time between the first and a later record, by their timestamps, at which files are committed. Needs a time-based partitioner."},
		{Name: "rotate.schedule.interval.ms", Type: sdk.Long, Default: -1, Importance: configdef.Medium, Group: "Connector",
			Doc: "Time by the clock, from midnight in timezone on, at which files are committed."},
		{Name: "rotate.file.on.partition.change", Type: sdk.Boolean, Default: true, Importance: configdef.Low, Group: "Connector",
			Doc: "Whether a change of directory commits files where rotate.interval.ms is set."},
		{Name: "retry.backoff.ms", Type: sdk.Long, Default: 5000, Rules: atLeast(0), Importance: configdef.Low, Group: "Connector",
			Doc: "Wait before an upload is tried again after s3.part.retries attempts failed."},
		{Name: "max.write.duration.ms", Type: sdk.Long, Default: math.MaxInt64, Group: "Connector",
			Unsupported: "uploads run beside the writing, which they do not hold up for long"},
		{Name: "partitioner.max.open.files", Type: sdk.Int, Default: -1, Importance: configdef.Low, Group: "Connector",
			Doc: "The most files that a topic's partition has open at a time; -1 is no bound."},
		{Name: "filename.offset.zero.pad.width", Type: sdk.Int, Default: 10, Rules: atLeast(0), Importance: configdef.Low, Group: "Connector",
			Doc: "Digits of the offset in names of files."},
		{Name: "schema.compatibility", Type: sdk.String, Default: "NONE", Importance: configdef.High, Group: "Connector",
			Doc: "Which schemas may share a file: NONE, BACKWARD, FORWARD or FULL."},
		{Name: "behavior.on.null.values", Type: sdk.String, Default: "fail", Rules: []configdef.Rule{configdef.OneOfFold("ignore", "fail", "write")}, Importance: configdef.Low, Group: "Connector",
			Doc: "What to do with records without a value: leave them out, fail, or write their keys."},
		{Name: "report.null.values.to.dlq", Type: sdk.Boolean, Default: true, Importance: configdef.Low, Group: "Connector",
			Doc: "Whether ignored records without a value also go to the dead letter queue."},
		{Name: "tombstone.encoded.partition", Type: sdk.String, Default: "tombstone", Importance: configdef.Low, Group: "Connector",
			Doc: "Directory of records without a value."},
		{Name: "store.kafka.keys", Type: sdk.Boolean, Default: false, Importance: configdef.Low, Group: "Connector", Doc: "Whether keys are written to files of their own."},
		{Name: "store.kafka.headers", Type: sdk.Boolean, Default: false, Importance: configdef.Low, Group: "Connector", Doc: "Whether headers are written to files of their own."},
		{Name: metadataKey, Type: sdk.Boolean, Default: false, Importance: configdef.Low, Group: "Connector",
			Doc: "Whether timestamps, headers with their exact values, and which keys and values are null are written to files of their own, from which the source restores records as they were. Needs store.kafka.keys. Millrace's own."},
		{Name: "keys.format.class", Type: sdk.Class, Default: formatPrefix + "avro.AvroFormat", Check: checkFormat(true), Importance: configdef.Low, Group: "Connector", Doc: "Format of files of keys."},
		{Name: "headers.format.class", Type: sdk.Class, Default: formatPrefix + "avro.AvroFormat", Check: checkFormat(false), Importance: configdef.Low, Group: "Connector", Doc: "Format of files of headers."},
		{Name: "timestamp.extractor", Type: sdk.String, Default: "Wallclock", Check: checkExtractor, Group: "Partitioner", Doc: "Where a record's time comes from: Wallclock, Record or RecordField."},
		{Name: "timestamp.field", Type: sdk.String, Default: "timestamp", Group: "Partitioner", Doc: "The field that RecordField reads, nested as outer.inner."},
		{Name: "s3.schema.partition.affix.type", Type: sdk.String, Default: "NONE", Rules: []configdef.Rule{configdef.OneOfFold("NONE", "PREFIX", "SUFFIX")}, Group: "Partitioner",
			Doc: "Whether schema_name=NAME goes before or after the directory."},
		{Name: "s3.part.size", Type: sdk.Int, Default: 26214400, Rules: []configdef.Rule{configdef.AtLeast(5 << 20), configdef.AtMost(math.MaxInt32)}, Importance: configdef.High, Group: "S3",
			Doc: "The most bytes of a part of an upload. Smaller files are sent at once, unless memory is short: then parts from 5 MiB on are."},
		{Name: "s3.compression.type", Type: sdk.String, Default: "none", Rules: oneOf("none", "gzip", "zstd", "snappy"), Importance: configdef.Low, Group: "S3",
			Doc: "Compression of JSON and byte array files. zstd and snappy are Millrace's own."},
		{Name: "s3.compression.level", Type: sdk.Int, Default: -1, Rules: []configdef.Rule{configdef.AtLeast(-1), configdef.AtMost(9)}, Importance: configdef.Low, Group: "S3", Doc: "Level of gzip."},
		{Name: "avro.codec", Type: sdk.String, Default: "null", Check: checkAvroCodec, Importance: configdef.Low, Group: "S3", Doc: "Compression within Avro files: null, deflate, snappy, or zstandard, which is Millrace's own."},
		{Name: "parquet.codec", Type: sdk.String, Default: "snappy", Check: checkParquetCodec, Importance: configdef.Low, Group: "S3", Doc: "Compression within Parquet files: none, snappy, gzip, zstd, lz4_raw or brotli."},
		{Name: "json.decimal.format", Type: sdk.String, Default: "BASE64", Rules: []configdef.Rule{configdef.OneOfFold("BASE64", "NUMERIC")}, Importance: configdef.Low, Group: "S3", Doc: "How JSON files hold decimals."},
		{Name: "format.bytearray.extension", Type: sdk.String, Default: ".bin", Importance: configdef.Low, Group: "S3", Doc: "Extension of byte array files."},
		{Name: separatorKey, Type: sdk.String, Importance: configdef.Low, Group: "S3", Doc: "What follows each record of a byte array file; a line feed by default."},
		{Name: "enhanced.avro.schema.support", Type: sdk.Boolean, Default: true, Importance: configdef.Low, Group: "Connector", Doc: "Whether Avro files keep enums and names."},
		{Name: "connect.meta.data", Type: sdk.Boolean, Default: true, Importance: configdef.Low, Group: "Connector", Doc: "Whether Avro schemas keep what only Connect knows."},
		{Name: "allow.optional.map.keys", Type: sdk.Boolean, Default: false, Importance: configdef.Low, Group: "Connector", Doc: "Whether optional text may be the key of an Avro map."},
		{Name: "s3.object.tagging", Type: sdk.Boolean, Default: false, Importance: configdef.Low, Group: "S3", Doc: "Whether objects are tagged with startOffset, endOffset and recordCount."},
		{Name: "s3.object.tagging.key.value.pairs", Type: sdk.List, Default: []string{}, Check: checkTags, Importance: configdef.Low, Group: "S3", Doc: "Further tags, as key:value."},
		{Name: "s3.object.behavior.on.tagging.error", Type: sdk.String, Default: "ignore", Rules: oneOf("ignore", "fail"), Importance: configdef.Low, Group: "S3", Doc: "What to do if an object cannot be tagged."},
		{Name: "s3.ssea.name", Type: sdk.String, Default: "", Rules: oneOf("", "AES256", "aws:kms", "aws:kms:dsse"), Importance: configdef.Low, Group: "S3", Doc: "How the store encrypts objects."},
		{Name: "s3.sse.kms.key.id", Type: sdk.String, Default: "", Importance: configdef.Low, Group: "S3", Doc: "Key of the key management service, with s3.ssea.name=aws:kms."},
		{Name: "s3.acl.canned", Type: sdk.String, Check: checkACL, Importance: configdef.Low, Group: "S3", Doc: "Canned access control list of objects."},
		{Name: "enable.conditional.writes", Type: sdk.Boolean, Default: true, Importance: configdef.Low, Group: "S3",
			Doc: "Whether an object that is there is never replaced. It takes effect with rotate.schedule.interval.ms, unless keys or headers are stored."},
	}
}

// checksumKeys are of all connectors here, and Millrace's own.
func checksumKeys() sdk.ConfigDef {
	return sdk.ConfigDef{
		{Name: "s3.checksum", Type: sdk.String, Rules: []configdef.Rule{}, Check: checkChecksum, Importance: configdef.Low, Group: "S3",
			Doc: "Whether to send checksums whenever the store may take them (supported) or only where it must have them (required). " +
				"The default is required with a store.url of another machine, else supported. Millrace's own."},
	}
}

// memoryKeys are of sinks of all dialects, and Millrace's own.
func memoryKeys() sdk.ConfigDef {
	return append(checksumKeys(), sdk.ConfigDef{
		{Name: memoryKey, Type: sdk.Long, Default: 32 << 20, Rules: []configdef.Rule{configdef.AtLeast(1 << 20)}, Importance: configdef.Low, Group: "S3",
			Doc: "Memory in bytes that a task holds of files not yet sent. Where it gets short parts are sent earlier; what is more goes to temporary files. Millrace's own."},
		{Name: signingKey, Type: sdk.String, Default: "auto", Rules: []configdef.Rule{configdef.OneOf("auto", "always", "never")}, Importance: configdef.Low, Group: "S3",
			Doc: "Whether requests sign the content of objects, which costs its SHA-256 here and in the store: auto does over plain http, " +
				"unless the store is on this machine and takes checksums. Millrace's own."},
	}...)
}
