package task

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/plugins/data"
)

// Converter turns keys or values into bytes of the log and back. A converter
// is used by one goroutine.
type Converter interface {
	// FromConnect appends the datum's form in the log to dst. null says that
	// the form is a null, which is not the same as no bytes.
	FromConnect(topic string, headers []data.Header, d data.Datum, dst []byte) (out []byte, null bool, err error)
	// ToConnect reads a key or value from the log; raw is nil for a null.
	ToConnect(topic string, headers []data.Header, raw []byte) (data.Datum, error)
}

// HeaderConverter does the same for header values.
type HeaderConverter interface {
	FromConnectHeader(topic, name string, d data.Datum, dst []byte) (out []byte, null bool, err error)
	ToConnectHeader(topic, name string, raw []byte) (data.Datum, error)
}

// Converters are those of one task.
type Converters struct {
	Key, Value Converter
	Header     HeaderConverter
}

// toLog fills out from r. Bytes go to arena, which grows and is returned; the
// record refers to it. Headers come first, then key, then value, as in Kafka
// Connect.
func (c *Converters) toLog(r *data.Record, out *kgo.Record, arena []byte) ([]byte, error) {
	where := Coordinates{Topic: r.Topic, Partition: r.Partition, Offset: -1}
	*out = kgo.Record{Topic: r.Topic, Partition: r.Partition}
	if r.Timestamp != data.NoTimestamp {
		out.Timestamp = time.UnixMilli(r.Timestamp)
	}
	var null bool
	var err error
	start := len(arena)
	for _, h := range r.Headers {
		arena, null, err = c.Header.FromConnectHeader(r.Topic, h.Name, h.Value, arena)
		if err != nil {
			return arena, &RecordError{StageHeaderConverter, where, err}
		}
		out.Headers = append(out.Headers, kgo.RecordHeader{Key: h.Name, Value: piece(arena, start, null)})
		start = len(arena)
	}
	if arena, null, err = c.Key.FromConnect(r.Topic, r.Headers, r.Key, arena); err != nil {
		return arena, &RecordError{StageKeyConverter, where, err}
	}
	out.Key, start = piece(arena, start, null), len(arena)
	if arena, null, err = c.Value.FromConnect(r.Topic, r.Headers, r.Value, arena); err != nil {
		return arena, &RecordError{StageValueConverter, where, err}
	}
	out.Value = piece(arena, start, null)
	return arena, nil
}

// piece is what was appended to arena since start, cut so that a later append
// to it cannot reach the next piece.
func piece(arena []byte, start int, null bool) []byte {
	if null {
		return nil
	}
	return arena[start:len(arena):len(arena)]
}

// fromLog fills out from a consumed record. Key, value and headers may alias
// it.
func (c *Converters) fromLog(r *kgo.Record, out *data.Record) error {
	where := Coordinates{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}
	headers := out.Headers[:0]
	*out = data.Record{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp.UnixMilli(), Position: data.NoPosition,
		OriginalTopic: r.Topic, OriginalPartition: r.Partition, OriginalOffset: r.Offset,
	}
	var err error
	if out.Key, err = c.Key.ToConnect(r.Topic, nil, r.Key); err != nil {
		return &RecordError{StageKeyConverter, where, err}
	}
	if out.Value, err = c.Value.ToConnect(r.Topic, nil, r.Value); err != nil {
		return &RecordError{StageValueConverter, where, err}
	}
	for _, h := range r.Headers {
		d, err := c.Header.ToConnectHeader(r.Topic, h.Key, h.Value)
		if err != nil {
			return &RecordError{StageHeaderConverter, where, err}
		}
		headers = append(headers, data.Header{Name: h.Key, Value: d})
	}
	out.Headers = headers
	return nil
}
