package s3

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/millrace/millrace/connectors/objectfile/partition"
)

// Names of keys and classes that more than one place needs.
const (
	providerKey       = "s3.credentials.provider.class"
	stsPrefix         = "s3.credentials.provider.sts."
	memoryKey         = "s3.buffer.memory"
	separatorKey      = "format.bytearray.separator"
	formatPrefix      = "io.confluent.connect.s3.format."
	partitionerPrefix = "io.confluent.connect.storage.partitioner."
	assumeRole        = "io.confluent.connect.s3.auth.AwsAssumeRoleCredentialsProvider"
	defaultProvider   = "software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider"
)

// simple is the last part of a Java class name.
func simple(class string) string { return class[strings.LastIndexByte(class, '.')+1:] }

// withScheme puts https:// before an address that has no scheme.
func withScheme(s string) string {
	if s != "" && !strings.Contains(s, "://") {
		return "https://" + s
	}
	return s
}

// checkURL does not repeat what it refuses: there may be a password in it.
func checkURL(v any) error {
	s, _ := v.(string)
	if s == "" {
		return nil
	}
	u, err := url.Parse(withScheme(s))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("it is not an address such as https://s3.example.com:9000")
	}
	return nil
}

func checkChecksum(v any) error {
	switch v {
	case nil, "", "supported", "required":
		return nil
	}
	return errors.New("it is neither supported nor required")
}

// provider is one of the places where credentials come from.
type provider int

const (
	chainProvider provider = iota
	environmentProvider
	roleProvider
)

func parseProvider(class string) (provider, error) {
	switch simple(class) {
	case "", "DefaultCredentialsProvider", "DefaultAWSCredentialsProviderChain":
		return chainProvider, nil
	case "EnvironmentVariableCredentialsProvider":
		return environmentProvider, nil
	case simple(assumeRole):
		return roleProvider, nil
	}
	return 0, fmt.Errorf("providers of credentials in Java classes cannot run here: use %s, %s, or an access key and its secret", defaultProvider, assumeRole)
}

func checkProvider(v any) error {
	s, _ := v.(string)
	_, err := parseProvider(s)
	return err
}

func checkCustomerKey(v any) error {
	s, _ := v.(string)
	if s == "" {
		return nil
	}
	if key, err := base64.StdEncoding.DecodeString(s); err != nil || len(key) != 32 {
		return errors.New("it is not the base64 of 32 bytes")
	}
	return nil
}

// formatName returns Avro, Json, ByteArray, Parquet or Csv, "" for other classes.
func formatName(class string) string {
	name := strings.TrimSuffix(simple(class), "Format")
	if slices.Contains([]string{"Avro", "Json", "ByteArray", "Parquet", "Csv"}, name) {
		return name
	}
	return ""
}

func checkFormat(bytes bool) func(any) error {
	return func(v any) error {
		s, ok := v.(string)
		switch name := formatName(s); {
		case !ok:
			return nil // it is required, which says enough
		case name == "":
			return errors.New("the formats here are AvroFormat, JsonFormat, ByteArrayFormat, ParquetFormat and CsvFormat")
		case name == "Csv" && !bytes:
			return errors.New("headers cannot be written as CSV: use AvroFormat, JsonFormat or ParquetFormat")
		case name == "ByteArray" && !bytes:
			return errors.New("headers cannot be written as plain bytes: use AvroFormat, JsonFormat or ParquetFormat")
		}
		return nil
	}
}

func checkPartitioner(v any) error {
	s, _ := v.(string)
	switch simple(s) {
	case partition.Default, partition.Field, partition.TimeBased, partition.Hourly, partition.Daily:
		return nil
	}
	return errors.New("partitioners in Java classes cannot run here: use Default, Field, TimeBased, Hourly or DailyPartitioner")
}

func checkExtractor(v any) error {
	s, _ := v.(string)
	if partition.ExtractorName(s) == "" {
		return errors.New("extractors in Java classes cannot run here: use Wallclock, Record or RecordField")
	}
	return nil
}

func checkAvroCodec(v any) error {
	switch v {
	case "null", "deflate", "snappy", "zstandard":
		return nil
	case "bzip2":
		return errors.New("bzip2 is not written here: use deflate, snappy or zstandard")
	}
	return errors.New("the codecs are null, deflate, snappy and zstandard")
}

func checkParquetCodec(v any) error {
	switch v {
	case "none", "snappy", "gzip", "zstd", "lz4_raw", "brotli":
		return nil
	case "lzo", "lz4":
		return errors.New("it is not written here: use snappy, zstd or lz4_raw")
	}
	return errors.New("the codecs are none, snappy, gzip, zstd, lz4_raw and brotli")
}

func checkTags(v any) error {
	list, _ := v.([]string)
	for _, pair := range list {
		if k, _, ok := strings.Cut(pair, ":"); !ok || k == "" {
			return fmt.Errorf("%q is not of the form key:value", pair)
		}
	}
	return nil
}

func checkACL(v any) error {
	s, _ := v.(string)
	if s == "" || slices.Contains(types.ObjectCannedACL("").Values(), types.ObjectCannedACL(s)) {
		return nil
	}
	return fmt.Errorf("the canned lists are %v", types.ObjectCannedACL("").Values())
}
