package main

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/connectors/s3/s3test"
)

// topicOf reads a topic from its start until it has n records, by partition.
func (s *server) topicOf(topic string, n int) map[int32][]*kgo.Record {
	s.t.Helper()
	c := s.client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	ctx, stop := context.WithTimeout(s.t.Context(), patience)
	defer stop()
	out := map[int32][]*kgo.Record{}
	for got := 0; got < n; {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			s.t.Fatalf("%s: %v, after %d of %d records", topic, err, got, n)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			out[r.Partition] = append(out[r.Partition], r)
			got++
		})
	}
	return out
}

// sameRecord says in what two records differ beyond topic and offset.
func sameRecord(a, b *kgo.Record) error {
	null := func(x, y []byte) bool { return (x == nil) != (y == nil) }
	switch {
	case null(a.Key, b.Key) || !bytes.Equal(a.Key, b.Key):
		return fmt.Errorf("the key %q became %q", a.Key, b.Key)
	case null(a.Value, b.Value) || !bytes.Equal(a.Value, b.Value):
		return fmt.Errorf("the value %q became %q", a.Value, b.Value)
	case !a.Timestamp.Equal(b.Timestamp):
		return fmt.Errorf("the timestamp %v became %v", a.Timestamp, b.Timestamp)
	case len(a.Headers) != len(b.Headers):
		return fmt.Errorf("%d headers became %d", len(a.Headers), len(b.Headers))
	}
	for i, h := range a.Headers {
		if g := b.Headers[i]; h.Key != g.Key || null(h.Value, g.Value) || !bytes.Equal(h.Value, g.Value) {
			return fmt.Errorf("header %s=%q became %s=%q", h.Key, h.Value, g.Key, g.Value)
		}
	}
	return nil
}

// TestTopicRestoredFromBackup backs topics up to S3, restores each to another
// topic, and compares key, value, headers and timestamp of every record, byte by
// byte and in order: of any bytes with the ByteArrayConverter, and of Avro and
// JSON through their converters.
func TestTopicRestoredFromBackup(t *testing.T) {
	lake := s3test.Start(t)
	bucket := lake.Bucket(t, "backup")
	s := startServer(t)
	const partitions, records = 3, 900
	admin := kadm.NewClient(s.client())
	registry := "http://" + s.addrs.Registry
	raw := map[string]string{}
	for _, side := range []string{"key", "value", "header"} {
		raw[side+".converter"] = "org.apache.kafka.connect.converters.ByteArrayConverter"
	}
	avro := map[string]string{
		"key.converter": "io.confluent.connect.avro.AvroConverter", "key.converter.schema.registry.url": registry,
		"value.converter": "io.confluent.connect.avro.AvroConverter", "value.converter.schema.registry.url": registry,
		// Without this a schema that was read says its version, and is another when it is written.
		"key.converter.connect.meta.data": "false", "value.converter.connect.meta.data": "false",
		"header.converter": "org.apache.kafka.connect.storage.StringConverter",
	}
	json := map[string]string{
		"key.converter": "org.apache.kafka.connect.storage.StringConverter", "value.converter": "org.apache.kafka.connect.json.JsonConverter",
		"value.converter.schemas.enable": "false", "header.converter": "org.apache.kafka.connect.storage.StringConverter",
	}
	text := with(json, map[string]string{"value.converter": "org.apache.kafka.connect.storage.StringConverter"})
	for _, tt := range []struct {
		topic, format string
		converters    map[string]string
	}{
		{"any", "avro.AvroFormat", raw}, {"plain", "bytearray.ByteArrayFormat", raw}, {"rows", "avro.AvroFormat", avro},
		{"columns", "parquet.ParquetFormat", avro}, {"texts", "json.JsonFormat", text},
		{"documents", "json.JsonFormat", json}, // whose members are in order
	} {
		for _, name := range []string{tt.topic, tt.topic + "-back"} {
			created, err := admin.CreateTopic(t.Context(), partitions, 1, nil, name)
			if err != nil || created.Err != nil {
				t.Fatal(err, created.Err)
			}
		}
		switch tt.topic {
		case "any", "plain":
			s.produceBytes(tt.topic, partitions, records, tt.topic == "any")
		case "documents":
			s.produceOrders(tt.topic, 0, records)
		default:
			s.create("make-"+tt.topic, with(tt.converters, map[string]string{
				"connector.class": "DatagenConnector", "quickstart": "orders", "kafka.topic": tt.topic, "max.interval": "0",
				"iterations": fmt.Sprint(records), "on.complete": "idle",
			}))
		}
		store := map[string]string{
			"s3.region": s3test.Region, "s3.bucket.name": bucket, "store.url": lake.URL, "aws.access.key.id": s3test.AccessKey, "aws.secret.access.key": s3test.Secret,
			"format.class": "io.confluent.connect.s3.format." + tt.format, "format.bytearray.separator": "||", "tasks.max": "2",
		}
		s.create("backup-"+tt.topic, with(tt.converters, store, map[string]string{
			"connector.class": "io.confluent.connect.s3.S3SinkConnector", "topics": tt.topic, "flush.size": "64", "rotate.schedule.interval.ms": "500",
			"timezone": "UTC", "store.kafka.keys": "true", "store.kafka.metadata": "true", "behavior.on.null.values": "write", "errors.restart.delay.max.ms": "300",
		}))
		original := s.topicOf(tt.topic, records)
		eventually(t, "the backup of "+tt.topic, func() error {
			stored := 0
			for _, o := range lake.Objects(t, bucket) {
				if n, err := strconv.Atoi(o.Metadata["mr-count"]); err == nil && strings.Contains(o.Key, "/"+tt.topic+"+") && strings.HasSuffix(o.Key, ".meta.avro") {
					stored += n
				}
			}
			if stored != records {
				_, status := s.rest("GET", "/connectors/backup-"+tt.topic+"/status", "")
				return fmt.Errorf("%d of %d records are stored; %s", stored, records, status)
			}
			return nil
		})
		s.create("restore-"+tt.topic, with(tt.converters, store, map[string]string{
			"connector.class": "io.confluent.connect.s3.source.S3SourceConnector", "folders": tt.topic, "s3.poll.interval.ms": "500",
			"transforms": "rename", "transforms.rename.type": "org.apache.kafka.connect.transforms.RegexRouter",
			"transforms.rename.regex": ".*", "transforms.rename.replacement": "$0-back",
		}))
		back := s.topicOf(tt.topic+"-back", records)
		for p := range int32(partitions) {
			if len(original[p]) != len(back[p]) || len(original[p]) == 0 {
				t.Fatalf("%s: of %d records in partition %d %d came back", tt.topic, len(original[p]), p, len(back[p]))
			}
			for i, r := range original[p] {
				if err := sameRecord(r, back[p][i]); err != nil {
					t.Fatalf("%s: record %d of partition %d: %v", tt.topic, i, p, err)
				}
			}
		}
	}
}

// with puts maps together.
func with(maps ...map[string]string) map[string]string {
	out := map[string]string{}
	for _, m := range maps {
		for k, v := range m {
			out[k] = v
		}
	}
	return out
}

// produceBytes produces records of any bytes, with null keys, null values if
// wanted, headers of any bytes, and timestamps of their own.
func (s *server) produceBytes(topic string, partitions, n int, anything bool) {
	s.t.Helper()
	c := s.client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	var list []*kgo.Record
	for i := range n {
		r := &kgo.Record{Topic: topic, Partition: int32(i % partitions), Timestamp: timestamp(i), Value: fmt.Appendf(nil, "value %d", i)}
		if anything {
			r.Value = append(r.Value, 0, '\n', 0xff, byte(i), '|', '|')
			if i%11 == 0 {
				r.Value = nil
			}
			if i%13 == 0 {
				r.Value = []byte{}
			}
		}
		if i%7 > 0 {
			r.Key = fmt.Appendf(nil, "key %d\x00\n", i%10)
		}
		for h := range i % 3 {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: "h", Value: []byte{byte(i), 0xfe, byte(h)}})
		}
		list = append(list, r)
	}
	if err := c.ProduceSync(s.t.Context(), list...).FirstErr(); err != nil {
		s.t.Fatal(err)
	}
}

// timestamp is the time of record i: not in order, and long ago.
func timestamp(i int) time.Time {
	return time.UnixMilli(1_500_000_000_000 + int64(i*7919%1000)*1_000_003)
}
