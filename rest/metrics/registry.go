package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	registry "github.com/millrace/millrace/schema-registry"
)

// registryCollector renders a schema registry's figures.
type registryCollector func() registry.Stats

var (
	registrySubjects = desc("registry_subjects", "Subjects with a version that is not deleted.")
	registrySchemas  = desc("registry_schemas", "Versions that are not deleted, by schema language.", "type")
	registryDeleted  = desc("registry_deleted_schemas", "Versions that are softly deleted.")
	registryRejected = desc("registry_rejected_records", "Records of the topic left out since they contradict others.")
	registryAdded    = desc("registry_registrations_total", "Versions added by requests to this registry.")
	registryChecks   = desc("registry_compatibility_checks_total", "Compatibility checks.")
	registryRefusals = desc("registry_compatibility_refusals_total", "Compatibility checks with the verdict incompatible.")
	registryPrimary  = desc("registry_primary", "1 if this registry is the one that writes.")
)

// Describe implements prometheus.Collector.
func (c registryCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		registrySubjects, registrySchemas, registryDeleted, registryRejected, registryAdded, registryChecks, registryRefusals, registryPrimary,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c registryCollector) Collect(ch chan<- prometheus.Metric) {
	s := c()
	gauge(ch, registrySubjects, float64(s.Subjects))
	for typ, n := range s.ByType {
		gauge(ch, registrySchemas, float64(n), typ)
	}
	gauge(ch, registryDeleted, float64(s.Deleted))
	gauge(ch, registryRejected, float64(s.Rejected))
	counter(ch, registryAdded, float64(s.Registrations))
	counter(ch, registryChecks, float64(s.Checks))
	counter(ch, registryRefusals, float64(s.Refusals))
	primary := 0.0
	if s.Primary {
		primary = 1
	}
	gauge(ch, registryPrimary, primary)
}
