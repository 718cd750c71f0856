// Package partition says into which directory of a topic a record goes: the
// partitioners of Confluent's storage connectors, with their time patterns and
// their ways to find a record's time.
//
// A Partitioner is used by one goroutine. What it returns depends on the record
// alone, but for the wall clock where a Wallclock is configured, which is given
// to it.
package partition

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/plugins/data"
)

// The kinds of partitioners, by the simple names of Confluent's classes.
const (
	Default   = "DefaultPartitioner"
	Field     = "FieldPartitioner"
	TimeBased = "TimeBasedPartitioner"
	Hourly    = "HourlyPartitioner"
	Daily     = "DailyPartitioner"
)

// Config is what a Partitioner is made of. The names of the keys are those of
// Confluent's connectors.
type Config struct {
	Kind       string   // partitioner.class, one of the kinds
	Delimiter  string   // directory.delim
	Fields     []string // partition.field.name
	Duration   time.Duration
	PathFormat string // path.format
	Locale     string
	TimeZone   string
	Extractor  string // timestamp.extractor: Wallclock, Record or RecordField
	TimeField  string // timestamp.field
	// SchemaName puts schema_name=NAME before (Prefix) or after (Suffix) the
	// directory (s3.schema.partition.affix.type).
	SchemaName Affix
}

// Affix says where the name of a record's schema goes.
type Affix int

// The affixes.
const (
	None Affix = iota
	Prefix
	Suffix
)

// TimeDerived reports whether a kind makes directories of time.
func TimeDerived(kind string) bool { return kind == TimeBased || kind == Hourly || kind == Daily }

// Partitioner finds the directory and the time of records.
type Partitioner struct {
	encode func(r *data.Record, ms int64) (string, error)
	time   func(r *data.Record, now time.Time) (int64, error)
}

// Place is where a record goes.
type Place struct {
	Directory string
	// Millis is the record's time, if Timed.
	Millis int64
	Timed  bool
}

// Problem is an error of one configuration key.
type Problem struct {
	Key string
	Err error
}

// Error names the key and what is wrong.
func (p *Problem) Error() string { return p.Key + ": " + p.Err.Error() }

// Unwrap returns what is wrong.
func (p *Problem) Unwrap() error { return p.Err }

func bad(key, format string, args ...any) error {
	return &Problem{Key: key, Err: fmt.Errorf(format, args...)}
}

// New makes a Partitioner. Its errors are of type *Problem.
func New(c Config) (*Partitioner, error) {
	p := &Partitioner{}
	var err error
	switch {
	case c.Kind == Default:
		p.encode = func(r *data.Record, _ int64) (string, error) {
			return "partition=" + strconv.Itoa(int(r.OriginalPartition)), nil
		}
	case c.Kind == Field:
		p.encode, err = fieldEncoder(c)
	case TimeDerived(c.Kind):
		p.encode, p.time, err = timeEncoder(c)
	default:
		err = bad("partitioner.class", "%q is not one of %s, %s, %s, %s, %s", c.Kind, Default, Field, TimeBased, Hourly, Daily)
	}
	if err != nil {
		return nil, err
	}
	if c.SchemaName != None {
		p.encode = withSchemaName(c, p.encode)
	}
	return p, nil
}

// Place returns where a record goes. now is the time of the put. An error is
// the record's own fault.
func (p *Partitioner) Place(r *data.Record, now time.Time) (Place, error) {
	var out Place
	var err error
	if p.time != nil {
		if out.Millis, err = p.time(r, now); err != nil {
			return Place{}, err
		}
		out.Timed = true
	}
	out.Directory, err = p.encode(r, out.Millis)
	return out, err
}

// Time returns a record's time alone, timed false if it has none.
func (p *Partitioner) Time(r *data.Record, now time.Time) (ms int64, timed bool) {
	if p.time == nil {
		return 0, false
	}
	ms, err := p.time(r, now)
	return ms, err == nil
}

// Timed reports whether records have times, so that rotation can go by them.
func (p *Partitioner) Timed() bool { return p.time != nil }

func withSchemaName(c Config, inner func(*data.Record, int64) (string, error)) func(*data.Record, int64) (string, error) {
	return func(r *data.Record, ms int64) (string, error) {
		dir, err := inner(r, ms)
		if err != nil {
			return "", err
		}
		name := "schema_name=null"
		if s := r.Value.Schema; s != nil && s.Name() != "" {
			name = "schema_name=" + s.Name()
		}
		if c.SchemaName == Prefix {
			return name + c.Delimiter + dir, nil
		}
		return dir + c.Delimiter + name, nil
	}
}

// fieldEncoder is Confluent's FieldPartitioner: f1=v1/f2=v2. Values are not
// escaped, as there: a delimiter in a value makes another directory.
func fieldEncoder(c Config) (func(*data.Record, int64) (string, error), error) {
	if len(c.Fields) == 0 {
		return nil, bad("partition.field.name", "FieldPartitioner needs the names of fields")
	}
	paths := make([]*path, len(c.Fields))
	for i, f := range c.Fields {
		p, err := newPath(f)
		if err != nil {
			return nil, &Problem{Key: "partition.field.name", Err: err}
		}
		paths[i] = p
	}
	var b strings.Builder
	return func(r *data.Record, _ int64) (string, error) {
		b.Reset()
		if s := r.Value.Schema; s == nil || s.Type() != data.TypeStruct {
			return "", errors.New("the FieldPartitioner needs a value that is a struct with a schema")
		}
		for i, p := range paths {
			v, _, err := p.value(r.Value)
			if err != nil {
				return "", err
			}
			text, err := fieldText(v)
			if err != nil {
				return "", fmt.Errorf("field %s: %w", p.name, err)
			}
			if i > 0 {
				b.WriteString(c.Delimiter)
			}
			b.WriteString(p.name)
			b.WriteByte('=')
			b.WriteString(text)
		}
		return b.String(), nil
	}, nil
}

func fieldText(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "null", nil
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	}
	return "", errors.New("a directory can be named by whole numbers, strings and truth values only")
}
