package transform

import (
	"fmt"

	"github.com/millrace/millrace/plugins/configdef"
)

var extractTimestampDef = configdef.Def{
	{Name: "field.name", Type: configdef.String, Required: true, Importance: configdef.High,
		Rules: []configdef.Rule{configdef.NonEmpty()}, Doc: "Field that becomes the timestamp: a number of type int64 or a Timestamp."},
	{Name: "timestamp.resolution", Type: configdef.String, Default: "milliseconds", Importance: configdef.Low,
		Rules: []configdef.Rule{configdef.OneOf("milliseconds", "seconds")}, Doc: "What the number counts."},
}

// extractTimestamp is Aiven's ExtractTimestamp: takes the timestamp from a
// field.
type extractTimestamp struct {
	side  Side
	field string
	unit  int64 // in milliseconds
}

func newExtractTimestamp(s settings, c configdef.Config) (Transform, error) {
	t := extractTimestamp{s.side, c.String("field.name"), 1}
	if c.String("timestamp.resolution") == "seconds" {
		t.unit = 1000
	}
	return t, nil
}

// Apply never drops a record.
func (t extractTimestamp) Apply(r *Record) (bool, error) {
	v, err := r.side(t.side).member(t.field)
	if err != nil {
		return false, err
	}
	n, ok := v.(int64)
	if !ok || n < 0 {
		return false, fmt.Errorf("field %q is %s, not a timestamp", t.field, kindOf(v))
	}
	r.Timestamp = n * t.unit
	return true, nil
}
