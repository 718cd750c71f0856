package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/connectors/s3/s3test"
)

// produceOrders writes records {"id":n} to a topic.
func (s *server) produceOrders(topic string, from, to int) {
	s.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(s.addrs.Kafka), kgo.AllowAutoTopicCreation())
	if err != nil {
		s.t.Fatal(err)
	}
	defer client.Close()
	var records []*kgo.Record
	for i := from; i < to; i++ {
		records = append(records, &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "k%d", i%7), Value: fmt.Appendf(nil, `{"id":%d,"who":"w%d"}`, i, i%3)})
	}
	if err := client.ProduceSync(s.t.Context(), records...).FirstErr(); err != nil {
		s.t.Fatal(err)
	}
}

// orderIDs counts the ids in the lines of a bucket's objects.
func orderIDs(t *testing.T, lake *s3test.Server, bucket string) map[int]int {
	t.Helper()
	out := make(map[int]int)
	for _, o := range lake.Objects(t, bucket) {
		for line := range bytes.Lines(o.Content) {
			var v struct{ ID int }
			if err := json.Unmarshal(line, &v); err != nil {
				t.Fatalf("%s: %q: %v", o.Key, line, err)
			}
			out[v.ID]++
		}
	}
	return out
}

// TestS3SinkEndToEnd runs a published configuration, with credentials from the
// worker's environment, and kills the server without warning while objects are
// written. Each record is in one object in the end.
func TestS3SinkEndToEnd(t *testing.T) {
	lake := s3test.Start(t)
	bucket := lake.Bucket(t, "lake")
	t.Setenv("AWS_ACCESS_KEY_ID", s3test.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", s3test.Secret)
	s := startServer(t)
	s.produceOrders("orders", 0, 1000)
	s.create("s3", map[string]string{
		"connector.class": "io.confluent.connect.s3.S3SinkConnector", "tasks.max": "2", "topics": "orders",
		"s3.region": s3test.Region, "s3.bucket.name": bucket, "store.url": lake.URL, "s3.part.size": "5242880", "flush.size": "100",
		"storage.class": "io.confluent.connect.s3.storage.S3Storage", "format.class": "io.confluent.connect.s3.format.json.JsonFormat",
		"partitioner.class": "io.confluent.connect.storage.partitioner.TimeBasedPartitioner", "partition.duration.ms": "3600000",
		"path.format": "'year'=YYYY/'month'=MM/'day'=dd/'hour'=HH", "locale": "en-US", "timezone": "UTC", "timestamp.extractor": "Record",
		"rotate.interval.ms": "600000", "schema.compatibility": "NONE", "behavior.on.null.values": "ignore", "errors.tolerance": "all",
		"key.converter": "org.apache.kafka.connect.storage.StringConverter", "value.converter": "org.apache.kafka.connect.json.JsonConverter",
		"value.converter.schemas.enable": "false", "consumer.override.session.timeout.ms": "6000",
	})
	eventually(t, "an object", func() error {
		if len(lake.Objects(t, bucket)) == 0 {
			_, status := s.rest("GET", "/connectors/s3/status", "")
			return fmt.Errorf("there is none; the connector: %s", status)
		}
		return nil
	})
	s.kill()
	s.restart()
	s.produceOrders("orders", 1000, 2000)
	eventually(t, "all records in objects", func() error {
		if n := len(orderIDs(t, lake, bucket)); n != 2000 {
			return fmt.Errorf("there are %d", n)
		}
		return nil
	})
	for id, n := range orderIDs(t, lake, bucket) {
		if n != 1 {
			t.Errorf("record %d is stored %d times", id, n)
		}
	}
	if strings.Contains(s.log.String(), s3test.Secret) {
		t.Error("the secret is in the server's log")
	}
}
