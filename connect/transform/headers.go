package transform

import (
	"slices"

	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
)

var dropHeadersDef = configdef.Def{
	{Name: "headers", Type: configdef.List, Required: true, Importance: configdef.High,
		Rules: []configdef.Rule{configdef.NonEmpty()}, Doc: "Names of the headers to remove."},
}

// dropHeaders is Kafka's DropHeaders.
type dropHeaders struct{ names []string }

func newDropHeaders(_ settings, c configdef.Config) (Transform, error) {
	return dropHeaders{c.List("headers")}, nil
}

// Apply never drops a record.
func (t dropHeaders) Apply(r *Record) (bool, error) {
	r.Headers = without(r.Headers, func(name string) bool { return slices.Contains(t.names, name) })
	return true, nil
}

// without returns the list without some headers, itself if none of them is
// there.
func without(headers []data.Header, drop func(name string) bool) []data.Header {
	if !slices.ContainsFunc(headers, func(h data.Header) bool { return drop(h.Name) }) {
		return headers
	}
	var out []data.Header
	for _, h := range headers {
		if !drop(h.Name) {
			out = append(out, h)
		}
	}
	return out
}

var insertHeaderDef = configdef.Def{
	{Name: "header", Type: configdef.String, Required: true, Importance: configdef.High,
		Rules: []configdef.Rule{configdef.NonNull()}, Doc: "Name of the header."},
	{Name: "value.literal", Type: configdef.String, Required: true, Importance: configdef.High,
		Rules: []configdef.Rule{configdef.NonNull()}, Doc: "The value, whose type is guessed from the text."},
}

// insertHeader is Kafka's InsertHeader: adds a header, also beside others of
// its name.
type insertHeader struct {
	name   string
	schema *data.Schema
	value  any
}

func newInsertHeader(s settings, c configdef.Config) (Transform, error) {
	if s.ParseValue == nil {
		return nil, errNoParser
	}
	t := insertHeader{name: c.String("header")}
	t.schema, t.value = s.ParseValue(c.String("value.literal"))
	return t, nil
}

// Apply never drops a record.
func (t insertHeader) Apply(r *Record) (bool, error) {
	return true, r.addHeader(t.name, t.schema, t.value)
}
