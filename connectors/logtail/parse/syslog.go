package parse

import (
	"bytes"
	"errors"

	"github.com/millrace/millrace/connectors/textfield"
	"github.com/millrace/millrace/plugins/data"
)

// syslog reads lines of syslog: RFC 5424, RFC 3164, and what daemons write into
// files, which is the latter without a priority and perhaps with a time of ISO
// 8601.
//
//	<34>1 2003-10-11T22:14:15.003Z host app 111 ID47 [x@1 a="b"] text
//	<34>Oct 11 22:14:15 host app[111]: text
//	2024-01-02T03:04:05.678+00:00 host app[111]: text
type syslog struct {
	*table
	old, new bool // which RFC
	months   *textfield.TimePattern
	pairs    []pair
	names    []byte
	numbers  []byte
}

// Columns of a message, in the order of the schema.
const (
	syslogPriority = iota
	syslogFacility
	syslogSeverity
	syslogTime
	syslogHost
	syslogApp
	syslogProc
	syslogMessageID
	syslogMessage
)

func newSyslog(c Config) (Parser, error) {
	months, err := textfield.CompileTime("syslog")
	if err != nil {
		return nil, err
	}
	columns := []textfield.Column{
		{Name: "priority", Kind: textfield.Int32}, {Name: "facility", Kind: textfield.Int32}, {Name: "severity", Kind: textfield.Int32},
		{Name: "time", Kind: textfield.Timestamp}, {Name: "hostname"}, {Name: "app_name"}, {Name: "proc_id"}, {Name: "msg_id"},
		{Name: "message"},
	}
	if c.SchemaName == "" {
		c.SchemaName = "syslog"
	}
	c.TimeField, c.Rest = "time", "structured_data"
	s := &syslog{old: c.Kind != "syslog-rfc5424", new: c.Kind != "syslog-rfc3164", months: months}
	s.table, err = newTable(c, columns)
	return s, err
}

var errSyslog = errors.New("the line is no message of syslog")

// Parse implements Parser.
func (s *syslog) Parse(dst, line []byte) ([]byte, data.Datum, int64, error) {
	s.reset()
	s.pairs, s.names, s.numbers = s.pairs[:0], s.names[:0], s.numbers[:0]
	s.columns[syslogTime].Time = nil
	b, tagged, ok := s.priority(line)
	switch {
	case !ok:
	case s.new && tagged && bytes.HasPrefix(b, []byte("1 ")):
		ok = s.rfc5424(b[2:])
	default:
		ok = s.old && s.rfc3164(b)
	}
	if !ok {
		return dst, data.Datum{}, 0, errSyslog
	}
	ms, err := s.begin(dst)
	if err == nil {
		err = writeRest(s.writer, s.pairs)
	}
	if err != nil {
		return dst, data.Datum{}, 0, err
	}
	buf, d, err := s.finish(dst)
	return buf, d, ms, err
}

// priority reads <PRI>, if it is there.
func (s *syslog) priority(b []byte) (rest []byte, tagged, ok bool) {
	if len(b) == 0 || b[0] != '<' {
		return b, false, true
	}
	end := bytes.IndexByte(b, '>')
	if end < 2 || end > 4 {
		return b, false, false
	}
	n, ok := textfield.ParseInt(b[1:end])
	if !ok || n < 0 || n > 191 {
		return b, false, false
	}
	s.set(syslogPriority, b[1:end])
	s.number(syslogFacility, byte(n>>3))
	s.number(syslogSeverity, byte(n&7))
	return b[end+1:], true, true
}

// number sets a column to a number below 100.
func (s *syslog) number(i int, n byte) {
	at := len(s.numbers)
	if n >= 10 {
		s.numbers = append(s.numbers, '0'+n/10)
	}
	s.numbers = append(s.numbers, '0'+n%10)
	s.set(i, s.numbers[at:])
}

// rfc5424 reads what is behind the version. A hyphen is no value.
func (s *syslog) rfc5424(b []byte) bool {
	for i := syslogTime; i <= syslogMessageID; i++ {
		text, rest, ok := word(b)
		if !ok {
			return false
		}
		s.cells[i] = cell{text: text, set: true, null: string(text) == "-"}
		b = rest
	}
	switch {
	case len(b) == 0:
		return false
	case b[0] == '-':
		b = b[1:]
	default:
		var ok bool
		if b, ok = s.structured(b); !ok {
			return false
		}
	}
	if len(b) == 0 {
		return true
	}
	if b[0] != ' ' {
		return false
	}
	s.set(syslogMessage, bytes.TrimPrefix(b[1:], []byte("\xef\xbb\xbf")))
	return true
}

// structured reads elements [id a="b" c="d"], whose values become id.a and id.c.
func (s *syslog) structured(b []byte) (rest []byte, ok bool) {
	for len(b) > 0 && b[0] == '[' {
		n := bytes.IndexAny(b, " ]")
		if n < 2 {
			return b, false
		}
		id := b[1:n]
		for b = b[n:]; len(b) > 0 && b[0] == ' '; {
			eq := bytes.IndexByte(b, '=')
			if eq < 2 {
				return b, false
			}
			value, size, ok := s.quoted(b[eq+1:])
			if !ok {
				return b, false
			}
			at := len(s.names)
			s.names = append(append(append(s.names, id...), '.'), b[1:eq]...)
			s.pairs = append(s.pairs, pair{key: s.names[at:len(s.names):len(s.names)], value: value})
			b = b[eq+1+size:]
		}
		if len(b) == 0 || b[0] != ']' {
			return b, false
		}
		b = b[1:]
	}
	return b, true
}

// quoted reads a value, in which a backslash is before quotes, brackets and
// itself.
func (s *syslog) quoted(b []byte) (value []byte, size int, ok bool) {
	text, _, ok := enclosed(b, '"', '"')
	if !ok {
		return nil, 0, false
	}
	size = len(text) + 2
	if bytes.IndexByte(text, '\\') < 0 {
		return text, size, true
	}
	at := len(s.names)
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) && (text[i+1] == '"' || text[i+1] == '\\' || text[i+1] == ']') {
			i++
		}
		s.names = append(s.names, text[i])
	}
	return s.names[at:len(s.names):len(s.names)], size, true
}

// shortTime is how long a time of RFC 3164 is: Oct 11 22:14:15.
const shortTime = 15

// rfc3164 reads time, host, tag and text.
func (s *syslog) rfc3164(b []byte) bool {
	if len(b) > shortTime && b[shortTime] == ' ' {
		if _, ok := s.months.Millis(b[:shortTime]); ok {
			s.columns[syslogTime].Time = s.months
			s.set(syslogTime, b[:shortTime])
			b = b[shortTime+1:]
		}
	}
	if !s.cells[syslogTime].set {
		text, rest, ok := word(b)
		if !ok {
			return false
		}
		if _, ok := textfield.ISOMillis(text); !ok {
			return false
		}
		s.set(syslogTime, text)
		b = rest
	}
	host, b, ok := word(b)
	if !ok {
		return false
	}
	s.set(syslogHost, host)
	s.tag(b)
	return true
}

// tag reads app[pid]: and the text behind it. Without one all is text.
func (s *syslog) tag(b []byte) {
	end := bytes.IndexAny(b, "[: ")
	if end <= 0 || b[end] == ' ' {
		s.set(syslogMessage, b)
		return
	}
	app, rest := b[:end], b[end:]
	if rest[0] == '[' {
		close := bytes.Index(rest, []byte("]:"))
		if close < 0 {
			s.set(syslogMessage, b)
			return
		}
		s.set(syslogProc, rest[1:close])
		rest = rest[close+1:]
	}
	s.set(syslogApp, app)
	s.set(syslogMessage, bytes.TrimPrefix(rest[1:], []byte{' '}))
}
