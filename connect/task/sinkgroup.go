package task

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/connect/connector"
)

// onAssigned opens partitions at their committed offsets.
func (l *sinkLoop) onAssigned(ctx context.Context, assigned map[string][]int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	starts := map[TopicPartition]int64{}
	for topic, parts := range assigned {
		for _, p := range parts {
			starts[TopicPartition{topic, p}] = -1 // wherever auto.offset.reset leads
		}
	}
	if len(starts) == 0 {
		return
	}
	if err := l.settle(ctx); err != nil {
		l.fail(err)
		return
	}
	committed, err := kadm.NewClient(l.client).FetchOffsets(ctx, l.Group)
	if err != nil {
		l.fail(fmt.Errorf("fetch committed offsets of group %s: %w", l.Group, err))
		return
	}
	for tp := range starts {
		if o, ok := committed.Lookup(tp.Topic, tp.Partition); ok && o.Err == nil && o.At >= 0 {
			starts[tp] = o.At
		}
		l.owned[tp] = starts[tp]
	}
	if err := l.Sink.Assigned(ctx, starts); err != nil {
		l.fail(fmt.Errorf("open partitions: %w", err))
		return
	}
	l.Stats.partitions.Store(int64(len(l.owned)))
	if l.paused || l.blocked {
		l.client.PauseFetchPartitions(assigned)
	}
}

// onRevoked closes partitions, committing what the task lets go of unless they
// are lost.
func (l *sinkLoop) onRevoked(ctx context.Context, revoked map[string][]int32, lost bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.settle(ctx); err != nil {
		l.fail(err)
	}
	var parts []TopicPartition
	current := map[TopicPartition]int64{}
	for topic, ps := range revoked {
		for _, p := range ps {
			tp := TopicPartition{topic, p}
			parts = append(parts, tp)
			if o, ok := l.current[tp]; ok {
				current[tp] = o
			}
		}
	}
	if len(parts) == 0 {
		return
	}
	if !lost && len(current) > 0 && l.failed == nil {
		l.commit(ctx, current)
	}
	if err := l.Sink.Revoked(ctx, parts, lost); err != nil && l.failed == nil {
		l.Logger.Warn("partitions not closed cleanly", "err", err)
	}
	for _, tp := range parts {
		delete(l.current, tp)
		delete(l.owned, tp)
		delete(l.held, tp)
		delete(l.behind, tp)
	}
	l.Stats.partitions.Store(int64(len(l.owned)))
	l.client.ResumeFetchPartitions(revoked) // pauses are of this assignment only
	l.drop(func(tp TopicPartition) bool { return slices.Contains(parts, tp) })
}

func (l *sinkLoop) fail(err error) {
	if l.failed == nil {
		l.failed = err
	}
}

// commit asks the task what may be committed and commits it. When the task
// cannot say, it is handed everything since the last commit again.
func (l *sinkLoop) commit(ctx context.Context, current map[TopicPartition]int64) {
	if len(current) == 0 {
		return
	}
	offsets, err := l.Sink.PreCommit(ctx, current)
	if err != nil {
		l.Stats.commitFailed()
		l.Logger.Warn("task not ready to commit, reading again from the last commit", "err", err)
		l.rewind(l.lastCommitted(current))
		return
	}
	commit := map[string]map[int32]kgo.EpochOffset{}
	for tp, o := range offsets {
		have, ok := current[tp]
		if !ok || o > have || o < 0 {
			l.Logger.Warn("task returned an offset that it cannot know; ignored", "topic", tp.Topic, "partition", tp.Partition, "offset", o)
			continue
		}
		if l.owned[tp] == o {
			continue
		}
		if commit[tp.Topic] == nil {
			commit[tp.Topic] = map[int32]kgo.EpochOffset{}
		}
		commit[tp.Topic][tp.Partition] = kgo.EpochOffset{Epoch: -1, Offset: o}
	}
	l.Stats.sequence.Add(1)
	if len(commit) == 0 {
		l.Stats.commitSkips.Add(1)
		return
	}
	l.store(ctx, commit)
}

// commitTimeout bounds one commit.
const commitTimeout = 10 * time.Second

func (l *sinkLoop) store(ctx context.Context, offsets map[string]map[int32]kgo.EpochOffset) {
	began := time.Now()
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer stop()
	var failure error
	l.client.CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		failure = err
		if err != nil {
			return
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					failure = fmt.Errorf("topic %s, partition %d: %w", t.Topic, p.Partition, err)
					continue
				}
				l.owned[TopicPartition{t.Topic, p.Partition}] = offsets[t.Topic][p.Partition].Offset
			}
		}
	})
	if failure != nil {
		l.Stats.commitFailed()
		l.Logger.Warn("offsets not committed, trying again with the next", "err", failure)
		return
	}
	l.Stats.committed(began)
}

// lastCommitted returns where each partition is to be read again from.
func (l *sinkLoop) lastCommitted(current map[TopicPartition]int64) map[TopicPartition]int64 {
	out := map[TopicPartition]int64{}
	for tp := range current {
		if o := l.owned[tp]; o >= 0 {
			out[tp] = o
		}
	}
	return out
}

// rewind makes the next fetch start at these offsets. What was fetched of the
// partitions and not put yet comes again.
func (l *sinkLoop) rewind(to map[TopicPartition]int64) {
	offsets := map[string]map[int32]kgo.EpochOffset{}
	for tp, o := range to {
		if offsets[tp.Topic] == nil {
			offsets[tp.Topic] = map[int32]kgo.EpochOffset{}
		}
		offsets[tp.Topic][tp.Partition] = kgo.EpochOffset{Epoch: -1, Offset: o}
		l.current[tp] = o
	}
	if len(offsets) > 0 {
		l.client.SetOffsets(offsets)
	}
	l.drop(func(tp TopicPartition) bool { _, back := to[tp]; return back })
}

// serve does what the task asked for.
func (l *sinkLoop) serve(ctx context.Context, r SinkRequests) error {
	for _, e := range r.Errant {
		if err := l.tolerate(ctx, &RecordError{StagePut, e.Record, fmt.Errorf("%s", e.Text)}, l.given); err != nil {
			return err
		}
	}
	if len(r.Rewind) > 0 {
		l.rewind(r.Rewind)
	}
	for _, tp := range r.Pause {
		l.held[tp] = true
		l.client.PauseFetchPartitions(map[string][]int32{tp.Topic: {tp.Partition}})
	}
	for _, tp := range r.Resume {
		delete(l.held, tp)
		if !l.paused && !l.blocked {
			l.client.ResumeFetchPartitions(map[string][]int32{tp.Topic: {tp.Partition}})
		}
	}
	l.wakeAt = time.Time{}
	if r.Wake > 0 {
		l.wakeAt = time.Now().Add(r.Wake)
	}
	if r.Commit {
		l.commitAt = time.Now()
	}
	return nil
}

// followPause pauses or resumes as the user wishes. A paused task stays a
// member of its group.
func (l *sinkLoop) followPause() {
	want, _ := l.Pause.Get()
	if want == l.paused {
		return
	}
	if l.paused = want; want {
		l.pauseAll()
		l.commitAt = time.Now()
		l.Report(connector.Paused)
		return
	}
	if !l.blocked {
		l.resumeAll()
	}
	l.Report(connector.Running)
}

func (l *sinkLoop) assigned() map[string][]int32 {
	out := map[string][]int32{}
	for tp := range l.owned {
		out[tp.Topic] = append(out[tp.Topic], tp.Partition)
	}
	return out
}

func (l *sinkLoop) pauseAll() { l.client.PauseFetchPartitions(l.assigned()) }

// resumeAll resumes what neither the task nor the user wants paused.
func (l *sinkLoop) resumeAll() {
	if l.paused {
		return
	}
	parts := l.assigned()
	for topic, ps := range parts {
		parts[topic] = slices.DeleteFunc(ps, func(p int32) bool { return l.held[TopicPartition{topic, p}] })
	}
	l.client.ResumeFetchPartitions(parts)
}
