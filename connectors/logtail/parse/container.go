package parse

import (
	"bytes"
	"errors"

	"github.com/millrace/millrace/connectors/textfield"
	"github.com/millrace/millrace/plugins/data"
)

// container reads what runtimes of containers write: CRI, of containerd and
// CRI-O, and Docker's json-file. A message that the runtime has cut into several
// lines comes as these lines together (see Partial).
//
//	2016-10-06T00:17:09.669794202Z stdout P begin
//	2016-10-06T00:17:09.669794203Z stdout F end
//	{"log":"text\n","stream":"stdout","time":"2016-10-06T00:17:09.669794202Z"}
type container struct {
	*table
	piece func(*container, []byte) (piece, bool)
	text  []byte // of messages of several pieces, and with escapes
	whole []byte
	json  *memberJSON
}

// piece is one line.
type piece struct {
	time, stream, text []byte
	partial            bool
}

// Columns of a message, in the order of the schema.
const (
	containerTime = iota
	containerStream
	containerText
)

func newContainer(c Config) (Parser, error) {
	p := &container{piece: (*container).cri}
	columns := []textfield.Column{{Name: "time", Kind: textfield.Timestamp, Required: true}, {Name: "stream", Required: true}, {Name: "log", Required: true}}
	if c.SchemaName == "" {
		c.SchemaName = "container"
	}
	c.TimeField = "time"
	var err error
	if p.table, err = newTable(c, columns); err != nil || c.Kind == CRI {
		return p, err
	}
	p.piece = (*container).docker
	p.json = newDockerJSON(p.table)
	return p, nil
}

func newDockerJSON(t *table) *memberJSON {
	return &memberJSON{table: t, root: newMembers([]textfield.Column{{Name: "time"}, {Name: "stream"}, {Name: "log"}})}
}

var errContainer = errors.New("the line is not of the format of a container's log")

// Parse implements Parser.
func (c *container) Parse(dst, lines []byte) ([]byte, data.Datum, int64, error) {
	c.text, c.whole = c.text[:0], c.whole[:0]
	line, rest, several := bytes.Cut(lines, []byte{'\n'})
	first, ok := c.piece(c, line)
	text := first.text
	for several && ok {
		if len(c.whole) == 0 {
			c.whole = append(c.whole, first.text...)
		}
		var next piece
		line, rest, several = bytes.Cut(rest, []byte{'\n'})
		next, ok = c.piece(c, line)
		c.whole = append(c.whole, next.text...)
		text = c.whole
	}
	if !ok {
		return dst, data.Datum{}, 0, errContainer
	}
	c.reset()
	c.set(containerTime, first.time)
	c.set(containerStream, first.stream)
	c.set(containerText, text)
	return c.row(dst)
}

// cri takes a line of CRI apart.
func (c *container) cri(line []byte) (p piece, ok bool) { return criPiece(line) }

func criPiece(line []byte) (p piece, ok bool) {
	var tags []byte
	if p.time, line, ok = word(line); !ok {
		return p, false
	}
	if p.stream, line, ok = word(line); !ok {
		return p, false
	}
	// An empty message may have lost the blank before it.
	if tags, p.text, ok = word(line); !ok && len(tags) == 0 {
		return p, false
	}
	tag, _, _ := bytes.Cut(tags, []byte{':'})
	p.partial = string(tag) == "P"
	return p, p.partial || string(tag) == "F"
}

// docker takes a line of json-file apart.
func (c *container) docker(line []byte) (p piece, ok bool) {
	c.reset()
	in := scanner{b: line}
	c.json.text = c.text
	c.json.object(&in, c.json.root, true)
	c.text = c.json.text
	if in.space(); in.err != nil || in.i < len(line) {
		return p, false
	}
	p.time, p.stream = c.cells[containerTime].text, c.cells[containerStream].text
	text, ended := bytes.CutSuffix(c.cells[containerText].text, []byte{'\n'})
	p.text, p.partial = text, !ended
	return p, c.cells[containerText].set && c.cells[containerTime].set && c.cells[containerStream].set
}

// Partial tells whether a line of a container's log is one whose message goes on
// in the next, and of which stream it is: 1 for standard output, 2 for the rest.
func Partial(kind string) func(line []byte) (partial bool, stream byte) {
	number := func(p piece, ok bool) (bool, byte) {
		switch {
		case !ok:
			return false, 0
		case string(p.stream) == "stdout":
			return p.partial, 1
		}
		return p.partial, 2
	}
	if kind == CRI {
		return func(line []byte) (bool, byte) { return number(criPiece(line)) }
	}
	t := &table{cells: make([]cell, 3)}
	c := &container{table: t, json: newDockerJSON(t)}
	return func(line []byte) (bool, byte) {
		c.text = c.text[:0]
		return number(c.docker(line))
	}
}
