package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/broker"
)

// brokerCollector renders a broker's figures.
type brokerCollector func() broker.Stats

var (
	brokerErrors      = desc("broker_request_errors_total", "Error codes in responses, one for each topic or partition.", "api", "error")
	brokerSeconds     = desc("broker_request_duration_seconds", "Time from request to response, long polls included.", "api")
	brokerRequestIn   = desc("broker_request_bytes_total", "Bytes of requests.", "api")
	brokerRequestOut  = desc("broker_response_bytes_total", "Bytes of responses.", "api")
	brokerIn          = desc("broker_received_bytes_total", "Bytes of requests.")
	brokerOut         = desc("broker_sent_bytes_total", "Bytes of responses.")
	brokerQueued      = desc("broker_queued_request_bytes", "Bytes of requests that are not answered yet, if queued.max.request.bytes is set.")
	brokerConns       = desc("broker_connections", "Open connections.")
	brokerRefused     = desc("broker_connections_refused_total", "Connections refused because of a limit of connections.")
	brokerBroken      = desc("broker_connections_malformed_total", "Connections closed for what the client sent.")
	brokerThrottled   = desc("broker_throttles_total", "Times that a client was above a quota.", "quota")
	brokerThrottling  = desc("broker_throttle_seconds_total", "Time for which clients above a quota were muted.", "quota")
	brokerSessions    = desc("broker_fetch_sessions", "Fetch sessions.")
	brokerSessionSize = desc("broker_fetch_session_partitions", "Partitions of all fetch sessions.")
	brokerEvicted     = desc("broker_fetch_sessions_evicted_total", "Fetch sessions that gave way to others.")
	brokerTopics      = desc("broker_topics", "Topics of the cluster.")
	brokerPartitions  = desc("broker_partitions", "Partitions on this broker.")
	brokerOffline     = desc("broker_offline_partitions", "Partitions that are out of use after an error of the disk.")
	brokerSegments    = desc("broker_log_segments", "Segments of all partitions.")
	brokerLogBytes    = desc("broker_log_bytes", "Bytes of all segments.")
	brokerIdempotents = desc("broker_idempotent_producers", "Idempotent producers that partitions remember.")
	brokerTxnIDs      = desc("broker_transactional_ids", "Transactional ids that this broker coordinates.")
	brokerTxnOngoing  = desc("broker_transactions_ongoing", "Transactions that are open.")
	brokerTxnEnding   = desc("broker_transactions_ending", "Transactions that are decided, and whose markers are being written.")
	brokerSyncs       = desc("broker_log_flush_duration_seconds", "Time that a log's fdatasync took, with what goes with it.")

	cleanerRounds      = desc("log_cleaner_rounds_total", "Rounds of compaction.")
	cleanerRead        = desc("log_cleaner_cleaned_bytes_total", "Bytes that compaction has read.")
	cleanerFreed       = desc("log_cleaner_freed_bytes_total", "Bytes of those that it left out.")
	cleanerRatio       = desc("log_cleaner_max_dirty_ratio", "Dirty share of the dirtiest log that can be compacted.")
	cleanerMap         = desc("log_cleaner_map_fill_ratio", "Share of log.cleaner.dedupe.buffer.size that the last round used.")
	cleanerLast        = desc("log_cleaner_last_round_timestamp_seconds", "When the last round ended, 0 for never.")
	cleanerUncleanable = desc("log_cleaner_uncleanable_logs", "Logs that compaction has failed on and leaves alone.")
)

// Describe implements prometheus.Collector.
func (c brokerCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		brokerErrors, brokerSeconds, brokerRequestIn, brokerRequestOut, brokerIn, brokerOut, brokerQueued, brokerConns, brokerRefused,
		brokerBroken, brokerThrottled, brokerThrottling, brokerSessions, brokerSessionSize, brokerEvicted, brokerTopics,
		brokerPartitions, brokerOffline, brokerSegments, brokerLogBytes, brokerIdempotents, brokerSyncs,
		cleanerRounds, cleanerRead, cleanerFreed, cleanerRatio, cleanerMap, cleanerLast, cleanerUncleanable,
		logSize, logStart, logEnd, logWatermark, groupState, groupMembers, groupCommitted, groupLag,
		brokerTxnIDs, brokerTxnOngoing, brokerTxnEnding,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c brokerCollector) Collect(ch chan<- prometheus.Metric) {
	s := c()
	for i := range s.Requests {
		r := &s.Requests[i]
		for _, e := range r.Errors {
			counter(ch, brokerErrors, float64(e.Count), r.Name, e.Error)
		}
		counter(ch, brokerRequestIn, float64(r.BytesIn), r.Name)
		counter(ch, brokerRequestOut, float64(r.BytesOut), r.Name)
		histogram(ch, brokerSeconds, &r.Took, r.Name)
	}
	counter(ch, brokerIn, float64(s.BytesIn))
	counter(ch, brokerOut, float64(s.BytesOut))
	gauge(ch, brokerQueued, float64(s.BytesQueued))
	gauge(ch, brokerConns, float64(s.Connections))
	counter(ch, brokerRefused, float64(s.ConnectionsRefused))
	counter(ch, brokerBroken, float64(s.ConnectionsBroken))
	for _, q := range s.Quotas {
		counter(ch, brokerThrottled, float64(q.Delays), q.Kind.String())
		counter(ch, brokerThrottling, q.Total.Seconds(), q.Kind.String())
	}
	gauge(ch, brokerSessions, float64(s.Sessions.Sessions))
	gauge(ch, brokerSessionSize, float64(s.Sessions.Partitions))
	counter(ch, brokerEvicted, float64(s.Sessions.Evicted))
	gauge(ch, brokerTopics, float64(s.Topics))
	gauge(ch, brokerPartitions, float64(s.Logs.Partitions))
	gauge(ch, brokerOffline, float64(s.Logs.Offline))
	gauge(ch, brokerSegments, float64(s.Logs.Segments))
	gauge(ch, brokerLogBytes, float64(s.Logs.Bytes))
	gauge(ch, brokerIdempotents, float64(s.Logs.Producers))
	gauge(ch, brokerTxnIDs, float64(s.Transactions.IDs))
	gauge(ch, brokerTxnOngoing, float64(s.Transactions.Ongoing))
	gauge(ch, brokerTxnEnding, float64(s.Transactions.Ending))
	histogram(ch, brokerSyncs, &s.Logs.Syncs)
	collectCleaner(ch, &s)
	collectPartitions(ch, &s)
}

func collectCleaner(ch chan<- prometheus.Metric, s *broker.Stats) {
	c := &s.Logs.Cleaner
	counter(ch, cleanerRounds, float64(c.Rounds))
	counter(ch, cleanerRead, float64(c.BytesCleaned))
	counter(ch, cleanerFreed, float64(c.BytesFreed))
	gauge(ch, cleanerRatio, c.MaxDirtyRatio)
	gauge(ch, cleanerMap, c.MapFill)
	last := 0.0
	if !c.LastClean.IsZero() {
		last = float64(c.LastClean.UnixMilli()) / 1000
	}
	gauge(ch, cleanerLast, last)
	gauge(ch, cleanerUncleanable, float64(c.Uncleanable))
}
