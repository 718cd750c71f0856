package api

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Bounds of fetch sessions.
const (
	// sessionProtection is how long a session cannot be evicted for a larger
	// one, and after how long without a fetch it can for any.
	sessionProtection = 2 * time.Minute
	// maxSessionPartitions is how many partitions a session may have.
	maxSessionPartitions = 1 << 17
)

// Session epochs with a meaning of their own (KIP-227).
const (
	sessionInitial = 0  // a session is asked for
	sessionFinal   = -1 // none is wanted, and the one named is over
)

// sessions are the fetch sessions of all clients: what each wants to fetch and
// was told last, so that requests and responses only have to say what changed.
// Slots are few: a new session gets one that is free, or that of the session
// that was not used for longest, if that is sessionProtection; or that of the
// smallest that is older than that and smaller than the new one; or none.
type sessions struct {
	slots int

	mu   sync.Mutex // guards below, and the sessions
	byID map[int32]*session

	evicted int64
}

// session is one fetch session.
type session struct {
	id            int32
	epoch         int32 // of the next request
	byTopicID     bool
	created, used time.Time
	parts         map[sessionKey]*sessionPartition
	order         []*sessionPartition // those that had records last come last
}

// sessionKey names a partition, by topic name or id.
type sessionKey struct {
	topic     string
	topicID   [16]byte
	partition int32
}

// sessionPartition is what the client wants of a partition and was told last.
type sessionPartition struct {
	sessionKey
	want  kmsg.FetchRequestTopicPartition
	hw    int64 // -1 if the client is yet to be told
	start int64
	fed   bool // the last response had records
}

func newSessions(slots int) *sessions {
	return &sessions{slots: slots, byID: make(map[int32]*session)}
}

// fetchContext is what one request means, with the session it is part of.
type fetchContext struct {
	session     *session // nil for none
	incremental bool     // the response tells changes only
	topics      []kmsg.FetchRequestTopic
}

// begin says what a request is to fetch. The error is one of the whole
// response.
func (s *sessions) begin(now time.Time, req *kmsg.FetchRequest) (fetchContext, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if req.SessionEpoch == sessionInitial || req.SessionEpoch == sessionFinal {
		delete(s.byID, req.SessionID)
		out := fetchContext{topics: req.Topics}
		if req.SessionEpoch == sessionInitial {
			out.session = s.create(now, req)
		}
		return out, nil
	}
	f := s.byID[req.SessionID]
	switch {
	case f == nil:
		return fetchContext{}, kerr.FetchSessionIDNotFound
	case f.epoch != req.SessionEpoch:
		return fetchContext{}, kerr.InvalidFetchSessionEpoch
	case f.byTopicID != (req.Version >= 13):
		return fetchContext{}, kerr.FetchSessionTopicIDError
	}
	f.update(req)
	f.used = now
	if f.epoch++; f.epoch == math.MaxInt32 {
		f.epoch = 1
	}
	switch {
	case len(f.parts) > maxSessionPartitions:
		delete(s.byID, f.id)
		return fetchContext{}, kerr.FetchSessionIDNotFound // the client begins anew, and gets no session
	case len(f.parts) == 0:
		delete(s.byID, f.id)
		return fetchContext{}, nil // nothing is left to fetch
	}
	return fetchContext{session: f, incremental: true, topics: f.topics()}, nil
}

// create makes a session for a full request, or returns nil if there is no
// room.
func (s *sessions) create(now time.Time, req *kmsg.FetchRequest) *session {
	f := &session{byTopicID: req.Version >= 13, epoch: 1, created: now, used: now, parts: make(map[sessionKey]*sessionPartition)}
	f.update(req)
	if n := len(f.parts); n == 0 || n > maxSessionPartitions || !s.room(now, n) {
		return nil
	}
	for f.id == 0 || s.byID[f.id] != nil {
		f.id = 1 + rand.Int32N(math.MaxInt32)
	}
	s.byID[f.id] = f
	return f
}

// room finds a slot for a session of so many partitions.
func (s *sessions) room(now time.Time, size int) bool {
	if len(s.byID) < s.slots {
		return true
	}
	var oldest, smallest *session
	for _, f := range s.byID {
		if oldest == nil || f.used.Before(oldest.used) {
			oldest = f
		}
		if now.Sub(f.created) > sessionProtection && (smallest == nil || len(f.parts) < len(smallest.parts)) {
			smallest = f
		}
	}
	switch {
	case oldest != nil && now.Sub(oldest.used) > sessionProtection:
		delete(s.byID, oldest.id)
	case smallest != nil && len(smallest.parts) < size:
		delete(s.byID, smallest.id)
	default:
		return false
	}
	s.evicted++
	return true
}

// update adds, changes and forgets partitions.
func (f *session) update(req *kmsg.FetchRequest) {
	for i := range req.Topics {
		t := &req.Topics[i]
		for _, want := range t.Partitions {
			want.UnknownTags = kmsg.Tags{} // they point into the frame
			key := f.key(t.Topic, t.TopicID, want.Partition)
			p := f.parts[key]
			if p == nil {
				p = &sessionPartition{sessionKey: key, hw: -1, start: -1}
				f.parts[key] = p
				f.order = append(f.order, p)
			}
			p.want = want
		}
	}
	forgotten := len(f.parts)
	for i := range req.ForgottenTopics {
		t := &req.ForgottenTopics[i]
		for _, id := range t.Partitions {
			delete(f.parts, f.key(t.Topic, t.TopicID, id))
		}
	}
	if len(f.parts) < forgotten {
		f.order = slices.DeleteFunc(f.order, func(p *sessionPartition) bool { return f.parts[p.sessionKey] != p })
	}
}

func (f *session) key(topic string, id [16]byte, partition int32) sessionKey {
	if f.byTopicID {
		return sessionKey{topicID: id, partition: partition}
	}
	return sessionKey{topic: topic, partition: partition}
}

// topics is the request that the session stands for. A topic may appear more
// than once.
func (f *session) topics() []kmsg.FetchRequestTopic {
	var out []kmsg.FetchRequestTopic
	for _, p := range f.order {
		if n := len(out); n == 0 || out[n-1].Topic != p.topic || out[n-1].TopicID != p.topicID {
			t := kmsg.NewFetchRequestTopic()
			t.Topic, t.TopicID = p.topic, p.topicID
			out = append(out, t)
		}
		t := &out[len(out)-1]
		t.Partitions = append(t.Partitions, p.want)
	}
	return out
}

// finish notes what the client is being told, and leaves in the response, of
// an incremental one, what is new to it: records, errors and other ends of the
// log. It returns the session's id, 0 for none.
func (s *sessions) finish(c *fetchContext, parts [][]fetched) (int32, [][]fetched) {
	if c.session == nil {
		return 0, parts
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	f := c.session
	fed := false
	for i := range parts {
		var kept []fetched
		for j := range parts[i] {
			out := &parts[i][j]
			p := f.parts[f.key(c.topics[i].Topic, c.topics[i].TopicID, out.id)]
			if news := p == nil || p.tell(out); news || !c.incremental {
				kept = append(kept, *out)
			} else {
				out.chunk.Close() // it is empty
			}
			fed = fed || p != nil && p.fed
		}
		parts[i] = kept
	}
	if fed {
		slices.SortStableFunc(f.order, func(a, b *sessionPartition) int { return cmp.Compare(flag(a.fed), flag(b.fed)) })
	}
	return f.id, parts
}

// throttle is the answer to a fetch that a quota holds back: nothing, and no
// session that was to begin with it.
func (s *sessions) throttle(c *fetchContext, d time.Duration) fetchAnswer {
	out := fetchAnswer{delay: d}
	switch {
	case c.session == nil:
	case c.incremental:
		out.session = c.session.id
	default:
		s.mu.Lock()
		delete(s.byID, c.session.id)
		s.mu.Unlock()
	}
	return out
}

// tell notes a partition's state and reports whether it is news.
func (p *sessionPartition) tell(out *fetched) bool {
	p.fed = out.chunk.Len() > 0
	news := p.fed || out.code != 0 || out.diverging || p.hw != out.hw || p.start != out.start
	p.hw, p.start = out.hw, out.start
	if out.code != 0 {
		p.hw = -1 // what follows the error is news
	}
	return news
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// stats returns how many sessions there are, how many partitions they have,
// and how many were evicted.
func (s *sessions) stats() (n, partitions int, evicted int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.byID {
		partitions += len(f.parts)
	}
	return len(s.byID), partitions, s.evicted
}
