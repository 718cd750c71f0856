// Package metrics renders what the roles count as Prometheus text. The names
// are documented in docs/metrics.md.
package metrics

import (
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/millrace/millrace/broker"
	"github.com/millrace/millrace/broker/latency"
	"github.com/millrace/millrace/connect"
	registry "github.com/millrace/millrace/schema-registry"
)

// Sources are the roles of this process, nil for those that do not run. Each
// function is called for each scrape and must not block.
type Sources struct {
	Broker   func() broker.Stats
	Connect  func() connect.Stats
	Registry func() registry.Stats
}

// Handler answers GET /metrics.
func Handler(s Sources, log *slog.Logger) http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if s.Broker != nil {
		reg.MustRegister(brokerCollector(s.Broker))
	}
	if s.Connect != nil {
		reg.MustRegister(connectCollector(s.Connect))
	}
	if s.Registry != nil {
		reg.MustRegister(registryCollector(s.Registry))
	}
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn)})
}

// desc declares a metric of this product.
func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("millrace_"+name, help, labels, nil)
}

// gauge and counter send one value.
func gauge(ch chan<- prometheus.Metric, d *prometheus.Desc, v float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

// histogram sends the buckets of durations.
func histogram(ch chan<- prometheus.Metric, d *prometheus.Desc, s *latency.Snapshot, labels ...string) {
	buckets := make(map[float64]uint64, len(latency.Bounds))
	below := uint64(0)
	for i, bound := range latency.Bounds {
		below += uint64(s.Took[i])
		buckets[bound.Seconds()] = below
	}
	ch <- prometheus.MustNewConstHistogram(d, uint64(s.Count()), s.Sum.Seconds(), buckets, labels...)
}

func counter(ch chan<- prometheus.Metric, d *prometheus.Desc, v float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
}
