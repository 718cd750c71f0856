package transform

import "github.com/millrace/millrace/plugins/configdef"

// filter is Kafka's Filter: drops every record that comes to it, so it is
// used with a predicate.
type filter struct{}

func newFilter(settings, configdef.Config) (Transform, error) { return filter{}, nil }

// Apply drops the record.
func (filter) Apply(*Record) (bool, error) { return false, nil }
