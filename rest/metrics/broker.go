package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/broker"
)

// brokerCollector renders a broker's figures.
type brokerCollector func() broker.Stats

var (
	brokerErrors      = desc("broker_request_errors_total", "Error codes in responses, one for each topic or partition.", "api")
	brokerSeconds     = desc("broker_request_duration_seconds", "Time from request to response, long polls included.", "api")
	brokerIn          = desc("broker_received_bytes_total", "Bytes of requests.")
	brokerOut         = desc("broker_sent_bytes_total", "Bytes of responses.")
	brokerConns       = desc("broker_connections", "Open connections.")
	brokerRefused     = desc("broker_connections_refused_total", "Connections refused because of max.connections.")
	brokerBroken      = desc("broker_connections_malformed_total", "Connections closed for what the client sent.")
	brokerTopics      = desc("broker_topics", "Topics of the cluster.")
	brokerPartitions  = desc("broker_partitions", "Partitions on this broker.")
	brokerOffline     = desc("broker_offline_partitions", "Partitions that are out of use after an error of the disk.")
	brokerSegments    = desc("broker_log_segments", "Segments of all partitions.")
	brokerLogBytes    = desc("broker_log_bytes", "Bytes of all segments.")
	brokerIdempotents = desc("broker_idempotent_producers", "Idempotent producers that partitions remember.")
	brokerTxnIDs      = desc("broker_transactional_ids", "Transactional ids that this broker coordinates.")
	brokerTxnOngoing  = desc("broker_transactions_ongoing", "Transactions that are open.")
	brokerTxnEnding   = desc("broker_transactions_ending", "Transactions that are decided, and whose markers are being written.")
)

// Describe implements prometheus.Collector.
func (c brokerCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		brokerErrors, brokerSeconds, brokerIn, brokerOut, brokerConns, brokerRefused, brokerBroken, brokerTopics,
		brokerPartitions, brokerOffline, brokerSegments, brokerLogBytes, brokerIdempotents,
		brokerTxnIDs, brokerTxnOngoing, brokerTxnEnding,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c brokerCollector) Collect(ch chan<- prometheus.Metric) {
	s := c()
	bounds := broker.LatencyBuckets()
	for _, r := range s.Requests {
		counter(ch, brokerErrors, float64(r.Errors), r.Name)
		buckets := make(map[float64]uint64, len(bounds))
		var below, total uint64
		for i, n := range r.Took {
			total += uint64(n)
			if i < len(bounds) {
				below += uint64(n)
				buckets[bounds[i].Seconds()] = below
			}
		}
		ch <- prometheus.MustNewConstHistogram(brokerSeconds, total, r.Sum.Seconds(), buckets, r.Name)
	}
	counter(ch, brokerIn, float64(s.BytesIn))
	counter(ch, brokerOut, float64(s.BytesOut))
	gauge(ch, brokerConns, float64(s.Connections))
	counter(ch, brokerRefused, float64(s.ConnectionsRefused))
	counter(ch, brokerBroken, float64(s.ConnectionsBroken))
	gauge(ch, brokerTopics, float64(s.Topics))
	gauge(ch, brokerPartitions, float64(s.Logs.Partitions))
	gauge(ch, brokerOffline, float64(s.Logs.Offline))
	gauge(ch, brokerSegments, float64(s.Logs.Segments))
	gauge(ch, brokerLogBytes, float64(s.Logs.Bytes))
	gauge(ch, brokerIdempotents, float64(s.Logs.Producers))
	gauge(ch, brokerTxnIDs, float64(s.Transactions.IDs))
	gauge(ch, brokerTxnOngoing, float64(s.Transactions.Ongoing))
	gauge(ch, brokerTxnEnding, float64(s.Transactions.Ending))
}
