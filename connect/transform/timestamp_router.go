package transform

import (
	"errors"
	"fmt"
	"strings"

	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
)

var timestampRouterDef = configdef.Def{
	{Name: "topic.format", Type: configdef.String, Default: "${topic}-${timestamp}", Importance: configdef.High,
		Doc: "The new topic, in which ${topic} and ${timestamp} stand for the record's."},
	{Name: "timestamp.format", Type: configdef.String, Default: "yyyyMMdd", Importance: configdef.High,
		Doc: "Pattern of java.text.SimpleDateFormat for the timestamp, in UTC."},
}

// timestampRouter is Kafka's TimestampRouter: puts the time into the topic.
type timestampRouter struct {
	topic  string
	format *dateFormat
}

func newTimestampRouter(s settings, c configdef.Config) (Transform, error) {
	f, err := compileDateFormat(c.String("timestamp.format"), s.Now())
	if err != nil {
		return nil, fmt.Errorf("timestamp.format: %w", err)
	}
	return timestampRouter{c.String("topic.format"), f}, nil
}

// Apply refuses records without timestamp.
func (t timestampRouter) Apply(r *Record) (bool, error) {
	if r.Timestamp == data.NoTimestamp {
		return false, errors.New("the record has no timestamp for the topic")
	}
	r.Topic = strings.NewReplacer("${topic}", r.Topic, "${timestamp}", t.format.format(r.Timestamp)).Replace(t.topic)
	return true, nil
}
