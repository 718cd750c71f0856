package worker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/connect/converter"
	"github.com/millrace/millrace/connect/transform"
	"github.com/millrace/millrace/connect/trial"
	"github.com/millrace/millrace/plugins/data"
)

// Bounds of one trial.
const (
	maxSamples    = 1000
	sampleTimeout = 20 * time.Second
)

// Trial builds the chain of a connector config, to be tried on samples. It
// resolves no variables, so that no secret is shown.
func (w *Worker) Trial(cfg connector.Config) (*trial.Trial, error) {
	kind := transform.Source
	if w.Kind(cfg) == connector.Sink || cfg["topics"] != "" || cfg["topics.regex"] != "" {
		kind = transform.Sink
	}
	t, err := trial.New(cfg, transform.Options{Kind: kind, ParseValue: converter.ParseValue})
	if err != nil {
		return nil, connector.Errorf(connector.BadRequest, "%v", err)
	}
	return t, nil
}

// Samples returns the last records of a topic, at most n of them, as the
// config's converters read them, oldest first. It joins no group and commits
// nothing.
func (w *Worker) Samples(ctx context.Context, cfg connector.Config, topic string, n int) ([]data.Record, error) {
	if n < 1 || n > maxSamples {
		return nil, connector.Errorf(connector.BadRequest, "last is %d: must be from 1 to %d", n, maxSamples)
	}
	convert, err := w.converters(cfg)
	if err != nil {
		return nil, connector.Errorf(connector.BadRequest, "%v", err)
	}
	ctx, stop := context.WithTimeoutCause(ctx, sampleTimeout, fmt.Errorf("topic %s was not read within %s", topic, sampleTimeout))
	defer stop()
	settings, problems := w.client(consumers, nil) // who may override it is for Create to decide
	if len(problems) > 0 {
		return nil, connector.Errorf(connector.BadRequest, "%v", problems[0])
	}
	// Control records are kept because a partition may end with one.
	opts := append([]kgo.Opt{kgo.ClientID("connector-trial"), kgo.KeepControlRecords()}, settings.target.Opts(nil)...)
	client, err := kgo.NewClient(append(opts, settings.opts...)...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	last, err := lastRecords(ctx, client, topic, n)
	if err != nil {
		return nil, errors.Join(err, context.Cause(ctx))
	}
	out := make([]data.Record, 0, len(last))
	for _, r := range last {
		var rec data.Record
		if err := convert.FromLog(ctx, r, &rec); err != nil {
			return nil, connector.Errorf(connector.BadRequest, "%v", err)
		}
		out = append(out, rec)
	}
	return out, nil
}

// lastRecords returns the newest n records of all partitions. A topic that is
// written in transactions has offsets that are no records, so it looks further
// back until there are enough, or the topic begins.
func lastRecords(ctx context.Context, client *kgo.Client, topic string, n int) ([]*kgo.Record, error) {
	admin := kadm.NewClient(client)
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err = errors.Join(err, starts.Error()); err != nil {
		return nil, connector.Errorf(connector.BadRequest, "topic %s: %v", topic, err)
	}
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err = errors.Join(err, ends.Error()); err != nil {
		return nil, err
	}
	for span := int64(2*n + 8); ; span *= 8 {
		from, left, whole := map[int32]kgo.Offset{}, map[int32]int64{}, true
		for p, end := range ends[topic] {
			first := starts[topic][p].Offset
			if start := max(first, end.Offset-span); start < end.Offset {
				from[p], left[p] = kgo.NewOffset().At(start), end.Offset
				whole = whole && start == first
			}
		}
		all, err := readRange(ctx, client, topic, from, left)
		if err != nil {
			return nil, err
		}
		if len(all) >= n || whole {
			return all[max(0, len(all)-n):], nil
		}
	}
}

// readRange returns the records of partitions up to their ends, by time.
func readRange(ctx context.Context, client *kgo.Client, topic string, from map[int32]kgo.Offset, left map[int32]int64) ([]*kgo.Record, error) {
	client.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: from})
	defer client.RemoveConsumePartitions(map[string][]int32{topic: slices.Collect(maps.Keys(from))})
	var all []*kgo.Record
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if end, ok := left[r.Partition]; !ok || r.Offset+1 >= end {
				delete(left, r.Partition)
			}
			if !r.Attrs.IsControl() {
				all = append(all, r)
			}
		})
	}
	slices.SortStableFunc(all, func(a, b *kgo.Record) int { return a.Timestamp.Compare(b.Timestamp) })
	return all, nil
}
