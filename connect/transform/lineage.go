package transform

import "github.com/millrace/millrace/plugins/configdef"

// openLineage is Debezium's OpenLineage, which tells a lineage service of the
// schemas that pass and leaves records as they are. Here nobody is told, which
// is said at the start.
//
// Differs from Debezium: no lineage events are sent.
type openLineage struct{}

func newOpenLineage(s settings, _ configdef.Config) (Transform, error) {
	if s.Logger != nil {
		s.Logger.Warn("the transform OpenLineage lets records pass; lineage events are not sent: take it out of transforms, or keep it to go back to Kafka Connect")
	}
	return openLineage{}, nil
}

// Apply never drops a record, nor changes it.
func (openLineage) Apply(*Record) (bool, error) { return true, nil }
