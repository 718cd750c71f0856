package transform

import (
	"strings"

	"github.com/millrace/millrace/plugins/data"
)

// isEnvelope reports whether a schema is that of Debezium's change events,
// which is decided by the end of its name. Schemaless records never are.
func isEnvelope(s *data.Schema) bool {
	return s != nil && s.Type() == data.TypeStruct && strings.HasSuffix(s.Name(), ".Envelope")
}

// fieldIndex returns the index of a field, -1 if the schema has none of the
// name or is no struct.
func fieldIndex(s *data.Schema, name string) int {
	if f, ok := s.Field(name); ok {
		return f.Index
	}
	return -1
}

// structField returns a field that holds a struct, nil if there is none or it
// is null.
func structField(v *data.Struct, name string) *data.Struct {
	if v == nil {
		return nil
	}
	x, err := v.GetWithoutDefault(name)
	if err != nil {
		return nil
	}
	s, _ := x.(*data.Struct)
	return s
}

// textField returns a field that holds text.
func textField(v *data.Struct, name string) (string, bool) {
	if v == nil {
		return "", false
	}
	text, ok, err := v.Text(name)
	return text, ok && err == nil
}
