package httpsink

import (
	"net/url"
	"strings"

	"github.com/millrace/millrace/plugins/data"
)

// appendText appends a record's value as it is in a body.
func (s *settings) appendText(dst []byte, r *data.Record) ([]byte, error) {
	text, err := s.value(r.Value)
	if err != nil || len(s.rewrites) == 0 {
		return append(dst, text...), err
	}
	key, err := keyText(r.Key)
	if err != nil {
		return dst, err
	}
	escaped := func(v string) string { return strings.ReplaceAll(v, "$", "$$") }
	out := string(text)
	for _, re := range s.rewrites {
		with := javaGroup.ReplaceAllString(re.with, "$${$1}")
		with = strings.NewReplacer("${topic}", escaped(r.Topic), "${key}", escaped(key)).Replace(with)
		out = re.pattern.ReplaceAllString(out, with)
	}
	return append(dst, out...), nil
}

// value is a value as JSON or as text.
func (s *settings) value(d data.Datum) ([]byte, error) {
	options := data.JSONOptions{NumericDecimals: s.numeric}
	if d.IsNull() {
		return []byte("null"), nil
	}
	if d.Schema != nil {
		if s.json || s.aivenText && parts(d.Schema.Type()) {
			return data.AppendJSON(nil, d.Schema, d.Row, options)
		}
	}
	v, err := d.Value()
	if err != nil {
		return nil, err
	}
	switch x := v.(type) {
	case []byte:
		if !s.json {
			return x, nil
		}
	case map[string]any, []any:
		if s.aivenText {
			return data.AppendSchemalessJSON(nil, v, options)
		}
	}
	if s.json {
		return data.AppendSchemalessJSON(nil, v, options)
	}
	return []byte(data.Text(v)), nil
}

// parts reports whether values of a type hold others.
func parts(t data.Type) bool {
	return t == data.TypeStruct || t == data.TypeMap || t == data.TypeArray
}

// isJSON reports whether a record's value is JSON in the body.
func (s *settings) isJSON(d data.Datum) bool {
	return s.json || s.aivenText && d.Schema != nil && parts(d.Schema.Type())
}

func keyText(d data.Datum) (string, error) {
	v, err := d.Value()
	if err != nil {
		return "", err
	}
	return data.Text(v), nil
}

// address fills the address in. What comes of records is escaped, so that it
// stays where it is put.
func (s *settings) address(r *data.Record) (string, error) {
	if !strings.Contains(s.url, "${") {
		return s.url, nil
	}
	key, err := keyText(r.Key)
	if err != nil {
		return "", err
	}
	path, query, has := strings.Cut(s.url, "?")
	out := strings.NewReplacer("${topic}", url.PathEscape(r.Topic), "${key}", url.PathEscape(key)).Replace(path)
	if has {
		out += "?" + strings.NewReplacer("${topic}", url.QueryEscape(r.Topic), "${key}", url.QueryEscape(key)).Replace(query)
	}
	return out, nil
}

// group is what the records of one batch have in common.
func (s *settings) group(r *data.Record) (string, error) {
	if s.batch == 1 || s.batchKey == "" {
		return "", nil
	}
	key, err := keyText(r.Key)
	return strings.NewReplacer("${topic}", r.Topic, "${key}", key).Replace(s.batchKey), err
}
