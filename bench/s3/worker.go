package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/bench/harness"
	"github.com/millrace/millrace/connectors/s3/s3test"
	"github.com/millrace/millrace/plugins/data"
)

// rig is a log with a registry, and a worker in a process of its own that runs
// the sink in a further one.
type rig struct {
	log, worker *harness.Node
	lake        *s3test.Server
	client      *kgo.Client
}

// withRig runs f with a fresh rig.
func withRig(ctx context.Context, bin string, lake *s3test.Server, f func(*rig) error) (err error) {
	dir, err := os.MkdirTemp("", "millrace-bench-s3-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	r := &rig{lake: lake}
	if r.log, err = harness.StartNode(ctx, bin, filepath.Join(dir, "log"), "--roles", "broker,registry"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.log.Stop()) }()
	if r.worker, err = harness.StartNode(ctx, bin, filepath.Join(dir, "worker"), "--roles", "connect", "--bootstrap-servers", r.log.Kafka); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.worker.Stop()) }()
	if r.client, err = kgo.NewClient(kgo.SeedBrokers(r.log.Kafka), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchMaxBytes(1000<<10), kgo.MaxBufferedRecords(100_000), kgo.ProducerBatchCompression(kgo.NoCompression())); err != nil {
		return err
	}
	defer r.client.Close()
	return f(r)
}

// topic makes a topic.
func (r *rig) topic(ctx context.Context, name string, partitions int) error {
	created, err := kadm.NewClient(r.client).CreateTopic(ctx, int32(partitions), 1, nil, name)
	return errors.Join(err, created.Err)
}

// register has the registry give the schema of the records an id.
func (r *rig) register(ctx context.Context, topic string, s *data.Schema) (id uint32, err error) {
	text, err := data.AvroSchema(s, data.AvroOptions{})
	if err != nil {
		return 0, err
	}
	body, err := json.Marshal(map[string]string{"schema": text})
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+r.log.Registry+"/subjects/"+topic+"-value/versions", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	var answer struct{ ID uint32 }
	if err := json.Unmarshal(raw, &answer); err != nil || answer.ID == 0 {
		return 0, fmt.Errorf("register a schema: %s: %s", resp.Status, raw)
	}
	return answer.ID, nil
}

// sink starts the sink of a topic.
func (r *rig) sink(ctx context.Context, topic string, flush int) error {
	return r.worker.CreateConnector(ctx, topic, map[string]string{
		"connector.class": "S3Sink", "topics": topic, "s3.bucket.name": bucket, "s3.region": s3test.Region, "store.url": r.lake.URL,
		"aws.access.key.id": s3test.AccessKey, "aws.secret.access.key": s3test.Secret, "flush.size": strconv.Itoa(flush),
		"format.class": "io.confluent.connect.s3.format.avro.AvroFormat", "key.converter": "org.apache.kafka.connect.storage.StringConverter",
		"value.converter": "io.confluent.connect.avro.AvroConverter", "value.converter.schema.registry.url": "http://" + r.log.Registry,
	})
}

// stored counts the records of a topic's objects, by what the sink says on them.
func (r *rig) stored(ctx context.Context, topic string, flush int) (records int, err error) {
	pages := s3.NewListObjectsV2Paginator(r.lake.Client, &s3.ListObjectsV2Input{Bucket: aws.String(bucket), Prefix: aws.String("topics/" + topic + "/")})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return 0, err
		}
		records += len(page.Contents) * flush
	}
	return records, nil
}

// framed are the values of records as Avro serializers write them.
func framed(b *data.Batch, id uint32) [][]byte {
	out := make([][]byte, len(b.Records))
	for i, r := range b.Records {
		out[i] = append(binary.BigEndian.AppendUint32([]byte{0}, id), r.Value.Row...)
	}
	return out
}

// throughWorker measures the sink where it runs: records of a topic that is
// full, through the consumer, the converter and the plugin's boundary.
func (r *rig) throughWorker(ctx context.Context, b *data.Batch, total int, name string, best *figure) error {
	const partitions, flush = 4, 25_000
	if err := r.topic(ctx, name, partitions); err != nil {
		return err
	}
	id, err := r.register(ctx, name, b.Records[0].Value.Schema)
	if err != nil {
		return err
	}
	values := framed(b, id)
	size := len(b.Records[0].Value.Row)
	each := max(1, total/size/partitions/flush) * flush
	failed := make(chan error, 1)
	for i := range each * partitions {
		r.client.Produce(ctx, &kgo.Record{Topic: name, Partition: int32(i % partitions), Value: values[i%len(values)]}, func(_ *kgo.Record, err error) {
			if err != nil {
				select {
				case failed <- err:
				default:
				}
			}
		})
	}
	if err := r.client.Flush(ctx); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return err
	default:
	}
	if err := best.measure(r.shares(), func() (float64, error) {
		err := r.sink(ctx, name, flush)
		if err == nil {
			err = r.await(ctx, name, flush, each*partitions)
		}
		return float64(each*partitions*size) / 1e6, err
	}); err != nil {
		return err
	}
	return r.clear(ctx, name)
}

// shares are the processes that a record goes through.
func (r *rig) shares() []share {
	return []share{
		{"the log", alone(r.log.PID())}, {"the worker", alone(r.worker.PID())}, {"the sink", below(r.worker.PID())},
		{"the store", alone(r.lake.PID())},
	}
}

// clear removes a connector and waits for its process to end.
func (r *rig) clear(ctx context.Context, name string) error {
	ctx, stop := context.WithTimeoutCause(ctx, patience, errors.New("the sink's process did not end"))
	defer stop()
	if err := r.worker.DeleteConnector(ctx, name); err != nil {
		return err
	}
	for {
		children, err := harness.Children(r.worker.PID())
		if err != nil || len(children) == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// patience bounds the wait for objects.
const patience = 5 * time.Minute

// await waits until so many records are stored.
func (r *rig) await(ctx context.Context, topic string, flush, records int) error {
	ctx, stop := context.WithTimeoutCause(ctx, patience, errors.New("the sink did not write all records"))
	defer stop()
	for {
		n, err := r.stored(ctx, topic, flush)
		if err != nil || n >= records {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d records: %w; status %s", n, records, context.Cause(ctx), r.worker.Status(context.WithoutCancel(ctx), topic))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// usage is what a paced load took.
type usage struct {
	rate           float64 // records a second that were stored
	plugin, worker float64 // the most resident memory in MB
	halves         [2]float64
}

// paced produces rate records a second of 100 bytes to many partitions for a
// while, and returns what memory the sink's process and the worker take.
func (r *rig) paced(ctx context.Context, partitions, rate int, d time.Duration) (u usage, err error) {
	const name = "paced"
	flush := rate * int(d/time.Second) / partitions / 2 // two objects of each
	if err := r.topic(ctx, name, partitions); err != nil {
		return u, err
	}
	schema := data.NewStructBuilder().Name("bench.Event").Field("id", data.Int64Schema).Field("text", data.StringSchema).MustBuild()
	id, err := r.register(ctx, name, schema)
	if err != nil {
		return u, err
	}
	if err := r.sink(ctx, name, flush); err != nil {
		return u, err
	}
	w := data.NewRowWriter(schema)
	began := time.Now()
	next := began
	for sent := 0; sent < 2*flush*partitions; {
		for range rate / 100 {
			w.Reset(binary.BigEndian.AppendUint32([]byte{0}, id))
			w.BeginStruct()
			w.Int64(int64(sent))
			w.Text("lorem ipsum dolor sit amet, consectetur adipisici elit, sed eiusmod tempor incidunt ut labore et d")
			w.End()
			value, _, err := w.Finish()
			if err != nil {
				return u, err
			}
			r.client.Produce(ctx, &kgo.Record{Topic: name, Partition: int32(sent % partitions), Value: value}, nil)
			sent++
		}
		if err := r.sample(&u, 2*sent/(2*flush*partitions+rate)); err != nil {
			return u, err
		}
		next = next.Add(10 * time.Millisecond)
		time.Sleep(time.Until(next)) // the load's own clock
	}
	if err := r.client.Flush(ctx); err != nil {
		return u, err
	}
	if err := r.await(ctx, name, flush, 2*flush*partitions); err != nil {
		return u, err
	}
	u.rate = float64(2*flush*partitions) / time.Since(began).Seconds()
	return u, r.sample(&u, 1)
}

// sample takes in the resident memory of the worker and of the sink's process, in
// a half of the time.
func (r *rig) sample(u *usage, half int) error {
	all, err := r.worker.RSS()
	if err != nil {
		return err
	}
	children, err := harness.Children(r.worker.PID())
	if err != nil {
		return err
	}
	plugins := 0.0
	for _, pid := range children {
		rss, err := harness.RSS(pid)
		if err != nil {
			continue // it has ended: one that validated
		}
		u.plugin, plugins = max(u.plugin, float64(rss)/1e6), plugins+float64(rss)/1e6
	}
	u.worker = max(u.worker, float64(all)/1e6-plugins)
	u.halves[half] = max(u.halves[half], plugins)
	return nil
}
