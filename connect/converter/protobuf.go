package converter

import (
	"context"
	"encoding/binary"
	"slices"

	"github.com/millrace/millrace/connect/converter/rule"
	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
)

var protobufDef = slices.Concat(registryKeys, configdef.Def{
	{Name: "enhanced.protobuf.schema.support", Type: configdef.Boolean, Default: false, Importance: configdef.Medium,
		Doc: "Keep packages in the names of schemas."},
	{Name: "scrub.invalid.names", Type: configdef.Boolean, Default: false, Importance: configdef.Medium,
		Doc: "Replace what Protocol Buffers do not allow in names."},
	{Name: "int.for.enums", Type: configdef.Boolean, Default: false, Importance: configdef.Low, Doc: "Read enums as numbers."},
	{Name: "optional.for.nullables", Type: configdef.Boolean, Default: false, Importance: configdef.Medium,
		Doc: "Write optional fields with the keyword optional, and read only those as optional."},
	{Name: "optional.for.proto2", Type: configdef.Boolean, Default: true, Importance: configdef.Medium, Doc: "Read optional fields of proto2 as optional."},
	{Name: "wrapper.for.nullables", Type: configdef.Boolean, Default: false, Importance: configdef.Medium,
		Doc: "Write optional primitives as google.protobuf wrappers, and read only those as optional."},
	{Name: "flatten.unions", Type: configdef.Boolean, Default: false, Importance: configdef.Low,
		Doc: "Read the members of a oneof as fields of their own."},
	{Name: "generate.index.for.unions", Type: configdef.Boolean, Default: true, Importance: configdef.Low,
		Doc: "Number the fields that stand for a oneof."},
	{Name: "ignore.default.for.nullables", Type: configdef.Boolean, Default: false, Importance: configdef.Medium,
		Doc: "Write a null of a field that has a default as null, not as the default."},
	{Name: "schemas.cache.config", Type: configdef.Int, Default: 1000, Importance: configdef.Low, Doc: "The most schemas to remember."},
	{Name: "wrapper.for.raw.primitives", Type: configdef.Boolean, Default: true, Importance: configdef.Low,
		Unsupported: "primitives that are no part of a struct are always written as google.protobuf wrappers", Doc: "Wrap primitives that are no part of a struct."},
	{Name: "generate.struct.for.nulls", Type: configdef.Boolean, Default: false, Importance: configdef.Low,
		Unsupported: "a null has no bytes", Doc: "Write a null as an empty message."},
	{Name: "generalized.sum.type.support", Type: configdef.Boolean, Default: false, Importance: configdef.Medium,
		Unsupported: "unions and enums have this format's own form only", Doc: "Use one form of unions and enums for all formats."},
	{Name: "reference.lookup.only", Type: configdef.Boolean, Default: false, Importance: configdef.Low,
		Unsupported: "what is written imports only files that every registry knows", Doc: "Look imported schemas up, do not register them."},
	{Name: "skip.known.types", Type: configdef.Boolean, Default: true, Importance: configdef.Low,
		Unsupported: "files that every registry knows are never registered", Doc: "Do not register files that every registry knows."},
	{Name: "reference.subject.name.strategy", Type: configdef.String,
		Default:    "io.confluent.kafka.serializers.subject.DefaultReferenceSubjectNameStrategy",
		Importance: configdef.Low, Unsupported: "what is written imports only files that every registry knows", Doc: "How subjects of imported schemas are named."},
	typeKey,
})

// protobufConverter is Confluent's ProtobufConverter: messages behind the id of
// their schema and the place of their type in it.
type protobufConverter struct {
	serde
	form      protoForm
	reading   protoReading
	keepNulls bool

	out      outCache[*protoOut]
	in       *lru[protoInKey, *protoIn]
	lastIn   *protoIn // likewise before in
	lastID   protoInKey
	replaced []byte // a row with its nulls replaced
}

type protoOut struct {
	prefix []byte // with the message's indexes
	writer *protoWriter
	rules  *rule.Set // nil for none
	validity
}

// protoInKey names how values are read. The indexes are as written: they are
// few bytes.
type protoInKey struct {
	id      int32
	indexes string
	topic   string
}

type protoIn struct {
	schema *data.Schema
	reader *protoReader
	rules  *rule.Set // nil for none
}

func newProtobuf(s Settings, c configdef.Config) (Converter, error) {
	common, err := newSerde(kindProtobuf, s, c)
	if err != nil {
		return nil, err
	}
	p := &protobufConverter{
		serde: common, keepNulls: c.Bool("ignore.default.for.nullables"),
		form: protoForm{scrub: c.Bool("scrub.invalid.names"), optional: c.Bool("optional.for.nullables"), wrapper: c.Bool("wrapper.for.nullables")},
		reading: protoReading{
			fullNames: c.Bool("enhanced.protobuf.schema.support"), intEnums: c.Bool("int.for.enums"),
			optional: c.Bool("optional.for.nullables"), proto2: c.Bool("optional.for.proto2"), wrapper: c.Bool("wrapper.for.nullables"),
			flatten: c.Bool("flatten.unions"), numbered: c.Bool("generate.index.for.unions"),
		},
		in: newLRU[protoInKey, *protoIn](c.Int("schemas.cache.config")),
	}
	p.out = newOutCache[*protoOut](p.outSize(c))
	return p, nil
}

func (p *protobufConverter) FromConnect(ctx context.Context, topic string, d data.Datum, dst []byte) ([]byte, bool, error) {
	if d.IsNull() {
		return dst, true, nil
	}
	if d.Schema == nil {
		return dst, false, recordf("schemaless data has no form in Protocol Buffers: the %s of topic %q needs a schema", p.side, topic)
	}
	o, err := p.outgoing(ctx, topic, d.Schema)
	if err != nil {
		return dst, false, err
	}
	if err := p.obey(ctx, o.rules, topic, d); err != nil {
		return dst, false, err
	}
	row := d.Row
	if d.NullDefault && !p.keepNulls {
		if p.replaced, err = data.AppendWithDefaults(p.replaced[:0], d.Schema, row); err != nil {
			return dst, false, &RecordError{err}
		}
		row = p.replaced
	}
	out, err := o.writer.append(append(dst, o.prefix...), row)
	if err != nil {
		return dst, false, &RecordError{err}
	}
	return out, false, nil
}

// outgoing returns how rows of s go to a topic, asking the registry the first
// time.
func (p *protobufConverter) outgoing(ctx context.Context, topic string, s *data.Schema) (*protoOut, error) {
	key := outKey{s.Hash(), topic}
	if o, ok := p.out.get(key, p.now); ok {
		return o, nil
	}
	o, err := p.resolve(ctx, topic, s)
	if err == nil {
		p.out.put(key, o)
	}
	return o, err
}

func (p *protobufConverter) resolve(ctx context.Context, topic string, s *data.Schema) (*protoOut, error) {
	form, err := p.form.of(s)
	if err != nil {
		return nil, &RecordError{err}
	}
	subj, err := subject(p.strategy, p.side, topic, form.name)
	if err != nil {
		return nil, err
	}
	id, registered, err := p.choose(ctx, subj, form.text)
	if err != nil {
		return nil, err
	}
	if registered != "" {
		// Numbers are what counts on the wire: those of the registered schema
		// must be the record's.
		if err := p.fits(ctx, id, registered, form); err != nil {
			return nil, recordf("rows do not fit schema %d of subject %q: %w", id, subj, err)
		}
	}
	pre := prefixOf(id)
	rules, err := p.contract(ctx, id, form.indexes, rule.Write)
	return &protoOut{append(pre[:], appendIndexes(nil, form.indexes)...), newProtoWriter(s, form.message), rules, validity{p.expiry()}}, err
}

// appendIndexes writes the place of a message: how deep it is nested, and its
// index on each level. The first message of a file is a single 0.
func appendIndexes(dst []byte, indexes []int) []byte {
	if len(indexes) == 1 && indexes[0] == 0 {
		return append(dst, 0)
	}
	dst = binary.AppendVarint(dst, int64(len(indexes)))
	for _, i := range indexes {
		dst = binary.AppendVarint(dst, int64(i))
	}
	return dst
}

// maxIndexes bounds how deep a message is nested.
const maxIndexes = 100

// readIndexes returns the place of a message and what follows it.
func readIndexes(b []byte) (indexes []int, rest []byte, ok bool) {
	count, n := binary.Varint(b)
	if n <= 0 || count < 0 || count > maxIndexes {
		return nil, nil, false
	}
	b = b[n:]
	if count == 0 {
		return []int{0}, b, true
	}
	for range count {
		i, n := binary.Varint(b)
		if n <= 0 || i < 0 || i > 1<<20 {
			return nil, nil, false
		}
		indexes, b = append(indexes, int(i)), b[n:]
	}
	return indexes, b, true
}

// skipIndexes returns how many bytes the place of a message takes.
func skipIndexes(b []byte) int {
	count, n := binary.Varint(b)
	if n <= 0 || count < 0 || count > maxIndexes {
		return 0
	}
	at := n
	for range count {
		if _, n = binary.Varint(b[at:]); n <= 0 {
			return 0
		}
		at += n
	}
	return at
}

func (p *protobufConverter) ToConnect(ctx context.Context, topic string, raw []byte) (data.Datum, error) {
	if raw == nil {
		return data.Datum{}, nil
	}
	id, payload, err := p.split(topic, raw)
	if err != nil {
		return data.Datum{}, err
	}
	n := skipIndexes(payload)
	if n == 0 {
		return data.Datum{}, recordf("%s of topic %q with schema %d: no message indexes stand before the payload", p.side, topic, id)
	}
	in := p.lastIn
	if in == nil || p.lastID.id != id || p.lastID.topic != topic || p.lastID.indexes != string(payload[:n]) {
		if in, err = p.incoming(ctx, protoInKey{id, string(payload[:n]), topic}); err != nil {
			return data.Datum{}, err
		}
	}
	row, nullDefault, err := in.reader.row(payload[n:])
	if err != nil {
		return data.Datum{}, recordf("%s of topic %q with schema %d: %w", p.side, topic, id, err)
	}
	d := data.Datum{Schema: in.schema, State: data.Present, NullDefault: nullDefault, Row: row}
	return d, p.obey(ctx, in.rules, topic, d)
}

func (p *protobufConverter) incoming(ctx context.Context, key protoInKey) (*protoIn, error) {
	in, ok := p.in.get(key)
	if !ok {
		text, err := p.known(ctx, key.id)
		if err != nil {
			return nil, err
		}
		if in, err = p.understand(ctx, key, text); err == nil {
			indexes, _, _ := readIndexes([]byte(key.indexes)) // they have just been followed
			in.rules, err = p.contract(ctx, key.id, indexes, rule.Read)
		}
		if err != nil {
			return nil, err
		}
		p.in.put(key, in, len(text)+len(key.topic))
	}
	p.lastIn, p.lastID = in, key
	return in, nil
}

func (p *protobufConverter) understand(ctx context.Context, key protoInKey, text string) (*protoIn, error) {
	others, err := p.registry.Dependencies(ctx, key.id)
	if err != nil {
		return nil, wrapRegistry(err, "get what schema %d imports", key.id)
	}
	file, err := compileProto(ctx, text, others)
	if err != nil {
		return nil, recordf("schema %d: %w", key.id, err)
	}
	indexes, _, ok := readIndexes([]byte(key.indexes))
	if !ok {
		return nil, recordf("schema %d: the message indexes make no sense", key.id)
	}
	message, err := messageAt(file, indexes)
	if err != nil {
		return nil, recordf("schema %d: %w", key.id, err)
	}
	version, known, err := p.version(ctx, key.topic, string(message.FullName()), key.id)
	if err != nil {
		return nil, err
	}
	s, plan, err := p.reading.of(message, version, known)
	if err != nil {
		return nil, recordf("schema %d: %w", key.id, err)
	}
	return &protoIn{schema: s, reader: newProtoReader(s, plan)}, nil
}

// fits reports whether messages of a form can be read with a registered schema.
func (p *protobufConverter) fits(ctx context.Context, id int32, registered string, form *protoSchema) error {
	others, err := p.registry.Dependencies(ctx, id)
	if err != nil {
		return err
	}
	file, err := compileProto(ctx, registered, others)
	if err != nil {
		return err
	}
	message, err := messageAt(file, form.indexes)
	if err != nil {
		return err
	}
	return form.message.within(message, 0)
}
