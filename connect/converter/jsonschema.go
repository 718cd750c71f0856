package converter

import (
	"bytes"
	"context"
	"slices"

	"github.com/millrace/millrace/connect/converter/rule"
	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
)

var jsonSchemaDef = slices.Concat(registryKeys, configdef.Def{
	{Name: "object.additional.properties", Type: configdef.Boolean, Default: true, Importance: configdef.Medium,
		Doc: "Whether schemas of structs allow properties that they do not list."},
	{Name: "use.optional.for.nonrequired", Type: configdef.Boolean, Default: false, Importance: configdef.Medium,
		Doc: "Read properties that are not required as optional."},
	{Name: "decimal.format", Type: configdef.String, Default: "BASE64", Rules: []configdef.Rule{configdef.OneOfFold("BASE64", "NUMERIC")},
		Importance: configdef.Low, Doc: "How decimals are written: as numbers or in base64."},
	{Name: "ignore.default.for.nullables", Type: configdef.Boolean, Default: false, Importance: configdef.Medium,
		Doc: "Write a null of a field that has a default as null, not as the default."},
	{Name: "schemas.cache.config", Type: configdef.Int, Default: 1000, Importance: configdef.Low, Doc: "The most schemas to remember."},
	{Name: "json.fail.unknown.properties", Type: configdef.Boolean, Default: true, Importance: configdef.Low,
		Doc: "Is about Java classes: it changes nothing for Connect, here as upstream."},
	{Name: "json.schema.spec.version", Type: configdef.String, Default: "draft_7", Importance: configdef.Low,
		Rules: []configdef.Rule{configdef.OneOf("draft_4", "draft_6", "draft_7", "draft_2019_09", "draft_2020_12")},
		Doc:   "The dialect of schemas written. What is written means the same in all of them."},
	{Name: "flatten.singleton.unions", Type: configdef.Boolean, Default: true, Importance: configdef.Low,
		Unsupported: "a oneOf of one schema is always read as that schema", Doc: "Read a oneOf of one schema as that schema."},
	{Name: "json.fail.invalid.schema", Type: configdef.Boolean, Default: false, Importance: configdef.Low,
		Unsupported: "values are not held against their schemas beyond their types", Doc: "Hold values against their schemas."},
	{Name: "json.oneof.for.nullables", Type: configdef.Boolean, Default: true, Importance: configdef.Low,
		Unsupported: "optional values are always a oneOf with null", Doc: "Write optional values as a oneOf with null."},
	{Name: "json.write.dates.iso8601", Type: configdef.Boolean, Default: false, Importance: configdef.Low,
		Unsupported: "dates are written as numbers", Doc: "Write dates as text."},
	{Name: "json.indent.output", Type: configdef.Boolean, Default: false, Importance: configdef.Low,
		Unsupported: "values are written on one line", Doc: "Indent values."},
	{Name: "ignore.modern.dialects", Type: configdef.Boolean, Default: false, Importance: configdef.Low,
		Unsupported: "dialects are told by what they say", Doc: "Read all schemas as draft 7."},
	{Name: "preserve.additional.properties", Type: configdef.Boolean, Default: false, Importance: configdef.Low,
		Unsupported: "properties that a schema does not list are left out", Doc: "Keep properties that the schema does not list."},
	{Name: "generalized.sum.type.support", Type: configdef.Boolean, Default: false, Importance: configdef.Medium,
		Unsupported: "unions have the form of JSON Schema", Doc: "Use one form of unions and enums for all formats."},
	typeKey,
})

// jsonSchemaConverter is Confluent's JsonSchemaConverter: plain JSON behind the
// id of its schema.
type jsonSchemaConverter struct {
	serde
	options  data.JSONOptions
	form     jsonForm
	optional bool // properties that are not required are

	out    outCache[*jsonOut]
	in     *lru[inKey, *jsonIn]
	lastIn *jsonIn // likewise before in
	lastID inKey
}

type jsonOut struct {
	prefix prefix
	rules  *rule.Set // nil for none
	validity
}

type jsonIn struct {
	schema *data.Schema // nil for schemaless
	reader *data.JSONReader
	rules  *rule.Set // nil for none
}

func newJSONSchema(s Settings, c configdef.Config) (Converter, error) {
	common, err := newSerde(kindJSON, s, c)
	if err != nil {
		return nil, err
	}
	j := &jsonSchemaConverter{
		serde: common, optional: c.Bool("use.optional.for.nonrequired"),
		options: data.JSONOptions{
			NumericDecimals: foldEqual(c.String("decimal.format"), "NUMERIC"), KeepNulls: c.Bool("ignore.default.for.nullables"), EntryObjects: true, OneOf: jsonOneOf,
		},
		in: newLRU[inKey, *jsonIn](c.Int("schemas.cache.config")),
	}
	j.form = jsonForm{options: j.options, closed: !c.Bool("object.additional.properties")}
	j.out = newOutCache[*jsonOut](j.outSize(c))
	return j, nil
}

func (j *jsonSchemaConverter) FromConnect(ctx context.Context, topic string, d data.Datum, dst []byte) ([]byte, bool, error) {
	if d.IsNull() {
		return dst, true, nil
	}
	o, err := j.outgoing(ctx, topic, d.Schema)
	if err != nil {
		return dst, false, err
	}
	if err := j.obey(ctx, o.rules, topic, d); err != nil {
		return dst, false, err
	}
	out := append(dst, o.prefix[:]...)
	if d.Schema == nil {
		v, err := data.DecodeSchemaless(d.Row)
		if err == nil {
			out, err = data.AppendSchemalessJSON(out, v, j.options)
		}
		if err != nil {
			return dst, false, &RecordError{err}
		}
		return out, false, nil
	}
	if out, err = data.AppendJSON(out, d.Schema, d.Row, j.options); err != nil {
		return dst, false, &RecordError{err}
	}
	return out, false, nil
}

// outgoing returns how values of s go to a topic, asking the registry the first
// time.
func (j *jsonSchemaConverter) outgoing(ctx context.Context, topic string, s *data.Schema) (*jsonOut, error) {
	key := outKey{topic: topic}
	if s != nil {
		key.schema = s.Hash()
	}
	if o, ok := j.out.get(key, j.now); ok {
		return o, nil
	}
	o, err := j.resolve(ctx, topic, s)
	if err == nil {
		j.out.put(key, o)
	}
	return o, err
}

func (j *jsonSchemaConverter) resolve(ctx context.Context, topic string, s *data.Schema) (*jsonOut, error) {
	text, record := "{}", ""
	if s != nil {
		raw, err := j.form.text(s)
		if err != nil {
			return nil, &RecordError{err}
		}
		text, record = string(raw), s.Name()
	}
	subj, err := subject(j.strategy, j.side, topic, record)
	if err != nil {
		return nil, err
	}
	// Values are JSON objects: a registered schema in place of the record's
	// own changes nothing of how they are written.
	id, _, err := j.choose(ctx, subj, text)
	if err != nil {
		return nil, err
	}
	rules, err := j.contract(ctx, id, nil, rule.Write)
	return &jsonOut{prefixOf(id), rules, validity{j.expiry()}}, err
}

func (j *jsonSchemaConverter) ToConnect(ctx context.Context, topic string, raw []byte) (data.Datum, error) {
	if raw == nil {
		return data.Datum{}, nil
	}
	id, payload, err := j.split(topic, raw)
	if err != nil {
		return data.Datum{}, err
	}
	in, err := j.incoming(ctx, topic, id)
	if err != nil {
		return data.Datum{}, err
	}
	d, err := in.datum(payload)
	if err != nil {
		return data.Datum{}, recordf("%s of topic %q with schema %d: %w", j.side, topic, id, err)
	}
	return d, j.obey(ctx, in.rules, topic, d)
}

func (in *jsonIn) datum(payload []byte) (data.Datum, error) {
	if in.schema == nil {
		return schemalessJSON(payload)
	}
	if bytes.Equal(bytes.TrimSpace(payload), []byte("null")) {
		return data.NewDatum(in.schema, nil)
	}
	row, nullDefault, err := in.reader.Append(nil, payload)
	return data.Datum{Schema: in.schema, State: data.Present, NullDefault: nullDefault, Row: row}, err
}

func (j *jsonSchemaConverter) incoming(ctx context.Context, topic string, id int32) (*jsonIn, error) {
	key := inKey{id, topic}
	if j.lastIn != nil && j.lastID == key {
		return j.lastIn, nil
	}
	in, ok := j.in.get(key)
	if !ok {
		text, err := j.known(ctx, id)
		if err != nil {
			return nil, err
		}
		if in, err = j.understand(ctx, topic, id, text); err == nil {
			in.rules, err = j.contract(ctx, id, nil, rule.Read)
		}
		if err != nil {
			return nil, err
		}
		j.in.put(key, in, len(text)+len(topic))
	}
	j.lastIn, j.lastID = in, key
	return in, nil
}

func (j *jsonSchemaConverter) understand(ctx context.Context, topic string, id int32, text string) (*jsonIn, error) {
	others, err := j.registry.Dependencies(ctx, id)
	if err != nil {
		return nil, wrapRegistry(err, "get what schema %d refers to", id)
	}
	r, err := newJSONSchemaReader(text, others, j.optional)
	if err != nil {
		return nil, recordf("schema %d: %w", id, err)
	}
	if r.anything() {
		return &jsonIn{}, nil
	}
	version, known, err := j.version(ctx, topic, r.title(), id)
	if err != nil {
		return nil, err
	}
	s, err := r.schema(version, known)
	if err != nil {
		return nil, recordf("schema %d: %w", id, err)
	}
	return &jsonIn{schema: s, reader: data.NewJSONReader(s, j.options)}, nil
}
