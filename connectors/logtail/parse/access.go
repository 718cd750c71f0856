package parse

import (
	"bytes"
	"errors"

	"github.com/millrace/millrace/connectors/textfield"
	"github.com/millrace/millrace/plugins/data"
)

// access reads the logs of web servers: common, and combined, which is also
// what nginx writes where nothing else is configured.
//
//	1.2.3.4 - joe [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.0" 200 2326 "https://b/" "Mozilla/5.0"
//
// Text within quotes stays as the server has escaped it.
type access struct {
	*table
	combined bool
}

// Columns of a request, in the order of the schema.
const (
	accessHost = iota
	accessIdent
	accessUser
	accessTime
	accessRequest
	accessMethod
	accessPath
	accessProtocol
	accessStatus
	accessBytes
	accessReferer
	accessAgent
	accessExtra
)

func newAccess(c Config, combined bool) (Parser, error) {
	clf, err := textfield.CompileTime("clf")
	if err != nil {
		return nil, err
	}
	columns := []textfield.Column{
		{Name: "remote_addr", Required: true}, {Name: "ident"}, {Name: "remote_user"},
		{Name: "time", Kind: textfield.Timestamp, Time: clf, Required: true},
		{Name: "request", Required: true}, {Name: "method"}, {Name: "path"}, {Name: "protocol"},
		{Name: "status", Kind: textfield.Int32, Required: true}, {Name: "body_bytes", Kind: textfield.Int64},
	}
	if combined {
		columns = append(columns, textfield.Column{Name: "referer"}, textfield.Column{Name: "user_agent"}, textfield.Column{Name: "extra"})
	}
	if c.SchemaName == "" {
		c.SchemaName = "access"
	}
	c.TimeField = "time"
	t, err := newTable(c, columns)
	return &access{t, combined}, err
}

var errAccess = errors.New("the line is not of the format of a web server's access log")

// Parse implements Parser.
func (a *access) Parse(dst, line []byte) ([]byte, data.Datum, int64, error) {
	a.reset()
	if !a.split(line) {
		return dst, data.Datum{}, 0, errAccess
	}
	return a.row(dst)
}

func (a *access) split(b []byte) bool {
	var ok bool
	var text []byte
	for i := accessHost; i <= accessUser; i++ {
		if text, b, ok = word(b); !ok {
			return false
		}
		a.value(i, text)
	}
	if a.cells[accessHost].null {
		return false
	}
	if text, b, ok = enclosed(b, '[', ']'); !ok {
		return false
	}
	a.set(accessTime, text)
	if text, b, ok = enclosed(b, '"', '"'); !ok {
		return false
	}
	a.request(text)
	if text, b, ok = word(b); !ok {
		return false
	}
	a.set(accessStatus, text)
	text, b, _ = word(b)
	a.value(accessBytes, text)
	if !a.combined {
		return len(text) > 0 && len(b) == 0
	}
	for i := accessReferer; i <= accessAgent; i++ {
		if text, b, ok = enclosed(b, '"', '"'); !ok {
			return false
		}
		a.value(i, text)
	}
	if len(b) > 0 {
		a.set(accessExtra, b)
	}
	return true
}

// value sets a column that is a hyphen where there is nothing.
func (a *access) value(i int, text []byte) {
	a.cells[i] = cell{text: text, set: true, null: len(text) == 1 && text[0] == '-'}
}

// request takes a request line apart. What is none, as when a client speaks
// something else than HTTP, has no parts.
func (a *access) request(line []byte) {
	a.set(accessRequest, line)
	method, rest, ok := bytes.Cut(line, []byte{' '})
	if !ok {
		return
	}
	end := bytes.LastIndexByte(rest, ' ')
	if end < 0 {
		return
	}
	a.set(accessMethod, method)
	a.set(accessPath, rest[:end])
	a.set(accessProtocol, rest[end+1:])
}

// word takes what is before a blank, and the blank. ok is false at the end.
func word(b []byte) (text, rest []byte, ok bool) {
	i := bytes.IndexByte(b, ' ')
	if i < 0 {
		return b, nil, false
	}
	return b[:i], b[i+1:], i > 0
}

// enclosed takes what is between two marks, and a blank behind it. A mark behind
// a backslash is text.
func enclosed(b []byte, left, right byte) (text, rest []byte, ok bool) {
	if len(b) < 2 || b[0] != left {
		return nil, nil, false
	}
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case right:
			return b[1:i], bytes.TrimPrefix(b[i+1:], []byte{' '}), true
		}
	}
	return nil, nil, false
}
