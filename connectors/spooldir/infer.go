package spooldir

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/millrace/millrace/connectors/textfield"
	"github.com/millrace/millrace/plugins/data"
)

// guess is what all values of a column seen so far are.
type guess struct {
	name, kind                                  string
	some                                        bool // there is a value
	notBool, notInt, notFloat, notDate, notTime bool
}

// see takes in a value's text.
func (g *guess) see(text []byte, c *settings) {
	if len(text) == 0 {
		return
	}
	g.some = true
	if _, ok := textfield.ParseBool(text); !ok {
		g.notBool = true
	}
	// A number with a leading zero is a name made of digits, as a postcode.
	if _, ok := textfield.ParseInt(text); !ok || text[0] == '+' || len(text) > 1 && text[0] == '0' {
		g.notInt = true
	}
	if !g.notFloat {
		var col = textfield.Column{Kind: textfield.Float64}
		w := data.NewRowWriter(data.Float64Schema)
		w.Reset(nil)
		g.notFloat = len(text) > 1 && text[0] == '0' && text[1] != '.' || col.Write(w, text) != nil
	}
	if ms, ok := parseTime(text, c.formats); !ok {
		g.notDate, g.notTime = true, true
	} else if len(text) != len("2006-01-02") || ms%86400000 != 0 {
		g.notDate = true
	}
}

func (g *guess) schema() *data.Schema {
	switch {
	case !g.some:
		return data.OptionalStringSchema
	case !g.notBool:
		return data.OptionalBooleanSchema
	case !g.notInt:
		return data.OptionalInt64Schema
	case !g.notFloat:
		return data.OptionalFloat64Schema
	case !g.notDate:
		return data.OptionalDateSchema
	case !g.notTime:
		return data.OptionalTimestampSchema
	}
	return data.OptionalStringSchema
}

// inferSchema reads a file to see what its schema is: the same whenever it is
// read, since files do not change.
func (c *settings) inferSchema(path string) (*data.Schema, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // nothing is written
	in, err := decompress(path, f)
	if err != nil {
		return nil, &fileError{err}
	}
	var columns []*guess
	if c.kind == jsonFiles {
		columns, err = c.inferJSON(in)
	} else {
		columns, err = c.inferCSV(in)
	}
	if err != nil {
		return nil, err
	}
	b := data.NewStructBuilder().Name(c.generate.value)
	for _, g := range columns {
		b.Field(g.name, g.schema())
	}
	s, err := b.Build()
	if err != nil {
		return nil, &fileError{err}
	}
	return s, nil
}

// inferCSV looks at all records, or at the first alone where every column is
// text.
func (c *settings) inferCSV(in io.Reader) ([]*guess, error) {
	options := c.csv
	options.header = false
	placeholder := *c
	placeholder.csv = options
	placeholder.valueSchema = data.NewStructBuilder().Field("x", data.OptionalStringSchema).MustBuild()
	r, err := placeholder.newCSVReader(in)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	records := r.(*csvReader) // it makes no other where there is no header
	var columns []*guess
	for n := 0; ; n++ {
		values, err := records.values1()
		switch {
		case errors.Is(err, io.EOF):
			return columns, nil
		case err != nil:
			return nil, err
		case n == 0:
			columns = names(values, c.csv.header)
			if c.csv.header {
				continue
			}
		}
		if !c.generate.infer {
			for _, g := range columns {
				g.some = true
				g.notBool, g.notInt, g.notFloat, g.notDate, g.notTime = true, true, true, true, true
			}
			return columns, nil
		}
		for i, v := range values {
			if i < len(columns) {
				columns[i].see(v.Text, c)
			}
		}
	}
}

// names are the columns' names: of the header, or column01 and so on.
func names(values []textfield.Value, header bool) []*guess {
	var out []*guess
	for i, v := range values {
		name := fmt.Sprintf("column%02d", i+1)
		if header {
			name = string(v.Text)
		}
		out = append(out, &guess{name: strings.TrimSpace(name)})
	}
	return out
}

// inferJSON looks at the members of all objects. Members that are objects or
// arrays cannot be inferred.
func (c *settings) inferJSON(in io.Reader) ([]*guess, error) {
	values := &jsonValues{in: bufio.NewReaderSize(in, 64<<10)}
	var columns []*guess
	for {
		text, err := values.next()
		if errors.Is(err, io.EOF) {
			return columns, nil
		}
		if err != nil {
			return nil, &fileError{err}
		}
		v, err := data.SchemalessFromJSON(text)
		if err != nil {
			return nil, &fileError{err}
		}
		object, ok := v.(map[string]any)
		if !ok {
			return nil, badFile("a value is no object: %.80q", text)
		}
		for name, v := range object {
			i := slices.IndexFunc(columns, func(g *guess) bool { return g.name == name })
			if i < 0 {
				i = len(columns)
				columns = append(columns, &guess{name: name})
			}
			if err := columns[i].seeJSON(v); err != nil {
				return nil, err
			}
		}
		slices.SortFunc(columns, func(a, b *guess) int { return strings.Compare(a.name, b.name) })
	}
}

// seeJSON takes in a member. JSON says which kind it is: text stays text.
func (g *guess) seeJSON(v any) error {
	kind := ""
	g.notDate, g.notTime = true, true
	switch v.(type) {
	case nil:
		return nil
	case bool:
		kind = "a truth value"
	case int64:
		kind = "a number"
		g.notBool = true
	case float64:
		kind = "a number"
		g.notBool, g.notInt = true, true
	case string:
		kind = "text"
		g.notBool, g.notInt, g.notFloat = true, true, true
	default:
		return badFile("member %q is an object or an array, whose schema is not inferred: set value.schema", g.name)
	}
	if g.some && g.kind != kind {
		return badFile("member %q is %s in one object and %s in another: set value.schema", g.name, g.kind, kind)
	}
	g.some, g.kind = true, kind
	return nil
}
