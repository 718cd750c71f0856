package trial

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/millrace/millrace/plugins/data"
)

// MaxRecordBytes bounds one record's JSON.
const MaxRecordBytes = 64 << 20

// jsonRecord is a record as people write it. Offset is what consume prints; it
// has no meaning here.
type jsonRecord struct {
	Topic       string          `json:"topic"`
	Partition   *int32          `json:"partition"`
	Offset      *int64          `json:"offset"`
	Timestamp   *int64          `json:"timestamp"`
	KeySchema   json.RawMessage `json:"keySchema"`
	Key         json.RawMessage `json:"key"`
	ValueSchema json.RawMessage `json:"valueSchema"`
	Value       json.RawMessage `json:"value"`
	Headers     []jsonHeader    `json:"headers"`
}

type jsonHeader struct {
	Key    string          `json:"key"`
	Schema json.RawMessage `json:"schema"`
	Value  json.RawMessage `json:"value"`
}

// ParseRecord reads a record from its JSON. What is left out is null.
func ParseRecord(text []byte) (data.Record, error) {
	var in jsonRecord
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		return data.Record{}, fmt.Errorf("not a record: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return data.Record{}, errors.New("more follows the record")
	}
	out := data.Record{Topic: in.Topic, Partition: data.NoPartition, Timestamp: data.NoTimestamp, Position: -1}
	if in.Partition != nil {
		out.Partition = *in.Partition
	}
	if in.Timestamp != nil {
		out.Timestamp = *in.Timestamp
	}
	out.OriginalTopic, out.OriginalPartition = out.Topic, out.Partition
	var err error
	if out.Key, err = parseDatum(in.KeySchema, in.Key); err != nil {
		return data.Record{}, fmt.Errorf("key: %w", err)
	}
	if out.Value, err = parseDatum(in.ValueSchema, in.Value); err != nil {
		return data.Record{}, fmt.Errorf("value: %w", err)
	}
	for _, h := range in.Headers {
		d, err := parseDatum(h.Schema, h.Value)
		if err != nil {
			return data.Record{}, fmt.Errorf("header %s: %w", h.Key, err)
		}
		out.Headers = append(out.Headers, data.Header{Name: h.Key, Value: d})
	}
	return out, nil
}

func parseDatum(schemaText, valueText json.RawMessage) (data.Datum, error) {
	var s *data.Schema
	if len(schemaText) > 0 {
		var err error
		if s, err = data.ParseJSONSchema(schemaText); err != nil {
			return data.Datum{}, fmt.Errorf("schema: %w", err)
		}
	}
	var raw any
	if len(valueText) > 0 {
		dec := json.NewDecoder(bytes.NewReader(valueText))
		dec.UseNumber()
		if err := dec.Decode(&raw); err != nil {
			return data.Datum{}, err
		}
	}
	var v any
	var err error
	if s == nil {
		v, err = schemaless(raw)
	} else {
		v, err = typed(s, raw)
	}
	if err != nil {
		return data.Datum{}, err
	}
	return data.NewDatum(s, v)
}

// schemaless turns JSON into a value without a schema.
func schemaless(raw any) (any, error) {
	switch raw := raw.(type) {
	case json.Number:
		if n, err := raw.Int64(); err == nil {
			return n, nil
		}
		return raw.Float64()
	case map[string]any:
		if d, ok := decimal(raw); ok {
			return data.ParseDecimal(d)
		}
		for k, item := range raw {
			v, err := schemaless(item)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", k, err)
			}
			raw[k] = v
		}
		return raw, nil
	case []any:
		for i, item := range raw {
			v, err := schemaless(item)
			if err != nil {
				return nil, fmt.Errorf("[%d]: %w", i, err)
			}
			raw[i] = v
		}
		return raw, nil
	}
	return raw, nil
}

// decimal returns the text of {"decimal":"12.340"}.
func decimal(raw any) (string, bool) {
	m, _ := raw.(map[string]any)
	text, ok := m["decimal"].(string)
	return text, ok && len(m) == 1
}

// typed turns JSON into a value of a schema.
func typed(s *data.Schema, raw any) (any, error) {
	if raw == nil {
		return nil, nil
	}
	if scale, is := s.Scale(); is {
		text, ok := decimal(raw)
		if !ok {
			return nil, mismatch(raw, `{"decimal":"12.340"}`)
		}
		d, err := data.ParseDecimal(text)
		if err != nil {
			return nil, err
		}
		return d.Rescale(scale)
	}
	switch s.Type() {
	case data.TypeInt8:
		return integer[int8](raw, 8)
	case data.TypeInt16:
		return integer[int16](raw, 16)
	case data.TypeInt32:
		return integer[int32](raw, 32)
	case data.TypeInt64:
		return integer[int64](raw, 64)
	case data.TypeFloat32:
		f, err := float(raw, 32)
		return float32(f), err
	case data.TypeFloat64:
		return float(raw, 64)
	case data.TypeBoolean:
		return as[bool](raw, "true or false")
	case data.TypeString:
		return as[string](raw, "a text")
	case data.TypeBytes:
		text, err := as[string](raw, "a text in base64")
		if err != nil {
			return nil, err
		}
		return base64.StdEncoding.DecodeString(text)
	case data.TypeArray:
		return typedArray(s, raw)
	case data.TypeMap:
		return typedMap(s, raw)
	default:
		return typedStruct(s, raw)
	}
}

func mismatch(raw any, want string) error {
	got, _ := json.Marshal(raw) // it came from JSON
	return fmt.Errorf("%.60s is not %s", got, want)
}

func as[T any](raw any, want string) (T, error) {
	v, ok := raw.(T)
	if !ok {
		return v, mismatch(raw, want)
	}
	return v, nil
}

func integer[T int8 | int16 | int32 | int64](raw any, bits int) (any, error) {
	n, err := as[json.Number](raw, "a whole number")
	if err != nil {
		return nil, err
	}
	v, err := strconv.ParseInt(n.String(), 10, bits)
	if err != nil {
		return nil, mismatch(raw, fmt.Sprintf("a whole number of %d bits", bits))
	}
	return T(v), nil
}

func float(raw any, bits int) (float64, error) {
	switch raw {
	case "NaN":
		return math.NaN(), nil
	case "Infinity":
		return math.Inf(1), nil
	case "-Infinity":
		return math.Inf(-1), nil
	}
	n, err := as[json.Number](raw, `a number, "NaN", "Infinity" or "-Infinity"`)
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(n.String(), bits)
}

func typedArray(s *data.Schema, raw any) (any, error) {
	items, err := as[[]any](raw, "an array")
	if err != nil {
		return nil, err
	}
	out := make([]any, len(items))
	for i, item := range items {
		if out[i], err = typed(s.ValueSchema(), item); err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
	}
	return out, nil
}

func typedMap(s *data.Schema, raw any) (any, error) {
	if s.KeySchema().Type() == data.TypeString {
		if members, ok := raw.(map[string]any); ok {
			out := make(data.Map, 0, len(members))
			for k, item := range members {
				v, err := typed(s.ValueSchema(), item)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", k, err)
				}
				out = append(out, data.Entry{Key: k, Value: v})
			}
			return out, nil
		}
	}
	pairs, err := as[[]any](raw, "a map: an object, or an array of pairs")
	if err != nil {
		return nil, err
	}
	out := make(data.Map, 0, len(pairs))
	for i, item := range pairs {
		pair, ok := item.([]any)
		if !ok || len(pair) != 2 {
			return nil, mismatch(item, "a pair of key and value")
		}
		k, kerr := typed(s.KeySchema(), pair[0])
		v, verr := typed(s.ValueSchema(), pair[1])
		if err := errors.Join(kerr, verr); err != nil {
			return nil, fmt.Errorf("[%d]: %w", i, err)
		}
		out = append(out, data.Entry{Key: k, Value: v})
	}
	return out, nil
}

func typedStruct(s *data.Schema, raw any) (any, error) {
	members, err := as[map[string]any](raw, "an object")
	if err != nil {
		return nil, err
	}
	out := data.NewStruct(s)
	for name, item := range members {
		f, ok := s.Field(name)
		if !ok {
			return nil, fmt.Errorf("the schema has no field %q", name)
		}
		v, err := typed(f.Schema, item)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if err := out.PutAt(f.Index, v); err != nil {
			return nil, err
		}
	}
	return out, nil
}
