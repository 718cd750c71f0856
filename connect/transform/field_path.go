package transform

import (
	"fmt"
	"strings"

	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
)

// maxFieldPath bounds the paths that are accepted.
const maxFieldPath = 4 << 10

var syntaxVersion = configdef.Key{Name: "field.syntax.version", Type: configdef.String, Default: "V1", Importance: configdef.High,
	Rules: []configdef.Rule{configdef.OneOfFold("V1", "V2")},
	Doc:   "V1: a field name, dots included. V2: a path whose steps are separated by dots; a step with dots in it stands in backticks."}

// fieldPath is the way to a field, nested ones included (KIP-821).
type fieldPath []string

// parseFieldPath reads a path in a version of the syntax.
func parseFieldPath(text, version string) (fieldPath, error) {
	if !strings.EqualFold(version, "V2") {
		return fieldPath{text}, nil
	}
	if len(text) > maxFieldPath {
		return nil, fmt.Errorf("field path of %d bytes is longer than %d", len(text), maxFieldPath)
	}
	var path fieldPath
	for rest := text; ; {
		step, after, err := pathStep(rest)
		if err != nil {
			return nil, fmt.Errorf("%w: [%s]", err, text)
		}
		path = append(path, step)
		if after == "" {
			return path, nil
		}
		rest = after[1:]
	}
}

// pathStep reads one step. after is what follows, from the dot on.
func pathStep(text string) (step, after string, err error) {
	if !strings.HasPrefix(text, "`") {
		i := strings.IndexByte(text, '.')
		if i < 0 {
			i = len(text)
		}
		return text[:i], text[i:], nil
	}
	// A backtick closes only before a dot or the end; one that a backslash
	// escapes there is text.
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		last := i+1 == len(text) || text[i+1] == '.'
		switch {
		case text[i] == '\\' && i+1 < len(text) && text[i+1] == '`' && (i+2 == len(text) || text[i+2] == '.'):
			b.WriteByte('`')
			i++
		case text[i] == '`' && last:
			return b.String(), text[i+1:], nil
		default:
			b.WriteByte(text[i])
		}
	}
	return "", "", fmt.Errorf("Incomplete backtick pair in path")
}

// in reads the field from a struct whose schema has it; a null on the way is
// a null.
func (p fieldPath) in(v *data.Struct, withDefaults bool) any {
	for i, name := range p {
		f, _ := v.Schema().Field(name)
		x := fieldOf(v, f.Index, withDefaults)
		if i == len(p)-1 {
			return x
		}
		next, ok := x.(*data.Struct)
		if !ok {
			return nil
		}
		v = next
	}
	return nil
}

// inMap reads the field from nested maps; what is missing is null.
func (p fieldPath) inMap(m map[string]any) any {
	for i, name := range p {
		if i == len(p)-1 {
			return m[name]
		}
		next, ok := m[name].(map[string]any)
		if !ok {
			return nil
		}
		m = next
	}
	return nil
}
