package broker

import (
	"github.com/millrace/millrace/broker/api"
	"github.com/millrace/millrace/broker/quota"
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
	BytesQueued        int64 // of requests that are not answered, if they are bounded
	ConnectionsRefused int64 // because of a limit of connections
	ConnectionsBroken  int64 // closed for what the client sent

	Quotas   []quota.Stats
	Sessions api.SessionStats
	Groups   []api.GroupStats // coordinated here, by name
	Topics   int
	Logs     replica.Stats

	Transactions txn.Stats // that this broker coordinates
}

// Stats returns the broker's figures; before it is ready most are zero.
func (b *Broker) Stats() Stats {
	s := Stats{
		BytesIn: b.shared.BytesIn.Load(), BytesOut: b.shared.BytesOut.Load(),
		BytesQueued: b.shared.Queued(), Quotas: b.quotas.Stats(),
		ConnectionsBroken: b.shared.Malformed.Load(), ConnectionsRefused: b.refused.Load(),
	}
	if c := b.conns.Load(); c != nil {
		s.Connections = c.open.Load()
	}
	if a := b.node.api.Load(); a != nil {
		s.Requests, s.Sessions, s.Groups = a.Stats(), a.Sessions(), a.GroupStats()
		s.Transactions = a.Transactions()
		s.Topics = b.node.quorum.Image().NumTopics()
		s.Logs = b.node.replicas.Stats()
	}
	return s
}
