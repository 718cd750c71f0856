package transform

import (
	"errors"
	"fmt"
	"maps"

	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
)

var timestampConverterDef = configdef.Def{
	{Name: "field", Type: configdef.String, Default: "", Importance: configdef.High, Doc: "Field to convert; nothing for the whole value."},
	{Name: "target.type", Type: configdef.String, Required: true, Importance: configdef.High,
		Rules: []configdef.Rule{configdef.OneOf("string", "unix", "Date", "Time", "Timestamp")}, Doc: "What the instant becomes."},
	{Name: "format", Type: configdef.String, Default: "", Importance: configdef.Medium,
		Doc: "Pattern of java.text.SimpleDateFormat to write texts with, and to read them with."},
	{Name: "unix.precision", Type: configdef.String, Default: "milliseconds", Importance: configdef.Low,
		Rules: []configdef.Rule{configdef.OneOf("nanoseconds", "microseconds", "milliseconds", "seconds")}, Doc: "What a number counts since the epoch."},
	replaceNull,
}

// timestampConverter is Kafka's TimestampConverter: brings an instant from one
// form to another.
type timestampConverter struct {
	side         Side
	field        string
	target       string
	schema       *data.Schema // of the target, required
	format       *dateFormat  // nil for none
	precision    string
	withDefaults bool
	plans        perSchema[*instantPlan]
}

// instantPlan is the conversion of the values of one schema.
type instantPlan struct {
	out   *data.Schema
	index int // of the field, added for the whole value
	kind  string
}

const (
	instantText      = "string"
	instantUnix      = "unix"
	instantDate      = "Date"
	instantTime      = "Time"
	instantTimestamp = "Timestamp"
)

func newTimestampConverter(s settings, c configdef.Config) (Transform, error) {
	t := &timestampConverter{side: s.side, field: c.String("field"), target: c.String("target.type"),
		precision: c.String("unix.precision"), withDefaults: c.Bool(replaceNull.Name)}
	t.schema = map[string]*data.Schema{instantText: data.StringSchema, instantUnix: data.Int64Schema, instantDate: data.DateSchema,
		instantTime: data.TimeSchema, instantTimestamp: data.TimestampSchema}[t.target]
	if pattern := c.String("format"); pattern != "" {
		f, err := compileDateFormat(pattern, s.Now())
		if err != nil {
			return nil, fmt.Errorf("format: %w", err)
		}
		t.format = f
	} else if t.target == instantText {
		return nil, errors.New("target.type string needs format")
	}
	return t, nil
}

// Apply leaves nulls as they are, but for their schema.
func (t *timestampConverter) Apply(r *Record) (bool, error) {
	c := r.side(t.side)
	if c.schema() == nil {
		return true, t.applyPlain(r, c)
	}
	p, err := t.plans.get(c.schema(), t.compile)
	if err != nil {
		return false, err
	}
	v, err := c.get()
	switch {
	case err != nil:
		return false, err
	case v == nil:
		r.set(c, p.out, nil)
		return true, nil
	case p.index == added:
		v, err := t.convert(v, p.kind)
		r.set(c, p.out, v)
		return true, err
	}
	in, out := v.(*data.Struct), data.NewStruct(p.out)
	for i := range p.out.Fields() {
		x := fieldOf(in, i, t.withDefaults)
		if i == p.index {
			if x, err = t.convert(x, p.kind); err != nil {
				return false, fmt.Errorf("field %q: %w", t.field, err)
			}
		}
		if err := put(out, i, x); err != nil {
			return false, err
		}
	}
	r.set(c, p.out, out)
	return true, nil
}

func (t *timestampConverter) compile(s *data.Schema) (*instantPlan, error) {
	if t.field == "" {
		kind, err := kindOfInstant(s)
		return &instantPlan{t.targetFor(s), added, kind}, err
	}
	if err := requireStruct(s, "converting timestamps"); err != nil {
		return nil, err
	}
	p := &instantPlan{index: fieldIndex(s, t.field)}
	b := data.CopyBasics(s)
	for _, f := range s.Fields() {
		if f.Index != p.index {
			b.Field(f.Name, f.Schema)
			continue
		}
		kind, err := kindOfInstant(f.Schema)
		if err != nil {
			return nil, fmt.Errorf("field %q: %w", f.Name, err)
		}
		p.kind = kind
		b.Field(f.Name, t.targetFor(f.Schema))
	}
	if p.index < 0 {
		p.index = len(s.Fields()) // upstream passes structs without the field
	}
	if s.Optional() {
		b.Optional()
	}
	out, err := b.Build()
	p.out = out
	return p, err
}

func (t *timestampConverter) targetFor(s *data.Schema) *data.Schema {
	if s.Optional() {
		return data.AsOptional(t.schema)
	}
	return t.schema
}

// kindOfInstant finds the form of an instant by its schema. Other names than
// Connect's do not count: io.debezium.time.MicroTimestamp is a number.
func kindOfInstant(s *data.Schema) (string, error) {
	switch {
	case s.Name() == data.TimestampName:
		return instantTimestamp, nil
	case s.Name() == data.DateName:
		return instantDate, nil
	case s.Name() == data.TimeName:
		return instantTime, nil
	case s.Type() == data.TypeString:
		return instantText, nil
	case s.Type() == data.TypeInt64:
		return instantUnix, nil
	}
	return "", fmt.Errorf("a value of type %v is no timestamp", s.Type())
}

func (t *timestampConverter) applyPlain(r *Record, c *cell) error {
	if c.isNull() {
		return nil
	}
	if t.field == "" {
		v, err := c.get()
		if err == nil {
			v, err = t.convertPlain(v)
		}
		r.set(c, nil, v)
		return err
	}
	in, err := c.mapOf("converting timestamps")
	if err != nil {
		return err
	}
	v, err := t.convertPlain(in[t.field])
	if err != nil {
		return fmt.Errorf("field %q: %w", t.field, err)
	}
	out := maps.Clone(in)
	out[t.field] = v
	r.set(c, nil, out)
	return nil
}

// convertPlain converts a value without schema: a number or a text.
func (t *timestampConverter) convertPlain(v any) (any, error) {
	kind := ""
	switch v.(type) {
	case nil:
		return nil, nil
	case int64:
		kind = instantUnix
	case string:
		kind = instantText
	default:
		return nil, fmt.Errorf("%s is no timestamp", kindOf(v))
	}
	return t.convert(v, kind)
}

// unitsPerMilli and millisPerUnit are the precisions of numbers.
var (
	unitsPerMilli = map[string]int64{"nanoseconds": 1e6, "microseconds": 1e3, "milliseconds": 1}
	millisPerUnit = map[string]int64{"seconds": 1e3}
)

const dayMillis = 24 * 60 * 60 * 1000

// convert brings a value of a kind to the target, over milliseconds.
func (t *timestampConverter) convert(v any, kind string) (any, error) {
	if v == nil {
		return nil, nil
	}
	ms, err := t.millis(v, kind)
	if err != nil {
		return nil, err
	}
	switch t.target {
	case instantText:
		return t.format.format(ms), nil
	case instantDate:
		return int32(floorDiv(ms, dayMillis)), nil
	case instantTime:
		return int32(ms - floorDiv(ms, dayMillis)*dayMillis), nil
	case instantTimestamp:
		return ms, nil
	}
	if per, ok := millisPerUnit[t.precision]; ok {
		return floorDiv(ms, per), nil
	}
	return ms * unitsPerMilli[t.precision], nil
}

func (t *timestampConverter) millis(v any, kind string) (int64, error) {
	switch v := v.(type) {
	case string:
		if t.format == nil {
			return 0, errors.New("texts need the setting format")
		}
		if err := t.format.canParse(); err != nil {
			return 0, err
		}
		return t.format.parse(v)
	case int32:
		if kind == instantDate {
			return int64(v) * dayMillis, nil
		}
		return int64(v), nil
	case int64:
		if kind == instantTimestamp {
			return v, nil
		}
		if per, ok := millisPerUnit[t.precision]; ok {
			return v * per, nil
		}
		return floorDiv(v, unitsPerMilli[t.precision]), nil
	}
	return 0, fmt.Errorf("%s is no timestamp", kindOf(v))
}

// floorDiv divides towards minus infinity.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
