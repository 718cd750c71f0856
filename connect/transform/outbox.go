package transform

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
)

const noTracing = "Millrace does not write tracing spans"

var outboxDef = configdef.Def{
	{Name: "table.field.event.id", Type: configdef.String, Default: "id", Importance: configdef.Low, Doc: "Column of the event's id, which becomes the header id."},
	{Name: "table.field.event.key", Type: configdef.String, Default: "aggregateid", Importance: configdef.Low, Doc: "Column that becomes the key."},
	{Name: "table.field.event.type", Type: configdef.String, Default: "type", Importance: configdef.Low,
		Doc: "Column of the event's type. It is written only where table.fields.additional.placement puts it."},
	{Name: "table.field.event.payload", Type: configdef.String, Default: "payload", Importance: configdef.Low, Doc: "Column that becomes the value."},
	{Name: "table.field.event.timestamp", Type: configdef.String, Importance: configdef.Medium, Doc: "Column that becomes the timestamp; else it is the time of the change."},
	{Name: "table.field.event.schema.version", Type: configdef.String, Importance: configdef.Low, Doc: "Column that becomes the version of the value's schema."},
	{Name: "table.fields.additional.placement", Type: configdef.List, Importance: configdef.High, Check: checkPlacements,
		Doc: "Further columns, as column:header|envelope|partition[:alias]."},
	{Name: "table.field.additional.missing", Type: configdef.String, Default: "error", Importance: configdef.Low,
		Rules: []configdef.Rule{configdef.OneOfFold("error", "ignore")}, Doc: "Whether those columns may miss."},
	{Name: "route.by.field", Type: configdef.String, Default: "aggregatetype", Importance: configdef.High, Doc: "Column that decides the topic."},
	{Name: "route.topic.regex", Type: configdef.String, Default: "(?<routedByValue>.*)", Importance: configdef.Low, Check: checkRegex,
		Doc: "Java regular expression for that column."},
	{Name: "route.topic.replacement", Type: configdef.String, Default: "outbox.event.${routedByValue}", Importance: configdef.High,
		Doc: "The topic, with the groups of route.topic.regex."},
	{Name: "route.tombstone.on.empty.payload", Type: configdef.Boolean, Default: false, Importance: configdef.High, Doc: "Make a tombstone of an event without payload."},
	{Name: "table.op.invalid.behavior", Type: configdef.String, Default: "warn", Importance: configdef.Medium,
		Rules: []configdef.Rule{configdef.OneOfFold("warn", "error", "fatal")},
		Doc:   "What to do about updates of the table: drop them with a warning or an error in the log, or stop the task."},
	{Name: "table.expand.json.payload", Type: configdef.Boolean, Default: false, Importance: configdef.Low,
		Doc: "Turn payloads of JSON text, an object or array, into structs with an inferred schema."},
	{Name: "table.json.payload.null.behavior", Type: configdef.String, Default: "ignore", Importance: configdef.Low,
		Rules: []configdef.Rule{configdef.OneOfFold("ignore", "optional_bytes")}, Doc: "Leave nulls in expanded payloads out, or make them optional bytes."},
	{Name: "table.json.payload.empty.array.behavior", Type: configdef.String, Default: "ignore", Importance: configdef.Low,
		Rules: []configdef.Rule{configdef.OneOfFold("ignore", "optional_string")}, Doc: "Leave empty arrays in expanded payloads out, or make them arrays of strings."},
	{Name: "tracing.span.context.field", Type: configdef.String, Default: "tracingspancontext", Importance: configdef.Low, Unsupported: noTracing, Doc: "Column of the tracing context."},
	{Name: "tracing.operation.name", Type: configdef.String, Default: "debezium-read", Importance: configdef.Low, Unsupported: noTracing, Doc: "Name of the tracing span."},
	{Name: "tracing.with.context.field.only", Type: configdef.Boolean, Default: false, Importance: configdef.Low, Unsupported: noTracing, Doc: "Trace only events with context."},
}

// outbox is Debezium's EventRouter: turns rows that were inserted into an
// outbox table into the events they stand for.
type outbox struct {
	id, key, payload   string
	timestamp, version string
	placements         []placement
	mayMiss            bool
	routeBy            string
	regex              *regex
	replacement        replacement
	tombstones         bool
	invalid            string
	expand             bool
	json               jsonStructs
	log                *slog.Logger
	envelopes          cache[outboxSchema, *data.Schema]
}

// outboxSchema identifies the schema of an event's value.
type outboxSchema struct {
	row     data.Hash // zero for a bare payload
	payload data.Hash
	route   string
	version int32 // -1 for none
}

// placement is an entry of table.fields.additional.placement.
type placement struct{ column, where, alias string }

func parsePlacements(list []string) ([]placement, error) {
	var out []placement
	for _, e := range list {
		parts := strings.Split(e, ":")
		if len(parts) < 2 || len(parts) > 3 {
			return nil, fmt.Errorf("%q is not of the form column:header|envelope|partition[:alias]", e)
		}
		p := placement{strings.TrimSpace(parts[0]), strings.ToLower(strings.TrimSpace(parts[1])), strings.TrimSpace(parts[len(parts)-1])}
		if len(parts) == 2 {
			p.alias = p.column
		}
		if p.column == "" || p.alias == "" || p.where != "header" && p.where != "envelope" && p.where != "partition" {
			return nil, fmt.Errorf("%q is not of the form column:header|envelope|partition[:alias]", e)
		}
		out = append(out, p)
	}
	return out, nil
}

func checkPlacements(v any) error {
	list, _ := v.([]string)
	_, err := parsePlacements(list)
	return err
}

func newOutbox(s settings, c configdef.Config) (Transform, error) {
	t := &outbox{
		id: c.String("table.field.event.id"), key: c.String("table.field.event.key"), payload: c.String("table.field.event.payload"),
		timestamp: c.String("table.field.event.timestamp"), version: c.String("table.field.event.schema.version"),
		mayMiss: strings.EqualFold(c.String("table.field.additional.missing"), "ignore"), routeBy: c.String("route.by.field"),
		tombstones: c.Bool("route.tombstone.on.empty.payload"), invalid: strings.ToLower(c.String("table.op.invalid.behavior")), log: s.Logger,
		expand: c.Bool("table.expand.json.payload"), json: jsonStructs{
			nullBytes:    strings.EqualFold(c.String("table.json.payload.null.behavior"), "optional_bytes"),
			emptyStrings: strings.EqualFold(c.String("table.json.payload.empty.array.behavior"), "optional_string")},
	}
	var err error
	if t.placements, err = parsePlacements(c.List("table.fields.additional.placement")); err != nil {
		return nil, err
	}
	if t.regex, err = compileRegex(c.String("route.topic.regex")); err != nil {
		return nil, err
	}
	t.replacement, err = compileReplacement(c.String("route.topic.replacement"), t.regex)
	return t, err
}

// Apply drops all but inserts and snapshot reads, and leaves records alone
// that are no change events.
func (t *outbox) Apply(r *Record) (bool, error) {
	if r.value.isNull() {
		return false, nil
	}
	if !isEnvelope(r.value.schema()) {
		return true, nil
	}
	env, err := r.value.structOf("change events")
	if err != nil {
		return false, err
	}
	switch op, _ := textField(env, "op"); op {
	case "c", "r":
	case "d":
		return false, nil
	default:
		return false, t.unexpected(op, r.Topic)
	}
	row := structField(env, "after")
	if row == nil {
		return false, errors.New("the event has no row in after")
	}
	return true, t.event(r, env, row)
}

// unexpected handles an operation that an outbox should not see.
func (t *outbox) unexpected(op, topic string) error {
	const text = "unexpected operation on an outbox table"
	switch t.invalid {
	case "fatal":
		return &FatalError{Err: fmt.Errorf("%s: %q, and table.op.invalid.behavior is fatal; rows of an outbox are to be inserted and deleted only", text, op)}
	case "error":
		t.log.Error(text, "topic", topic, "op", op)
	default:
		t.log.Warn(text, "topic", topic, "op", op)
	}
	return nil
}

// event turns a row into its event.
func (t *outbox) event(r *Record, env, row *data.Struct) error {
	id, idSchema, err := columnOf(row, t.id)
	if err != nil {
		return err
	}
	payload, payloadSchema, err := columnOf(row, t.payload)
	if err != nil {
		return err
	}
	route, _, err := columnOf(row, t.routeBy)
	if err != nil {
		return err
	}
	if route == nil {
		return fmt.Errorf("route.by.field: column %q is null", t.routeBy)
	}
	by := data.Text(route)
	if err := t.stamp(r, env, row); err != nil {
		return err
	}
	if key, keySchema, err := columnOf(row, t.key); err == nil {
		r.set(&r.key, keySchema, key)
	} else {
		r.set(&r.key, data.StringSchema, data.Text(id))
	}
	if err := r.addHeader("id", idSchema, id); err != nil {
		return err
	}
	payload, payloadSchema = t.expanded(payload, payloadSchema, r.Topic)
	if err := t.value(r, row, by, payload, payloadSchema); err != nil {
		return err
	}
	r.Topic, _ = t.replacement.replaceFirst(t.regex, by)
	return nil
}

// columnOf reads a column that must exist.
func columnOf(row *data.Struct, name string) (any, *data.Schema, error) {
	f, ok := row.Schema().Field(name)
	if !ok {
		return nil, nil, fmt.Errorf("the outbox table has no column %q", name)
	}
	return row.AtWithoutDefault(f.Index), f.Schema, nil
}

// stamp sets the timestamp from its column or from the change.
func (t *outbox) stamp(r *Record, env, row *data.Struct) error {
	if t.timestamp == "" {
		if ms, ok, err := env.Int64("ts_ms"); ok && err == nil {
			r.Timestamp = ms
		}
		return nil
	}
	v, s, err := columnOf(row, t.timestamp)
	if err != nil {
		return err
	}
	n, ok := v.(int64)
	switch {
	case v == nil:
		return fmt.Errorf("column %q of the timestamp is null", t.timestamp)
	case !ok:
		return fmt.Errorf("column %q is %s, no timestamp", t.timestamp, kindOf(v))
	case s.Name() == "io.debezium.time.MicroTimestamp":
		n = floorDiv(n, 1e3)
	case s.Name() == "io.debezium.time.NanoTimestamp":
		n = floorDiv(n, 1e6)
	}
	r.Timestamp = n
	return nil
}

// expanded turns a payload of JSON text into structs if it is asked to. What
// cannot be turned stays as it is, with a warning.
func (t *outbox) expanded(payload any, s *data.Schema, topic string) (any, *data.Schema) {
	text, ok := payload.(string)
	text = strings.TrimSpace(text)
	if !t.expand || !ok || !strings.HasPrefix(text, "{") && !strings.HasPrefix(text, "[") {
		return payload, s
	}
	out, v, err := t.json.parse(text)
	if err != nil {
		t.log.Warn("outbox payload stays text", "topic", topic, "err", err)
		return payload, s
	}
	return v, out
}
