package converter

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/millrace/millrace/connect/converter/rule"
	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
)

// The kinds of schemas that a registry keeps.
const (
	kindAvro     = "AVRO"
	kindJSON     = "JSON"
	kindProtobuf = "PROTOBUF"
)

// serde is what Confluent's serializers have in common: how the schema of data
// becomes the id before it.
type serde struct {
	kind     string
	side     Side
	registry Registry
	strategy string

	register, normalize, useLatest bool
	useID                          int32
	latestTTL                      time.Duration // negative: never
	now                            func() time.Time
}

// newSerde reads registryKeys.
func newSerde(kind string, s Settings, c configdef.Config) (serde, error) {
	if s.Registry == nil {
		return serde{}, errors.New("no schema registry is given")
	}
	return serde{
		kind: kind, side: s.Side, registry: s.Registry, strategy: c.String(string(s.Side) + ".subject.name.strategy"),
		register: c.Bool("auto.register.schemas"), normalize: c.Bool("normalize.schemas"),
		useLatest: c.Bool("use.latest.version"), useID: int32(c.Int("use.schema.id")),
		latestTTL: time.Duration(c.Int("latest.cache.ttl.sec")) * time.Second, now: time.Now,
	}, nil
}

// outSize bounds the cache of outgoing schemas.
func (s *serde) outSize(c configdef.Config) int {
	size := c.Int("schemas.cache.config")
	if s.useLatest && !s.register {
		size = min(size, c.Int("latest.cache.size"))
	}
	return size
}

// expiry returns when what choose returned is to be asked for again, zero for
// never.
func (s *serde) expiry() time.Time {
	if s.useLatest && !s.register && s.latestTTL >= 0 {
		return s.now().Add(s.latestTTL)
	}
	return time.Time{}
}

// choose returns the id to write, and the registered text if that is not the
// record's own schema.
func (s *serde) choose(ctx context.Context, subj, text string) (id int32, registered string, err error) {
	switch {
	case s.register:
		id, err = s.registry.Register(ctx, subj, text, s.kind, s.normalize)
		return id, "", wrapRegistry(err, "register schema under subject %q", subj)
	case s.useID >= 0:
		registered, kind, err := s.registry.ByID(ctx, s.useID)
		if err == nil && kind != s.kind {
			err = &FatalError{fmt.Errorf("schema %d is of type %s, not %s", s.useID, kind, s.kind)}
		}
		return s.useID, registered, wrapRegistry(err, "get schema %d", s.useID)
	case s.useLatest:
		latest, err := s.registry.Latest(ctx, subj)
		return latest.ID, latest.Text, wrapRegistry(err, "get the latest version of subject %q", subj)
	default:
		id, err = s.registry.Lookup(ctx, subj, text, s.kind, s.normalize)
		return id, "", wrapRegistry(err, "look up schema under subject %q (auto.register.schemas is false)", subj)
	}
}

// known returns the text of a schema by its id.
func (s *serde) known(ctx context.Context, id int32) (string, error) {
	text, kind, err := s.registry.ByID(ctx, id)
	if err != nil {
		return "", wrapRegistry(err, "get schema %d", id)
	}
	if kind != s.kind {
		return "", recordf("schema %d is of type %s, not %s", id, kind, s.kind)
	}
	return text, nil
}

// version returns the version that an id has under the subject of a schema.
// record is the full name of a record schema, "" for others.
func (s *serde) version(ctx context.Context, topic, record string, id int32) (int32, bool, error) {
	subj, err := subject(s.strategy, s.side, topic, record)
	if err != nil {
		return 0, false, err
	}
	version, ok, err := s.registry.VersionOf(ctx, subj, id)
	return version, ok, wrapRegistry(err, "get the version of schema %d under subject %q", id, subj)
}

// contract prepares the rules of a schema, nil if it has none for the moment.
// indexes are the place of the message that is meant, in Protocol Buffers.
func (s *serde) contract(ctx context.Context, id int32, indexes []int, at rule.Moment) (*rule.Set, error) {
	c, err := s.registry.Contract(ctx, id)
	if err != nil {
		return nil, wrapRegistry(err, "get the rules of schema %d", id)
	}
	if slices.ContainsFunc(c.Rules, func(r rule.Rule) bool { return r.Type == "CEL_FIELD" }) {
		if c.Names, err = s.names(ctx, id, indexes); err != nil {
			return nil, err
		}
	}
	set, err := rule.Compile(c, at)
	if err != nil {
		return nil, recordf("schema %d: %w", id, err)
	}
	return set, nil
}

// names reads what a schema's text says of fields.
func (s *serde) names(ctx context.Context, id int32, indexes []int) (rule.Names, error) {
	text, err := s.known(ctx, id)
	if err != nil {
		return nil, err
	}
	others, err := s.registry.Dependencies(ctx, id)
	if err != nil {
		return nil, wrapRegistry(err, "get what schema %d refers to", id)
	}
	var names rule.Names
	switch s.kind {
	case kindAvro:
		names, err = avroNames(text)
	case kindJSON:
		names, err = jsonNames(text, others)
	case kindProtobuf:
		names, err = protoNames(ctx, text, others, indexes)
	}
	if err != nil {
		return nil, recordf("schema %d: its rules need the tags in its text: %w", id, err)
	}
	return names, nil
}

// obey holds a value against rules, of which there may be none.
func (s *serde) obey(ctx context.Context, set *rule.Set, topic string, d data.Datum) error {
	if set == nil {
		return nil
	}
	v, err := d.Value()
	if err == nil {
		err = set.Check(ctx, d.Schema, v)
	}
	if err != nil {
		return recordf("%s of topic %q: %w", s.side, topic, err)
	}
	return nil
}

// prefix is what stands before the payload: a magic byte and the schema's id.
type prefix [5]byte

func prefixOf(id int32) (p prefix) {
	binary.BigEndian.PutUint32(p[1:], uint32(id))
	return p
}

// split takes the prefix off.
func (s *serde) split(topic string, raw []byte) (id int32, payload []byte, err error) {
	if len(raw) < len(prefix{}) || raw[0] != 0 {
		return 0, nil, recordf("unknown magic byte: a %s of topic %q does not begin with 00 and a schema id", s.side, topic)
	}
	return int32(binary.BigEndian.Uint32(raw[1:])), raw[len(prefix{}):], nil
}

func wrapRegistry(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return registryError(fmt.Sprintf(format, args...), err)
}
