package commitlog

import (
	"github.com/millrace/millrace/broker/recordbatch"
)

// keeper is what the second pass knows to decide what stays.
type keeper struct {
	last    map[int64]lastBatch // of active producers
	data    map[int64]bool      // producers with data since their last marker
	expired bool                // the tombstones of the present batch have had their time
	keep    func(recordbatch.Record) bool
}

// lastBatch is the batch from which a producer's state is found again: the
// data batch that ends at offset, or if that is -1 a marker of the epoch.
type lastBatch struct {
	offset int64
	epoch  int16
}

// prepare looks up the active producers.
func (r *round) prepare() {
	r.data = make(map[int64]bool)
	r.last = r.l.lastBatches()
	r.keep = r.keepRecord
	horizon := r.cfg.TombstoneRetention
	if horizon < 0 {
		r.filter.Horizon = unreached
	} else {
		r.filter.Horizon = r.now.Add(horizon).UnixMilli()
	}
}

// unreached is the delete horizon of tombstones that stay for ever. Deltas of
// timestamps to it must not overflow.
const unreached = int64(1) << 61

func (l *Log) lastBatches() map[int64]lastBatch {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[int64]lastBatch, len(l.producers.byID))
	for id, p := range l.producers.byID {
		b := lastBatch{-1, p.epoch}
		if p.n > 0 {
			b.offset = p.batches[p.n-1].offset
		}
		out[id] = b
	}
	return out
}

// isLast reports whether a producer's state would be lost with the batch.
func (k *keeper) isLast(v recordbatch.View) bool {
	b, ok := k.last[v.ProducerID()]
	if !ok || v.ProducerID() < 0 {
		return false
	}
	if b.offset < 0 {
		return v.Control() && v.ProducerEpoch() == b.epoch
	}
	return !v.Control() && v.LastOffset() == b.offset
}

// clean returns what stays of a batch, nil for nothing. The final one of the
// range always stays.
func (r *round) clean(v recordbatch.View, final bool) (recordbatch.View, error) {
	if v.BaseOffset() >= r.end {
		return v, nil
	}
	must := final || r.isLast(v) || v.NextOffset() >= r.end
	if v.Control() {
		return r.cleanMarker(v, must)
	}
	if v.Transactional() {
		r.data[v.ProducerID()] = true
	}
	var out recordbatch.View
	if !r.aborted.has(v) {
		r.expired = v.HasDeleteHorizon() && r.now.UnixMilli() >= v.BaseTimestamp()
		var err error
		if out, err = r.filter.Records(v, r.keep); err != nil {
			return nil, err
		}
	}
	kept := int32(0)
	if out != nil {
		kept = out.Count()
	} else if must {
		out = r.filter.Empty(v)
	}
	r.stats.RecordsKept += int64(kept)
	r.stats.RecordsDropped += int64(v.Count() - kept)
	return out, nil
}

// cleanMarker keeps the end of a transaction until all of its data is gone and
// the delete horizon that it then gets has passed. One that tells a producer's
// epoch, or ends the range, stays.
func (r *round) cleanMarker(v recordbatch.View, must bool) (recordbatch.View, error) {
	m, err := parseMarker(v)
	if err != nil || m == nil {
		return v, err
	}
	hadData := r.data[v.ProducerID()]
	delete(r.data, v.ProducerID())
	switch {
	case hadData:
		return v, nil
	case !v.HasDeleteHorizon():
		return r.filter.WithHorizon(v)
	case r.now.UnixMilli() < v.BaseTimestamp() || must:
		return v, nil
	}
	return nil, nil
}

// keepRecord decides about a record of a batch that is not aborted.
func (r *round) keepRecord(rec recordbatch.Record) bool {
	switch {
	case rec.Offset >= r.end:
		return true
	case rec.Key == nil || rec.Offset < r.keys.newest(rec.Key):
		return false
	}
	return rec.Value != nil || !r.expired
}
