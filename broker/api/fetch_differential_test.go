package api_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/brokertest"
	"github.com/millrace/millrace/broker/recordbatch"
)

// reader fetches some topics from where it stands, with or without a session.
type reader struct {
	*peer
	version int16
	session bool
	id      int32
	epoch   int32
	ids     map[[16]byte]string
	at      map[string]int64    // by topic and partition: the next offset
	sent    map[string]int64    // what the session knows
	got     map[string][]string // records
	hw      map[string]int64    // as last told
	starts  map[string]int64
	partial int // responses that left partitions out
}

func (r *reader) key(topic string, p int32) string { return fmt.Sprint(topic, "/", p) }

// request names all partitions, or in a session those that changed and those
// that are not wanted any more.
func (r *reader) request(topics map[string][16]byte, partitions int32) *kmsg.FetchRequest {
	req := as(kmsg.NewPtrFetchRequest(), r.version)
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = 0, 0, 600
	wanted := map[string]int64{}
	for _, name := range slices.Sorted(maps.Keys(topics)) {
		rt := kmsg.NewFetchRequestTopic()
		rt.Topic, rt.TopicID = name, topics[name]
		for p := range partitions {
			key := r.key(name, p)
			wanted[key] = r.at[key]
			if at, ok := r.sent[key]; ok && at == r.at[key] {
				continue
			}
			rp := kmsg.NewFetchRequestTopicPartition()
			rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes = p, r.at[key], 300
			rt.Partitions = append(rt.Partitions, rp)
		}
		if len(rt.Partitions) > 0 {
			req.Topics = append(req.Topics, rt)
		}
	}
	if !r.session {
		return req
	}
	req.SessionID, req.SessionEpoch = r.id, r.epoch
	for id, name := range r.ids {
		if _, ok := topics[name]; ok || r.epoch == 0 {
			continue
		}
		gone := kmsg.NewFetchRequestForgottenTopic()
		gone.Topic, gone.TopicID = name, id
		for p := range partitions {
			if _, ok := r.sent[r.key(name, p)]; ok {
				gone.Partitions = append(gone.Partitions, p)
			}
		}
		if len(gone.Partitions) > 0 {
			req.ForgottenTopics = append(req.ForgottenTopics, gone)
		}
	}
	r.sent = wanted
	return req
}

func (r *reader) fetch(topics map[string][16]byte, partitions int32) {
	r.t.Helper()
	resp := r.ask(r.request(topics, partitions)).(*kmsg.FetchResponse)
	wantCode(r.t, "fetch", resp.ErrorCode, nil)
	if r.session {
		if resp.SessionID == 0 || r.id != 0 && resp.SessionID != r.id {
			r.t.Fatalf("session %d became %d", r.id, resp.SessionID)
		}
		r.id, r.epoch = resp.SessionID, r.epoch+1
	}
	told := 0
	for _, t := range resp.Topics {
		name := t.Topic
		if r.version >= 13 {
			name = r.ids[t.TopicID]
		}
		for _, p := range t.Partitions {
			told++
			key := r.key(name, p.Partition)
			wantCode(r.t, key, p.ErrorCode, nil)
			r.hw[key], r.starts[key] = p.HighWatermark, p.LogStartOffset
			r.take(key, p.RecordBatches)
		}
	}
	if told < len(topics)*int(partitions) {
		r.partial++
	}
}

// take notes the records at and after the offset that was asked for.
func (r *reader) take(key string, b []byte) {
	for len(b) > 0 {
		v, rest, err := recordbatch.Parse(b)
		if err != nil {
			r.t.Fatal(err)
		}
		for rec, err := range v.Records(1 << 20) {
			if err != nil {
				r.t.Fatal(err)
			}
			if rec.Offset >= r.at[key] {
				r.got[key] = append(r.got[key], fmt.Sprint(rec.Offset, ":", string(rec.Value)))
			}
		}
		r.at[key], b = v.NextOffset(), rest
	}
}

// Two readers do the same, one with a session. Whatever is produced and
// deleted, and whichever topics they come to want, both see the same records,
// high watermarks and log starts.
func TestSessionSeesTheSame(t *testing.T) {
	for _, version := range []int16{7, 12, 13, 17} {
		seed := rand.Uint64()
		t.Run(fmt.Sprintf("v%d seed=%d", version, seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 0))
			const partitions = 4
			c := brokertest.Start(t)
			producer := dial(t, c)
			all := map[string][16]byte{}
			names := map[[16]byte]string{}
			for _, name := range []string{"a", "b", "c"} {
				c.CreateTopic(t, name, partitions)
				all[name] = producer.topicID(name)
				names[all[name]] = name
			}
			var readers []*reader
			for _, session := range []bool{false, true} {
				readers = append(readers, &reader{
					peer: dial(t, c), version: version, session: session, ids: names,
					at: map[string]int64{}, got: map[string][]string{}, hw: map[string]int64{}, starts: map[string]int64{},
				})
			}
			wanted := maps.Clone(all)
			for i := range 150 {
				topic := []string{"a", "b", "c"}[rnd.IntN(3)]
				switch n := rnd.IntN(10); {
				case n < 6:
					req := produceTo(9, topic, -1, records(t, -1, 0, fmt.Sprint("record ", i), string(make([]byte, rnd.IntN(200)))))
					req.Topics[0].Partitions[0].Partition = rnd.Int32N(partitions)
					wantCode(t, "produce", producer.produced(req).ErrorCode, nil)
				case n < 8:
					if _, ok := wanted[topic]; ok && len(wanted) > 1 {
						delete(wanted, topic)
					} else {
						wanted[topic] = all[topic]
					}
				}
				for _, r := range readers {
					r.fetch(wanted, partitions)
				}
			}
			for range 200 { // until both have everything
				for _, r := range readers {
					r.fetch(all, partitions)
				}
			}
			plain, session := readers[0], readers[1]
			if !maps.EqualFunc(plain.got, session.got, slices.Equal[[]string]) {
				t.Errorf("with a session %v\nwithout %v", session.got, plain.got)
			}
			if !maps.Equal(plain.hw, session.hw) || !maps.Equal(plain.starts, session.starts) {
				t.Errorf("high watermarks and starts with a session %v %v, without %v %v", session.hw, session.starts, plain.hw, plain.starts)
			}
			if len(plain.got) != 3*partitions || session.partial == 0 || plain.partial != 0 {
				t.Errorf("%d partitions have records; %d and %d responses were partial", len(plain.got), session.partial, plain.partial)
			}
		})
	}
}

func TestSessionErrors(t *testing.T) {
	c := brokertest.Start(t, brokertest.With("max.incremental.fetch.session.cache.slots", "1"))
	c.CreateTopic(t, "t", 1)
	p := dial(t, c)
	id := p.topicID("t")
	full := func() *kmsg.FetchResponse {
		req := fetchFrom(12, "t", id, 0)
		req.SessionEpoch, req.MaxWaitMillis = 0, 0
		return p.ask(req).(*kmsg.FetchResponse)
	}
	first := full()
	if first.SessionID == 0 {
		t.Fatal("no session")
	}
	if second := full(); second.SessionID != 0 || second.ErrorCode != 0 || len(second.Topics) != 1 {
		t.Errorf("a second session where there is one slot: %+v", second)
	}
	for _, tt := range []struct {
		version   int16
		id, epoch int32
		want      *kerr.Error
	}{
		{12, first.SessionID + 1, 1, kerr.FetchSessionIDNotFound},
		{12, first.SessionID, 5, kerr.InvalidFetchSessionEpoch},
		{13, first.SessionID, 1, kerr.FetchSessionTopicIDError},
		{12, first.SessionID, 1, nil},
	} {
		req := fetchFrom(tt.version, "t", id, 0)
		req.SessionID, req.SessionEpoch, req.MaxWaitMillis = tt.id, tt.epoch, 0
		got := p.ask(req).(*kmsg.FetchResponse)
		wantCode(t, fmt.Sprintf("%+v", tt), got.ErrorCode, tt.want)
	}
}
