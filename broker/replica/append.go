package replica

import (
	"fmt"
	"math"

	"github.com/millrace/millrace/broker/commitlog"
	"github.com/millrace/millrace/broker/recordbatch"
)

// Appended says where a batch is in the log.
type Appended = commitlog.Appended

// maxRecordsBytes bounds what one batch may decompress to when its records
// must be looked at.
const maxRecordsBytes = 256 << 20

// Append checks a batch that a producer sent and appends it, writing offset
// and epoch into the caller's bytes. With all (acks=all) it first asks for
// enough replicas in sync. The batch is not committed yet: WaitCommitted for
// LastOffset+1 before acknowledging, also for a duplicate.
//
// The errors are those of recordbatch and of this package.
func (p *Partition) Append(v recordbatch.View, all bool) (Appended, error) {
	if err := p.admit(v, all); err != nil {
		return Appended{}, err
	}
	return p.append(v, p.LeaderEpoch(), commitlog.AppendOptions{})
}

// admit decides whether a producer's batch may be appended.
func (p *Partition) admit(v recordbatch.View, all bool) error {
	if err := p.Err(); err != nil {
		return err
	}
	if state := p.state.Load(); all && len(state.ISR) < min(p.Config().MinInsyncReplicas, len(state.Replicas)) {
		return ErrNotEnoughReplicas
	}
	return p.check(v)
}

// AppendOwn appends a batch that the broker made itself. It does not wait for
// the disk, not even for flush.messages, so that callbacks of a log can append.
func (p *Partition) AppendOwn(v recordbatch.View) (Appended, error) {
	if err := p.Err(); err != nil {
		return Appended{}, err
	}
	return p.append(v, p.LeaderEpoch(), commitlog.AppendOptions{NoWait: true})
}

func (p *Partition) append(v recordbatch.View, epoch int32, o commitlog.AppendOptions) (Appended, error) {
	a, err := p.log.AppendWith(v, epoch, o)
	if err == nil {
		p.commit()
	}
	return a, err
}

// commit moves the high watermark to the end of the log, at once or when that
// is durable.
func (p *Partition) commit() {
	if !p.strict.Load() {
		p.log.SetHighWatermark(p.log.EndOffset())
		return
	}
	if !p.syncing.Swap(true) {
		p.awaitSync()
	}
}

// awaitSync asks the log to tell when its present end is durable. One round of
// fdatasync covers everything appended before it began, so while one is under
// way no further registration is made; its callback looks for more.
func (p *Partition) awaitSync() {
	end := p.log.EndOffset()
	p.log.NotifyDurable(end, func(err error) {
		if err != nil {
			p.syncing.Store(false) // the log is closed or failed and told its waiters
			return
		}
		p.log.SetHighWatermark(p.log.DurableOffset())
		p.syncing.Store(false)
		if p.log.EndOffset() > p.log.DurableOffset() && !p.syncing.Swap(true) {
			p.awaitSync()
		}
	})
}

// check is the leader's validation. It looks at records only where the topic's
// configs need them.
func (p *Partition) check(v recordbatch.View) error {
	if err := v.CheckProduced(); err != nil {
		return err
	}
	cfg := p.Config()
	if len(v) > cfg.MaxMessageBytes {
		return fmt.Errorf("batch has %d bytes, max.message.bytes is %d: %w", len(v), cfg.MaxMessageBytes, ErrBatchTooLarge)
	}
	if err := v.CheckCRC(); err != nil {
		return err
	}
	now := p.now()
	if !cfg.LogAppendTime && cfg.TimestampAfter >= 0 {
		if latest := now.Add(cfg.TimestampAfter).UnixMilli(); v.MaxTimestamp() > latest {
			return fmt.Errorf("timestamp %d is after %d (message.timestamp.after.max.ms): %w", v.MaxTimestamp(), latest, ErrTimestamp)
		}
	}
	earliest := int64(math.MinInt64)
	if !cfg.LogAppendTime && cfg.TimestampBefore >= 0 {
		earliest = now.Add(-cfg.TimestampBefore).UnixMilli()
	}
	if cfg.Compact || earliest > math.MinInt64 {
		return checkRecords(v, cfg.Compact, earliest)
	}
	return nil
}

// checkRecords looks at every record: on a compacted topic each needs a key,
// and none may be older than earliest.
func checkRecords(v recordbatch.View, keys bool, earliest int64) error {
	index := int32(0)
	for r, err := range v.Records(maxRecordsBytes) {
		switch {
		case err != nil:
			return err
		case keys && r.Key == nil:
			return &RecordError{index, ErrKeyMissing}
		case r.Timestamp < earliest:
			return &RecordError{index, fmt.Errorf("timestamp %d is before %d (message.timestamp.before.max.ms): %w", r.Timestamp, earliest, ErrTimestamp)}
		}
		index++
	}
	return nil
}
