package transform

import (
	"fmt"
	"strings"

	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
)

var skipMissing = configdef.Key{Name: "skip.missing.or.null", Type: configdef.Boolean, Default: false, Importance: configdef.Low,
	Doc: "Leave records alone whose field is missing, null or empty, instead of failing."}

var (
	aivenTopicDef = configdef.Def{
		{Name: "field.name", Type: configdef.String, Importance: configdef.High, Doc: "Field that becomes the topic; nothing for the whole value."},
		skipMissing,
	}
	confluentTopicDef = configdef.Def{
		{Name: "field", Type: configdef.String, Default: "", Importance: configdef.High, Doc: "Field that becomes the topic; nothing for the whole value."},
		{Name: "field.format", Type: configdef.String, Default: "PLAIN", Importance: configdef.Medium,
			Unsupported: "only PLAIN is supported", Doc: "How the field is named."},
		skipMissing,
	}
)

// extractTopic is Aiven's and Confluent's ExtractTopic: takes the topic from a
// field, or from the value as a whole.
type extractTopic struct {
	side  Side
	field string
	skip  bool
}

func newExtractTopic(field string) func(settings, configdef.Config) (Transform, error) {
	return func(s settings, c configdef.Config) (Transform, error) {
		return extractTopic{s.side, c.String(field), c.Bool(skipMissing.Name)}, nil
	}
}

// Apply never drops a record.
func (t extractTopic) Apply(r *Record) (bool, error) {
	v, err := r.side(t.side).member(t.field)
	if err != nil {
		return false, err
	}
	topic := ""
	switch v := v.(type) {
	case nil:
	case string:
		topic = v
	case int8, int16, int32, int64, float32, float64, bool:
		topic = data.Text(v)
	default:
		return false, fmt.Errorf("%s is no name of a topic", kindOf(v))
	}
	switch {
	case strings.TrimSpace(topic) != "":
		r.Topic = topic
	case !t.skip:
		return false, fmt.Errorf("field %q, which is to become the topic, is missing, null or empty", t.field)
	}
	return true, nil
}

// member reads a field of a struct or map, or the whole value for no name. What
// is missing is null.
func (c *cell) member(name string) (any, error) {
	v, err := c.get()
	if err != nil || v == nil || name == "" {
		return v, err
	}
	switch v := v.(type) {
	case *data.Struct:
		if i := fieldIndex(v.Schema(), name); i >= 0 {
			return v.AtWithoutDefault(i), nil
		}
		return nil, nil
	case map[string]any:
		return v[name], nil
	}
	return nil, fmt.Errorf("%s has no field %q", kindOf(v), name)
}
