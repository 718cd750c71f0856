package api

import (
	"context"
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/quota"
	"github.com/millrace/millrace/broker/wire"
)

// anonymous is the name of the principal of every client, User:ANONYMOUS,
// because nobody authenticates here.
const anonymous = "ANONYMOUS"

// handleWithinQuotas handles a request and counts what it costs. A client above
// a quota is answered at once, with the time for which its connection is then
// muted (KIP-219).
func (a *API) handleWithinQuotas(ctx context.Context, c *wire.Conn, r *wire.Request) (wire.Reply, error) {
	client := quota.Client{User: anonymous, ID: r.ClientID}
	delay := time.Duration(0)
	if r.Key == keyProduce {
		delay = a.quotas.Record(quota.Produce, client, float64(r.Size))
		c.Mute(delay)
	}
	began := time.Now()
	reply, err := a.routes[r.Key].handle(ctx, c, r)
	busy := time.Since(began)
	if err != nil || reply == nil {
		return reply, err // without a response there is no request quota either
	}
	return func(ctx context.Context) (wire.Response, error) {
		resp, err := reply(ctx)
		if err != nil {
			return resp, err
		}
		percent := 100 * (busy + resp.Busy).Seconds()
		d := max(delay, throttled(resp), a.quotas.Record(quota.Request, client, percent))
		if d > 0 {
			throttle(resp, d)
			c.Mute(d)
		}
		return resp, nil
	}, nil
}

// throttled returns the throttle time that a response has.
func throttled(r wire.Response) time.Duration {
	if r.Stream != nil {
		return time.Duration(binary.BigEndian.Uint32(r.Stream.Bytes)) * time.Millisecond
	}
	if t, ok := r.Message.(kmsg.ThrottleResponse); ok {
		ms, _ := t.Throttle()
		return time.Duration(ms) * time.Millisecond
	}
	return 0
}

// throttle writes a throttle time into a response. A stream is a Fetch
// response, which begins with it.
func throttle(r wire.Response, d time.Duration) {
	ms := (d + time.Millisecond - 1).Milliseconds()
	if r.Stream != nil {
		binary.BigEndian.PutUint32(r.Stream.Bytes, uint32(ms))
		return
	}
	if t, ok := r.Message.(kmsg.SetThrottleResponse); ok {
		t.SetThrottle(int32(ms))
	}
}

// mutations counts the partitions that one request creates and deletes
// (KIP-599).
type mutations struct {
	quotas *quota.Quotas
	client quota.Client
	strict bool
	delay  atomic.Int64
}

// mutations begins a request. Versions that know THROTTLING_QUOTA_EXCEEDED are
// strict; before them a client is only delayed.
func (a *API) mutations(c *wire.Conn, strict bool) *mutations {
	return &mutations{quotas: a.quotas, client: quota.Client{User: anonymous, ID: c.ClientID}, strict: strict}
}

// spend counts partitions that are about to change, or refuses the change. It
// may be called from several goroutines.
func (m *mutations) spend(partitions int) error {
	d, ok := m.quotas.Mutate(m.client, partitions, m.strict)
	for {
		was := m.delay.Load()
		if int64(d) <= was || m.delay.CompareAndSwap(was, int64(d)) {
			break
		}
	}
	if !ok {
		return refuse(kerr.ThrottlingQuotaExceeded, "controller_mutation_rate is exceeded: try again after the throttle time")
	}
	return nil
}

// millis is the throttle time of the response.
func (m *mutations) millis() int32 {
	d := time.Duration(m.delay.Load())
	return int32((d + time.Millisecond - 1).Milliseconds())
}
