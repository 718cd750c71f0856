package converter

import (
	"context"
	"encoding/base64"
	"strings"

	"github.com/millrace/millrace/plugins/data"
)

// ToConnect reads an event: in JSON as a map, whose data is what the schema
// beside it had; in Avro as a struct, whose data is one again.
func (e *cloudEvents) ToConnect(ctx context.Context, topic string, raw []byte) (data.Datum, error) {
	if raw == nil {
		return data.Datum{}, nil
	}
	if e.avro {
		return e.readAvro(ctx, topic, raw)
	}
	v, err := data.SchemalessFromJSON(raw)
	if err != nil {
		return data.Datum{}, recordf("a CloudEvent that is no JSON: %w", err)
	}
	event, ok := v.(map[string]any)
	if !ok || !isCloudEvent(func(name string) bool { _, ok := event[name]; return ok }) {
		return data.Datum{}, recordf("the value is no CloudEvent: it has to be an object with id, source, specversion and type")
	}
	if event["data"], err = e.readData(ctx, topic, event["data"]); err != nil {
		return data.Datum{}, err
	}
	d, err := data.NewDatum(nil, event)
	return d, recordOf(err)
}

// isCloudEvent reports whether the attributes are there that every event has.
func isCloudEvent(has func(name string) bool) bool {
	return has("id") && has("source") && has("specversion") && has("type")
}

// readData reads the data of an event in JSON.
func (e *cloudEvents) readData(ctx context.Context, topic string, v any) (any, error) {
	switch {
	case v == nil:
		return nil, nil
	case !e.dataAvro && !e.dataSchemas:
		return v, nil
	case !e.dataAvro:
		envelope, ok := v.(map[string]any)
		if _, has := envelope["payload"]; !ok || !has {
			return nil, recordf("the data of a CloudEvent is no object of schema and payload: set json.schemas.enable=false")
		}
		return envelope["payload"], nil
	}
	text, ok := v.(string)
	raw, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil {
		return nil, recordf("the data of a CloudEvent is no Avro in base64")
	}
	d, err := e.toAvro.ToConnect(ctx, topic, raw)
	if err != nil {
		return nil, err
	}
	plain, err := data.AppendJSON(nil, d.Schema, d.Row, e.json.options)
	if err != nil {
		return nil, &RecordError{err}
	}
	out, err := data.SchemalessFromJSON(plain)
	return out, recordOf(err)
}

func (e *cloudEvents) readAvro(ctx context.Context, topic string, raw []byte) (data.Datum, error) {
	d, err := e.toAvro.ToConnect(ctx, topic, raw)
	if err != nil {
		return data.Datum{}, err
	}
	v, err := d.Value()
	if err != nil {
		return data.Datum{}, &RecordError{err}
	}
	event, ok := v.(*data.Struct)
	if !ok || !e.namedEvent(d.Schema.Name()) || !isCloudEvent(func(name string) bool { _, ok := d.Schema.Field(name); return ok }) {
		return data.Datum{}, recordf("the value is no CloudEvent: its schema is %s", d.Schema.Name())
	}
	bytes, _, err := event.Bytes("data")
	if err != nil {
		return data.Datum{}, &RecordError{err}
	}
	inner, err := e.toAvro.ToConnect(ctx, topic+dataSuffix, bytes)
	if err != nil {
		return data.Datum{}, err
	}
	return withData(event, inner)
}

// namedEvent reports whether a schema is that of events.
func (e *cloudEvents) namedEvent(name string) bool {
	if e.name != "" {
		return name == e.name || e.adjust && name == avroFullName(e.name)
	}
	return strings.HasSuffix(name, cloudEnvelope)
}

// withData returns an event with what its data holds.
func withData(event *data.Struct, inner data.Datum) (data.Datum, error) {
	payload, err := inner.Value()
	if err != nil {
		return data.Datum{}, &RecordError{err}
	}
	old := event.Schema()
	b := data.NewStructBuilder().Name(old.Name())
	for _, f := range old.Fields() {
		if f.Name == "data" {
			f.Schema = inner.Schema
		}
		b.Field(f.Name, f.Schema)
	}
	s, err := b.Build()
	if err != nil {
		return data.Datum{}, &RecordError{err}
	}
	out := data.NewStruct(s)
	for i, f := range s.Fields() {
		x := event.AtWithoutDefault(i)
		if f.Name == "data" {
			x = payload
		}
		if x == nil {
			continue
		}
		if err := out.PutAt(i, x); err != nil {
			return data.Datum{}, &RecordError{err}
		}
	}
	d, err := data.NewDatum(s, out)
	return d, recordOf(err)
}
