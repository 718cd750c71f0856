// Package quota holds clients to their quotas (KIP-13, KIP-55, KIP-124,
// KIP-599, KIP-612). It counts what clients do and says for how long one that
// does too much is to be left alone; it does not wait itself.
//
// Rates are measured over a window of eleven samples of a second each, of
// which at least ten seconds count, so a client that was silent may do ten
// seconds' worth at once.
package quota

import (
	"maps"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/broker/metadata"
)

// Kind is what is limited.
type Kind int8

// The kinds.
const (
	Produce    Kind = iota // bytes of Produce requests
	Fetch                  // bytes of Fetch responses
	Request                // percent of one processor
	Mutation               // partitions created and deleted
	Connection             // connections made
	kinds
)

// keys are the kinds' names in the metadata.
var keys = [kinds]string{"producer_byte_rate", "consumer_byte_rate", "request_percentage", "controller_mutation_rate", "connection_creation_rate"}

// String returns Kafka's name of the kind.
func (k Kind) String() string { return keys[k] }

const (
	samples = 11
	// minWindow is the shortest time that a rate is measured over.
	minWindow = (samples - 1) * time.Second
	// idle is after how long a meter without events says nothing any more.
	idle = samples * time.Second
	// maxMeters bounds how many clients are measured. Further ones, of which
	// there are none but by intent, are measured together.
	maxMeters = 1 << 16
	// maxRequestDelay bounds a delay for request_percentage, as in Kafka.
	maxRequestDelay = time.Second
)

// Client is who does something.
type Client struct {
	User string // the principal's name
	ID   string // client.id
}

// Quotas measures clients against the quotas of the metadata. All methods are
// safe for concurrent use.
type Quotas struct {
	now    func() time.Time
	limits atomic.Pointer[limits] // nil while nobody has a quota

	mu     sync.Mutex // guards below
	meters map[scope]*meter
	swept  time.Time // when meters were last looked through

	delayed [kinds]atomic.Int64 // nanoseconds
	delays  [kinds]atomic.Int64
}

// New returns quotas without limits.
func New(now func() time.Time) *Quotas { return &Quotas{now: now, meters: make(map[scope]*meter)} }

// scope is whose events are counted together. A quota of a user alone covers
// all its clients, one of a client id alone all its users.
type scope struct {
	kind     Kind
	user, id string
	crowd    bool // of those beyond maxMeters
}

// meter is a window and, for mutations, a bucket of tokens.
type meter struct {
	window
	tokens float64
	filled bool // with tokens
	last   time.Time
}

// limits are the quotas of an image.
type limits map[metadata.QuotaEntity]map[string]float64

// Follow takes over the quotas of the metadata.
func (q *Quotas) Follow(image *metadata.Image) {
	all := image.Quotas()
	if len(all) == 0 {
		q.limits.Store(nil)
		return
	}
	l := make(limits, len(all))
	for _, quota := range all {
		l[quota.Entity] = quota.Limits
	}
	q.limits.Store(&l)
}

// Enabled reports whether anybody has a quota.
func (q *Quotas) Enabled() bool { return q.limits.Load() != nil }

// find returns the limit that counts for a client, and with whom it shares it.
func (q *Quotas) find(kind Kind, c Client) (float64, scope, bool) {
	l := q.limits.Load()
	if l == nil {
		return 0, scope{}, false
	}
	name := func(s string) metadata.QuotaName { return metadata.QuotaName{Given: true, Name: s} }
	others := metadata.QuotaName{Given: true, Default: true}
	user, id := name(c.User), name(c.ID)
	both, byUser, byID := scope{kind: kind, user: c.User, id: c.ID}, scope{kind: kind, user: c.User}, scope{kind: kind, id: c.ID}
	for _, try := range []struct {
		e metadata.QuotaEntity
		s scope
	}{
		{metadata.QuotaEntity{User: user, ClientID: id}, both},
		{metadata.QuotaEntity{User: user, ClientID: others}, both},
		{metadata.QuotaEntity{User: user}, byUser},
		{metadata.QuotaEntity{User: others, ClientID: id}, both},
		{metadata.QuotaEntity{User: others, ClientID: others}, both},
		{metadata.QuotaEntity{User: others}, byUser},
		{metadata.QuotaEntity{ClientID: id}, byID},
		{metadata.QuotaEntity{ClientID: others}, byID},
	} {
		if limit, ok := (*l)[try.e][keys[kind]]; ok {
			return limit, try.s, true
		}
	}
	return 0, scope{}, false
}

// Record counts what a client did and returns for how long it is to be left
// alone.
func (q *Quotas) Record(kind Kind, c Client, n float64) time.Duration {
	limit, s, ok := q.find(kind, c)
	if !ok {
		return 0
	}
	now := q.now()
	q.mu.Lock()
	m := q.meter(s, now)
	m.add(now, n)
	d := m.excess(now, limit)
	q.mu.Unlock()
	if kind == Request {
		d = min(d, maxRequestDelay)
	}
	return q.delay(kind, d)
}

// Try is Record for what is not done if it would be too much: then it is not
// counted.
//
// Differs from Kafka: a client that did nothing within the window may always
// do something, so that one whose quota is smaller than one batch gets on.
func (q *Quotas) Try(kind Kind, c Client, n float64) time.Duration {
	limit, s, ok := q.find(kind, c)
	if !ok {
		return 0
	}
	return q.delay(kind, q.try(s, limit, n))
}

func (q *Quotas) try(s scope, limit, n float64) time.Duration {
	now := q.now()
	q.mu.Lock()
	defer q.mu.Unlock()
	m := q.meter(s, now)
	fresh := m.total(now) == 0
	m.add(now, n)
	d := m.excess(now, limit)
	switch {
	case fresh:
		return 0
	case d > 0:
		m.add(now, -n)
	}
	return d
}

// Budget returns the most that Try allows at once to a client that did
// something within the window, false for any amount.
func (q *Quotas) Budget(kind Kind, c Client) (float64, bool) {
	limit, _, ok := q.find(kind, c)
	return limit * minWindow.Seconds(), ok
}

// Mutate counts partitions that a client is about to create or delete, and
// returns for how long it is to be left alone after that. A client that did
// too much before may not do this, if it is strict: then nothing is counted.
func (q *Quotas) Mutate(c Client, n int, strict bool) (d time.Duration, ok bool) {
	limit, s, limited := q.find(Mutation, c)
	if !limited {
		return 0, true
	}
	now := q.now()
	q.mu.Lock()
	m := q.meter(s, now)
	if burst := limit * samples; m.filled {
		m.tokens = min(burst, m.tokens+limit*now.Sub(m.last).Seconds())
	} else {
		m.tokens, m.filled = burst, true
	}
	m.last = now
	if ok = !strict || m.tokens >= 0; ok {
		m.tokens -= float64(n)
	}
	if m.tokens < 0 {
		d = seconds(-m.tokens / limit)
	}
	q.mu.Unlock()
	return q.delay(Mutation, d), ok
}

// Connect counts a connection from an address and returns for how long it is
// to be left alone before it is closed; 0 means that it is welcome.
func (q *Quotas) Connect(ip string) time.Duration {
	l := q.limits.Load()
	if l == nil {
		return 0
	}
	limit, ok := (*l)[metadata.QuotaEntity{IP: metadata.QuotaName{Given: true, Name: ip}}][keys[Connection]]
	if !ok {
		limit, ok = (*l)[metadata.QuotaEntity{IP: metadata.QuotaName{Given: true, Default: true}}][keys[Connection]]
	}
	if !ok {
		return 0
	}
	return q.delay(Connection, q.try(scope{kind: Connection, id: ip}, limit, 1))
}

// delay counts a delay.
func (q *Quotas) delay(kind Kind, d time.Duration) time.Duration {
	if d > 0 {
		q.delays[kind].Add(1)
		q.delayed[kind].Add(int64(d))
	}
	return d
}

// Stats counts the delays of one kind since the start.
type Stats struct {
	Kind   Kind
	Delays int64
	Total  time.Duration
}

// Stats returns the delays of all kinds.
func (q *Quotas) Stats() []Stats {
	out := make([]Stats, kinds)
	for k := range out {
		out[k] = Stats{Kind(k), q.delays[k].Load(), time.Duration(q.delayed[k].Load())}
	}
	return out
}

// meter returns the meter of a scope, with mu held.
func (q *Quotas) meter(s scope, now time.Time) *meter {
	m := q.meters[s]
	if m == nil {
		if len(q.meters) >= maxMeters && now.Sub(q.swept) >= time.Second {
			q.swept = now
			maps.DeleteFunc(q.meters, func(_ scope, m *meter) bool { return now.Sub(m.last) >= idle && m.tokens >= 0 })
		}
		if len(q.meters) >= maxMeters && !s.crowd {
			return q.meter(scope{kind: s.kind, crowd: true}, now)
		}
		m = &meter{last: now}
		q.meters[s] = m
	}
	if s.kind != Mutation {
		m.last = now
	}
	return m
}

// window is the last samples, of a second each.
type window struct {
	second [samples]int64 // Unix time
	sum    [samples]float64
}

func (w *window) add(now time.Time, n float64) {
	at := now.Unix()
	i := at % samples
	if w.second[i] != at {
		w.second[i], w.sum[i] = at, 0
	}
	w.sum[i] += n
}

// excess returns how long nothing must happen until the rate is down to the
// limit: (rate - limit) / limit times what the rate was measured over.
func (w *window) excess(now time.Time, limit float64) time.Duration {
	oldest := now.Unix()
	for _, at := range w.second {
		if at > now.Unix()-samples {
			oldest = min(oldest, at)
		}
	}
	elapsed := max(now.Sub(time.Unix(oldest, 0)), minWindow)
	return max(0, seconds(w.total(now)/limit)-elapsed)
}

func (w *window) total(now time.Time) float64 {
	total := 0.0
	for i, at := range w.second {
		if at > now.Unix()-samples {
			total += w.sum[i]
		}
	}
	return total
}

// seconds returns a duration that its callers can add to and that fits into
// milliseconds of 32 bits.
func seconds(s float64) time.Duration {
	return time.Duration(min(s, math.MaxInt32/1000) * float64(time.Second))
}
