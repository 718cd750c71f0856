package main

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/connectors/postgres/pgtest"
)

const sinkSchema = `{"schema":{"type":"struct","optional":false,"fields":[{"field":"id","type":"int64","optional":false},{"field":"n","type":"int32","optional":true},{"field":"note","type":"string","optional":true},{"field":"ok","type":"boolean","optional":true},{"field":"f","type":"double","optional":true}]},"payload":`

// sink measures inserts by the JDBC sink, beside COPY of the same rows into an
// equal table.
func (b *bench) sink(ctx context.Context) error {
	run, s := b.name(), b.subjects[0]
	columns := "(id bigint PRIMARY KEY, n int, note text, ok boolean, f double precision)"
	if err := b.exec(ctx, "CREATE TABLE "+run+columns, "CREATE TABLE "+run+"_copy"+columns); err != nil {
		return err
	}
	if err := b.fill(ctx, s, run); err != nil {
		return err
	}
	began := time.Now()
	if err := s.worker.Put(ctx, run, map[string]string{
		"connector.class": "io.confluent.connect.jdbc.JdbcSinkConnector", "tasks.max": "1", "topics": run,
		"connection.url":  fmt.Sprintf("jdbc:postgresql://%s:%d/postgres?sslmode=disable", b.server.Host, b.server.Port),
		"connection.user": pgtest.User, "connection.password": "none", "insert.mode": "insert", "pk.mode": "record_value", "pk.fields": "id",
		"value.converter": "org.apache.kafka.connect.json.JsonConverter", "key.converter": "org.apache.kafka.connect.storage.StringConverter",
	}); err != nil {
		return err
	}
	first, n := int64(0), int64(0)
	for end := time.Now().Add(patience); n < int64(b.rows); time.Sleep(100 * time.Millisecond) {
		// The planner's count is cheap and exact enough to know when to look.
		if err := b.db.QueryRow(ctx, "SELECT coalesce(max(id) + 1, 0) FROM "+run).Scan(&n); err != nil {
			return err
		}
		if n > 0 && first == 0 {
			first, began = n, time.Now()
		}
		if time.Now().After(end) {
			return fmt.Errorf("%d of %d rows: %s", n, b.rows, s.worker.Status(ctx, run))
		}
	}
	settings := fmt.Sprintf("%d rows of 5 columns with a primary key, from JSON with schemas", b.rows)
	b.Row("sink, inserts", settings, "rows/s").Add("millrace", float64(n-first)/time.Since(began).Seconds())
	if err := s.worker.Delete(ctx, run); err != nil {
		return err
	}
	var text bytes.Buffer
	for i := range b.rows {
		fmt.Fprintf(&text, "%d\t%d\t%s\tt\t%g\n", i, i%1000, note, float64(i)/8)
	}
	began = time.Now()
	if _, err := b.db.PgConn().CopyFrom(ctx, &text, "COPY "+run+"_copy FROM STDIN"); err != nil {
		return err
	}
	b.Row("sink, inserts", settings, "rows/s").Add("server", float64(b.rows)/time.Since(began).Seconds())
	return b.exec(ctx, "DROP TABLE "+run, "DROP TABLE "+run+"_copy")
}

const note = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// fill writes the rows to the topic.
func (b *bench) fill(ctx context.Context, s subject, topic string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(s.bootstrap), kgo.DefaultProduceTopic(topic), kgo.AllowAutoTopicCreation(), kgo.ProducerBatchMaxBytes(900<<10))
	if err != nil {
		return err
	}
	defer client.Close()
	failed := make(chan error, 1)
	for i := range b.rows {
		v := append(make([]byte, 0, len(sinkSchema)+200), sinkSchema...)
		v = fmt.Appendf(v, `{"id":%d,"n":%d,"note":"%s","ok":true,"f":%s}}`, i, i%1000, note, strconv.FormatFloat(float64(i)/8, 'g', -1, 64))
		client.Produce(ctx, &kgo.Record{Value: v}, func(_ *kgo.Record, err error) {
			if err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}
