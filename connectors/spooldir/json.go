package spooldir

import (
	"bufio"
	"errors"
	"io"

	"github.com/millrace/millrace/plugins/data"
)

// newJSONReader reads values of JSON that follow each other, on lines of their
// own or over several: by a schema, or as text.
func (c *settings) newJSONReader(in io.Reader) (reader, error) {
	values := &jsonValues{in: bufio.NewReaderSize(in, 64<<10)}
	var buf []byte
	if c.kind == anyJSONFiles {
		w := data.NewRowWriter(data.StringSchema)
		return &skipper{read: func() (data.Datum, error) {
			text, err := values.next()
			if err != nil {
				return data.Datum{}, err
			}
			if _, err := data.SchemalessFromJSON(text); err != nil {
				return data.Datum{}, err
			}
			buf = appendText(buf[:0], w, text)
			return data.Datum{Schema: data.StringSchema, State: data.Present, Row: buf}, nil
		}}, nil
	}
	if c.valueSchema == nil {
		return nil, errNoSchema
	}
	r := data.NewJSONReader(c.valueSchema, data.JSONOptions{})
	return &skipper{read: func() (data.Datum, error) {
		text, err := values.next()
		if err != nil {
			return data.Datum{}, err
		}
		var nullDefault bool
		if buf, nullDefault, err = r.Append(buf[:0], text); err != nil {
			return data.Datum{}, err
		}
		return data.Datum{Schema: c.valueSchema, State: data.Present, NullDefault: nullDefault, Row: buf}, nil
	}}, nil
}

// jsonValues finds the values of a stream. Whether they are JSON is for who
// reads them; here brackets and quotes are counted.
type jsonValues struct {
	in  *bufio.Reader
	buf []byte
}

var errTooLong = badFile("a value is longer than %d bytes", maxRecord)

func (v *jsonValues) next() ([]byte, error) {
	v.buf = v.buf[:0]
	depth, quoted, escaped := 0, false, false
	for {
		c, err := v.in.ReadByte()
		if err != nil {
			if errors.Is(err, io.EOF) && len(v.buf) > 0 {
				return v.buf, nil // if something is missing, the reader says what
			}
			return nil, err
		}
		space := c == ' ' || c == '\t' || c == '\n' || c == '\r'
		if space && depth == 0 && !quoted {
			if len(v.buf) > 0 {
				return v.buf, nil
			}
			continue
		}
		if v.buf = append(v.buf, c); len(v.buf) > maxRecord {
			return nil, errTooLong
		}
		switch {
		case escaped:
			escaped = false
		case quoted && c == '\\':
			escaped = true
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth--; depth <= 0 {
				return v.buf, nil
			}
		}
	}
}
