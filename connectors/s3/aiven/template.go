// Package aiven names and fills objects as Aiven's S3 sink connector does: names
// from a template, of whose variables depends which records share a file, and
// contents of chosen fields of each record.
//
// Nothing here is safe for concurrent use.
package aiven

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/plugins/data"
)

// The variables of a template.
const (
	topicVar     = "topic"
	partitionVar = "partition"
	offsetVar    = "start_offset"
	timeVar      = "timestamp"
	keyVar       = "key"
	utcDateVar   = "utc_date"
	localDateVar = "local_date"
)

// part is a literal, or a variable with its parameter.
type part struct {
	literal  string
	variable string
	padding  bool
	layout   string // of timestamps, in Go's form
}

// Template makes the names of objects.
type Template struct {
	parts []part
	zone  *time.Location
	event bool // timestamps are the records', not the clock's
}

// Parse reads a template such as {{topic}}-{{partition:padding=true}}-{{start_offset}}.
// Timestamps are of a zone, and of the records if event is set, else of the
// clock.
func Parse(text string, zone *time.Location, event bool) (*Template, error) {
	t := &Template{zone: zone, event: event}
	for text != "" {
		before, rest, found := strings.Cut(text, "{{")
		if before != "" {
			t.parts = append(t.parts, part{literal: before})
		}
		if !found {
			break
		}
		inside, after, closed := strings.Cut(rest, "}}")
		if !closed {
			return nil, fmt.Errorf("%q has no closing }}", "{{"+rest)
		}
		p, err := parseVariable(inside)
		if err != nil {
			return nil, err
		}
		t.parts = append(t.parts, p)
		text = after
	}
	return t, nil
}

// units are the parameters of timestamps.
var units = map[string]string{"yyyy": "2006", "YYYY": "2006", "MM": "01", "dd": "02", "HH": "15"}

func parseVariable(text string) (part, error) {
	name, parameter, given := strings.Cut(strings.TrimSpace(text), ":")
	key, value, _ := strings.Cut(parameter, "=")
	key, value = strings.TrimSpace(key), strings.TrimSpace(value)
	p := part{variable: strings.TrimSpace(name)}
	switch p.variable {
	case partitionVar, offsetVar:
		if given && (key != "padding" || value != "true" && value != "false") {
			return p, fmt.Errorf("{{%s}}: the parameter of %s is padding=true or padding=false", text, p.variable)
		}
		p.padding = value == "true"
		return p, nil
	case timeVar:
		if p.layout = units[value]; key != "unit" || p.layout == "" {
			return p, fmt.Errorf("{{%s}}: the parameter of timestamp is unit=yyyy, unit=MM, unit=dd or unit=HH", text)
		}
		return p, nil
	case utcDateVar, localDateVar:
		p.layout = time.DateOnly
	case topicVar, keyVar:
	default:
		return p, fmt.Errorf("{{%s}} is no variable: there are topic, partition, start_offset, timestamp and key", text)
	}
	if given {
		return p, fmt.Errorf("{{%s}}: %s has no parameters", text, p.variable)
	}
	return p, nil
}

// After puts text before all names, as it is.
func (t *Template) After(prefix string) *Template {
	return &Template{parts: slices.Concat([]part{{literal: prefix}}, t.parts), zone: t.zone, event: t.event}
}

func (t *Template) has(variable string) bool {
	return slices.ContainsFunc(t.parts, func(p part) bool { return p.variable == variable })
}

// Latest reports whether a file holds the latest record of a key alone.
func (t *Template) Latest() bool { return t.has(keyVar) && !t.has(offsetVar) }

// Deterministic reports whether names follow from records alone, so that the
// same records have the same names when they come again.
func (t *Template) Deterministic() bool {
	clock := t.has(timeVar) && !t.event || t.has(utcDateVar) || t.has(localDateVar)
	return !clock && !t.Latest()
}

// Check refuses combinations of variables that Aiven's connector refuses: names
// must tell files apart.
func (t *Template) Check() error {
	whole := t.has(topicVar) && t.has(partitionVar) && t.has(offsetVar)
	switch {
	case whole, t.Latest() && !t.has(timeVar) && (t.has(topicVar) == t.has(partitionVar)):
		return nil
	}
	return errors.New("the variables must be topic, partition and start_offset, with or without timestamp and key; or key alone; or key, topic and partition")
}

// Places that an offset has in a name before it is known.
const (
	offsetMark = "\x01"
	paddedMark = "\x02"
)

// maxName is the most bytes that S3 takes as the name of an object.
const maxName = 1024

// Group returns what the records of one file have in common: its name, but for
// the offset of its first record. now is the time of the put.
func (t *Template) Group(r *data.Record, now time.Time) (string, error) {
	var b strings.Builder
	for _, p := range t.parts {
		switch p.variable {
		case "":
			b.WriteString(p.literal)
		case topicVar:
			b.WriteString(r.Topic)
		case partitionVar:
			writeNumber(&b, int64(r.OriginalPartition), p.padding, 10)
		case offsetVar:
			b.WriteString(map[bool]string{false: offsetMark, true: paddedMark}[p.padding])
		case keyVar:
			text, err := keyText(r.Key)
			if err != nil {
				return "", err
			}
			b.WriteString(text)
		case utcDateVar:
			b.WriteString(now.UTC().Format(p.layout))
		case localDateVar:
			b.WriteString(now.Local().Format(p.layout))
		case timeVar:
			at := now
			if t.event {
				if r.Timestamp == data.NoTimestamp {
					return "", errors.New("the record has no timestamp, which the name of its file needs (file.name.timestamp.source=EVENT)")
				}
				at = time.UnixMilli(r.Timestamp)
			}
			b.WriteString(at.In(t.zone).Format(p.layout))
		}
	}
	if b.Len() > maxName-20 {
		return "", fmt.Errorf("the name of its object would have %d bytes, more than S3 takes", b.Len())
	}
	return b.String(), nil
}

func writeNumber(b *strings.Builder, n int64, padding bool, width int) {
	if padding {
		fmt.Fprintf(b, "%0*d", width, n)
		return
	}
	b.WriteString(strconv.FormatInt(n, 10))
}

// Name returns the name of a group's file that begins with an offset.
func Name(group string, offset int64) string {
	plain := strconv.FormatInt(offset, 10)
	return strings.NewReplacer(offsetMark, plain, paddedMark, fmt.Sprintf("%020d", offset)).Replace(group)
}

// keyText is a key as it stands in a name.
func keyText(d data.Datum) (string, error) {
	v, err := d.Value()
	if err != nil {
		return "", err
	}
	text := "null"
	if v != nil {
		text = data.Text(v)
	}
	return strings.NewReplacer(offsetMark, "", paddedMark, "").Replace(text), nil
}
