package api

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/metadata"
	"github.com/millrace/millrace/broker/quota"
	"github.com/millrace/millrace/broker/recordbatch"
	"github.com/millrace/millrace/broker/replica"
	"github.com/millrace/millrace/broker/wire"
)

const keyFetch = 1

// fetched is what one partition of a fetch answers.
type fetched struct {
	id    int32
	p     *replica.Partition // nil if err is set
	err   error
	code  int16 // of err, once the answer is due
	hw    int64
	lso   int64
	start int64
	chunk replica.Chunk

	aborted []replica.AbortedTxn // that the chunk has records of

	diverging              bool // the reader's log and this one parted ways
	divergedAt, divergedTo int64
	leader, epoch          int32 // set with err where the protocol tells them
}

// fetch answers API 1, versions 4 to 18. v5 adds log start offsets; v7 fetch
// sessions (KIP-227); v9 leader epochs; v10 zstd; v11 racks (KIP-392); v12 is
// flexible and compares epochs (KIP-595); v13 names topics by id; v15 to v18
// concern followers.
//
// The reply waits, on the connection's writer, until min_bytes are there or
// max_wait_ms have passed, and leaves the records in their files.
func (a *API) fetch(_ context.Context, _ *wire.Conn, r *wire.Request, req *kmsg.FetchRequest) (wire.Reply, error) {
	client := quota.Client{User: anonymous, ID: r.ClientID}
	// Nothing in the decoded request points into the frame but unknown tags.
	r.Release()
	return func(ctx context.Context) (wire.Response, error) {
		now := a.cfg.Now()
		in, err := a.sessions.begin(now, req)
		if err != nil {
			return encodeFetch(req, fetchAnswer{code: a.code(keyFetch, err)}), nil
		}
		f := &fetcher{
			api: a, req: req, topics: in.topics, limit: a.fetchLimit(req, client),
			deadline: now.Add(time.Duration(max(req.MaxWaitMillis, 0)) * time.Millisecond),
		}
		if err := f.run(ctx); err != nil {
			return wire.Response{}, err
		}
		if d := a.quotas.Try(quota.Fetch, client, float64(f.size)); d > 0 {
			f.close()
			return wire.Response{Stream: encodeFetch(req, a.sessions.throttle(&in, d)).Stream, Busy: f.busy}, nil
		}
		f.settle()
		out := fetchAnswer{topics: f.topics}
		out.session, out.parts = a.sessions.finish(&in, f.parts)
		return wire.Response{Stream: encodeFetch(req, out).Stream, Busy: f.busy}, nil
	}, nil
}

// fetchLimit is how much one fetch may return, but for a first batch that is
// larger.
func (a *API) fetchLimit(req *kmsg.FetchRequest, client quota.Client) int64 {
	limit := int64(min(req.MaxBytes, a.fetchMaxBytes))
	if budget, ok := a.quotas.Budget(quota.Fetch, client); ok && budget < float64(limit) {
		limit = int64(budget)
	}
	return limit
}

// fetcher is one fetch on its way.
type fetcher struct {
	api      *API
	req      *kmsg.FetchRequest
	topics   []kmsg.FetchRequestTopic // the request's, or its session's
	deadline time.Time
	parts    [][]fetched // as topics and their partitions

	limit int64         // of size
	size  int64         // bytes found by the last look
	ready bool          // answer whatever the size
	busy  time.Duration // spent on looking
}

// run looks, and waits between looks, until there is something to answer.
func (f *fetcher) run(ctx context.Context) error {
	f.open()
	wake := make(chan struct{}, 1)
	for {
		began := time.Now()
		f.look()
		f.busy += time.Since(began)
		wait := f.deadline.Sub(f.api.cfg.Now())
		if f.ready || f.size >= int64(f.req.MinBytes) || wait <= 0 {
			return nil
		}
		cancel := f.watch(wake)
		timer := time.NewTimer(wait)
		err := error(nil)
		select {
		case <-wake:
		case <-timer.C:
		case <-f.api.stopping:
			f.deadline = time.Time{}
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		timer.Stop()
		cancel()
		if f.close(); err != nil {
			return err
		}
	}
}

// open finds the partitions, once.
func (f *fetcher) open() {
	image := f.api.cfg.Controller.Image()
	f.parts = make([][]fetched, len(f.topics))
	for i := range f.topics {
		t := &f.topics[i]
		topic, err := f.topic(image, t)
		f.parts[i] = make([]fetched, len(t.Partitions))
		for j := range t.Partitions {
			f.parts[i][j] = f.partition(topic, err, &t.Partitions[j])
		}
	}
}

func (f *fetcher) topic(image *metadata.Image, t *kmsg.FetchRequestTopic) (*metadata.Topic, error) {
	if f.req.Version >= 13 {
		if found := image.TopicByID(t.TopicID); found != nil {
			return found, nil
		}
		return nil, kerr.UnknownTopicID
	}
	if found := image.Topic(t.Topic); found != nil {
		return found, nil
	}
	return nil, kerr.UnknownTopicOrPartition
}

func (f *fetcher) partition(t *metadata.Topic, err error, rp *kmsg.FetchRequestTopicPartition) fetched {
	out := fetched{id: rp.Partition, hw: -1, lso: -1, start: -1, leader: -1, epoch: -1}
	var p *replica.Partition
	if err == nil {
		p, err = f.api.partitionOf(t, rp.Partition)
	}
	if err == nil && f.follower() {
		err = kerr.ReplicaNotAvailable // this broker's partitions have no other replicas
	}
	if err == nil {
		err = p.CheckEpoch(rp.CurrentLeaderEpoch)
	}
	switch {
	case err == nil:
		out.p = p
	case errors.Is(err, replica.ErrNotLeader) || errors.Is(err, replica.ErrFencedEpoch) || errors.Is(err, kerr.NotLeaderForPartition):
		out.leader, out.epoch = t.Partitions[rp.Partition].Leader, t.Partitions[rp.Partition].LeaderEpoch
	}
	out.err = err
	return out
}

// follower reports whether the request is another broker's.
func (f *fetcher) follower() bool {
	return f.req.ReplicaID >= 0 && f.req.Version < 15 || f.req.Version >= 15 && f.req.ReplicaState.ID >= 0
}

// look reads what there is within the limits. The first records found come
// whole however large they are (KIP-74).
func (f *fetcher) look() {
	f.size, f.ready = 0, false
	left := f.limit
	for i := range f.parts {
		for j := range f.parts[i] {
			out := &f.parts[i][j]
			if out.err == nil {
				f.read(out, &f.topics[i].Partitions[j], left)
			}
			if out.err != nil || out.diverging {
				f.ready = true
			}
			f.size += out.chunk.Len()
			left -= out.chunk.Len()
		}
	}
}

func (f *fetcher) read(out *fetched, rp *kmsg.FetchRequestTopicPartition, left int64) {
	p := out.p
	if out.err = p.Err(); out.err != nil {
		return
	}
	out.lso, out.hw, out.start = p.LastStableOffset(), p.HighWatermark(), p.StartOffset()
	if rp.LastFetchedEpoch >= 0 && f.diverges(out, rp) {
		return
	}
	bound := out.hw
	if f.req.IsolationLevel == 1 {
		bound = out.lso
	}
	limit := min(left, int64(rp.PartitionMaxBytes))
	if limit <= 0 && f.size > 0 {
		return
	}
	if f.req.IsolationLevel == 1 {
		out.chunk, out.aborted, out.err = p.ReadCommitted(rp.FetchOffset, int(max(limit, 0)), bound, f.size == 0)
	} else {
		out.chunk, out.err = p.Read(rp.FetchOffset, int(max(limit, 0)), bound, f.size == 0)
	}
	if out.err == nil && out.chunk.Len() > 0 {
		f.inspect(out, bound)
	}
}

// diverges compares the epoch of the reader's last record with this log's
// (KIP-595).
func (f *fetcher) diverges(out *fetched, rp *kmsg.FetchRequestTopicPartition) bool {
	epoch, end := out.p.EpochEnd(rp.LastFetchedEpoch)
	switch {
	case epoch < 0:
		out.err = replica.ErrOffsetOutOfRange
	case epoch < rp.LastFetchedEpoch || end < rp.FetchOffset:
		out.diverging, out.divergedAt, out.divergedTo = true, int64(epoch), end
	}
	return out.diverging || out.err != nil
}

// inspect looks at the headers of the batches that were found, where that
// matters: readers before v10 must not get zstd, and a reader that lags must
// not wait for more than its segment has.
func (f *fetcher) inspect(out *fetched, bound int64) {
	short := f.size+out.chunk.Len() < int64(f.req.MinBytes)
	if f.req.Version >= 10 && !short {
		return
	}
	next, zstd, err := batches(&out.chunk)
	switch {
	case err != nil:
		out.err = err
	case zstd && f.req.Version < 10:
		out.err = kerr.UnsupportedCompressionType
	case next < bound:
		f.ready = true
	}
	if out.err != nil {
		out.chunk.Close() // its file was only read
	}
}

// batches walks the headers of a chunk's batches: the offset after the last,
// and whether one is compressed with zstd.
func batches(c *replica.Chunk) (next int64, zstd bool, err error) {
	var buf [recordbatch.HeaderSize]byte
	for at := int64(0); at < c.Len(); {
		if _, err := c.ReadAt(buf[:], at); err != nil {
			return 0, false, err
		}
		h, size, err := recordbatch.PeekHeader(buf[:])
		if err != nil {
			return 0, false, err
		}
		next, zstd = h.NextOffset(), zstd || h.Codec() == recordbatch.Zstd
		at += int64(size)
	}
	return next, zstd, nil
}

// watch has wake told when a partition has more than the last look saw.
func (f *fetcher) watch(wake chan struct{}) (cancel func()) {
	var cancels []func() bool
	for _, ps := range f.parts {
		for i := range ps {
			if ps[i].p == nil {
				continue
			}
			cancels = append(cancels, ps[i].p.NotifyCommitted(ps[i].hw+1, func(error) {
				select {
				case wake <- struct{}{}:
				default:
				}
			}))
		}
	}
	return func() {
		for _, c := range cancels {
			c()
		}
	}
}

// settle turns errors into codes.
func (f *fetcher) settle() {
	for _, ps := range f.parts {
		for i := range ps {
			ps[i].code = f.api.code(keyFetch, ps[i].err)
		}
	}
}

// close gives up what the last look found.
func (f *fetcher) close() {
	for _, ps := range f.parts {
		for i := range ps {
			ps[i].chunk.Close() // its file was only read
		}
	}
}
