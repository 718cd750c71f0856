// Package textfield turns the text of fields into typed values of rows, and
// finds the fields in lines: what log files and CSV files are made of.
//
// Nothing here keeps the text that it is given, and nothing allocates for each
// field.
package textfield

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/millrace/millrace/plugins/data"
)

// Kind is the type of a column.
type Kind uint8

// The kinds.
const (
	String Kind = iota
	Boolean
	Int32
	Int64
	Float64
	Timestamp
	Date
	Decimal
)

var kindNames = map[string]Kind{
	"string": String, "boolean": Boolean, "int32": Int32, "int": Int32, "int64": Int64, "long": Int64,
	"float64": Float64, "double": Float64, "timestamp": Timestamp, "date": Date,
}

// Column is a field with its type.
type Column struct {
	Name     string
	Kind     Kind
	Scale    int32 // of a Decimal
	Required bool
	Time     *TimePattern // of a Timestamp or Date; nil is ISO 8601
}

// ParseColumns reads columns of the form NAME, NAME:TYPE or NAME:TYPE!, where
// the exclamation mark is for a column that must have a value. Types are string
// (the default), boolean, int32, int64, double, timestamp, date and
// decimal(SCALE). Timestamps and dates are read by pattern, ISO 8601 if nil.
func ParseColumns(list []string, pattern *TimePattern) ([]Column, error) {
	seen := make(map[string]bool)
	out := make([]Column, 0, len(list))
	for _, text := range list {
		c, err := parseColumn(text)
		if err != nil {
			return nil, err
		}
		if seen[c.Name] {
			return nil, fmt.Errorf("column %q is there twice", c.Name)
		}
		seen[c.Name] = true
		if c.Kind == Timestamp || c.Kind == Date {
			c.Time = pattern
		}
		out = append(out, c)
	}
	return out, nil
}

func parseColumn(text string) (Column, error) {
	name, kind, typed := strings.Cut(text, ":")
	c := Column{Name: strings.TrimSpace(name)}
	if c.Name == "" {
		return c, fmt.Errorf("%q names no column: write NAME or NAME:TYPE", text)
	}
	if !typed {
		return c, nil
	}
	kind = strings.TrimSpace(kind)
	kind, c.Required = strings.CutSuffix(kind, "!")
	if scale, ok := strings.CutPrefix(kind, "decimal("); ok {
		n, err := strconv.ParseInt(strings.TrimSuffix(scale, ")"), 10, 32)
		if err != nil || !strings.HasSuffix(scale, ")") || n < 0 || n > 1000 {
			return c, fmt.Errorf("column %q: write decimal(SCALE) with the digits after the point", text)
		}
		c.Kind, c.Scale = Decimal, int32(n)
		return c, nil
	}
	k, ok := kindNames[kind]
	if !ok {
		return c, fmt.Errorf("column %q: %q is not one of string, boolean, int32, int64, double, timestamp, date, decimal(SCALE)", text, kind)
	}
	c.Kind = k
	return c, nil
}

// Schema returns the schema of a column.
func (c *Column) Schema() *data.Schema {
	s := data.StringSchema
	switch c.Kind {
	case Boolean:
		s = data.BooleanSchema
	case Int32:
		s = data.Int32Schema
	case Int64:
		s = data.Int64Schema
	case Float64:
		s = data.Float64Schema
	case Timestamp:
		s = data.TimestampSchema
	case Date:
		s = data.DateSchema
	case Decimal:
		s = data.DecimalSchema(c.Scale)
	}
	if c.Required {
		return s
	}
	return data.AsOptional(s)
}

// Struct returns the schema of rows of columns.
func Struct(name string, columns []Column) (*data.Schema, error) {
	b := data.NewStructBuilder()
	if name != "" {
		b.Name(name)
	}
	for i := range columns {
		b.Field(columns[i].Name, columns[i].Schema())
	}
	return b.Build()
}

// ErrMissing is a column that must have a value and has none.
var ErrMissing = errors.New("a value is missing")

// Null writes that there is no value.
func (c *Column) Null(w *data.RowWriter) error {
	if c.Required {
		return c.bad(ErrMissing)
	}
	w.Null()
	return nil
}

// Write writes a value. Empty text of a column that is no string is no value.
// After an error the row is not to be finished.
func (c *Column) Write(w *data.RowWriter, text []byte) error {
	if len(text) == 0 && c.Kind != String {
		return c.Null(w)
	}
	switch c.Kind {
	case Boolean:
		v, ok := ParseBool(text)
		if !ok {
			return c.not("true or false", text)
		}
		w.Boolean(v)
	case Int32, Int64:
		v, ok := ParseInt(text)
		switch {
		case !ok || c.Kind == Int32 && int64(int32(v)) != v:
			return c.not("a whole number of its size", text)
		case c.Kind == Int32:
			w.Int32(int32(v))
		default:
			w.Int64(v)
		}
	case Float64:
		v, err := strconv.ParseFloat(string(text), 64)
		if err != nil {
			return c.not("a number", text)
		}
		w.Float64(v)
	case Timestamp, Date:
		return c.time(w, text)
	case Decimal:
		w.DecimalText(text)
		if w.Err() != nil {
			return c.not("a number with so many digits", text)
		}
	default:
		w.TextBytes(text)
	}
	return nil
}

func (c *Column) time(w *data.RowWriter, text []byte) error {
	ms, ok := c.Time.Millis(text)
	if !ok {
		return c.not("a time in its format", text)
	}
	if c.Kind == Timestamp {
		w.Int64(ms)
		return nil
	}
	days := ms / msPerDay
	if ms%msPerDay < 0 {
		days--
	}
	w.Int32(int32(days))
	return nil
}

// not says what a field's text is not. It shows little of it: it may be a
// secret, or large.
func (c *Column) not(what string, text []byte) error {
	return c.bad(fmt.Errorf("%.40q is not %s", text, what))
}

func (c *Column) bad(err error) error { return fmt.Errorf("field %s: %w", c.Name, err) }

// ParseInt reads a whole number in decimal, with a sign or without.
func ParseInt(b []byte) (int64, bool) {
	negative := len(b) > 0 && b[0] == '-'
	if negative || len(b) > 0 && b[0] == '+' {
		b = b[1:]
	}
	if len(b) == 0 || len(b) > 19 {
		return 0, false
	}
	var n uint64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	switch {
	case negative && n <= 1<<63:
		return -int64(n), true
	case !negative && n < 1<<63:
		return int64(n), true
	}
	return 0, false
}

// ParseBool reads true or false, in any case.
func ParseBool(b []byte) (v, ok bool) {
	switch {
	case len(b) == 4 && strings.EqualFold(string(b), "true"):
		return true, true
	case len(b) == 5 && strings.EqualFold(string(b), "false"):
		return false, true
	}
	return false, false
}
