package converter

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
)

const (
	cloudEventsName = "io.debezium.converters.CloudEventsConverter"
	avroName        = "io.confluent.connect.avro.AvroConverter"
)

var cloudEventsDef = configdef.Def{
	{Name: "serializer.type", Type: configdef.String, Default: "json", Rules: []configdef.Rule{configdef.OneOfFold("json", "avro")}, Importance: configdef.High,
		Doc: "Form of the events: json, avro. The settings of the two are under json. and avro."},
	{Name: "data.serializer.type", Type: configdef.String, Default: "json", Rules: []configdef.Rule{configdef.OneOfFold("json", "avro")}, Importance: configdef.High,
		Doc: "Form of their data: json, avro."},
	{Name: "extension.attributes.enable", Type: configdef.Boolean, Default: true, Importance: configdef.High,
		Doc: "Whether events have attributes of what Debezium tells of the source and the transaction."},
	{Name: "schema.name.adjustment.mode", Type: configdef.String, Default: "avro", Rules: []configdef.Rule{configdef.OneOfFold("avro", "none")}, Importance: configdef.Low,
		Doc: "How the name of the events' schema is made fit for Avro."},
	{Name: "schema.cloudevents.name", Type: configdef.String, Importance: configdef.Low,
		Doc: "Name of the events' schema; TOPIC.PREFIX.DATABASE.CloudEvents.Envelope if not given."},
	{Name: "metadata.source", Type: configdef.List, Default: "value,id:generate,type:generate,traceparent:header,dataSchemaName:generate", Importance: configdef.High,
		Check: checkMetadataSource, Doc: "Where what events tell is from: the record's value. Converters do not see headers here."},
	{Name: "opentelemetry.tracing.attributes.enable", Type: configdef.Boolean, Default: false, Importance: configdef.High,
		Unsupported: "traces are in headers, which converters do not see here", Doc: "Whether events tell their trace."},
	{Name: "schema.data.name.source.header.enable", Type: configdef.Boolean, Default: false, Importance: configdef.Low,
		Unsupported: "converters do not see headers here", Doc: "Whether a header names the schema of the data."},
	typeKey,
}

// checkMetadataSource accepts what takes nothing from headers. Traces and the
// name of the data's schema would only be taken if other keys asked for it.
func checkMetadataSource(v any) error {
	list, _ := v.([]string)
	for i, entry := range list {
		field, from, custom := strings.Cut(entry, ":")
		switch {
		case i == 0 && !custom && field == "value":
		case i == 0:
			return fmt.Errorf("it begins with %s: only value can be, since converters do not see headers here", entry)
		case from != "generate" && from != "header":
			return fmt.Errorf("%s is not of the form FIELD:generate or FIELD:header", entry)
		case field == "traceparent", field == "dataSchemaName":
		case field != "id" && field != "type":
			return fmt.Errorf("there is no field %s to say this of", field)
		case from == "header":
			return fmt.Errorf("%s cannot be taken from a header, which converters do not see here", field)
		}
	}
	for _, field := range []string{"id", "type"} {
		if len(list) > 0 && !containsPrefix(list, field+":") {
			return fmt.Errorf("%s:generate is missing: without it %s would be taken from the value, which does not have it", field, field)
		}
	}
	return nil
}

func containsPrefix(list []string, prefix string) bool {
	for _, s := range list {
		if strings.HasPrefix(s, prefix) {
			return true
		}
	}
	return false
}

// cloudEvents is Debezium's CloudEventsConverter: change events become
// CloudEvents in structured mode.
type cloudEvents struct {
	avro, dataAvro bool // else JSON
	dataSchemas    bool // JSON data is beside its schema
	extensions     bool
	adjust         bool
	name           string // of the events' schema, "" for that of the source
	registryURLs   string
	json           *jsonConverter // of events, and of data without schema
	jsonData       *jsonConverter
	toAvro         Converter // nil if nothing is Avro
	shapes         *lru[cloudShape, *cloudSchemas]
}

// cloudShape is what the schemas of an event depend on.
type cloudShape struct {
	envelope data.Hash
	name     string
}

// cloudSchemas are the schemas of an event and of its data, nil where it is
// bytes or written by itself.
type cloudSchemas struct{ event, data *data.Schema }

func newCloudEvents(s Settings, c configdef.Config) (Converter, error) {
	e := &cloudEvents{
		avro: foldEqual(c.String("serializer.type"), "avro"), dataAvro: foldEqual(c.String("data.serializer.type"), "avro"),
		extensions: c.Bool("extension.attributes.enable"), adjust: foldEqual(c.String("schema.name.adjustment.mode"), "avro"),
		name: c.String("schema.cloudevents.name"), shapes: newLRU[cloudShape, *cloudSchemas](1000),
	}
	if e.avro && !e.dataAvro {
		return nil, errors.New("events in Avro cannot have data in JSON: set data.serializer.type=avro")
	}
	props := c.WithPrefix("json.")
	jsonConfig, problems := jsonDef.Parse(props)
	if len(problems) > 0 {
		return nil, fmt.Errorf("json.%w", problems[0])
	}
	for _, to := range []**jsonConverter{&e.json, &e.jsonData} {
		made, err := newJSON(s, jsonConfig)
		if err != nil {
			return nil, err
		}
		*to = made.(*jsonConverter)
	}
	e.dataSchemas, e.json.envelope = e.jsonData.envelope && !e.dataAvro, false
	if !e.avro && !e.dataAvro {
		return e, nil
	}
	class, ok := Lookup(avroName)
	if !ok {
		return nil, errors.New("there is no " + avroName)
	}
	s.Props = c.WithPrefix(cloudEventsRegistry)
	e.registryURLs = s.Props["schema.registry.url"]
	var err error
	e.toAvro, err = class.New(s)
	return e, err
}

// cloudEventsRegistry is the prefix of the Avro converter's keys.
const cloudEventsRegistry = "avro."

// FromConnect writes a change event; anything else becomes a null, as in
// Debezium.
func (e *cloudEvents) FromConnect(ctx context.Context, topic string, d data.Datum, dst []byte) ([]byte, bool, error) {
	if d.IsNull() || d.Schema == nil || !strings.HasSuffix(d.Schema.Name(), ".Envelope") || d.Schema.Type() != data.TypeStruct {
		return dst, true, nil
	}
	v, err := d.Value()
	if err != nil {
		return dst, false, &RecordError{err}
	}
	record := v.(*data.Struct)
	out, err := e.write(ctx, topic, record, dst)
	if err != nil {
		return dst, false, err
	}
	return out, false, nil
}

func (e *cloudEvents) write(ctx context.Context, topic string, record *data.Struct, dst []byte) ([]byte, error) {
	source, ok, err := record.Struct("source")
	if err != nil || !ok {
		return nil, recordf("a change event without source: %v", err)
	}
	schemas, err := e.schemas(record.Schema(), source)
	if err != nil {
		return nil, err
	}
	payload := data.NewStruct(schemas.data)
	for i, f := range schemas.data.Fields() {
		x, err := record.GetWithoutDefault(f.Name)
		if err == nil && x != nil {
			err = payload.PutAt(i, x)
		}
		if err != nil {
			return nil, &RecordError{err}
		}
	}
	event := data.NewStruct(schemas.event)
	if err := e.attributes(event, record, source); err != nil {
		return nil, err
	}
	switch {
	case e.dataAvro:
		return e.withAvro(ctx, topic, event, payload, dst)
	case e.dataSchemas:
		return e.withSchema(ctx, topic, event, payload, dst)
	}
	if err := event.Put("data", payload); err != nil {
		return nil, &RecordError{err}
	}
	return convert(ctx, e.json, topic, event, dst)
}

// convert writes a struct by a converter.
func convert(ctx context.Context, c Converter, topic string, v *data.Struct, dst []byte) ([]byte, error) {
	d, err := data.NewDatum(v.Schema(), v)
	if err != nil {
		return nil, &RecordError{err}
	}
	out, _, err := c.FromConnect(ctx, topic, d, dst)
	return out, err
}

// withAvro writes an event whose data is Avro, in its wire form: in Avro it is
// registered for a topic of its own, with -data behind the name.
func (e *cloudEvents) withAvro(ctx context.Context, topic string, event, payload *data.Struct, dst []byte) ([]byte, error) {
	name, envelope := topic, Converter(e.json)
	if e.avro {
		name, envelope = topic+dataSuffix, e.toAvro
	}
	raw, err := convert(ctx, e.toAvro, name, payload, nil)
	if err != nil {
		return nil, err
	}
	if len(raw) < len(prefix{}) {
		return nil, recordf("data of %d bytes has no schema id", len(raw))
	}
	uri := e.registryURLs + "/schemas/ids/" + strconv.Itoa(int(int32(binary.BigEndian.Uint32(raw[1:]))))
	if err := errors.Join(event.Put("data", raw), event.Put("dataschema", uri)); err != nil {
		return nil, &RecordError{err}
	}
	return convert(ctx, envelope, topic, event, dst)
}

const dataSuffix = "-data"

// withSchema writes an event in JSON whose data is beside its schema.
func (e *cloudEvents) withSchema(ctx context.Context, topic string, event, payload *data.Struct, dst []byte) ([]byte, error) {
	out, err := convert(ctx, e.json, topic, event, dst)
	if err != nil {
		return nil, err
	}
	out = append(out[:len(out)-1], `,"data":`...)
	if out, err = convert(ctx, e.jsonData, topic, payload, out); err != nil {
		return nil, err
	}
	return append(out, '}'), nil
}

// attributes sets everything but the data.
func (e *cloudEvents) attributes(event, record, source *data.Struct) error {
	text := func(name string) string {
		x, err := source.Get(name)
		if err != nil || x == nil {
			return "null"
		}
		return data.Text(x)
	}
	connector, ms := text("connector"), int64(0)
	if connector != "postgresql" {
		return recordf("there are no CloudEvents for events of connector %s, only of postgresql", connector)
	}
	ms, _, err := source.Int64("ts_ms")
	if err != nil {
		return &RecordError{err}
	}
	form := "application/json"
	if e.dataAvro {
		form = "application/avro"
	}
	put := func(name string, v any) {
		if v != nil {
			err = errors.Join(err, event.Put(name, v))
		}
	}
	put("id", "name:"+text("name")+";lsn:"+text("lsn")+";txId:"+text("txId")+";sequence:"+text("sequence"))
	put("source", "/debezium/"+connector+"/"+text("name"))
	put("specversion", "1.0")
	put("type", "io.debezium.connector."+connector+".DataChangeEvent")
	put("time", time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z07:00"))
	put("datacontenttype", form)
	if !e.extensions {
		return recordOf(err)
	}
	op, _, opErr := record.Text("op")
	err = errors.Join(err, opErr)
	put(extension("op"), op)
	for i, f := range source.Schema().Fields() {
		put(extension(f.Name), extensionValue(source.At(i)))
	}
	if tx, ok, txErr := record.Struct("transaction"); ok && txErr == nil {
		for i, f := range tx.Schema().Fields() {
			put(extension("tx"+f.Name), extensionValue(tx.At(i)))
		}
	}
	return recordOf(err)
}

func recordOf(err error) error {
	if err == nil {
		return nil
	}
	return &RecordError{err}
}

// extension is the name of an attribute for a field of the source.
func extension(field string) string {
	return "iodebezium" + strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, field)
}

// extensionValue is a value as attributes may have it: whole numbers of 64 bits
// are texts.
func extensionValue(v any) any {
	switch v := v.(type) {
	case int64:
		return strconv.FormatInt(v, 10)
	case int8:
		return int32(v)
	case int16:
		return int32(v)
	}
	return v
}

// schemas returns those of the events of an envelope.
func (e *cloudEvents) schemas(envelope *data.Schema, source *data.Struct) (*cloudSchemas, error) {
	name := e.name
	if name == "" {
		server, _, err := source.Text("name")
		db, _, err2 := source.Text("db")
		if err := errors.Join(err, err2); err != nil {
			return nil, &RecordError{err}
		}
		name = server + "." + db + "." + cloudEnvelope
	}
	if e.adjust {
		name = avroFullName(name)
	}
	key := cloudShape{envelope.Hash(), name}
	if s, ok := e.shapes.get(key); ok {
		return s, nil
	}
	s, err := e.makeSchemas(envelope, source.Schema(), name)
	if err != nil {
		return nil, &RecordError{fmt.Errorf("schema of CloudEvents: %w", err)}
	}
	e.shapes.put(key, s, 1)
	return s, nil
}

const cloudEnvelope = "CloudEvents.Envelope"

func (e *cloudEvents) makeSchemas(envelope, source *data.Schema, name string) (*cloudSchemas, error) {
	rows := data.NewStructBuilder().Name("io.debezium.connector.postgresql.Data")
	for _, f := range []string{"before", "after"} {
		field, ok := envelope.Field(f)
		if !ok {
			return nil, fmt.Errorf("the envelope has no field %s", f)
		}
		rows.Field(f, field.Schema)
	}
	out := &cloudSchemas{}
	var err error
	if out.data, err = rows.Build(); err != nil {
		return nil, err
	}
	b := data.NewStructBuilder().Name(name)
	for _, f := range []string{"id", "source", "specversion", "type", "time", "datacontenttype"} {
		b.Field(f, data.StringSchema)
	}
	if e.dataAvro {
		b.Field("dataschema", data.StringSchema)
	}
	if e.extensions {
		b.Field(extension("op"), data.StringSchema)
		for _, f := range source.Fields() {
			s, err := extensionSchema(f.Schema, f.Schema.Optional())
			if err != nil {
				return nil, fmt.Errorf("source.%s: %w", f.Name, err)
			}
			b.Field(extension(f.Name), s)
		}
		for _, f := range []string{"id", "total_order", "data_collection_order"} {
			b.Field(extension("tx"+f), data.OptionalStringSchema)
		}
	}
	switch {
	case e.dataAvro:
		b.Field("data", data.BytesSchema)
	case !e.dataSchemas: // else it is written by itself
		b.Field("data", out.data)
	}
	out.event, err = b.Build()
	return out, err
}

// extensionSchema is that of an attribute.
func extensionSchema(s *data.Schema, optional bool) (*data.Schema, error) {
	var t data.Type
	switch s.Type() {
	case data.TypeBoolean:
		t = data.TypeBoolean
	case data.TypeInt8, data.TypeInt16, data.TypeInt32:
		t = data.TypeInt32
	case data.TypeString, data.TypeInt64:
		t = data.TypeString
	default:
		return nil, fmt.Errorf("CloudEvents have no attributes of type %v", s.Type())
	}
	b := data.NewBuilder(t)
	if optional {
		b.Optional()
	}
	return b.Build()
}

// avroFullName replaces what names of Avro's do not have.
func avroFullName(name string) string {
	first := true
	return strings.Map(func(r rune) rune {
		start := first
		first = false
		switch {
		case r == '_', r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', !start && (r == '.' || r >= '0' && r <= '9'):
			return r
		}
		return '_'
	}, name)
}
