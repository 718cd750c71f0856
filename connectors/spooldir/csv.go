package spooldir

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"

	"github.com/millrace/millrace/connectors/textfield"
	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// csvOptions say how a file is taken apart.
type csvOptions struct {
	header, exact, keepCR bool
	skip                  int
	splitter              textfield.Splitter
	nullPlain, nullQuoted bool
	charset               encoding.Encoding // nil for UTF-8
}

func newCSVOptions(cfg sdk.Config) csvOptions {
	o := csvOptions{
		header: cfg.Bool("csv.first.row.as.header"), exact: cfg.Bool("csv.case.sensitive.field.names"), keepCR: cfg.Bool("csv.keep.carriage.return"),
		skip: cfg.Int("csv.skip.lines"),
		splitter: textfield.Splitter{
			Separator: byte(cfg.Int("csv.separator.char")), Quote: byte(cfg.Int("csv.quote.char")), Escape: byte(cfg.Int("csv.escape.char")),
			TrimLeading: cfg.Bool("csv.ignore.leading.whitespace"),
		},
	}
	if cfg.Bool("csv.rfc.4180.parser.enabled") {
		o.splitter.Escape = 0
	}
	if cfg.Bool("csv.ignore.quotations") {
		o.splitter.Quote = 0
	}
	indicator := strings.ToUpper(cfg.String("csv.null.field.indicator"))
	o.nullPlain, o.nullQuoted = indicator == "EMPTY_SEPARATORS" || indicator == "BOTH", indicator == "EMPTY_QUOTES" || indicator == "BOTH"
	// Its own check has found it.
	if e, err := findCharset(cfg.String("csv.file.charset")); err == nil && e != nil {
		if name := strings.ToLower(cfg.String("csv.file.charset")); name != "utf-8" && name != "utf8" {
			o.charset = e
		}
	}
	return o
}

// csvReader reads records of separated values into a schema.
type csvReader struct {
	*csvOptions
	lines   *lines
	record  []byte // of several lines
	split   textfield.Splitter
	schema  *data.Schema
	fields  []int // of each column in the schema, -1 for one that is left out
	writer  *data.RowWriter
	values  []textfield.Value // by field
	there   []bool
	formats []*textfield.TimePattern
	row     []byte
}

var utf8Mark = []byte("\xef\xbb\xbf")

// newCSVReader reads what is before the first record, and finds the schema.
func (c *settings) newCSVReader(in io.Reader) (reader, error) {
	if c.csv.charset != nil {
		in = c.csv.charset.NewDecoder().Reader(in)
	}
	buffered := bufio.NewReaderSize(in, 64<<10)
	if b, err := buffered.Peek(len(utf8Mark)); err == nil && bytes.Equal(b, utf8Mark) {
		if _, err := buffered.Discard(len(utf8Mark)); err != nil {
			return nil, err
		}
	}
	r := &csvReader{csvOptions: &c.csv, lines: &lines{in: buffered}, split: c.csv.splitter, formats: c.formats, schema: c.valueSchema}
	for range c.csv.skip {
		if _, err := r.lines.next(); err != nil {
			return nil, r.classed(err)
		}
	}
	var header []string
	if c.csv.header {
		values, err := r.values1()
		if errors.Is(err, io.EOF) {
			return emptyReader{}, nil
		}
		if err != nil {
			return nil, err
		}
		for _, v := range values {
			header = append(header, strings.TrimSpace(string(v.Text)))
		}
	}
	if r.schema == nil {
		return nil, errNoSchema
	}
	return r, r.bind(header)
}

// emptyReader is a file without records.
type emptyReader struct{}

func (emptyReader) next() (data.Datum, error) { return data.Datum{}, io.EOF }
func (emptyReader) skip(n int64) error {
	if n > 0 {
		return badFile("it is empty, and %d records were read of it before", n)
	}
	return nil
}

// errNoSchema is a file whose schema has to be found first.
var errNoSchema = errors.New("the schema is not known")

// bind finds the field of each column.
func (r *csvReader) bind(header []string) error {
	all := r.schema.Fields()
	r.values, r.there, r.writer = make([]textfield.Value, len(all)), make([]bool, len(all)), data.NewRowWriter(r.schema)
	if header == nil {
		for i := range all {
			r.fields = append(r.fields, i)
		}
		return nil
	}
	found := make(map[int]bool)
	for _, name := range header {
		at := -1
		for i, f := range all {
			if f.Name == name || !r.exact && strings.EqualFold(f.Name, name) {
				at = i
				break
			}
		}
		r.fields = append(r.fields, at)
		found[at] = true
	}
	for i, f := range all {
		if !found[i] && !f.Schema.Optional() {
			return badFile("the header has no column %q, which value.schema says must be there", f.Name)
		}
	}
	return nil
}

// values1 returns the values of the next record, which may be of several lines.
func (r *csvReader) values1() ([]textfield.Value, error) {
	line, err := r.lines.next()
	if err != nil {
		return nil, r.classed(err)
	}
	line = r.trimmed(line)
	values, ok := r.split.Split(line)
	if !ok && r.split.Unended() {
		r.record = append(r.record[:0], line...)
	}
	for !ok && r.split.Unended() {
		more, err := r.lines.next()
		if errors.Is(err, io.EOF) {
			return nil, badFile("a quoted value does not end")
		}
		if err != nil {
			return nil, r.classed(err)
		}
		if r.record = append(append(r.record, '\n'), r.trimmed(more)...); len(r.record) > maxRecord {
			return nil, badFile("a record is longer than %d bytes", maxRecord)
		}
		values, ok = r.split.Split(r.record)
	}
	if !ok {
		return nil, badFile("something follows the end of a quoted value: %.80q", line)
	}
	return values, nil
}

func (r *csvReader) trimmed(line []byte) []byte {
	if r.keepCR {
		return line
	}
	return bytes.TrimSuffix(line, []byte("\r"))
}

// classed says that what is no error of the disk is the file's.
func (r *csvReader) classed(err error) error {
	if e := (*fileError)(nil); errors.Is(err, io.EOF) || errors.As(err, &e) {
		return err
	}
	return &fileError{err}
}

func (r *csvReader) skip(n int64) error {
	return skipRecords(func() (data.Datum, error) { _, err := r.values1(); return data.Datum{}, err }, n)
}

func (r *csvReader) next() (data.Datum, error) {
	values, err := r.values1()
	if err != nil {
		return data.Datum{}, err
	}
	if len(values) == 1 && len(values[0].Text) == 0 && len(r.fields) > 1 { // an empty line at the end
		return r.next()
	}
	if len(values) != len(r.fields) {
		return data.Datum{}, badFile("a record has %d values where %d are expected", len(values), len(r.fields))
	}
	clear(r.there)
	for i, v := range values {
		if at := r.fields[i]; at >= 0 {
			r.values[at], r.there[at] = v, true
		}
	}
	r.writer.Reset(r.row[:0])
	r.writer.BeginStruct()
	for i, f := range r.schema.Fields() {
		if err := r.field(f.Schema, r.values[i], r.there[i]); err != nil {
			return data.Datum{}, badFile("field %s: %w", f.Name, err)
		}
	}
	r.writer.End()
	var nullDefault bool
	if r.row, nullDefault, err = r.writer.Finish(); err != nil {
		return data.Datum{}, &fileError{err}
	}
	return data.Datum{Schema: r.schema, State: data.Present, NullDefault: nullDefault, Row: r.row}, nil
}

// field writes one value.
func (r *csvReader) field(s *data.Schema, v textfield.Value, there bool) error {
	empty := len(v.Text) == 0 && (s.Type() != data.TypeString || v.Quoted && r.nullQuoted || !v.Quoted && r.nullPlain)
	if there && !empty {
		return writeText(r.writer, s, v.Text, r.formats)
	}
	if !s.Optional() {
		if _, ok := s.Default(); !ok {
			return textfield.ErrMissing
		}
	}
	r.writer.Null()
	return nil
}

// writeText writes a value of a type from its text.
func writeText(w *data.RowWriter, s *data.Schema, text []byte, formats []*textfield.TimePattern) error {
	not := func(what string) error { return fmt.Errorf("%.40q is not %s", text, what) }
	switch {
	case s.Name() == data.TimestampName || s.Name() == data.DateName:
		ms, ok := parseTime(text, formats)
		if !ok {
			return not("a time of parser.timestamp.date.formats")
		}
		if s.Name() == data.TimestampName {
			w.Int64(ms)
			return nil
		}
		days := ms / 86400000
		if ms%86400000 < 0 {
			days--
		}
		w.Int32(int32(days))
		return nil
	case s.Name() == data.DecimalName:
		if w.DecimalText(text); w.Err() != nil {
			return not("a number with so many digits")
		}
		return nil
	}
	switch s.Type() {
	case data.TypeString:
		if !utf8.Valid(text) {
			text = bytes.ToValidUTF8(text, []byte("\uFFFD"))
		}
		w.TextBytes(text)
	case data.TypeBoolean:
		v, ok := textfield.ParseBool(text)
		if !ok {
			return not("true or false")
		}
		w.Boolean(v)
	case data.TypeFloat32, data.TypeFloat64:
		v, err := strconv.ParseFloat(string(text), 64)
		if err != nil {
			return not("a number")
		}
		if s.Type() == data.TypeFloat32 {
			w.Float32(float32(v))
		} else {
			w.Float64(v)
		}
	case data.TypeBytes:
		w.Bytes(text)
	case data.TypeInt8, data.TypeInt16, data.TypeInt32, data.TypeInt64:
		v, ok := textfield.ParseInt(text)
		if !ok || !writeInt(w, s.Type(), v) {
			return not("a whole number of its size")
		}
	default:
		return fmt.Errorf("a %v cannot be read from text", s.Type())
	}
	return nil
}

func writeInt(w *data.RowWriter, t data.Type, v int64) bool {
	switch {
	case t == data.TypeInt64:
		w.Int64(v)
	case t == data.TypeInt32 && int64(int32(v)) == v:
		w.Int32(int32(v))
	case t == data.TypeInt16 && int64(int16(v)) == v:
		w.Int16(int16(v))
	case t == data.TypeInt8 && int64(int8(v)) == v:
		w.Int8(int8(v))
	default:
		return false
	}
	return true
}

func parseTime(text []byte, formats []*textfield.TimePattern) (int64, bool) {
	if ms, ok := textfield.ISOMillis(text); ok {
		return ms, true
	}
	for _, f := range formats {
		if ms, ok := f.Millis(text); ok {
			return ms, true
		}
	}
	return 0, false
}
