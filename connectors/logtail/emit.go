package logtail

import (
	"bytes"
	"path/filepath"
	"strings"

	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// What becomes of lines that the parser refuses (parser.on.error).
const (
	rawLine  = "raw"
	dropLine = "drop"
	failTask = "fail"
	deadLine = "dlq"
)

// perRecord is what a record takes on its way beside its rows, about.
const perRecord = 48

// emit appends a record of a line, or of the lines of a group, that begins at a
// position of the file.
func (t *task) emit(f *file, text []byte, at int64) {
	decoded, valid := f.decoder.Decode(text)
	if !valid {
		t.count.invalid.Add(1)
	}
	if decoded = t.trimmed(decoded); t.grouping != nil && t.trim && bytes.IndexByte(decoded, '\r') >= 0 {
		decoded = bytes.ReplaceAll(decoded, []byte("\r\n"), []byte("\n"))
	}
	m := t.metaOf(f)
	r := data.Record{Topic: m.topic, Partition: data.NoPartition, Timestamp: t.stamp, Position: data.NoPosition, Key: m.key}
	if t.parser == nil {
		r.Value = t.text(decoded)
	} else if !t.parsed(f, &r, decoded, at) {
		return
	}
	first := len(t.headers)
	t.headers = append(t.headers, m.headers[0], m.headers[1], data.Header{Name: "file.offset", Value: t.number(at)}, m.headers[2])
	r.Headers = append(t.headers[first:len(t.headers):len(t.headers)], r.Headers...)
	f.last = len(t.batch.Records)
	t.batch.Records = append(t.batch.Records, r)
	t.size += len(r.Value.Row) + m.size + perRecord
	t.count.lines.Add(1)
}

// trimmed takes the carriage return off the end of a line.
func (t *task) trimmed(b []byte) []byte {
	if t.trim && len(b) > 0 && b[len(b)-1] == '\r' {
		return b[:len(b)-1]
	}
	return b
}

// parsed gives a record the value that the parser makes of a line, and reports
// whether there is a record.
func (t *task) parsed(f *file, r *data.Record, text []byte, at int64) bool {
	buf, value, ms, err := t.parser.Parse(t.arena, text)
	if err == nil {
		t.arena, r.Value = buf, value
		if ms != data.NoTimestamp {
			r.Timestamp = ms
		}
		return true
	}
	t.count.unparsed.Add(1)
	switch t.onError {
	case dropLine:
		t.count.discarded.Add(1)
		return false
	case failTask:
		t.fatal = sdk.Fatal(&lineError{path: f.path, at: at, err: err})
		return false
	case deadLine:
		r.Topic = t.deadTopic
	}
	r.Value = t.text(text)
	r.Headers = []data.Header{{Name: "parse.error", Value: t.text([]byte(err.Error()))}}
	return true
}

// lineError is a line that the parser refuses where that ends the task.
type lineError struct {
	path string
	at   int64
	err  error
}

// Error says which line, and what can be done.
func (e *lineError) Error() string {
	var b strings.Builder
	b.WriteString(e.path)
	b.WriteString(" at ")
	b.Write(appendInt(nil, e.at))
	b.WriteString(": ")
	b.WriteString(e.err.Error())
	b.WriteString(": correct the parser's keys, or set parser.on.error to raw, dlq or drop")
	return b.String()
}

// Unwrap returns what the parser found.
func (e *lineError) Unwrap() error { return e.err }

// metaOf returns what all records of a file have, made anew when its path
// changes.
func (t *task) metaOf(f *file) *meta {
	if f.meta != nil {
		return f.meta
	}
	m := &meta{topic: t.topicOf(f.path)}
	own := func(s string) data.Datum {
		d := t.text([]byte(s))
		d.Row = bytes.Clone(d.Row)
		return d
	}
	m.headers = [3]data.Header{
		{Name: "file.path", Value: own(f.path)}, {Name: "file.name", Value: own(filepath.Base(f.path))}, {Name: "host", Value: own(t.host)},
	}
	for _, h := range m.headers {
		m.size += len(h.Value.Row)
	}
	switch t.keyMode {
	case "file.path":
		m.key = m.headers[0].Value
	case "host":
		m.key = m.headers[2].Value
	}
	m.size += len(m.key.Row)
	f.meta = m
	return m
}

func (t *task) text(s []byte) data.Datum {
	start := len(t.arena)
	t.textRow.Reset(t.arena)
	t.textRow.TextBytes(s)
	t.arena, _, _ = t.textRow.Finish() // one text in a text schema cannot fail
	return data.Datum{Schema: data.StringSchema, State: data.Present, Row: t.arena[start:len(t.arena):len(t.arena)]}
}

func (t *task) number(n int64) data.Datum {
	start := len(t.arena)
	t.numberRow.Reset(t.arena)
	t.numberRow.Int64(n)
	t.arena, _, _ = t.numberRow.Finish() // one number in a number schema cannot fail
	return data.Datum{Schema: data.Int64Schema, State: data.Present, Row: t.arena[start:len(t.arena):len(t.arena)]}
}

func (t *task) topicOf(path string) string {
	if !strings.Contains(t.topic, "${") {
		return t.topic
	}
	name := strings.NewReplacer("${file.name}", filepath.Base(path), "${dir}", filepath.Base(filepath.Dir(path))).Replace(t.topic)
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-' {
			return r
		}
		return '_'
	}, name)
}

// setPath notes where a file is.
func (t *task) setPath(f *file, path string) {
	if t.paths[f.path] == f {
		delete(t.paths, f.path)
	}
	if f.path != path {
		f.meta = nil
	}
	f.path = path
	t.paths[path] = f
}
