// Command s3 measures the S3 sink against a local S3 server: records of 1 KB as
// Avro, beside a plain upload of the same bytes by the AWS SDK; the same through
// a worker and the sink's own process; and the memory of that process while many
// partitions have an open file each. What it prints is a table.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	sink "github.com/millrace/millrace/connectors/s3"
	"github.com/millrace/millrace/connectors/s3/s3test"
	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

func main() {
	megabytes := flag.Int("mb", 500, "megabytes of records to write for each figure")
	runs := flag.Int("runs", 3, "runs, of which the best counts")
	partitions := flag.Int("partitions", 64, "open partitions when memory is measured")
	rate := flag.Int("rate", 100_000, "records a second then")
	pace := flag.Duration("pace", 20*time.Second, "how long, then")
	bin := flag.String("bin", "bin/millrace", "the binary to measure; without one the worker is left out")
	flag.Parse()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	err := run(*megabytes<<20, *runs, *bin, func(r *rig) error {
		u, err := r.paced(context.Background(), *partitions, *rate, *pace)
		if err != nil {
			return err
		}
		fmt.Printf("%-60s %8.0f records/s\n", fmt.Sprintf("stored of %d records/s, 100 bytes each, %d partitions", *rate, *partitions), u.rate)
		fmt.Printf("%-60s %8.0f MB   (first half %.0f, second %.0f)\n", "  resident memory of the sink's process, at most", u.plugin, u.halves[0], u.halves[1])
		fmt.Printf("%-60s %8.0f MB\n", "  of the worker, at most", u.worker)
		return nil
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

const (
	bucket   = "bench"
	partSize = 26214400 // the sink's default
	parallel = 4        // requests at a time, as the sink's
)

func run(total, runs int, bin string, paced func(*rig) error) error {
	server, err := s3test.New()
	if err != nil {
		return err
	}
	defer server.Close()
	if _, err := server.Client.CreateBucket(context.Background(), &s3.CreateBucketInput{Bucket: aws.String(bucket)}); err != nil {
		return err
	}
	records, err := batch(1000)
	if err != nil {
		return err
	}
	var plain, summed, avro, json figure
	for i := range runs {
		name := strconv.Itoa(i)
		for _, m := range []struct {
			best *figure
			do   func() (float64, error)
		}{
			{&plain, func() (float64, error) { return upload(server, "signed"+name, total, false) }},
			{&summed, func() (float64, error) { return upload(server, "summed"+name, total, true) }},
			{&avro, func() (float64, error) { return write(server, "avro"+name, "avro.AvroFormat", records, total) }},
			{&json, func() (float64, error) { return write(server, "json"+name, "json.JsonFormat", records, total) }},
		} {
			if err := m.best.measure([]share{{"this process", alone(os.Getpid())}, {"the store", alone(server.PID())}}, m.do); err != nil {
				return err
			}
		}
	}
	plain.print("the AWS SDK alone, the same bytes in parts", plain)
	summed.print("the same with CRC32 instead of signed content, as the sink", plain)
	avro.print("the sink, Avro, 1 KB records", plain)
	json.print("the sink, JSON, 1 KB records, of rows", plain)
	if bin == "" {
		return nil
	}
	return withRig(context.Background(), bin, server, func(r *rig) error {
		var whole figure
		for i := range runs {
			if err := r.throughWorker(context.Background(), records, total, fmt.Sprint("whole", i), &whole); err != nil {
				return err
			}
		}
		whole.print("the sink, Avro, from the log through a worker", plain)
		return paced(r)
	})
}

// batch makes records of 1 KB.
func batch(n int) (*data.Batch, error) {
	schema := data.NewStructBuilder().Name("bench.Order").Field("id", data.Int64Schema).Field("who", data.StringSchema).
		Field("at", data.TimestampSchema).Field("amount", data.Float64Schema).Field("text", data.StringSchema).MustBuild()
	b := &data.Batch{}
	for i := range n {
		w := data.NewRowWriter(schema)
		w.Reset(nil)
		w.BeginStruct()
		w.Int64(int64(i))
		w.Text("customer " + strconv.Itoa(i))
		w.Int64(1_700_000_000_000)
		w.Float64(float64(i) / 7)
		w.Text(strings.Repeat("lorem ipsum ", 81))
		w.End()
		row, nullDefault, err := w.Finish()
		if err != nil {
			return nil, err
		}
		b.Records = append(b.Records, data.Record{
			Topic: "orders", OriginalTopic: "orders", Position: data.NoPosition,
			Value: data.Datum{Schema: schema, State: data.Present, Row: row, NullDefault: nullDefault},
		})
	}
	return b, nil
}

// control takes a task's requests, of which a benchmark needs none.
type control struct{ failed error }

func (c *control) Report(_ *data.Record, err error) { c.failed = err }
func (c *control) Rewind(sdk.Offsets)               {}
func (c *control) Pause(...sdk.TopicPartition)      {}
func (c *control) Resume(...sdk.TopicPartition)     {}
func (c *control) Timeout(time.Duration)            {}
func (c *control) RequestCommit()                   {}

// task is a running sink task, driven without a worker.
type task struct {
	sdk.SinkTask
	control *control
}

func open(server *s3test.Server, dir, format string, flush int) (*task, error) {
	cfg, problems := sink.Sink{}.ConfigDef().Parse(map[string]string{
		"s3.bucket.name": bucket, "s3.region": s3test.Region, "store.url": server.URL, "topics.dir": dir, "flush.size": strconv.Itoa(flush),
		"aws.access.key.id": s3test.AccessKey, "aws.secret.access.key": s3test.Secret, "format.class": "io.confluent.connect.s3.format." + format,
	})
	if len(problems) > 0 {
		return nil, problems[0]
	}
	c := &control{}
	t, err := sink.Sink{}.Open(context.Background(), cfg, c)
	return &task{t, c}, err
}

// put numbers a batch's records from offset on, in a partition, and puts it.
func (t *task) put(b *data.Batch, partition int32, offset int64) error {
	for i := range b.Records {
		b.Records[i].OriginalPartition, b.Records[i].OriginalOffset = partition, offset+int64(i)
	}
	if err := t.Put(context.Background(), b); err != nil {
		return err
	}
	return t.control.failed
}

// write has the sink write objects of about 100 MB until total bytes of rows
// are stored.
func write(server *s3test.Server, dir, format string, b *data.Batch, total int) (megabytes float64, err error) {
	size := 0
	for _, r := range b.Records {
		size += len(r.Value.Row)
	}
	flush := min(100, total/size) * len(b.Records)
	t, err := open(server, dir, format, flush)
	if err != nil {
		return 0, err
	}
	defer t.Close()
	rounds := total / size / (flush / len(b.Records)) * (flush / len(b.Records)) // whole objects
	next := int64(0)
	for range rounds {
		if err := t.put(b, 0, next); err != nil {
			return 0, err
		}
		next += int64(len(b.Records))
	}
	tp := sdk.TopicPartition{Topic: "orders"}
	got, err := t.SinkTask.(sdk.PreCommitter).PreCommit(context.Background(), sdk.Offsets{tp: next})
	if err != nil || got[tp] != next {
		return 0, fmt.Errorf("committed %v of %d: %v", got, next, err)
	}
	return float64(rounds*size) / 1e6, nil
}

// upload sends by the SDK alone: the same parts of objects of the same size. They
// are signed, as the SDK does over http, or have checksums instead, as the sink's
// to a store on the same machine.
func upload(server *s3test.Server, name string, total int, sums bool) (megabytes float64, err error) {
	const object = 4 * partSize
	body := bytes.Repeat([]byte("lorem ipsum "), partSize/12+1)[:partSize]
	algorithm, option := types.ChecksumAlgorithm(""), func(*s3.Options) {}
	if sums {
		algorithm = types.ChecksumAlgorithmCrc32
		option = func(o *s3.Options) {
			o.APIOptions = append(o.APIOptions, v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)
		}
	}
	ctx, sent := context.Background(), 0
	for n := 0; sent < total; n++ {
		key := aws.String(fmt.Sprintf("plain%s/%d", name, n))
		up, err := server.Client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: aws.String(bucket), Key: key, ChecksumAlgorithm: algorithm})
		if err != nil {
			return 0, err
		}
		parts := make([]types.CompletedPart, object/partSize)
		var all errgroup.Group
		all.SetLimit(parallel)
		for i := range parts {
			all.Go(func() error {
				number := aws.Int32(int32(i + 1))
				out, err := server.Client.UploadPart(ctx, &s3.UploadPartInput{Bucket: aws.String(bucket), Key: key, UploadId: up.UploadId, PartNumber: number, Body: bytes.NewReader(body), ChecksumAlgorithm: algorithm}, option)
				if err != nil {
					return err
				}
				parts[i] = types.CompletedPart{PartNumber: number, ETag: out.ETag, ChecksumCRC32: out.ChecksumCRC32}
				return nil
			})
		}
		if err := all.Wait(); err != nil {
			return 0, err
		}
		if _, err := server.Client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
			Bucket: aws.String(bucket), Key: key, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
		}); err != nil {
			return 0, err
		}
		sent += object
	}
	return float64(sent) / 1e6, nil
}
