package converter

import (
	"context"
	"encoding/binary"
	"slices"

	"github.com/millrace/millrace/connect/converter/rule"
	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
)

var avroDef = slices.Concat(registryKeys, configdef.Def{
	{Name: "enhanced.avro.schema.support", Type: configdef.Boolean, Default: false, Importance: configdef.Medium,
		Doc: "Keep enums, and the full names of union branches."},
	{Name: "connect.meta.data", Type: configdef.Boolean, Default: true, Importance: configdef.Low,
		Doc: "Write and read the connect.* properties of schemas."},
	{Name: "scrub.invalid.names", Type: configdef.Boolean, Default: false, Importance: configdef.Medium,
		Doc: "Replace what Avro does not allow in names."},
	{Name: "discard.type.doc.default", Type: configdef.Boolean, Default: false, Importance: configdef.Low,
		Doc: "Keep documentation and defaults of fields only."},
	{Name: "allow.optional.map.keys", Type: configdef.Boolean, Default: false, Importance: configdef.Low,
		Doc: "Write maps with optional text keys as Avro maps."},
	{Name: "flatten.singleton.unions", Type: configdef.Boolean, Default: true, Importance: configdef.Low,
		Doc: "Read a union of one type as that type."},
	{Name: "ignore.default.for.nullables", Type: configdef.Boolean, Default: false, Importance: configdef.Medium,
		Doc: "Write a null of a field that has a default as null, not as the default."},
	{Name: "schemas.cache.config", Type: configdef.Int, Default: 1000, Importance: configdef.Low, Doc: "The most schemas to remember."},
	{Name: "generalized.sum.type.support", Type: configdef.Boolean, Default: false, Importance: configdef.Medium,
		Unsupported: "unions and enums have Avro's own form only", Doc: "Use one form of unions and enums for all formats."},
	{Name: "schema.backup.enabled", Type: configdef.Boolean, Default: false, Importance: configdef.Low,
		Unsupported: "values are not wrapped with their schemas", Doc: "Wrap values with their schema."},
	typeKey,
})

// avroConverter is Confluent's AvroConverter. Rows of schemas whose registered
// form has the same wire form pass through as they are.
type avroConverter struct {
	serde
	options   data.AvroOptions
	keepNulls bool

	out      outCache[*outgoing]
	in       *lru[inKey, *incoming]
	replaced []byte // a row with its nulls replaced
}

type outKey struct {
	schema data.Hash // zero for schemaless
	topic  string
}

// outgoing is how rows of one schema are written to one topic.
type outgoing struct {
	prefix  prefix
	project *data.Projection // nil: rows pass as they are
	rules   *rule.Set        // nil for none
	strip   bool             // a lone bytes: its length is not written
	validity
}

func newAvro(s Settings, c configdef.Config) (Converter, error) {
	common, err := newSerde(kindAvro, s, c)
	if err != nil {
		return nil, err
	}
	a := &avroConverter{
		serde: common,
		options: data.AvroOptions{
			Enhanced:              c.Bool("enhanced.avro.schema.support"),
			NoConnectMeta:         !c.Bool("connect.meta.data"),
			ScrubInvalidNames:     c.Bool("scrub.invalid.names"),
			DiscardTypeDocDefault: c.Bool("discard.type.doc.default"),
			AllowOptionalMapKeys:  c.Bool("allow.optional.map.keys"),
			KeepSingletonUnions:   !c.Bool("flatten.singleton.unions"),
		},
		keepNulls: c.Bool("ignore.default.for.nullables"),
		in:        newLRU[inKey, *incoming](c.Int("schemas.cache.config")),
	}
	a.out = newOutCache[*outgoing](a.outSize(c))
	return a, nil
}

func (a *avroConverter) FromConnect(ctx context.Context, topic string, d data.Datum, dst []byte) ([]byte, bool, error) {
	if d.IsNull() {
		return dst, true, nil
	}
	o, err := a.outgoing(ctx, topic, d.Schema)
	if err != nil {
		return dst, false, err
	}
	if err := a.obey(ctx, o.rules, topic, d); err != nil {
		return dst, false, err
	}
	if d.Schema == nil {
		v, err := data.DecodeSchemaless(d.Row)
		if err != nil {
			return dst, false, &RecordError{err}
		}
		return appendAnything(append(dst, o.prefix[:]...), v), v == nil, nil
	}
	row := d.Row
	if d.NullDefault && !a.keepNulls {
		if a.replaced, err = data.AppendWithDefaults(a.replaced[:0], d.Schema, row); err != nil {
			return dst, false, &RecordError{err}
		}
		row = a.replaced
	}
	out := append(dst, o.prefix[:]...)
	switch {
	case o.project != nil:
		start := len(out)
		if out, err = o.project.Append(out, row); err != nil {
			return dst, false, &RecordError{err}
		}
		if o.strip {
			out = slices.Delete(out, start, start+lengthSize(out[start:]))
		}
		return out, false, nil
	case o.strip:
		row = row[lengthSize(row):]
	}
	return append(out, row...), false, nil
}

// lengthSize is the size of the varint before a lone bytes.
func lengthSize(row []byte) int {
	_, n := binary.Varint(row)
	return max(n, 0)
}

// outgoing returns how rows of s go to a topic, asking the registry the first
// time.
func (a *avroConverter) outgoing(ctx context.Context, topic string, s *data.Schema) (*outgoing, error) {
	key := outKey{topic: topic}
	if s != nil {
		key.schema = s.Hash()
	}
	if o, ok := a.out.get(key, a.now); ok {
		return o, nil
	}
	o, err := a.resolve(ctx, topic, s)
	if err == nil {
		a.out.put(key, o)
	}
	return o, err
}

// resolve decides the schema that rows of s are written with.
func (a *avroConverter) resolve(ctx context.Context, topic string, s *data.Schema) (*outgoing, error) {
	text, record := anythingText, anythingName
	var form, row *data.AvroNode
	if s != nil {
		var err error
		if row, err = data.AvroForm(s, data.AvroOptions{NoConnectMeta: true, ScrubInvalidNames: a.options.ScrubInvalidNames}); err == nil {
			form, err = data.AvroForm(s, a.options)
		}
		if err == nil {
			text, err = form.Text()
		}
		if err != nil {
			return nil, &RecordError{err}
		}
		record = ""
		if form.Kind() == data.AvroRecord {
			record = form.FullName()
		}
	}
	subj, err := subject(a.strategy, a.side, topic, record)
	if err != nil {
		return nil, err
	}
	id, registered, err := a.choose(ctx, subj, text)
	if err != nil {
		return nil, err
	}
	o := &outgoing{prefix: prefixOf(id), validity: validity{a.expiry()}}
	if o.rules, err = a.contract(ctx, id, nil, rule.Write); err != nil {
		return nil, err
	}
	if s == nil {
		if registered != "" {
			return nil, recordf("schemaless data cannot be written with the schema %d of subject %q", id, subj)
		}
		return o, nil
	}
	if registered != "" {
		if form, err = data.ParseAvroNode(registered); err != nil {
			return nil, recordf("schema %d of subject %q: %w", id, subj, err)
		}
	}
	p, err := data.NewProjection(row, form)
	if err != nil {
		return nil, recordf("rows do not fit schema %d of subject %q: %w", id, subj, err)
	}
	// The form made of the schema itself has its fields in the same order.
	if registered == "" && data.SameWire(row, form) {
		p = nil
	}
	if p != nil && !p.Identity() {
		o.project = p
	}
	o.strip = form.Kind() == data.AvroBytes
	return o, nil
}
