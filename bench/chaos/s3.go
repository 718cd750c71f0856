package chaos

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/connectors/s3/s3test"
)

const (
	lakeBucket     = "lake"
	lakeTopic      = "events"
	lakePartitions = 2
	// Objects are of so many records of so many bytes: more than one part.
	lakeFlush = 500
	lakeBytes = 12 << 10
	lakeSetup = connectSetup + "  offset.flush.interval.ms: 300\n"
)

// S3 kills a store, a broker, workers and the processes of their connectors,
// freezes workers until others have their work, and has the store be slow,
// answer with errors and cut connections, while a sink writes a topic to it. At
// the end the objects must hold each record once. It returns what was broken.
func S3(ctx context.Context, cfg Config) (err error) {
	c := &connectCluster{dir: cfg.Dir, setup: filepath.Join(cfg.Dir, "millrace.yaml"), done: map[string]int{}}
	if err := os.WriteFile(c.setup, []byte(lakeSetup), 0o600); err != nil {
		return err
	}
	if c.broker, err = newMortal(cfg, "--config", c.setup, "--roles", "broker"); err != nil {
		return err
	}
	l := &lake{connectCluster: c}
	defer func() { err = errors.Join(err, l.end(err != nil)) }()
	if err := l.begin(ctx); err != nil {
		return err
	}
	load := &eventLoad{addr: c.broker.addr}
	stop := make(chan struct{})
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return load.run(gctx, stop) })
	killed := l.killing(gctx)
	close(stop)
	if err := errors.Join(killed, g.Wait()); err != nil {
		return err
	}
	var hits []string
	for f := range faults {
		hits = append(hits, fmt.Sprintf("%s %d", f, l.proxy.hits[f].Load()))
	}
	c.broker.cfg.Logf("%v records; killed %v; requests with faults: %s", load.produced, c.done, strings.Join(hits, ", "))
	return l.verify(ctx, load.produced)
}

// lake is a cluster and the store that its sink writes to.
type lake struct {
	*connectCluster
	store *s3test.Server
	proxy *faultProxy
}

func (l *lake) begin(ctx context.Context) (err error) {
	if l.store, err = s3test.New(); err != nil {
		return err
	}
	if l.proxy, err = newFaultProxy(rand.New(rand.NewPCG(l.broker.cfg.Seed, 2))); err != nil {
		return err
	}
	if err := l.aim(); err != nil {
		return err
	}
	if _, err := l.store.Client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(lakeBucket)}); err != nil {
		return err
	}
	if err := l.start(ctx); err != nil {
		return err
	}
	client, err := kgo.NewClient(clientOptions(l.broker.addr)...)
	if err != nil {
		return err
	}
	defer client.Close()
	created, err := kadm.NewClient(client).CreateTopic(ctx, lakePartitions, 1, nil, lakeTopic)
	if err = errors.Join(err, created.Err); err != nil {
		return err
	}
	return l.workers[0].node.CreateConnector(ctx, "lake", map[string]string{
		"connector.class": "io.confluent.connect.s3.S3SinkConnector", "topics": lakeTopic, "tasks.max": "2",
		"s3.region": s3test.Region, "s3.bucket.name": lakeBucket, "store.url": l.proxy.url,
		"aws.access.key.id": s3test.AccessKey, "aws.secret.access.key": s3test.Secret,
		"format.class": "io.confluent.connect.s3.format.json.JsonFormat", "flush.size": strconv.Itoa(lakeFlush), "s3.part.size": "5242880",
		"s3.part.retries": "2", "retry.backoff.ms": "50", "errors.restart.delay.max.ms": "200", "consumer.override.session.timeout.ms": "2000", "consumer.override.heartbeat.interval.ms": "300",
		"key.converter": "org.apache.kafka.connect.storage.StringConverter", "value.converter": "org.apache.kafka.connect.json.JsonConverter",
		"value.converter.schemas.enable": "false",
	})
}

// aim points the proxy at the store.
func (l *lake) aim() error {
	u, err := url.Parse(l.store.URL)
	if err == nil {
		l.proxy.target.Store(u)
	}
	return err
}

func (l *lake) end(kill bool) error {
	var errs []error
	if l.broker.node != nil {
		errs = append(errs, l.stop(kill))
	}
	if l.proxy != nil {
		errs = append(errs, l.proxy.close())
	}
	if l.store != nil {
		errs = append(errs, l.store.Close())
	}
	return errors.Join(errs...)
}

// blow is one way to strike.
type blow struct {
	name string
	do   func(context.Context, *rand.Rand) error
}

func (l *lake) blows() []blow {
	out := []blow{
		{"store", func(ctx context.Context, rng *rand.Rand) error {
			if err := l.store.Kill(); err != nil {
				return err
			}
			// A while without any store, now and then longer than a request is tried.
			if err := wait(ctx, time.Duration(rng.Int64N(int64(maxLife)))); err != nil {
				return err
			}
			return errors.Join(l.store.Restart(), l.aim())
		}},
		{"worker", func(ctx context.Context, rng *rand.Rand) error {
			w := l.workers[rng.IntN(chaosWorkers)]
			w.node.Kill()
			return w.start(ctx, l.broker.cfg.Bin)
		}},
		{"worker and plugins frozen", func(ctx context.Context, rng *rand.Rand) error {
			return l.workers[rng.IntN(chaosWorkers)].freezeAll(ctx)
		}},
		{"broker", func(ctx context.Context, _ *rand.Rand) error {
			l.broker.node.Kill()
			return l.broker.start(ctx)
		}},
		{"plugins", func(_ context.Context, rng *rand.Rand) error { return l.killPlugins(rng) }},
	}
	for f := noFault + 1; f < faults; f++ {
		out = append(out, blow{f.String(), func(ctx context.Context, rng *rand.Rand) error {
			l.proxy.fault.Store(int32(f))
			defer l.proxy.fault.Store(int32(noFault))
			return l.proxy.struck(ctx, f, time.Duration(rng.Int64N(int64(maxLife))))
		}})
	}
	return out
}

// killing strikes as often as wanted, each way once in so many times, and leaves
// everything running.
func (l *lake) killing(ctx context.Context) error {
	rng := l.broker.rng
	var round []blow
	for n := range l.broker.cfg.Kills {
		if err := wait(ctx, minLife+time.Duration(rng.Int64N(int64(maxLife-minLife)))); err != nil {
			return err
		}
		if len(round) == 0 {
			round = l.blows()
			rng.Shuffle(len(round), func(i, j int) { round[i], round[j] = round[j], round[i] })
		}
		b := round[0]
		round = round[1:]
		if err := b.do(ctx, rng); err != nil {
			return fmt.Errorf("kill %d, of %s: %w", n+1, b.name, err)
		}
		l.done[b.name]++
		if (n+1)%20 == 0 {
			l.broker.cfg.Logf("%d of %d kills: %v", n+1, l.broker.cfg.Kills, l.done)
		}
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// eventLoad produces records that each hold their number, and in the end as many
// as make whole objects.
type eventLoad struct {
	addr     string
	produced [lakePartitions]int
}

// event is a record's value.
type event struct {
	ID  int    `json:"id"`
	Pad string `json:"pad"`
}

func (l *eventLoad) run(ctx context.Context, stop <-chan struct{}) error {
	client, err := kgo.NewClient(clientOptions(l.addr, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.SnappyCompression()))...)
	if err != nil {
		return err
	}
	defer client.Close()
	for !stopped(stop) && ctx.Err() == nil {
		for p := range l.produced {
			if err := l.produce(ctx, client, p, 8); err != nil {
				return err
			}
		}
		time.Sleep(20 * time.Millisecond) // the load's own clock
	}
	for p, n := range l.produced {
		if err := l.produce(ctx, client, p, (n/lakeFlush+1)*lakeFlush-n); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

func (l *eventLoad) produce(ctx context.Context, client *kgo.Client, partition, n int) error {
	var records []*kgo.Record
	for range n {
		value, err := json.Marshal(event{l.produced[partition], strings.Repeat("0123456789abcdef", lakeBytes/16)})
		if err != nil {
			return err
		}
		records = append(records, &kgo.Record{Topic: lakeTopic, Partition: int32(partition), Value: value})
		l.produced[partition]++
	}
	return client.ProduceSync(ctx, records...).FirstErr()
}

// verify waits until there are as many objects as the records make, as long as
// there come more, and reads them.
func (l *lake) verify(ctx context.Context, produced [lakePartitions]int) error {
	want := 0
	for _, n := range produced {
		want += n / lakeFlush
	}
	for had, since := -1, time.Now(); ; {
		keys, err := l.keys(ctx)
		if err != nil {
			return err
		}
		switch {
		case len(keys) > want:
			return fmt.Errorf("%d objects where the records make %d: %q", len(keys), want, keys)
		case len(keys) == want:
			return l.count(ctx, keys, produced)
		case len(keys) != had:
			had, since = len(keys), time.Now()
			l.broker.cfg.Logf("%d of %d objects", had, want)
		case time.Since(since) > settleTimeout:
			return fmt.Errorf("%d of %d objects, and no more for %s; status %s", had, want, settleTimeout, l.workers[0].node.Status(ctx, "lake"))
		}
		if err := wait(ctx, time.Second); err != nil {
			return err
		}
	}
}

func (l *lake) keys(ctx context.Context) (out []string, err error) {
	pages := s3.NewListObjectsV2Paginator(l.store.Client, &s3.ListObjectsV2Input{Bucket: aws.String(lakeBucket)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, o := range page.Contents {
			out = append(out, aws.ToString(o.Key))
		}
	}
	return out, nil
}

// count holds that the objects have each record of each partition once.
func (l *lake) count(ctx context.Context, keys []string, produced [lakePartitions]int) error {
	var seen [lakePartitions][]int
	for p, n := range produced {
		seen[p] = make([]int, n)
	}
	for _, key := range keys {
		out, err := l.store.Client.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(lakeBucket), Key: &key})
		if err != nil {
			return err
		}
		err = countObject(out.Body, key, seen[:])
		if err = errors.Join(err, out.Body.Close()); err != nil {
			return fmt.Errorf("object %s: %w", key, err)
		}
	}
	var errs []error
	for p, list := range seen {
		for id, n := range list {
			if n != 1 && len(errs) < 10 {
				errs = append(errs, fmt.Errorf("record %d of partition %d is stored %d times", id, p, n))
			}
		}
	}
	return errors.Join(errs...)
}

func countObject(r io.Reader, key string, seen [][]int) error {
	fields := strings.Split(key[strings.LastIndexByte(key, '/')+1:], "+")
	if len(fields) != 3 {
		return errors.New("its name is not of a topic, a partition and an offset")
	}
	p, err := strconv.Atoi(fields[1])
	if err != nil || p >= len(seen) {
		return fmt.Errorf("its name has no partition: %v", err)
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return err
		}
		if e.ID < 0 || e.ID >= len(seen[p]) {
			return fmt.Errorf("record %d was never produced", e.ID)
		}
		seen[p][e.ID]++
	}
	return lines.Err()
}
