package partition

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // zones, where the system has none

	"github.com/millrace/millrace/plugins/data"
)

// extractorPrefix begins the class names of Confluent's extractors.
const extractorPrefix = "io.confluent.connect.storage.partitioner.TimeBasedPartitioner$"

// ExtractorName returns Wallclock, Record or RecordField for one of these or
// for Confluent's class names, "" for others.
func ExtractorName(s string) string {
	if class, ok := strings.CutPrefix(s, extractorPrefix); ok {
		s = strings.TrimSuffix(class, "TimestampExtractor")
	}
	switch s {
	case "Wallclock", "Record", "RecordField":
		return s
	}
	return ""
}

// ParseZone reads a time zone: an IANA name, UTC or an offset such as +02:00.
func ParseZone(s string) (*time.Location, error) {
	if t, err := time.Parse("-07:00", s); err == nil {
		_, offset := t.Zone()
		return time.FixedZone(s, offset), nil
	}
	if s == "" || s == "Local" {
		return nil, errors.New("name a time zone, such as UTC, Europe/Paris or +02:00")
	}
	loc, err := time.LoadLocation(s)
	if err != nil {
		return nil, fmt.Errorf("%q is not a time zone: name one such as UTC, Europe/Paris or +02:00", s)
	}
	return loc, nil
}

type (
	encoder   = func(*data.Record, int64) (string, error)
	extractor = func(*data.Record, time.Time) (int64, error)
)

// timeEncoder is Confluent's TimeBasedPartitioner and the two that fix its
// pattern and duration.
func timeEncoder(c Config) (encoder, extractor, error) {
	quote := func(parts ...string) string { return strings.Join(parts, c.Delimiter) }
	switch c.Kind {
	case Hourly:
		c.PathFormat, c.Duration = quote("'year'=YYYY", "'month'=MM", "'day'=dd", "'hour'=HH"), time.Hour
	case Daily:
		c.PathFormat, c.Duration = quote("'year'=YYYY", "'month'=MM", "'day'=dd"), 24*time.Hour
	}
	zone, err := ParseZone(c.TimeZone)
	switch {
	case c.TimeZone == "":
		return nil, nil, bad("timezone", "the %s needs a time zone, such as UTC", c.Kind)
	case err != nil:
		return nil, nil, &Problem{Key: "timezone", Err: err}
	case c.Locale == "":
		return nil, nil, bad("locale", "the %s needs a locale, such as en-US", c.Kind)
	case c.Duration < time.Millisecond:
		return nil, nil, bad("partition.duration.ms", "the %s needs a duration above 0, such as 3600000", c.Kind)
	case c.PathFormat == "":
		return nil, nil, bad("path.format", "the %s needs a pattern, such as 'year'=YYYY/'month'=MM/'day'=dd", c.Kind)
	}
	pattern, err := compilePattern(strings.TrimSuffix(c.PathFormat, c.Delimiter))
	if err != nil {
		return nil, nil, &Problem{Key: "path.format", Err: err}
	}
	if lang := strings.ToLower(c.Locale); pattern.words && lang != "en" && !strings.HasPrefix(lang, "en-") && !strings.HasPrefix(lang, "en_") {
		return nil, nil, bad("locale", "path.format names months or days by words, which are English here: use numbers, or en")
	}
	extract, err := newExtractor(c)
	if err != nil {
		return nil, nil, err
	}
	return timeDirectory(pattern, zone, c.Duration), extract, nil
}

// timeDirectory formats times, rounded down to a whole number of durations of
// local time. The last result is kept, since times repeat.
//
// Differs from Kafka's ecosystem: times before 1970 round down as well, where
// Confluent's integer division rounds them up.
func timeDirectory(pattern *timePattern, zone *time.Location, duration time.Duration) encoder {
	last, text := int64(0), ""
	size := duration.Milliseconds()
	return func(_ *data.Record, ms int64) (string, error) {
		_, offset := time.UnixMilli(ms).In(zone).Zone()
		local := ms + int64(offset)*1000
		local -= ((local % size) + size) % size
		if text == "" || local != last {
			w := time.UnixMilli(local).UTC() // the fields of local time
			at := time.Date(w.Year(), w.Month(), w.Day(), w.Hour(), w.Minute(), w.Second(), w.Nanosecond(), zone)
			last, text = local, pattern.format(at)
		}
		return text, nil
	}
}

func newExtractor(c Config) (extractor, error) {
	switch ExtractorName(c.Extractor) {
	case "Wallclock":
		return func(_ *data.Record, now time.Time) (int64, error) { return now.UnixMilli(), nil }, nil
	case "Record":
		return func(r *data.Record, _ time.Time) (int64, error) {
			if r.Timestamp == data.NoTimestamp {
				return 0, errors.New("the record has no timestamp, which timestamp.extractor=Record needs")
			}
			return r.Timestamp, nil
		}, nil
	case "RecordField":
		p, err := newPath(c.TimeField)
		if err != nil {
			return nil, &Problem{Key: "timestamp.field", Err: err}
		}
		return func(r *data.Record, _ time.Time) (int64, error) {
			v, _, err := p.value(r.Value)
			if err != nil {
				return 0, err
			}
			ms, err := fieldMillis(v)
			if err != nil {
				return 0, fmt.Errorf("field %s: %w", p.name, err)
			}
			return ms, nil
		}, nil
	}
	return nil, bad("timestamp.extractor", "%q is not one of Wallclock, Record, RecordField: extractors in Java classes cannot run here", c.Extractor)
}

// fieldMillis reads a point in time: milliseconds since the epoch as a number
// or as text, or ISO 8601.
func fieldMillis(v any) (int64, error) {
	switch v := v.(type) {
	case int64:
		return v, nil
	case string:
		if n, err := strconv.ParseInt(v, 10, 64); err == nil {
			return n, nil
		}
		return parseISO(v)
	case nil:
		return 0, errors.New("it is null and no point in time")
	}
	return 0, errors.New("it is neither a number of milliseconds nor the text of a time")
}

// isoLayouts are the forms of ISO 8601 that Joda's dateTimeParser takes, apart
// from week dates and ordinal dates. Fractions are read behind every seconds.
var isoLayouts = []string{
	"2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05Z07", "2006-01-02T15:04:05",
	"2006-01-02T15:04Z07:00", "2006-01-02T15:04Z0700", "2006-01-02T15:04", "2006-01-02T15Z07:00", "2006-01-02T15",
	"2006-01-02T", "2006-01-02", "2006-01", "2006",
}

// parseISO reads ISO 8601. Without a zone the time is UTC.
//
// Differs from Confluent's: there it is in the zone of the worker's machine.
func parseISO(s string) (int64, error) {
	for _, layout := range isoLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UnixMilli(), nil
		}
	}
	return 0, fmt.Errorf("%.60q is not a time in ISO 8601, nor a number of milliseconds", s)
}
