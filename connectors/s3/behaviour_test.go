package s3

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/hamba/avro/v2/ocf"

	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
	"github.com/millrace/millrace/plugins/sdktest"
)

// clock is a time that a test sets.
type clock struct{ ms atomic.Int64 }

func newClock(start time.Time) *clock {
	c := &clock{}
	c.ms.Store(start.UnixMilli())
	return c
}
func (c *clock) now() time.Time          { return time.UnixMilli(c.ms.Load()) }
func (c *clock) advance(d time.Duration) { c.ms.Add(d.Milliseconds()) }

var noon = time.Date(2026, 1, 3, 12, 0, 0, 0, time.UTC)

var scheduled = map[string]string{"flush.size": "1000", "rotate.schedule.interval.ms": "60000", "timezone": "UTC"}

func TestScheduleCommitsAnIdlePartition(t *testing.T) {
	s, bucket := shared(t)
	c := newClock(noon)
	run := sdktest.StartSink(t, connectorWith(c.now, nil), sinkConfigOf(s, bucket, scheduled))
	run.Assign(sdk.Offsets{orders: 0})
	run.MustPut(orderRecords(t, 0, 5)...)
	c.advance(59 * time.Second)
	run.MustPut()
	if got, ok := run.PreCommit(sdk.Offsets{orders: 5})[orders]; ok && got > 0 {
		t.Errorf("before its time %d is committed", got)
	}
	if wake := run.Events().Timeout; wake <= 0 || wake > time.Second {
		t.Errorf("it asks to be woken after %v, want the second that is left", wake)
	}
	c.advance(time.Second)
	run.MustPut()
	if got := run.PreCommit(sdk.Offsets{orders: 5}); got[orders] != 5 {
		t.Errorf("committed %v, want 5", got)
	}
	o := s.Objects(t, bucket)
	if len(o) != 1 || o[0].Metadata[nextMetadata] != "5" || o[0].Metadata[countMetadata] != "5" || o[0].Metadata[startMetadata] != "0" {
		t.Errorf("objects are %+v", o)
	}
}

// TestObjectsOfAnotherWorkerAreTakenUp has a worker end after it has written
// objects and before it could commit. The next one, whose clock differs, would
// end its own objects elsewhere; each record must still be in one.
func TestObjectsOfAnotherWorkerAreTakenUp(t *testing.T) {
	for name, more := range map[string]map[string]string{"one directory": nil, "three directories": byWho} {
		t.Run(name, func(t *testing.T) {
			s, bucket := shared(t)
			config := sinkConfigOf(s, bucket, scheduled)
			maps.Copy(config, more)
			c := newClock(noon)
			first := sdktest.StartSink(t, connectorWith(c.now, nil), config)
			first.Assign(sdk.Offsets{orders: 0})
			first.MustPut(orderRecords(t, 0, 5)...)
			c.advance(time.Minute)
			first.MustPut()
			first.PreCommit(sdk.Offsets{orders: 5}) // whose answer is lost
			first.Close()

			second := sdktest.StartSink(t, connectorWith(c.now, nil), config)
			second.Assign(sdk.Offsets{orders: 0})
			second.MustPut(orderRecords(t, 0, 8)...)
			c.advance(time.Minute)
			second.MustPut()
			second.PreCommit(sdk.Offsets{orders: 8}) // waits for the upload, which is refused
			second.MustPut(orderRecords(t, 8, 10)...)
			if to, ok := second.Events().Rewind[orders]; !ok || to != 0 {
				t.Fatalf("it asks for records from %d again (%v), want 0", to, ok)
			}
			second.MustPut(orderRecords(t, 10, 11)...) // was in the pipe
			second.MustPut(orderRecords(t, 0, 12)...)
			if got := second.PreCommit(sdk.Offsets{orders: 12}); got[orders] != 5 {
				t.Errorf("committed %v, want 5, where the other worker's objects end", got)
			}
			c.advance(time.Minute)
			second.MustPut()
			if got := second.PreCommit(sdk.Offsets{orders: 12}); got[orders] != 12 {
				t.Errorf("committed %v, want 12", got)
			}
			once(t, ids(t, s, bucket), 0, 12)
		})
	}
}

// TestHalfARotationOfAnotherWorkerIsTakenUp has a worker end, or be frozen,
// after it has written the first of three objects. The next one, whose rotation
// would end elsewhere, must end up with objects of one rotation.
func TestHalfARotationOfAnotherWorkerIsTakenUp(t *testing.T) {
	s, bucket := shared(t)
	config := sinkConfigOf(s, bucket, scheduled)
	maps.Copy(config, byWho)
	c, broken := newClock(noon), &faults{}
	broken.set(func(r *http.Request) (int, string) {
		if r.Method == http.MethodPut && !strings.Contains(r.URL.Path, "who=w0") {
			return http.StatusInternalServerError, "InternalError"
		}
		return 0, ""
	})
	first := sdktest.StartSink(t, connectorWith(c.now, broken), config)
	first.Assign(sdk.Offsets{orders: 0})
	first.MustPut(orderRecords(t, 0, 5)...)
	c.advance(time.Minute)
	first.MustPut()
	if got := first.PreCommit(sdk.Offsets{orders: 5})[orders]; got > 0 {
		t.Fatalf("%d is committed", got)
	}
	first.Close()
	if got := keys(t, s, bucket); len(got) != 1 {
		t.Fatalf("objects are %q", got)
	}

	second := sdktest.StartSink(t, connectorWith(c.now, nil), config)
	second.Assign(sdk.Offsets{orders: 0})
	committed, next := int64(0), int64(0)
	for tries := 0; committed < 12; tries++ {
		if tries > 20 {
			t.Fatalf("it writes the same records again and again; objects are %q", keys(t, s, bucket))
		}
		to := min(next+8, 12)
		second.MustPut(orderRecords(t, next, to)...)
		c.advance(time.Minute)
		second.MustPut()
		committed = max(committed, second.PreCommit(sdk.Offsets{orders: to})[orders])
		second.MustPut() // looks after an upload that was refused
		next = to
		if rewind := second.Events().Rewind; len(rewind) > 0 {
			next = rewind[orders]
			delete(rewind, orders)
		}
	}
	once(t, ids(t, s, bucket), 0, 12)
}

// TestObjectsOfOtherConnectorsAreReplaced has an object without metadata.
func TestObjectsOfOtherConnectorsAreReplaced(t *testing.T) {
	s, bucket := shared(t)
	key := "topics/orders/partition=0/orders+0+0000000000.json"
	if _, err := s.Client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: strings.NewReader("old")}); err != nil {
		t.Fatal(err)
	}
	c := newClock(noon)
	run := sdktest.StartSink(t, connectorWith(c.now, nil), sinkConfigOf(s, bucket, scheduled))
	run.Assign(sdk.Offsets{orders: 0})
	run.MustPut(orderRecords(t, 0, 5)...)
	c.advance(time.Minute)
	run.MustPut()
	if got := run.PreCommit(sdk.Offsets{orders: 5}); got[orders] != 5 {
		t.Errorf("committed %v, want 5", got)
	}
	once(t, ids(t, s, bucket), 0, 5)
}

// tombstone is a record without a value.
func tombstone(t *testing.T, offset int64, key any) data.Record {
	t.Helper()
	r := sdktest.LogRecord(t, "orders", 0, offset, nil, nil)
	var err error
	if r.Key, err = data.NewDatum(data.StringSchema, key); err != nil {
		t.Fatal(err)
	}
	return r
}

func withKey(t *testing.T, r data.Record, key any) data.Record {
	t.Helper()
	var err error
	schema := data.StringSchema
	if key == nil {
		schema = nil
	}
	if r.Key, err = data.NewDatum(schema, key); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestNullValues(t *testing.T) {
	t.Run("fail", func(t *testing.T) {
		s, bucket := shared(t)
		run := sdktest.StartSink(t, Connectors()[0], sinkConfigOf(s, bucket, nil))
		run.Assign(sdk.Offsets{orders: 0})
		if _, err := run.Put(tombstone(t, 0, "k")); err == nil || !strings.Contains(err.Error(), "behavior.on.null.values") {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("ignore", func(t *testing.T) {
		s, bucket := shared(t)
		config := sinkConfigOf(s, bucket, map[string]string{
			"behavior.on.null.values": "IGNORE", "flush.size": "2", "errors.tolerance": "all", "errors.deadletterqueue.topic.name": "dlq",
		})
		run := sdktest.StartSink(t, Connectors()[0], config)
		run.Assign(sdk.Offsets{orders: 0})
		run.MustPut(tombstone(t, 0, "k"))
		if got := run.PreCommit(sdk.Offsets{orders: 1}); got[orders] != 1 {
			t.Errorf("with nothing open, committed %v, want 1", got)
		}
		run.MustPut(append(orderRecords(t, 1, 2), tombstone(t, 2, "k"))...)
		if got := run.PreCommit(sdk.Offsets{orders: 3}); got[orders] > 1 {
			t.Errorf("with an open file, committed %v", got)
		}
		run.MustPut(orderRecords(t, 3, 4)...)
		if got := run.PreCommit(sdk.Offsets{orders: 4}); got[orders] != 4 {
			t.Errorf("committed %v, want 4", got)
		}
		if got := run.Events().Errant[orders]; !slices.Equal(got, []int64{0, 2}) {
			t.Errorf("reported are %v, want 0 and 2", got)
		}
		if got := ids(t, s, bucket); !slices.Equal(got, []int64{1, 3}) {
			t.Errorf("stored are %v", got)
		}
	})
	t.Run("write", func(t *testing.T) {
		s, bucket := shared(t)
		config := sinkConfigOf(s, bucket, map[string]string{
			"behavior.on.null.values": "write", "store.kafka.keys": "true", "keys.format.class": formatPrefix + "json.JsonFormat", "flush.size": "3",
		})
		run := sdktest.StartSink(t, Connectors()[0], config)
		run.Assign(sdk.Offsets{orders: 0})
		run.MustPut(withKey(t, orderRecords(t, 0, 1)[0], "a"), tombstone(t, 1, "b"), tombstone(t, 2, "c"))
		run.PreCommit(sdk.Offsets{orders: 3})
		got := make(map[string]string)
		for _, o := range s.Objects(t, bucket) {
			got[strings.TrimPrefix(o.Key, "topics/orders/")] = string(o.Content)
		}
		if len(got) != 3 || got["partition=0/orders+0+0000000000.keys.json"] != "\"a\"\n" || got["tombstone/orders+0+0000000001.keys.json"] != "\"b\"\n\"c\"\n" {
			t.Errorf("objects are %q", got)
		}
	})
}

// TestKeysAndHeadersStayInStep has records that lack a key or headers among
// others: they are in none of the three files.
func TestKeysAndHeadersStayInStep(t *testing.T) {
	s, bucket := shared(t)
	config := sinkConfigOf(s, bucket, map[string]string{
		"store.kafka.keys": "true", "store.kafka.headers": "true", "flush.size": "3", "headers.format.class": formatPrefix + "json.JsonFormat",
		"errors.tolerance": "all",
	})
	run := sdktest.StartSink(t, Connectors()[0], config)
	run.Assign(sdk.Offsets{orders: 0})
	header, err := data.NewDatum(data.Int32Schema, int32(7))
	if err != nil {
		t.Fatal(err)
	}
	var records []data.Record
	for i, r := range orderRecords(t, 0, 5) {
		r.Headers = []data.Header{{Name: "h", Value: header}, {Name: "null"}}
		r = withKey(t, r, fmt.Sprintf("k%d", i))
		if i == 1 {
			r = withKey(t, r, nil)
		}
		if i == 3 {
			r.Headers = nil
		}
		records = append(records, r)
	}
	run.MustPut(records...)
	if got := run.PreCommit(sdk.Offsets{orders: 5}); got[orders] != 5 {
		t.Errorf("committed %v, want 5", got)
	}
	if got := run.Events().Errant[orders]; !slices.Equal(got, []int64{1, 3}) {
		t.Errorf("reported are %v, want 1 and 3", got)
	}
	o := s.Objects(t, bucket)
	if len(o) != 3 {
		t.Fatalf("there are %d objects", len(o))
	}
	headers, values, keyFile := o[0], o[1], o[2] // "headers.json" is before "json" before "keys.avro"
	if got := idsOf(t, values); !slices.Equal(got, []int64{0, 2, 4}) {
		t.Errorf("%s: %v", values.Key, got)
	}
	want := strings.Repeat(`{"headers":[{"key":"h","value":"7"},{"key":"null","value":null}]}`+"\n", 3)
	if string(headers.Content) != want {
		t.Errorf("%s: %s", headers.Key, headers.Content)
	}
	d, err := ocf.NewDecoder(bytes.NewReader(keyFile.Content))
	if err != nil {
		t.Fatalf("%s: %v", keyFile.Key, err)
	}
	var got []string
	for d.HasNext() {
		var k string
		if err := d.Decode(&k); err != nil {
			t.Fatal(err)
		}
		got = append(got, k)
	}
	if !slices.Equal(got, []string{"k0", "k2", "k4"}) {
		t.Errorf("%s: %q", keyFile.Key, got)
	}
}

// TestSchemasShareFilesAsTheyAreAllowedTo puts records of an older, a newer
// and again the older version.
func TestSchemasShareFilesAsTheyAreAllowedTo(t *testing.T) {
	build := func(version int32, more bool) *data.Schema {
		b := data.NewStructBuilder().Name("Order").Version(version).Field("id", data.Int64Schema)
		if more {
			b.Field("extra", data.OptionalStringSchema)
		}
		return b.MustBuild()
	}
	old, newer := build(1, false), build(2, true)
	for _, tt := range []struct {
		mode string
		want []string // the offsets that files begin with
	}{
		{"NONE", []string{"0", "1", "2"}}, {"BACKWARD", []string{"0", "1"}}, {"FORWARD", []string{"0"}}, {"FULL", []string{"0", "1"}},
	} {
		t.Run(tt.mode, func(t *testing.T) {
			s, bucket := shared(t)
			config := sinkConfigOf(s, bucket, map[string]string{"schema.compatibility": tt.mode, "format.class": formatPrefix + "avro.AvroFormat"})
			maps.Copy(config, scheduled)
			c := newClock(noon)
			run := sdktest.StartSink(t, connectorWith(c.now, nil), config)
			run.Assign(sdk.Offsets{orders: 0})
			for i, schema := range []*data.Schema{old, newer, old} {
				v := data.NewStruct(schema)
				if err := v.Put("id", int64(i)); err != nil {
					t.Fatal(err)
				}
				run.MustPut(sdktest.LogRecord(t, "orders", 0, int64(i), schema, v))
			}
			c.advance(time.Minute)
			run.MustPut()
			run.PreCommit(sdk.Offsets{orders: 3})
			var got []string
			for _, o := range s.Objects(t, bucket) {
				got = append(got, o.Metadata[startMetadata])
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("files begin with %q, want %q", got, tt.want)
			}
			once(t, ids(t, s, bucket), 0, 3)
		})
	}
}

// TestRequestsCarryWhatIsAskedFor looks at the headers of requests: which of
// these a store honours is its own affair.
func TestRequestsCarryWhatIsAskedFor(t *testing.T) {
	s, bucket := shared(t)
	for _, tt := range []struct {
		name    string
		changes map[string]string
		want    map[string]string // "" is a header that must not be there
	}{
		{"nothing", nil, map[string]string{"X-Amz-Acl": "", "X-Amz-Server-Side-Encryption": "", "If-None-Match": "",
			"X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD", "X-Amz-Checksum-Crc32": "its CRC32"}},
		{"no checksums", map[string]string{"s3.checksum": "required"}, map[string]string{"X-Amz-Checksum-Crc32": "", "X-Amz-Content-Sha256": "its SHA-256"}},
		{"always signed", map[string]string{"s3.payload.signing": "always"}, map[string]string{"X-Amz-Content-Sha256": "its SHA-256"}},
		{"never signed", map[string]string{"s3.payload.signing": "never", "s3.checksum": "required"}, map[string]string{"X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD"}},
		{"AES256 and ACL", map[string]string{"s3.ssea.name": "AES256", "s3.acl.canned": "bucket-owner-full-control"},
			map[string]string{"X-Amz-Server-Side-Encryption": "AES256", "X-Amz-Acl": "bucket-owner-full-control"}},
		{"KMS", map[string]string{"s3.ssea.name": "aws:kms", "s3.sse.kms.key.id": "k1"},
			map[string]string{"X-Amz-Server-Side-Encryption": "aws:kms", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": "k1"}},
		{"the key of KMS needs KMS", map[string]string{"s3.ssea.name": "AES256", "s3.sse.kms.key.id": "k1"},
			map[string]string{"X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": ""}},
		{"checksums", map[string]string{"s3.checksum": "supported"}, map[string]string{"X-Amz-Sdk-Checksum-Algorithm": "CRC32"}},
		{"conditional", scheduled, map[string]string{"If-None-Match": "*"}},
		{"conditional switched off", map[string]string{"rotate.schedule.interval.ms": "1000", "timezone": "UTC", "enable.conditional.writes": "false"},
			map[string]string{"If-None-Match": ""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			headers := make(chan http.Header, 10)
			f := &faults{}
			f.set(func(r *http.Request) (int, string) {
				if r.Method != http.MethodPut {
					return 0, ""
				}
				h := r.Header.Clone()
				if body, err := io.ReadAll(r.Body); err == nil {
					h.Set("its SHA-256", fmt.Sprintf("%x", sha256.Sum256(body)))
					h.Set("its CRC32", base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(body))))
				}
				headers <- h
				return 403, "AccessDenied"
			})
			config := sinkConfigOf(s, bucket, tt.changes)
			config["flush.size"] = "1"
			run := sdktest.StartSink(t, connectorWith(nil, f), config)
			run.Assign(sdk.Offsets{orders: 0})
			run.MustPut(orderRecords(t, 0, 1)...)
			got := <-headers
			for name, want := range tt.want {
				if strings.HasPrefix(want, "its ") {
					want = got.Get(want)
				}
				if got.Get(name) != want {
					t.Errorf("%s is %q, want %q", name, got.Get(name), want)
				}
			}
		})
	}
}

func TestDigests(t *testing.T) {
	for _, tt := range []struct {
		endpoint, checksum, signing string
		proxy                       bool
		checksums, unsigned         bool
	}{
		{"", "", "auto", false, true, true},
		{"", "required", "auto", false, false, true},
		{"", "", "always", false, true, false},
		{"https://store.example", "", "auto", false, false, true},
		{"https://store.example", "supported", "auto", false, true, true},
		{"http://store.example", "", "auto", false, false, false},
		{"http://store.example", "supported", "auto", false, true, false},
		{"http://store.example", "", "never", false, false, true},
		{"http://127.0.0.1:7070", "", "auto", false, true, true},
		{"http://localhost:9000", "", "auto", false, true, true},
		{"http://[::1]:9000", "", "auto", false, true, true},
		{"http://127.0.0.1:7070", "required", "auto", false, false, false},
		{"http://127.0.0.1:7070", "", "auto", true, false, false},
		{"http://127.0.0.1.example", "", "auto", false, false, false},
	} {
		s := storeConfig{endpoint: tt.endpoint}
		if tt.proxy {
			s.proxy = &url.URL{Host: "proxy"}
		}
		if s.digests(tt.checksum, tt.signing); s.checksums != tt.checksums || s.unsigned != tt.unsigned {
			t.Errorf("store %q, checksum %q, signing %q, proxy %v: checksums %v and unsigned %v, want %v and %v",
				tt.endpoint, tt.checksum, tt.signing, tt.proxy, s.checksums, s.unsigned, tt.checksums, tt.unsigned)
		}
	}
}

func TestTags(t *testing.T) {
	s, bucket := shared(t)
	config := sinkConfigOf(s, bucket, map[string]string{
		"flush.size": "2", "s3.object.tagging": "true", "s3.object.tagging.key.value.pairs": "team:lake, cost : x", "s3.object.behavior.on.tagging.error": "fail",
	})
	run := sdktest.StartSink(t, Connectors()[0], config)
	run.Assign(sdk.Offsets{orders: 0})
	run.MustPut(orderRecords(t, 4, 6)...)
	if got := run.PreCommit(sdk.Offsets{orders: 6}); got[orders] != 6 {
		t.Fatalf("committed %v, want 6", got)
	}
	key := keys(t, s, bucket)[0]
	out, err := s.Client.GetObjectTagging(t.Context(), &s3.GetObjectTaggingInput{Bucket: &bucket, Key: &key})
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, tag := range out.TagSet {
		got[*tag.Key] = *tag.Value
	}
	if want := map[string]string{"startOffset": "4", "endOffset": "5", "recordCount": "2", "team": "lake", "cost": "x"}; !maps.Equal(got, want) {
		t.Errorf("tags are %v, want %v", got, want)
	}
}

func TestConfigurationsAreRefused(t *testing.T) {
	base := map[string]string{"name": "x", "topics": "t", "s3.bucket.name": "b", "flush.size": "1", "format.class": formatPrefix + "json.JsonFormat"}
	timeBased := map[string]string{"partitioner.class": partitionerPrefix + "TimeBasedPartitioner", "path.format": "YYYY", "partition.duration.ms": "1000", "locale": "en", "timezone": "UTC"}
	for _, tt := range []struct {
		name    string
		changes map[string]string
		want    string // "" is none
	}{
		{"good", nil, ""},
		{"good, time", timeBased, ""},
		{"schedule without zone", map[string]string{"rotate.schedule.interval.ms": "1"}, "timezone configuration must be set when using rotate.schedule.interval.ms"},
		{"accelerated by path", map[string]string{"s3.wan.mode": "true"}, "s3.path.style.access.enabled=false"},
		{"half a key", map[string]string{"aws.access.key.id": "a"}, "aws.secret.access.key"},
		{"gzip of Avro", map[string]string{"s3.compression.type": "gzip", "format.class": formatPrefix + "avro.AvroFormat"}, "avro.codec"},
		{"bzip2", map[string]string{"avro.codec": "bzip2"}, "bzip2"},
		{"write without keys", map[string]string{"behavior.on.null.values": "write"}, "store.kafka.keys=true"},
		{"headers as bytes", map[string]string{"headers.format.class": formatPrefix + "bytearray.ByteArrayFormat"}, "plain bytes"},
		{"customer key", map[string]string{"s3.sse.customer.key": "c2hvcnQ="}, "32 bytes"},
		{"customer key over http", map[string]string{"s3.sse.customer.key": base64.StdEncoding.EncodeToString(make([]byte, 32)), "store.url": "http://x:1"}, "https"},
		{"role without its name", map[string]string{providerKey: assumeRole}, "role.arn"},
		{"other provider", map[string]string{providerKey: "com.example.Mine"}, "cannot run here"},
		{"write duration", map[string]string{"max.write.duration.ms": "5"}, "max.write.duration.ms"},
		{"no address", map[string]string{"s3.proxy.url": "ftp://proxy"}, "it is not an address"},
	} {
		config := maps.Clone(base)
		maps.Copy(config, tt.changes)
		problems := fmt.Sprint(sdktest.Validate(t, Connectors()[0], config))
		if tt.want == "" && problems != "[]" && problems != "map[]" || !strings.Contains(problems, tt.want) {
			t.Errorf("%s: problems are %s, want %q", tt.name, problems, tt.want)
		}
	}
}
