package s3

import (
	"log/slog"
	"strings"

	"github.com/millrace/millrace/connectors/objectfile/partition"
	"github.com/millrace/millrace/plugins/sdk"
)

// explain logs what a configuration says without effect, and what it costs.
func (c *sinkConfig) explain(log *slog.Logger, cfg sdk.Config) {
	for _, k := range ignored {
		if cfg.Given(k.Name) && k.Name != "storage.class" {
			log.Info("configuration key has no effect", "key", k.Name, "why", strings.TrimPrefix(k.Doc, noEffect))
		}
	}
	for k := range cfg.Originals() {
		if strings.HasPrefix(k, "hive.") {
			log.Info("configuration key has no effect", "key", k, "why", "tables are not registered with Hive")
		}
	}
	timed := partition.TimeDerived(c.partition.Kind)
	if c.rotation.Interval > 0 && !timed {
		log.Warn("rotate.interval.ms has no effect without a time-based partitioner; rotate.schedule.interval.ms has", "partitioner", c.partition.Kind)
	}
	wallclock := timed && partition.ExtractorName(c.partition.Extractor) == "Wallclock"
	switch {
	case wallclock:
		log.Warn("records may be written twice after a crash: timestamp.extractor=Wallclock names files by the time of writing; Record and RecordField do not")
	case c.rotation.Schedule > 0 && !c.conditional:
		log.Warn("records may be written twice after a crash: files end by the clock, and objects that are there may be replaced (enable.conditional.writes, store.kafka.keys, store.kafka.headers)")
	}
}
