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
	connectorInfo    = desc("connect_connector_info", "1 for each connector object of this worker, with what it is.", "connector", "type", "class", "version")
	objectState      = desc("connect_connector_status", "1 for the state that a connector object is in.", "connector", "status")
	connectorState   = kafkaDesc("connector_status", "1 for the state that a task is in.", "connector", "task", "status")
	tasksOfConnector = kafkaDesc("worker_connector_total_task_count", "Tasks of a connector in this worker.", "connector")
)

// taskStates are those that tasks are counted by.
var taskStates = []string{"running", "paused", "failed", "unassigned", "restarting"}

// tasksInState are the counts of a connector's tasks in this worker by state.
var tasksInState = func() map[string]*prometheus.Desc {
	out := make(map[string]*prometheus.Desc)
	for _, s := range taskStates {
		out[s] = kafkaDesc("worker_connector_"+s+"_task_count", "Tasks of a connector in this worker that are "+s+".", "connector")
	}
	return out
}()

// workerMetric is a figure of the worker.
type workerMetric struct {
	desc  *prometheus.Desc
	total bool // it only grows
	value func(connect.Stats) float64
}

func ofWorker(name, help string, value func(connect.Stats) float64) workerMetric {
	return workerMetric{kafkaDesc("worker_"+name, help), strings.HasSuffix(name, "_total"), value}
}

var workerMetrics = []workerMetric{
	ofWorker("connector_count", "Connectors that run in this worker.", func(s connect.Stats) float64 { return float64(len(s.Connectors)) }),
	ofWorker("task_count", "Tasks that run in this worker.", func(s connect.Stats) float64 { return float64(len(s.Tasks)) }),
	ofWorker("connector_startup_attempts_total", "Starts of connector objects.", func(s connect.Stats) float64 { return float64(s.ConnectorStarts.Attempts) }),
	ofWorker("connector_startup_success_total", "Those that came as far as to run.", func(s connect.Stats) float64 { return float64(s.ConnectorStarts.Successes) }),
	ofWorker("connector_startup_failure_total", "Those that failed before.", func(s connect.Stats) float64 { return float64(s.ConnectorStarts.Failures) }),
	ofWorker("connector_startup_success_percentage", "Share of starts of connector objects that came as far as to run.", func(s connect.Stats) float64 { return share(s.ConnectorStarts.Successes, s.ConnectorStarts.Failures) }),
	ofWorker("connector_startup_failure_percentage", "Share of starts of connector objects that failed before.", func(s connect.Stats) float64 { return share(s.ConnectorStarts.Failures, s.ConnectorStarts.Successes) }),
	ofWorker("task_startup_attempts_total", "Starts of tasks.", func(s connect.Stats) float64 { return float64(s.TaskStarts.Attempts) }),
	ofWorker("task_startup_success_total", "Those that came as far as to run.", func(s connect.Stats) float64 { return float64(s.TaskStarts.Successes) }),
	ofWorker("task_startup_failure_total", "Those that failed before.", func(s connect.Stats) float64 { return float64(s.TaskStarts.Failures) }),
	ofWorker("task_startup_success_percentage", "Share of starts of tasks that came as far as to run.", func(s connect.Stats) float64 { return share(s.TaskStarts.Successes, s.TaskStarts.Failures) }),
	ofWorker("task_startup_failure_percentage", "Share of starts of tasks that failed before.", func(s connect.Stats) float64 { return share(s.TaskStarts.Failures, s.TaskStarts.Successes) }),
}

// share is a part of a whole of two, from 0 to 1, 0 of nothing.
func share(part, rest int64) float64 {
	if part+rest == 0 {
		return 0
	}
	return float64(part) / float64(part+rest)
}

// side is the kind of tasks that a metric is of.
type side int

const (
	every side = iota
	sources
	sinks
)

// taskMetric is a figure of each task.
type taskMetric struct {
	desc  *prometheus.Desc
	of    side
	total bool // it only grows
	value func(connect.TaskStats) float64
}

// kafkaTask is a figure that Kafka Connect has too, under a name within its
// group.
func kafkaTask(of side, name, help string, value func(connect.TaskStats) float64) taskMetric {
	return taskMetric{kafkaDesc(name, help, "connector", "task"), of, strings.Contains(name, "total"), value}
}

// ownTask is one of Millrace's own.
func ownTask(name, help string, value func(connect.TaskStats) float64) taskMetric {
	return taskMetric{desc("connect_"+name, help, "connector", "task"), every, strings.HasSuffix(name, "_total"), value}
}

var taskMetrics = []taskMetric{
	kafkaTask(every, "connector_task_running_ratio", "Share of the last 30 s in which the task ran.", func(t connect.TaskStats) float64 { return t.Running }),
	kafkaTask(every, "connector_task_pause_ratio", "Share of the last 30 s in which it was paused.", func(t connect.TaskStats) float64 { return t.Paused }),
	kafkaTask(every, "connector_task_batch_size_avg", "Mean size of batches, in records.", func(t connect.TaskStats) float64 { return t.Counts.Batch.Mean }),
	kafkaTask(every, "connector_task_batch_size_max", "Largest batch, in records.", func(t connect.TaskStats) float64 { return t.Counts.Batch.Max }),
	kafkaTask(every, "connector_task_offset_commit_avg_time_ms", "Mean time to write offsets.", func(t connect.TaskStats) float64 { return t.Counts.Store.Mean }),
	kafkaTask(every, "connector_task_offset_commit_max_time_ms", "Longest time to write offsets.", func(t connect.TaskStats) float64 { return t.Counts.Store.Max }),
	kafkaTask(every, "connector_task_offset_commit_success_percentage", "Share of writes of offsets that succeeded.", func(t connect.TaskStats) float64 { return share(t.Counts.Commits, t.Counts.CommitFailures) }),
	kafkaTask(every, "connector_task_offset_commit_failure_percentage", "Share of writes of offsets that failed.", func(t connect.TaskStats) float64 { return share(t.Counts.CommitFailures, t.Counts.Commits) }),

	kafkaTask(sources, "source_task_source_record_poll_total", "Records that a source task handed over.", func(t connect.TaskStats) float64 { return float64(t.Counts.Records) }),
	kafkaTask(sources, "source_task_source_record_poll_rate", "The same per second.", func(t connect.TaskStats) float64 { return t.Counts.RecordRate }),
	kafkaTask(sources, "source_task_source_record_write_total", "Records that it has in the log.", func(t connect.TaskStats) float64 { return float64(t.Counts.Moved) }),
	kafkaTask(sources, "source_task_source_record_write_rate", "The same per second.", func(t connect.TaskStats) float64 { return t.Counts.MovedRate }),
	kafkaTask(sources, "source_task_source_record_active_count", "Records on their way into the log.", func(t connect.TaskStats) float64 { return float64(t.Counts.Active) }),
	kafkaTask(sources, "source_task_poll_batch_avg_time_ms", "Mean time until the task hands over a batch.", func(t connect.TaskStats) float64 { return t.Counts.Call.Mean }),
	kafkaTask(sources, "source_task_poll_batch_max_time_ms", "Longest time until the task hands over a batch.", func(t connect.TaskStats) float64 { return t.Counts.Call.Max }),

	kafkaTask(sinks, "sink_task_sink_record_read_total", "Records that were read from the log.", func(t connect.TaskStats) float64 { return float64(t.Counts.Moved) }),
	kafkaTask(sinks, "sink_task_sink_record_read_rate", "The same per second.", func(t connect.TaskStats) float64 { return t.Counts.MovedRate }),
	kafkaTask(sinks, "sink_task_sink_record_send_total", "Records that a sink task took.", func(t connect.TaskStats) float64 { return float64(t.Counts.Records) }),
	kafkaTask(sinks, "sink_task_sink_record_send_rate", "The same per second.", func(t connect.TaskStats) float64 { return t.Counts.RecordRate }),
	kafkaTask(sinks, "sink_task_sink_record_active_count", "Records that it took and whose offsets are not committed.", func(t connect.TaskStats) float64 { return float64(t.Counts.Active) }),
	kafkaTask(sinks, "sink_task_sink_record_lag_max", "Records that the partition furthest behind is behind.", func(t connect.TaskStats) float64 { return float64(t.Counts.Lag) }),
	kafkaTask(sinks, "sink_task_partition_count", "Partitions that are assigned to it.", func(t connect.TaskStats) float64 { return float64(t.Counts.Partitions) }),
	kafkaTask(sinks, "sink_task_offset_commit_seq_no", "Number of the last commit.", func(t connect.TaskStats) float64 { return float64(t.Counts.CommitSequence) }),
	kafkaTask(sinks, "sink_task_offset_commit_completion_total", "Commits that were completed.", func(t connect.TaskStats) float64 { return float64(t.Counts.Commits) }),
	kafkaTask(sinks, "sink_task_offset_commit_skip_total", "Commits for which there was nothing to commit.", func(t connect.TaskStats) float64 { return float64(t.Counts.CommitSkips) }),
	kafkaTask(sinks, "sink_task_put_batch_avg_time_ms", "Mean time of a put.", func(t connect.TaskStats) float64 { return t.Counts.Call.Mean }),
	kafkaTask(sinks, "sink_task_put_batch_max_time_ms", "Longest time of a put.", func(t connect.TaskStats) float64 { return t.Counts.Call.Max }),

	kafkaTask(every, "task_error_total_record_failures", "Failures of records, those included that a retry mended.", func(t connect.TaskStats) float64 { return float64(t.Counts.Failures) }),
	kafkaTask(every, "task_error_total_record_errors", "Records that failed for good.", func(t connect.TaskStats) float64 { return float64(t.Counts.Errors) }),
	kafkaTask(every, "task_error_total_records_skipped", "Records dropped by errors.tolerance.", func(t connect.TaskStats) float64 { return float64(t.Counts.Skipped) }),
	kafkaTask(every, "task_error_total_retries", "Retries of conversions.", func(t connect.TaskStats) float64 { return float64(t.Counts.Retries) }),
	kafkaTask(every, "task_error_total_errors_logged", "Failures written to the log.", func(t connect.TaskStats) float64 { return float64(t.Counts.Logged) }),
	kafkaTask(every, "task_error_deadletterqueue_produce_requests", "Records on their way to the dead letter queue.", func(t connect.TaskStats) float64 { return float64(t.Counts.DeadLetters + t.Counts.DeadLetterFailures) }),
	kafkaTask(every, "task_error_deadletterqueue_produce_failures", "Those that did not get there.", func(t connect.TaskStats) float64 { return float64(t.Counts.DeadLetterFailures) }),
	kafkaTask(every, "task_error_last_error_timestamp", "Time of the last failure of a record, in milliseconds since the epoch, 0 for none.", func(t connect.TaskStats) float64 { return sinceEpoch(t.Counts.LastError) }),

	ownTask("offset_commits_total", "Successful writes of offsets.", func(t connect.TaskStats) float64 { return float64(t.Counts.Commits) }),
	ownTask("offset_commit_failures_total", "Failed writes of offsets.", func(t connect.TaskStats) float64 { return float64(t.Counts.CommitFailures) }),
	ownTask("task_restarts_total", "Times that a failed task was started again.", func(t connect.TaskStats) float64 { return float64(t.Restarts) }),
}

func sinceEpoch(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli())
}

var (
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
	for _, m := range workerMetrics {
		ch <- m.desc
	}
	for _, m := range taskMetrics {
		ch <- m.desc
	}
	for _, d := range tasksInState {
		ch <- d
	}
	for _, d := range append([]*prometheus.Desc{connectorInfo, objectState, connectorState, tasksOfConnector, taskMemory, taskMemoryLimit, taskCPU, taskEvents, taskFigure, workRecords, workDone, workRate, workLeft}, groupDescs...) {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c connectCollector) Collect(ch chan<- prometheus.Metric) {
	s := c()
	for _, m := range workerMetrics {
		send(ch, m.desc, m.total, m.value(s))
	}
	if s.Group != nil {
		collectGroup(ch, *s.Group)
	}
	for _, o := range s.Connectors {
		gauge(ch, connectorInfo, 1, o.Name, string(o.Kind), o.Class, o.Version)
		gauge(ch, objectState, 1, o.Name, strings.ToLower(string(o.State)))
	}
	counts := map[string]map[string]int{}
	for _, t := range s.Tasks {
		state := strings.ToLower(string(t.State))
		if counts[t.ID.Connector] == nil {
			counts[t.ID.Connector] = map[string]int{}
		}
		counts[t.ID.Connector][state]++
		collectTask(ch, t, state)
	}
	for name, states := range counts {
		total := 0
		for _, n := range states {
			total += n
		}
		gauge(ch, tasksOfConnector, float64(total), name)
		for _, state := range taskStates {
			gauge(ch, tasksInState[state], float64(states[state]), name)
		}
	}
}

func collectTask(ch chan<- prometheus.Metric, t connect.TaskStats, state string) {
	name, id := t.ID.Connector, strconv.Itoa(t.ID.Task)
	gauge(ch, connectorState, 1, name, id, state)
	for _, m := range taskMetrics {
		if m.of == every || (m.of == sinks) == t.Sink {
			send(ch, m.desc, m.total, m.value(t), name, id)
		}
	}
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

func send(ch chan<- prometheus.Metric, d *prometheus.Desc, total bool, v float64, labels ...string) {
	if total {
		counter(ch, d, v, labels...)
	} else {
		gauge(ch, d, v, labels...)
	}
}

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
