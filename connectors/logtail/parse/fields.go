package parse

import (
	"bytes"
	"errors"

	"github.com/millrace/millrace/connectors/textfield"
	"github.com/millrace/millrace/plugins/data"
)

// logfmt reads key=value pairs: into columns where fields are declared, else
// into a map of text.
type logfmt struct {
	*table // nil without fields
	writer *data.RowWriter
	pairs  []pair
	text   []byte
}

func newLogfmt(c Config, pattern *textfield.TimePattern) (Parser, error) {
	if len(c.Fields) == 0 {
		return &logfmt{writer: data.NewRowWriter(restSchema)}, nil
	}
	columns, err := fields(c, pattern)
	if err != nil {
		return nil, err
	}
	t, err := newTable(c, columns)
	if err != nil {
		return nil, err
	}
	return &logfmt{table: t, writer: t.writer}, nil
}

var errLogfmt = errors.New("the line has no key=value pair, or a quoted value without end")

// Parse implements Parser.
func (l *logfmt) Parse(dst, line []byte) ([]byte, data.Datum, int64, error) {
	if !l.split(line) {
		return dst, data.Datum{}, 0, errLogfmt
	}
	if l.table == nil {
		l.writer.Reset(dst)
		if err := writeRest(l.writer, l.pairs); err != nil {
			return dst, data.Datum{}, 0, err
		}
		buf, _, err := l.writer.Finish()
		if err != nil {
			return dst, data.Datum{}, 0, err
		}
		return buf, data.Datum{Schema: restSchema, State: data.Present, Row: buf[len(dst):len(buf):len(buf)]}, data.NoTimestamp, nil
	}
	l.reset()
	extra := l.pairs[:0]
	for _, p := range l.pairs {
		if i, ok := l.index[string(p.key)]; ok {
			l.cells[i] = cell{text: p.value, set: true, null: p.null}
		} else {
			extra = append(extra, p)
		}
	}
	ms, err := l.begin(dst)
	if err == nil && l.rest {
		err = writeRest(l.writer, extra)
	}
	if err != nil {
		return dst, data.Datum{}, 0, err
	}
	buf, d, err := l.finish(dst)
	return buf, d, ms, err
}

// split finds the pairs. A key alone is one without a value; at least one pair
// must have one, or any text would be logfmt.
func (l *logfmt) split(b []byte) bool {
	l.pairs, l.text = l.pairs[:0], l.text[:0]
	some := false
	for {
		b = bytes.TrimLeft(b, " \t")
		if len(b) == 0 {
			return some
		}
		n := bytes.IndexAny(b, "= \t")
		if n == 0 {
			return false
		}
		if n < 0 {
			n = len(b)
		}
		p := pair{key: b[:n]}
		if b = b[n:]; len(b) == 0 || b[0] != '=' {
			p.null = true
			l.pairs = append(l.pairs, p)
			continue
		}
		b, some = b[1:], true
		if len(b) > 0 && b[0] == '"' {
			s := scanner{b: b}
			p.value = s.text(&l.text)
			if s.err != nil {
				return false
			}
			b = b[s.i:]
		} else {
			if n = bytes.IndexAny(b, " \t"); n < 0 {
				n = len(b)
			}
			p.value, b = b[:n], b[n:]
		}
		l.pairs = append(l.pairs, p)
	}
}

// csv reads lines of separated values. A quoted value that spans lines is not
// one line; multiline rules can make it one.
type csv struct {
	*table
	split textfield.Splitter
}

func newCSV(c Config, pattern *textfield.TimePattern) (Parser, error) {
	columns, err := fields(c, pattern)
	if err != nil {
		return nil, err
	}
	if len(columns) == 0 {
		return nil, bad("parser.fields", "parser=%s needs the names of the columns", c.Kind)
	}
	p := &csv{split: textfield.Splitter{Separator: ',', Quote: '"'}}
	if c.Kind == "tsv" {
		p.split = textfield.Splitter{Separator: '\t', Escaped: true}
	}
	for _, k := range []struct {
		key, value string
		into       *byte
	}{{"parser.separator", c.Separator, &p.split.Separator}, {"parser.quote", c.Quote, &p.split.Quote}} {
		if len(k.value) > 1 {
			return nil, bad(k.key, "it is one character of ASCII")
		}
		if k.value != "" {
			*k.into = k.value[0]
		}
	}
	p.table, err = newTable(c, columns)
	return p, err
}

var (
	errQuote = errors.New("a quoted value has no end")
	errWidth = errors.New("the line has another number of values than there are columns")
)

// Parse implements Parser.
func (p *csv) Parse(dst, line []byte) ([]byte, data.Datum, int64, error) {
	p.reset()
	values, ok := p.split.Split(line)
	switch {
	case !ok:
		return dst, data.Datum{}, 0, errQuote
	case len(values) != len(p.columns):
		return dst, data.Datum{}, 0, errWidth
	}
	for i, v := range values {
		p.set(i, v.Text)
	}
	return p.row(dst)
}
