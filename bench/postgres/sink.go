package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/hamba/avro/v2"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/millrace/millrace/bench/harness"
	"github.com/millrace/millrace/connectors/postgres/pgtest"
)

const sinkSchema = `{"schema":{"type":"struct","optional":false,"fields":[{"field":"id","type":"int64","optional":false},{"field":"n","type":"int32","optional":true},{"field":"note","type":"string","optional":true},{"field":"ok","type":"boolean","optional":true},{"field":"f","type":"double","optional":true}]},"payload":`

// sinkForm is how the sink's records are written in the topic.
type sinkForm struct {
	name   string
	config map[string]string
	record func(i int) []byte
}

func (b *bench) sinkForms(ctx context.Context) ([]sinkForm, error) {
	client, err := sr.NewClient(sr.URLs("http://" + b.registry))
	if err != nil {
		return nil, err
	}
	schema := sr.Schema{Schema: sinkAvro}
	made, err := client.CreateSchema(ctx, "bench-sink-value", schema)
	if err != nil {
		return nil, err
	}
	form, err := avro.Parse(sinkAvro)
	if err != nil {
		return nil, err
	}
	return []sinkForm{
		{"Avro", map[string]string{"value.converter": "io.confluent.connect.avro.AvroConverter", "value.converter.schema.registry.url": "http://" + b.registry}, func(i int) []byte {
			body, err := avro.Marshal(form, sinkRow{int64(i), int32(i % 1000), note, true, float64(i) / 8})
			if err != nil {
				panic(err) // the row is of the schema
			}
			return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(made.ID)), body...)
		}},
		{"JSON with schemas", map[string]string{"value.converter": "org.apache.kafka.connect.json.JsonConverter"}, func(i int) []byte {
			v := append(make([]byte, 0, len(sinkSchema)+200), sinkSchema...)
			return fmt.Appendf(v, `{"id":%d,"n":%d,"note":"%s","ok":true,"f":%s}}`, i, i%1000, note, strconv.FormatFloat(float64(i)/8, 'g', -1, 64))
		}},
	}, nil
}

const sinkAvro = `{"type":"record","name":"Row","fields":[{"name":"id","type":"long"},{"name":"n","type":"int"},{"name":"note","type":"string"},{"name":"ok","type":"boolean"},{"name":"f","type":"double"}]}`

type sinkRow struct {
	ID   int64   `avro:"id"`
	N    int32   `avro:"n"`
	Note string  `avro:"note"`
	OK   bool    `avro:"ok"`
	F    float64 `avro:"f"`
}

// sink measures inserts by the JDBC sink, beside COPY of the same rows into an
// equal table.
func (b *bench) sink(ctx context.Context) error {
	forms, err := b.sinkForms(ctx)
	if err != nil {
		return err
	}
	for _, f := range forms {
		if err := b.sinkFrom(ctx, f); err != nil {
			return fmt.Errorf("sink, %s: %w", f.name, err)
		}
	}
	return nil
}

func (b *bench) sinkFrom(ctx context.Context, f sinkForm) error {
	run, s := b.name(), b.subjects[0]
	columns := "(id bigint PRIMARY KEY, n int, note text, ok boolean, f double precision)"
	if err := b.exec(ctx, "CREATE TABLE "+run+columns, "CREATE TABLE "+run+"_copy"+columns); err != nil {
		return err
	}
	if err := b.fill(ctx, s, run, f); err != nil {
		return err
	}
	began := time.Now()
	config := map[string]string{
		"connector.class": "io.confluent.connect.jdbc.JdbcSinkConnector", "tasks.max": "1", "topics": run,
		"connection.url":  fmt.Sprintf("jdbc:postgresql://%s:%d/postgres?sslmode=disable", b.server.Host, b.server.Port),
		"connection.user": pgtest.User, "connection.password": "none", "insert.mode": "insert", "pk.mode": "record_value", "pk.fields": "id",
		"key.converter": "org.apache.kafka.connect.storage.StringConverter",
	}
	maps.Copy(config, f.config)
	if err := s.worker.Put(ctx, run, config); err != nil {
		return err
	}
	first, n := int64(0), int64(0)
	before := 0.0
	for end := time.Now().Add(patience); n < int64(b.rows); time.Sleep(20 * time.Millisecond) {
		if err := b.db.QueryRow(ctx, "SELECT coalesce(max(id) + 1, 0) FROM "+run).Scan(&n); err != nil {
			return err
		}
		if n > 0 && first == 0 {
			first, began = n, time.Now()
			var err error
			if before, err = harness.CPU(s.pid); err != nil {
				return err
			}
		}
		if time.Now().After(end) {
			return fmt.Errorf("%d of %d rows: %s", n, b.rows, s.worker.Status(ctx, run))
		}
	}
	took := time.Since(began)
	after, err := harness.CPU(s.pid)
	if err != nil {
		return err
	}
	settings := fmt.Sprintf("%d rows of 5 columns with a primary key, from %s", b.rows, f.name)
	b.Row("sink, inserts", settings, "rows/s").Add("millrace", float64(n-first)/took.Seconds())
	b.Row("processor of the sink", settings+"; worker, log and task", "µs/row").Add("millrace", 1e6*(after-before)/float64(n-first))
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
func (b *bench) fill(ctx context.Context, s subject, topic string, f sinkForm) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(s.bootstrap), kgo.DefaultProduceTopic(topic), kgo.AllowAutoTopicCreation(), kgo.ProducerBatchMaxBytes(900<<10))
	if err != nil {
		return err
	}
	defer client.Close()
	failed := make(chan error, 1)
	for i := range b.rows {
		client.Produce(ctx, &kgo.Record{Value: f.record(i)}, func(_ *kgo.Record, err error) {
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
