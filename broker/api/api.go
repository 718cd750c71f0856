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
	"github.com/millrace/millrace/broker/quota"
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
	// Quorum returns the state of the quorum.
	Quorum() metadata.QuorumState
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
	Quotas     *quota.Quotas
	LogDir     string // as DescribeLogDirs shows it
	// MemoryListener is the listener that is not reached from outside.
	MemoryListener string
	Now            func() time.Time // time.Now
	Logger         *slog.Logger     // slog.Default()
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
	txns      *transactions
	sessions  *sessions
	quotas    *quota.Quotas

	fetchMaxBytes      int32 // fetch.max.bytes
	verifyTransactions bool  // transaction.partition.verification.enable
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
		quotas:             cfg.Quotas,
		sessions:           newSessions(cfg.Broker.Int("max.incremental.fetch.session.cache.slots")),
		fetchMaxBytes:      int32(cfg.Broker.Int("fetch.max.bytes")),
		verifyTransactions: cfg.Broker.Bool("transaction.partition.verification.enable"),
	}
	a.routes = byKey(a.table())
	a.meters = make([]meter, len(a.routes))
	var err error
	if a.groups, err = newGroups(a); err != nil {
		return nil, err
	}
	a.txns, err = newTransactions(a)
	return a, err
}

// Stop makes requests that wait for something answer at once with what there
// is, and gives up the groups, so that connections drain. It may be called
// again.
func (a *API) Stop() {
	a.stop.Do(func() {
		close(a.stopping)
		a.txns.close() // first: the ends of transactions concern groups
		a.groups.close()
	})
}

// route is one API key: the versions that are served and what serves them.
type route struct {
	key      int16
	min, max int16
	layout   *wire.Layout
	request  func() kmsg.Request
	handle   func(ctx context.Context, c *wire.Conn, r *wire.Request) (wire.Reply, error)
}

// on makes a route whose handler answers before it returns.
func on[T any, Req interface {
	*T
	kmsg.Request
}](min, max int16, layout string, h func(context.Context, *wire.Conn, Req) (kmsg.Response, error)) route {
	return later(min, max, layout, func(ctx context.Context, c *wire.Conn, _ *wire.Request, req Req) (wire.Reply, error) {
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
}](min, max int16, layout string, h func(context.Context, *wire.Conn, *wire.Request, Req) (wire.Reply, error)) route {
	return route{
		key: Req(nil).Key(), min: min, max: max, layout: wire.NewLayout(layout),
		request: func() kmsg.Request { return Req(new(T)) },
		handle: func(ctx context.Context, c *wire.Conn, r *wire.Request) (wire.Reply, error) {
			return h(ctx, c, r, r.Body.(Req)) // Open made it with request
		},
	}
}

// byKey returns routes with each at the index of its key.
func byKey(table []route) []route {
	var out []route
	for _, r := range table {
		for int(r.key) >= len(out) {
			out = append(out, route{})
		}
		out[r.key] = r
	}
	return out
}

// table is the whole wire surface: versions, the layout of the request's body
// in all of them, and the handler.
func (a *API) table() []route {
	return []route{
		later(0, 13, "s@3 2 4 [ s@-12 16@13 [ 4 b ] ]", a.produce),
		later(4, 18, "4@-14 4 4 4@3 1@4 4@7 4@7 [ s@-12 16@13 [ 4 4@9 8 4@12 8@5 4 ] ] [ s@-12 16@13 ( 4 ) ]@7 s@11 <1 4 8 >", a.fetch),
		on(1, 11, "4 1@2 [ s [ 4 4@4 8 ] ] 4@10", a.listOffsets),
		on(0, 13, "[ 16@10 s ] 1@4 1@8-10 1@8", a.metadata),
		later(1, 10, "s 4@1 s@1 s@7 8@2-4 [ s@-9 16@10 [ 4 8 8@1-1 4@6 s ] ]", a.offsetCommit),
		on(1, 10, "s@-7 [ s ( 4 ) ]@-7 [ s s@9 4@9 [ s@-9 16@10 ( 4 ) ] ]@8 1@7", a.offsetFetch),
		on(0, 5, "s@-3 1@1 ( s )@4", a.findCoordinator),
		later(0, 9, "s 4 4@1 s s@5 s [ s b ] s@8", a.joinGroup),
		on(0, 4, "s 4 s s@3", a.heartbeat),
		on(0, 5, "s s@-2 [ s s s@5 ]@3", a.leaveGroup),
		later(0, 5, "s 4 s s@3 s@5 s@5 [ s b ]", a.syncGroup),
		on(0, 6, "( s ) 1@3", a.describeGroups),
		on(0, 5, "( s )@4 ( s )@5", a.listGroups),
		later(0, 4, "s@3 s@3", a.apiVersions),
		on(0, 7, "[ s 4 2 [ 4 ( 4 ) ] [ s s ] ] 4 1@1", a.createTopics),
		on(0, 6, "( s )@-5 [ s 16 ]@6 4", a.deleteTopics),
		on(0, 2, "[ s [ 4 8 ] ] 4", a.deleteRecords),
		later(0, 5, "s 4 8@3 2@3", a.initProducerID),
		on(2, 4, "4@3 [ s [ 4 4@2 4 ] ]", a.offsetForLeaderEpoch),
		later(0, 5, "s@-3 8@-3 2@-3 [ s ( 4 ) ]@-3 [ s 8 2 1 [ s ( 4 ) ] ]@4", a.addPartitionsToTxn),
		later(0, 4, "s 8 2 s", a.addOffsetsToTxn),
		later(0, 5, "s 8 2 1", a.endTxn),
		later(1, 1, "[ 8 2 1 [ s ( 4 ) ] 4 ]", a.writeTxnMarkers),
		later(0, 5, "s s 8 2 4@3 s@3 s@3 [ s [ 4 8 4@2 s ] ]", a.txnOffsetCommit),
		on(0, 4, "[ 1 s ( s ) ] 1@1 1@3", a.describeConfigs),
		on(0, 2, "[ 1 s [ s s ] ] 1", a.alterConfigs),
		on(0, 4, "[ s ( 4 ) ]", a.describeLogDirs),
		on(0, 3, "[ s 4 [ ( 4 ) ] ] 4 1", a.createPartitions),
		later(0, 2, "( s )", a.deleteGroups),
		on(0, 1, "[ 1 s [ s 1 s ] ] 1", a.incrementalAlterConfigs),
		later(0, 0, "s [ s [ 4 ] ]", a.offsetDelete),
		on(0, 1, "[ s 1 s ] 1", a.describeClientQuotas),
		on(0, 1, "[ [ s s ] [ s 8 1 ] ] 1", a.alterClientQuotas),
		on(0, 2, "1 1@1 1@2", a.describeCluster),
		on(0, 2, "1@1 [ s ( 4 ) ] 4", a.electLeaders),
		on(0, 1, "4 1@1 [ s [ 4 ( 4 ) ] ]", a.alterPartitionReassignments),
		on(0, 0, "4 [ s ( 4 ) ]", a.listPartitionReassignments),
		on(0, 2, "[ s [ 4 ] ]", a.describeQuorum),
		on(0, 1, "4 [ s 2 1@-0 1@1 ] 1@1", a.updateFeatures),
		on(0, 1, "( 1 )@1", a.listConfigResources),
		on(0, 0, "[ s ] 4 { s 4 }", a.describeTopicPartitions),
		on(0, 0, "[ s ( 4 ) ]", a.describeProducers),
		on(0, 0, "( s )", a.describeTransactions),
		on(0, 1, "( s ) ( 8 ) 8@1", a.listTransactions),
		later(0, 1, "s s 4 s s 4 ( s ) s@1 s [ 16 ( 4 ) ]", a.consumerGroupHeartbeat),
		on(0, 1, "( s ) 1", a.consumerGroupDescribe),
	}
}

// Open implements wire.Handler.
func (a *API) Open(h wire.Header) (m kmsg.Request, l *wire.Layout) {
	if h.Key < 0 || int(h.Key) >= len(a.routes) || a.routes[h.Key].handle == nil {
		return nil, nil
	}
	r := &a.routes[h.Key]
	if h.Version >= r.min && h.Version <= r.max {
		m = r.request()
		m.SetVersion(h.Version)
		return m, r.layout
	}
	if h.Key == keyApiVersions {
		return r.request(), nil // answered with error 35 in version 0
	}
	return nil, nil
}

// Handle implements wire.Handler.
func (a *API) Handle(ctx context.Context, c *wire.Conn, r *wire.Request) (wire.Reply, error) {
	if a.quotas.Enabled() {
		return a.handleWithinQuotas(ctx, c, r)
	}
	return a.routes[r.Key].handle(ctx, c, r)
}
