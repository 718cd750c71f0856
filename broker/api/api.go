// Package api serves the Kafka protocol's requests: one file per API key, and
// one table of keys and versions from which requests are dispatched and
// ApiVersions is answered, so that what is advertised is what is served.
//
// Wire structs (kmsg) live here and nowhere below. An error that concerns one
// topic or partition goes into the response; a handler returns an error only
// to close the connection.
package api

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/metadata"
	"github.com/millrace/millrace/broker/replica"
	"github.com/millrace/millrace/broker/wire"
)

// Controller is the metadata quorum as requests see it.
type Controller interface {
	// Image returns the newest image. It never blocks.
	Image() *metadata.Image
	// Propose commits a command and returns its result and log index once it
	// is applied here. The error is the command's own, or wraps
	// metadata.ErrNotController or metadata.ErrOutcomeUnknown.
	Propose(ctx context.Context, c metadata.Command) (any, uint64, error)
	// WaitPublished returns when this broker has acted on the image of that
	// index, for example opened a new topic's partitions.
	WaitPublished(ctx context.Context, index uint64) error
}

// Config is what the API needs; every field but Now and Logger is mandatory.
type Config struct {
	ClusterID  string
	NodeID     int32
	Broker     *metadata.BrokerConfig
	Controller Controller
	Replicas   *replica.Set
	LogDir     string           // as DescribeLogDirs shows it
	Now        func() time.Time // time.Now
	Logger     *slog.Logger     // slog.Default()
}

// API answers requests. It implements wire.Handler.
type API struct {
	cfg    Config
	routes []route // by key; one without a handler is not served

	stopping  chan struct{}
	stop      sync.Once
	meters    []meter // by key
	producers *producerIDs
	groups    *groups

	fetchMaxBytes int32 // fetch.max.bytes
}

var _ wire.Handler = (*API)(nil)

// New returns an API that serves every key of its table. Stop gives it up.
func New(cfg Config) (*API, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	a := &API{
		cfg: cfg, stopping: make(chan struct{}), producers: newProducerIDs(cfg.Controller),
		fetchMaxBytes: int32(cfg.Broker.Int("fetch.max.bytes")),
	}
	for _, r := range a.table() {
		for int(r.key) >= len(a.routes) {
			a.routes = append(a.routes, route{})
		}
		a.routes[r.key] = r
	}
	a.meters = make([]meter, len(a.routes))
	var err error
	a.groups, err = newGroups(a)
	return a, err
}

// Stop makes requests that wait for something answer at once with what there
// is, and gives up the groups, so that connections drain. It may be called
// again.
func (a *API) Stop() {
	a.stop.Do(func() {
		close(a.stopping)
		a.groups.close()
	})
}

// route is one API key: the versions that are served and what serves them.
type route struct {
	key      int16
	min, max int16
	request  func() kmsg.Request
	handle   func(ctx context.Context, c *wire.Conn, r *wire.Request) (wire.Reply, error)
}

// on makes a route whose handler answers before it returns.
func on[T any, Req interface {
	*T
	kmsg.Request
}](min, max int16, h func(context.Context, *wire.Conn, Req) (kmsg.Response, error)) route {
	return later(min, max, func(ctx context.Context, c *wire.Conn, _ *wire.Request, req Req) (wire.Reply, error) {
		resp, err := h(ctx, c, req)
		if err != nil {
			return nil, err
		}
		return wire.Ready(resp), nil
	})
}

// later makes a route whose handler returns a reply to be waited for.
func later[T any, Req interface {
	*T
	kmsg.Request
}](min, max int16, h func(context.Context, *wire.Conn, *wire.Request, Req) (wire.Reply, error)) route {
	return route{
		key: Req(nil).Key(), min: min, max: max,
		request: func() kmsg.Request { return Req(new(T)) },
		handle: func(ctx context.Context, c *wire.Conn, r *wire.Request) (wire.Reply, error) {
			return h(ctx, c, r, r.Body.(Req)) // Open made it with request
		},
	}
}

// table is the whole wire surface.
func (a *API) table() []route {
	return []route{
		later(0, 12, a.produce),
		later(4, 17, a.fetch),
		on(1, 10, a.listOffsets),
		on(0, 12, a.metadata),
		later(1, 9, a.offsetCommit),
		on(1, 9, a.offsetFetch),
		on(0, 5, a.findCoordinator),
		later(0, 9, a.joinGroup),
		on(0, 4, a.heartbeat),
		on(0, 5, a.leaveGroup),
		later(0, 5, a.syncGroup),
		on(0, 6, a.describeGroups),
		on(0, 5, a.listGroups),
		later(0, 4, a.apiVersions),
		on(0, 7, a.createTopics),
		on(0, 6, a.deleteTopics),
		on(0, 2, a.deleteRecords),
		on(0, 5, a.initProducerID),
		on(2, 4, a.offsetForLeaderEpoch),
		on(0, 4, a.describeConfigs),
		on(0, 2, a.alterConfigs),
		on(0, 4, a.describeLogDirs),
		on(0, 3, a.createPartitions),
		later(0, 2, a.deleteGroups),
		on(0, 1, a.incrementalAlterConfigs),
		later(0, 0, a.offsetDelete),
		on(0, 1, a.describeCluster),
	}
}

// Open implements wire.Handler.
func (a *API) Open(h wire.Header) (m kmsg.Request, decode bool) {
	if h.Key < 0 || int(h.Key) >= len(a.routes) || a.routes[h.Key].handle == nil {
		return nil, false
	}
	r := &a.routes[h.Key]
	if h.Version >= r.min && h.Version <= r.max {
		m = r.request()
		m.SetVersion(h.Version)
		return m, true
	}
	if h.Key == keyApiVersions {
		return r.request(), false // answered with error 35 in version 0
	}
	return nil, false
}

// Handle implements wire.Handler.
func (a *API) Handle(ctx context.Context, c *wire.Conn, r *wire.Request) (wire.Reply, error) {
	return a.routes[r.Key].handle(ctx, c, r)
}
