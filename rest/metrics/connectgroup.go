package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/connect"
)

var (
	assignedObjects = kafkaDesc("coordinator_assigned_connectors", "Connectors that the group has assigned to this worker.")
	assignedTasks   = kafkaDesc("coordinator_assigned_tasks", "Tasks that the group has assigned to this worker.")
	epoch           = kafkaDesc("worker_rebalance_epoch", "Generation of the group.")
	rounds          = kafkaDesc("worker_rebalance_completed_rebalances_total", "Divisions of the work that this worker took part in.")
	rebalancing     = kafkaDesc("worker_rebalance_rebalancing", "1 while the work is being divided.")
	longestRound    = kafkaDesc("worker_rebalance_rebalance_max_time_ms", "Longest division of the work.")
	averageRound    = kafkaDesc("worker_rebalance_rebalance_avg_time_ms", "Average division of the work.")
	sinceRound      = kafkaDesc("worker_rebalance_time_since_last_rebalance_ms", "Time since the last division of the work.")
	groupMember     = desc("connect_group_member", "1 while the worker is a member of its group.")
	groupLeader     = desc("connect_group_leader", "1 while the worker leads its group.")
)

var groupDescs = []*prometheus.Desc{
	assignedObjects, assignedTasks, epoch, rounds, rebalancing, longestRound, averageRound, sinceRound, groupMember, groupLeader,
}

// collectGroup renders the figures of a worker's place in its group.
func collectGroup(ch chan<- prometheus.Metric, g connect.GroupStats) {
	gauge(ch, groupMember, one(g.Joined))
	gauge(ch, groupLeader, one(g.Leader))
	gauge(ch, assignedObjects, float64(g.Connectors))
	gauge(ch, assignedTasks, float64(g.Tasks))
	gauge(ch, epoch, float64(g.Generation))
	counter(ch, rounds, float64(g.Rounds))
	gauge(ch, rebalancing, one(g.Rebalancing))
	if g.Rounds == 0 {
		return
	}
	gauge(ch, longestRound, millis(g.Longest))
	gauge(ch, averageRound, millis(g.Total)/float64(g.Rounds))
	gauge(ch, sinceRound, millis(time.Since(g.Last)))
}

func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
