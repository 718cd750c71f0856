package transform

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // regions must be known on machines without a zone database

	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
)

var timezoneDef = configdef.Def{
	{Name: "converted.timezone", Type: configdef.String, Required: true, Importance: configdef.High,
		Rules: []configdef.Rule{configdef.NonEmpty()}, Check: checkZone, Doc: "Region such as Asia/Seoul, or an offset such as +09:00."},
	{Name: "include.list", Type: configdef.List, Default: "", Importance: configdef.Medium, Check: checkFieldRules,
		Doc: "What to convert, as source:table[:field], topic:topic[:field] or name[:field]; all if empty."},
	{Name: "exclude.list", Type: configdef.List, Default: "", Importance: configdef.Medium, Check: checkFieldRules,
		Doc: "What not to convert, likewise."},
}

// timezoneConverter is Debezium's TimezoneConverter: brings the times of a row
// to a zone.
type timezoneConverter struct {
	zone             *time.Location
	now              func() time.Time
	include, exclude []fieldRule
}

// fieldRule is an entry of the lists.
type fieldRule struct {
	kind, name string // "source", "topic" or "" for both
	field      string // "" for all
}

func parseZone(text string) (*time.Location, error) {
	if text == "" || text[0] != '+' && text[0] != '-' {
		zone, err := time.LoadLocation(text)
		if err != nil || text == "Local" {
			return nil, fmt.Errorf("%q is no time zone", text)
		}
		return zone, nil
	}
	t, err := time.Parse("-07:00", text)
	if err != nil {
		return nil, fmt.Errorf("%q is no offset of the form +hh:mm", text)
	}
	_, offset := t.Zone()
	return time.FixedZone(text, offset), nil
}

func checkZone(v any) error {
	text, _ := v.(string)
	_, err := parseZone(text)
	return err
}

func parseFieldRules(list []string) ([]fieldRule, error) {
	var out []fieldRule
	for _, e := range list {
		parts := strings.Split(e, ":")
		var rule fieldRule
		if parts[0] == "source" || parts[0] == "topic" {
			rule.kind, parts = parts[0], parts[1:]
		}
		if len(parts) < 1 || len(parts) > 2 || slices.Contains(parts, "") {
			return nil, fmt.Errorf("%q is not of the form source:table[:field], topic:topic[:field] or name[:field]", e)
		}
		rule.name = parts[0]
		if len(parts) == 2 {
			rule.field = parts[1]
		}
		out = append(out, rule)
	}
	return out, nil
}

func checkFieldRules(v any) error {
	list, _ := v.([]string)
	_, err := parseFieldRules(list)
	return err
}

func newTimezoneConverter(s settings, c configdef.Config) (Transform, error) {
	t := &timezoneConverter{now: s.Now}
	var err, err2, err3 error
	t.zone, err = parseZone(c.String("converted.timezone"))
	t.include, err2 = parseFieldRules(c.List("include.list"))
	t.exclude, err3 = parseFieldRules(c.List("exclude.list"))
	if len(t.include) > 0 && len(t.exclude) > 0 {
		return nil, errors.New("include.list and exclude.list exclude each other")
	}
	return t, errors.Join(err, err2, err3)
}

// Apply never drops a record.
func (t *timezoneConverter) Apply(r *Record) (bool, error) {
	c := &r.value
	if c.isNull() || c.schema() == nil || c.schema().Type() != data.TypeStruct {
		return true, nil
	}
	v, err := c.structOf("time zones")
	if err != nil {
		return false, err
	}
	if !isEnvelope(v.Schema()) {
		out, err := t.row(v, r.Topic, "")
		if err == nil {
			r.set(c, c.schema(), out)
		}
		return err == nil, err
	}
	table, _ := textField(structField(v, "source"), "table")
	out := data.NewStruct(v.Schema())
	for i, f := range v.Schema().Fields() {
		x := v.AtWithoutDefault(i)
		if row, ok := x.(*data.Struct); ok && (f.Name == "before" || f.Name == "after") {
			if x, err = t.row(row, r.Topic, table); err != nil {
				return false, fmt.Errorf("%s: %w", f.Name, err)
			}
		}
		if err := put(out, i, x); err != nil {
			return false, err
		}
	}
	r.set(c, c.schema(), out)
	return true, nil
}

// row converts the fields of a row that the lists choose.
func (t *timezoneConverter) row(v *data.Struct, topic, table string) (*data.Struct, error) {
	out := data.NewStruct(v.Schema())
	for i, f := range v.Schema().Fields() {
		x := v.AtWithoutDefault(i)
		if x != nil && t.chooses(topic, table, f.Name) {
			var err error
			if x, err = t.convert(f.Schema.Name(), x); err != nil {
				return nil, fmt.Errorf("field %q: %w", f.Name, err)
			}
		}
		if err := put(out, i, x); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (t *timezoneConverter) chooses(topic, table, field string) bool {
	covers := func(rule fieldRule) bool {
		named := rule.kind != "topic" && table != "" && rule.name == table || rule.kind != "source" && rule.name == topic
		return named && (rule.field == "" || rule.field == field)
	}
	if len(t.include) > 0 {
		return slices.ContainsFunc(t.include, covers)
	}
	return !slices.ContainsFunc(t.exclude, covers)
}

// unitsPerSecond of the times without zone.
var unitsPerSecond = map[string]int64{
	"io.debezium.time.Timestamp": 1e3, "io.debezium.time.MicroTimestamp": 1e6, "io.debezium.time.NanoTimestamp": 1e9,
	data.TimestampName: 1e3,
}

// convert brings one value to the zone: the same instant with another offset
// where the value has a zone, else the same wall clock read in the zone.
func (t *timezoneConverter) convert(name string, v any) (any, error) {
	switch v := v.(type) {
	case string:
		switch name {
		case "io.debezium.time.ZonedTimestamp":
			return zoned(v, time.RFC3339Nano, t.zone)
		case "io.debezium.time.ZonedTime":
			// A time of day has no date: the zone's offset is that of today.
			return zoned(v, "15:04:05.999999999Z07:00", t.today())
		}
	case int64:
		per := unitsPerSecond[name]
		if per == 0 {
			return v, nil
		}
		wall := time.Unix(floorDiv(v, per), 0).UTC()
		_, offset := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), 0, t.zone).Zone()
		return v - int64(offset)*per, nil
	}
	return v, nil
}

// today is the zone with the one offset that it has now.
func (t *timezoneConverter) today() *time.Location {
	name, offset := t.now().In(t.zone).Zone()
	return time.FixedZone(name, offset)
}

func zoned(text, form string, zone *time.Location) (any, error) {
	at, err := time.Parse(form, text)
	if err != nil {
		return nil, fmt.Errorf("%q is no time with a zone", text)
	}
	return at.In(zone).Format(form), nil
}
