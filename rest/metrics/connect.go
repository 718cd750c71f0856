package metrics

import (
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/connect"
)

// connectCollector renders a worker's figures: Kafka Connect's under the names
// that published dashboards expect, and those that it lacks under our own.
type connectCollector func() connect.Stats

func kafkaDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("kafka_connect_"+name, help, labels, nil)
}

var (
	connectorCount  = kafkaDesc("worker_connector_count", "Connectors that run in this worker.")
	taskCount       = kafkaDesc("worker_task_count", "Tasks that run in this worker.")
	connectorState  = kafkaDesc("connector_status", "1 for the state that a task is in.", "connector", "task", "status")
	sourcePolled    = kafkaDesc("source_task_source_record_poll_total", "Records that a source task handed over.", "connector", "task")
	sinkSent        = kafkaDesc("sink_task_sink_record_send_total", "Records that a sink task took.", "connector", "task")
	errorFailures   = kafkaDesc("task_error_total_record_failures", "Records that failed.", "connector", "task")
	errorSkipped    = kafkaDesc("task_error_total_records_skipped", "Records dropped by errors.tolerance.", "connector", "task")
	deadLetters     = kafkaDesc("task_error_deadletterqueue_produce_requests", "Records written to the dead letter queue.", "connector", "task")
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
	commits         = desc("connect_offset_commits_total", "Successful writes of offsets.", "connector", "task")
	commitFailures  = desc("connect_offset_commit_failures_total", "Failed writes of offsets.", "connector", "task")
	restarts        = desc("connect_task_restarts_total", "Times that a failed task was started again.", "connector", "task")
	taskMemory      = desc("connect_task_resident_memory_bytes", "Resident memory of the task's process.", "connector", "task")
	taskMemoryLimit = desc("connect_task_memory_limit_bytes", "Resident memory at which the task's process is killed.", "connector", "task")
	taskEvents      = desc("connect_task_events_total", "What the task's connector counts; README.md beside its code names the events.", "connector", "task", "event")
	taskFigure      = desc("connect_task_figure", "What the task's connector measures; README.md beside its code names the figures.", "connector", "task", "figure")
	workRecords     = desc("connect_task_work_records", "Records that a task has handed over of a piece of work that has an end.", "connector", "task", "work")
	workDone        = desc("connect_task_work_done_ratio", "How much of that work is done, from 0 to 1.", "connector", "task", "work")
	workRate        = desc("connect_task_work_records_per_second", "Records a second of that work.", "connector", "task", "work")
	workLeft        = desc("connect_task_work_left_seconds", "Time that the rest of that work is expected to take.", "connector", "task", "work")
	taskCPU         = desc("connect_task_cpu_seconds_total", "CPU time of the task's process.", "connector", "task")
)

// Describe implements prometheus.Collector.
func (c connectCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		connectorCount, taskCount, connectorState, sourcePolled, sinkSent, errorFailures, errorSkipped, deadLetters, commits,
		commitFailures, restarts, taskMemory, taskMemoryLimit, taskCPU, taskEvents, taskFigure, assignedObjects, assignedTasks, epoch, rounds, rebalancing, longestRound, averageRound,
		sinceRound, groupMember, groupLeader, workRecords, workDone, workRate, workLeft,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c connectCollector) Collect(ch chan<- prometheus.Metric) {
	s := c()
	gauge(ch, connectorCount, float64(s.Connectors))
	gauge(ch, taskCount, float64(len(s.Tasks)))
	if s.Group != nil {
		collectGroup(ch, *s.Group)
	}
	for _, t := range s.Tasks {
		name, id := t.ID.Connector, strconv.Itoa(t.ID.Task)
		gauge(ch, connectorState, 1, name, id, strings.ToLower(string(t.State)))
		records := sourcePolled
		if t.Sink {
			records = sinkSent
		}
		counter(ch, records, float64(t.Counts.Records), name, id)
		counter(ch, errorFailures, float64(t.Counts.Failures), name, id)
		counter(ch, errorSkipped, float64(t.Counts.Skipped), name, id)
		counter(ch, deadLetters, float64(t.Counts.DeadLetters), name, id)
		counter(ch, commits, float64(t.Counts.Commits), name, id)
		counter(ch, commitFailures, float64(t.Counts.CommitFailures), name, id)
		counter(ch, restarts, float64(t.Restarts), name, id)
		for _, f := range t.Figures {
			if f.Gauge {
				gauge(ch, taskFigure, float64(f.Value), name, id, f.Name)
			} else {
				counter(ch, taskEvents, float64(f.Value), name, id, f.Name)
			}
		}
		collectWork(ch, t.Progress, name, id)
		if t.MemoryBytes > 0 {
			gauge(ch, taskMemory, float64(t.MemoryBytes), name, id)
			counter(ch, taskCPU, t.CPU.Seconds(), name, id)
		}
		if t.MemoryLimit > 0 {
			gauge(ch, taskMemoryLimit, float64(t.MemoryLimit), name, id)
		}
	}
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

// collectWork renders the progress of a task, if it has any.
func collectWork(ch chan<- prometheus.Metric, p connect.Progress, name, id string) {
	if p.Work == "" {
		return
	}
	gauge(ch, workRecords, float64(p.Records), name, id, p.Work)
	gauge(ch, workRate, p.PerSecond, name, id, p.Work)
	if p.Done >= 0 {
		gauge(ch, workDone, p.Done, name, id, p.Work)
	}
	if p.Left >= 0 {
		gauge(ch, workLeft, p.Left.Seconds(), name, id, p.Work)
	}
}
