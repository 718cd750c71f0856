package api

import (
	"encoding/binary"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/replica"
	"github.com/millrace/millrace/broker/wire"
)

// fetchAnswer is what a Fetch response says.
type fetchAnswer struct {
	code    int16
	delay   time.Duration // for which the client is muted
	session int32
	topics  []kmsg.FetchRequestTopic
	parts   [][]fetched // as topics; a session leaves out topics without any
}

// told is the number of topics that are not left out.
func (a *fetchAnswer) told() int {
	n := 0
	for i := range a.parts {
		if a.session == 0 || len(a.parts[i]) > 0 {
			n++
		}
	}
	return n
}

// encodeFetch writes a Fetch response by hand, because kmsg would copy the
// records. The layout, of which v12 makes lengths compact and appends tagged
// fields to every structure:
//
//	throttle_ms i32, error i16 (v7), session_id i32 (v7),
//	topics [ name string or id uuid (v13),
//	  partitions [ index i32, error i16, high_watermark i64, last_stable i64,
//	    log_start i64 (v5), aborted [] nullable, preferred_replica i32 (v11),
//	    records bytes,
//	    tags: 0 diverging_epoch, 1 current_leader ] ]
func encodeFetch(req *kmsg.FetchRequest, a fetchAnswer) wire.Response {
	e := fetchEncoder{version: req.Version, flexible: req.Version >= 12, committed: req.IsolationLevel == 1, s: new(wire.Stream)}
	e.i32(int32((a.delay + time.Millisecond - 1).Milliseconds()))
	if req.Version >= 7 {
		e.i16(a.code)
		e.i32(a.session)
	}
	e.array(a.told())
	for i := range a.parts {
		if a.session != 0 && len(a.parts[i]) == 0 {
			continue
		}
		if req.Version >= 13 {
			e.s.Bytes = append(e.s.Bytes, a.topics[i].TopicID[:]...)
		} else {
			e.str(a.topics[i].Topic)
		}
		e.array(len(a.parts[i]))
		for j := range a.parts[i] {
			e.partition(&a.parts[i][j])
		}
		e.noTags()
	}
	e.noTags()
	return wire.Response{Stream: e.s}
}

type fetchEncoder struct {
	version   int16
	flexible  bool
	committed bool
	s         *wire.Stream
}

func (e *fetchEncoder) i16(v int16) { e.s.Bytes = binary.BigEndian.AppendUint16(e.s.Bytes, uint16(v)) }
func (e *fetchEncoder) i32(v int32) { e.s.Bytes = binary.BigEndian.AppendUint32(e.s.Bytes, uint32(v)) }
func (e *fetchEncoder) i64(v int64) { e.s.Bytes = binary.BigEndian.AppendUint64(e.s.Bytes, uint64(v)) }

func (e *fetchEncoder) uvarint(v int) {
	e.s.Bytes = binary.AppendUvarint(e.s.Bytes, uint64(v))
}

// array writes the length of an array or of bytes; -1 is null.
func (e *fetchEncoder) array(n int) {
	if e.flexible {
		e.uvarint(n + 1)
		return
	}
	e.i32(int32(n))
}

func (e *fetchEncoder) str(s string) {
	if e.flexible {
		e.uvarint(len(s) + 1)
	} else {
		e.i16(int16(len(s)))
	}
	e.s.Bytes = append(e.s.Bytes, s...)
}

func (e *fetchEncoder) noTags() {
	if e.flexible {
		e.uvarint(0)
	}
}

func (e *fetchEncoder) partition(p *fetched) {
	e.i32(p.id)
	e.i16(p.code)
	e.i64(p.hw)
	e.i64(p.lso)
	if e.version >= 5 {
		e.i64(p.start)
	}
	e.aborted(p.aborted)
	if e.version >= 11 {
		e.i32(-1)
	}
	e.array(int(p.chunk.Len()))
	if p.chunk.Len() > 0 {
		e.s.Chunk(&p.chunk)
	}
	e.tags(p)
}

// aborted writes the aborted transactions, for readers that asked for
// committed records only.
func (e *fetchEncoder) aborted(txns []replica.AbortedTxn) {
	if !e.committed {
		e.array(-1)
		return
	}
	e.array(len(txns))
	for _, x := range txns {
		e.i64(x.ProducerID)
		e.i64(x.FirstOffset)
		e.noTags()
	}
}

// tags writes a partition's tagged fields: a structure's own tagged fields,
// of which there are none, are its last byte.
func (e *fetchEncoder) tags(p *fetched) {
	if !e.flexible {
		return
	}
	leader := p.leader >= 0
	switch {
	case p.diverging:
		e.s.Bytes = append(e.s.Bytes, 1, 0, 4+8+1)
		e.i32(int32(p.divergedAt))
		e.i64(p.divergedTo)
		e.uvarint(0)
	case leader:
		e.s.Bytes = append(e.s.Bytes, 1, 1, 4+4+1)
		e.i32(p.leader)
		e.i32(p.epoch)
		e.uvarint(0)
	default:
		e.uvarint(0)
	}
}
