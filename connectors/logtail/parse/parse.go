// Package parse turns log lines into rows: JSON, logfmt, CSV, regular
// expressions with named groups, patterns of grok, and the formats of web servers, syslog and
// containers.
//
// A Parser is used by one goroutine. What it returns depends on the line alone,
// but for the year of times that have none. A line that is not of the format
// gives an error, never a panic, and costs no more than its length.
package parse

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/millrace/millrace/connectors/textfield"
	"github.com/millrace/millrace/plugins/data"
)

// Parser turns lines into rows.
type Parser interface {
	// Parse appends the row of a line to dst and returns both. ms is the line's
	// own time in milliseconds since the epoch, NoTimestamp of package data if it
	// has none. After an error dst is as it was.
	Parse(dst, line []byte) (buf []byte, d data.Datum, ms int64, err error)
}

// Config says which parser to make. The names of the keys are those of the
// connector.
type Config struct {
	Kind       string   // parser
	Fields     []string // parser.fields
	Rest       string   // parser.rest.field
	Schema     string   // parser.schema
	SchemaName string   // parser.schema.name
	Pattern    string   // parser.pattern
	// Definitions are patterns for those of grok to refer to
	// (parser.definitions).
	Definitions string
	Separator   string // parser.separator
	Quote       string // parser.quote
	TimeField   string // parser.time.field
	TimeFormat  string // parser.time.format
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

// Kinds returns the names of the parsers. None is no parser: lines are text.
func Kinds() []string {
	return []string{
		None, "json", "logfmt", "csv", "tsv", "regex", "grok", "nginx", "apache", "combined", "common",
		"syslog", "syslog-rfc3164", "syslog-rfc5424", CRI, Docker,
	}
}

// Kinds that callers treat apart.
const (
	None   = "none"
	CRI    = "cri"
	Docker = "docker"
)

// New makes a parser; its errors are of type *Problem. Of None it is nil.
func New(c Config) (Parser, error) {
	pattern, err := textfield.CompileTime(c.TimeFormat)
	if err != nil {
		return nil, &Problem{"parser.time.format", err}
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	switch c.Kind {
	case None, "":
		return nil, nil
	case "json":
		return newJSON(c, pattern)
	case "logfmt":
		return newLogfmt(c, pattern)
	case "csv", "tsv":
		return newCSV(c, pattern)
	case "regex":
		return newRegex(c, pattern)
	case "grok":
		return newGrok(c, pattern)
	case "nginx", "apache", "combined":
		return newAccess(c, true)
	case "common":
		return newAccess(c, false)
	case "syslog", "syslog-rfc3164", "syslog-rfc5424":
		return newSyslog(c)
	case CRI, Docker:
		return newContainer(c)
	}
	return nil, bad("parser", "%q is not one of %s", c.Kind, strings.Join(Kinds(), ", "))
}

// uses are the kinds that each key has an effect on.
var uses = []struct {
	key   string
	value func(*Config) string
	kinds string
}{
	{"parser.fields", func(c *Config) string { return strings.Join(c.Fields, ",") }, "json logfmt csv tsv regex grok"},
	{"parser.rest.field", func(c *Config) string { return c.Rest }, "json logfmt"},
	{"parser.schema", func(c *Config) string { return c.Schema }, "json"},
	{"parser.pattern", func(c *Config) string { return c.Pattern }, "regex grok"},
	{"parser.definitions", func(c *Config) string { return c.Definitions }, "grok"},
	{"parser.separator", func(c *Config) string { return c.Separator }, "csv"},
	{"parser.quote", func(c *Config) string { return c.Quote }, "csv"},
	{"parser.time.field", func(c *Config) string { return c.TimeField }, "json logfmt csv tsv regex grok"},
	{"parser.time.format", func(c *Config) string { return c.TimeFormat }, "json logfmt csv tsv regex grok"},
}

// check refuses keys that would have no effect.
func (c *Config) check() error {
	for _, u := range uses {
		if u.value(c) != "" && !strings.Contains(" "+u.kinds+" ", " "+c.Kind+" ") {
			return bad(u.key, "it has no effect with parser=%s: it goes with %s", c.Kind, strings.ReplaceAll(u.kinds, " ", ", "))
		}
	}
	if c.Rest != "" && len(c.Fields) == 0 {
		return bad("parser.rest.field", "it holds what parser.fields does not name: set that")
	}
	if c.TimeField != "" && len(c.Fields) == 0 && c.Kind != "regex" && c.Kind != "grok" {
		return bad("parser.time.field", "it names one of parser.fields, which is empty")
	}
	return nil
}

// table writes rows of columns whose texts were found in a line.
type table struct {
	schema  *data.Schema
	columns []textfield.Column
	index   map[string]int
	cells   []cell
	writer  *data.RowWriter
	time    int // the column that has the line's time, -1 for none
	rest    bool
}

// cell is the text of a field in the line at hand.
type cell struct {
	text []byte
	set  bool
	null bool // it is there and says that it has no value
}

var restSchema = data.MapOf(data.StringSchema, data.OptionalStringSchema).MustBuild()

func newTable(c Config, columns []textfield.Column) (*table, error) {
	t := &table{columns: columns, index: make(map[string]int), cells: make([]cell, len(columns)), time: -1}
	b := data.NewStructBuilder()
	if c.SchemaName != "" {
		b.Name(c.SchemaName)
	}
	for i := range columns {
		t.index[columns[i].Name] = i
		b.Field(fieldName(columns[i].Name), columns[i].Schema())
	}
	if t.rest = c.Rest != ""; t.rest {
		b.Field(c.Rest, restSchema)
	}
	var err error
	if t.schema, err = b.Build(); err != nil {
		return nil, &Problem{"parser.fields", err}
	}
	if c.TimeField != "" {
		i, ok := t.index[c.TimeField]
		if !ok || columns[i].Kind != textfield.Timestamp {
			return nil, bad("parser.time.field", "%q is no field of type timestamp in parser.fields", c.TimeField)
		}
		t.time = i
	}
	t.writer = data.NewRowWriter(t.schema)
	return t, nil
}

// fieldName is the name in the schema of a member by its path: dots would be no
// name in Avro.
func fieldName(path string) string { return strings.ReplaceAll(path, ".", "_") }

func (t *table) reset() {
	clear(t.cells)
}

// begin starts a row with the columns. What is in rest, if there is such a
// field, is written before finish.
func (t *table) begin(dst []byte) (ms int64, err error) {
	ms = data.NoTimestamp
	t.writer.Reset(dst)
	t.writer.BeginStruct()
	for i := range t.columns {
		c, cell := &t.columns[i], &t.cells[i]
		switch {
		case !cell.set || cell.null:
			err = c.Null(t.writer)
		default:
			err = c.Write(t.writer, cell.text)
		}
		if err != nil {
			return ms, err
		}
	}
	if t.time >= 0 && t.cells[t.time].set {
		if v, ok := t.columns[t.time].Time.Millis(t.cells[t.time].text); ok {
			ms = v
		}
	}
	return ms, nil
}

func (t *table) finish(dst []byte) ([]byte, data.Datum, error) {
	t.writer.End()
	buf, _, err := t.writer.Finish()
	if err != nil {
		return dst, data.Datum{}, err
	}
	return buf, data.Datum{Schema: t.schema, State: data.Present, Row: buf[len(dst):len(buf):len(buf)]}, nil
}

// row is begin and finish, of a table without rest.
func (t *table) row(dst []byte) ([]byte, data.Datum, int64, error) {
	ms, err := t.begin(dst)
	if err != nil {
		return dst, data.Datum{}, ms, err
	}
	buf, d, err := t.finish(dst)
	return buf, d, ms, err
}

func (t *table) set(i int, text []byte) { t.cells[i] = cell{text: text, set: true} }

// fields parses parser.fields, which kind needs.
func fields(c Config, pattern *textfield.TimePattern) ([]textfield.Column, error) {
	columns, err := textfield.ParseColumns(c.Fields, pattern)
	if err != nil {
		return nil, &Problem{"parser.fields", err}
	}
	return columns, nil
}

// regex takes lines apart by the named groups of an expression.
type regex struct {
	*table
	re       *regexp.Regexp
	columnOf []int // of each group, -1 where it has no name
}

func newRegex(c Config, pattern *textfield.TimePattern) (Parser, error) {
	if c.Pattern == "" {
		return nil, bad("parser.pattern", "parser=regex needs a regular expression with named groups, such as (?P<level>[A-Z]+) (?P<text>.*)")
	}
	re, err := regexp.Compile(c.Pattern)
	if err != nil {
		return nil, bad("parser.pattern", "%w; look-around and references back do not exist here", err)
	}
	typed := make(map[string]textfield.Column)
	columns, err := fields(c, pattern)
	if err != nil {
		return nil, err
	}
	for _, col := range columns {
		if re.SubexpIndex(col.Name) < 0 {
			return nil, bad("parser.fields", "the expression has no group named %q", col.Name)
		}
		typed[col.Name] = col
	}
	r := &regex{re: re, columnOf: make([]int, re.NumSubexp()+1)}
	columns = nil
	for i, name := range re.SubexpNames() {
		r.columnOf[i] = slices.IndexFunc(columns, func(c textfield.Column) bool { return c.Name == name })
		if name == "" || r.columnOf[i] >= 0 { // of branches that each have a group of this name one takes part
			continue
		}
		col, ok := typed[name]
		if !ok {
			col = textfield.Column{Name: name}
		}
		r.columnOf[i] = len(columns)
		columns = append(columns, col)
	}
	if len(columns) == 0 {
		return nil, bad("parser.pattern", "it has no named group, as in (?P<level>[A-Z]+)")
	}
	r.table, err = newTable(c, columns)
	return r, err
}

var errNoMatch = errors.New("the line does not match the expression")

// Parse implements Parser.
func (r *regex) Parse(dst, line []byte) ([]byte, data.Datum, int64, error) {
	at := r.re.FindSubmatchIndex(line)
	if at == nil {
		return dst, data.Datum{}, 0, errNoMatch
	}
	r.reset()
	for g, i := range r.columnOf {
		if i >= 0 && at[2*g] >= 0 {
			r.set(i, line[at[2*g]:at[2*g+1]])
		}
	}
	return r.row(dst)
}
