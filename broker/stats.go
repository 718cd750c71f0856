package broker

import (
	"time"

	"github.com/millrace/millrace/broker/api"
	"github.com/millrace/millrace/broker/replica"
	"github.com/millrace/millrace/broker/txn"
)

// Stats are a broker's figures at one moment. Counters start at zero with the
// process.
type Stats struct {
	Requests []api.RequestStats // by API key

	BytesIn            int64
	BytesOut           int64
	Connections        int64 // open now
	ConnectionsRefused int64 // because of max.connections
	ConnectionsBroken  int64 // closed for what the client sent

	Topics int
	Logs   replica.Stats

	Transactions txn.Stats // that this broker coordinates
}

// Stats returns the broker's figures; before it is ready most are zero.
func (b *Broker) Stats() Stats {
	s := Stats{
		BytesIn: b.shared.BytesIn.Load(), BytesOut: b.shared.BytesOut.Load(),
		ConnectionsBroken: b.shared.Malformed.Load(), ConnectionsRefused: b.refused.Load(),
	}
	if c := b.conns.Load(); c != nil {
		s.Connections = c.open.Load()
	}
	if a := b.node.api.Load(); a != nil {
		s.Requests = a.Stats()
		s.Transactions = a.Transactions()
		s.Topics = b.node.quorum.Image().NumTopics()
		s.Logs = b.node.replicas.Stats()
	}
	return s
}

// LatencyBuckets returns the upper bounds of the buckets of a RequestStats'
// Took. A last bucket has no bound.
func LatencyBuckets() []time.Duration { return api.LatencyBuckets[:] }
