package configdef

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Hidden stands for the value of a PASSWORD wherever it is shown.
const Hidden = "[hidden]"

// Problem is one error of one key, in the words of Kafka's ConfigDef.
type Problem struct {
	Key  string
	Text string
}

// Error returns the text, which names the key.
func (p Problem) Error() string { return p.Text }

// invalid is the message about a value. Passwords are not repeated.
func (k Key) invalid(value any, why string) Problem {
	shown := "null"
	if value != nil {
		shown = format(value)
		if k.Type == Password {
			shown = Hidden
		}
	}
	return Problem{k.Name, fmt.Sprintf("Invalid value %s for configuration %s: %s", shown, k.Name, why)}
}

var parsers = map[Type]func(string) (any, string){
	Boolean:  parseBoolean,
	String:   func(s string) (any, string) { return strings.TrimSpace(s), "" },
	Class:    func(s string) (any, string) { return strings.TrimSpace(s), "" },
	Password: func(s string) (any, string) { return strings.TrimSpace(s), "" },
	List:     func(s string) (any, string) { return splitList(s), "" },
	Short:    integerParser(Short, 16),
	Int:      integerParser(Int, 32),
	Long:     integerParser(Long, 64),
	Double:   parseDouble,
}

func parseBoolean(s string) (any, string) {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "true":
		return true, ""
	case "false":
		return false, ""
	}
	return nil, "Expected value to be either true or false"
}

func integerParser(t Type, bits int) func(string) (any, string) {
	return func(s string) (any, string) {
		n, err := strconv.ParseInt(strings.TrimSpace(s), 10, bits)
		if err != nil {
			return nil, "Not a number of type " + string(t)
		}
		return n, ""
	}
}

func parseDouble(s string) (any, string) {
	s = strings.TrimSpace(s)
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || strings.ContainsAny(s, "_xX") {
		return nil, "Not a number of type DOUBLE"
	}
	return f, ""
}

var listComma = regexp.MustCompile(`\s*,\s*`)

// splitList splits at commas and keeps empty elements. Empty text is an empty
// list.
func splitList(s string) []string {
	if s = strings.TrimSpace(s); s == "" {
		return []string{}
	}
	return listComma.Split(s, -1)
}

func (k Key) parse(text string) (any, error) {
	parse := parsers[k.Type]
	if parse == nil {
		return nil, fmt.Errorf("unknown type %q", k.Type)
	}
	v, why := parse(text)
	if why != "" {
		return nil, errors.New(why)
	}
	return v, nil
}

// format writes a parsed value as text.
func format(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []string:
		return strings.Join(v, ",")
	default:
		return fmt.Sprint(v)
	}
}

// violations applies the rules and the check to a value or null.
func (k Key) violations(v any) []error {
	var out []error
	for _, r := range k.Rules {
		if why := r.apply(v); why != "" {
			out = append(out, k.invalid(v, why))
			break // as Kafka's composite validators, the first that fails speaks
		}
	}
	if k.Check != nil {
		if err := k.Check(v); err != nil {
			out = append(out, k.invalid(v, err.Error()))
		}
	}
	return out
}

// given returns the text for a key: under its name, or else under an alias.
func (k Key) given(props map[string]string) (text string, ok bool) {
	if text, ok = props[k.Name]; ok {
		return text, true
	}
	for _, a := range k.Aliases {
		if text, ok = props[a]; ok {
			return text, true
		}
	}
	return "", false
}

// value evaluates one key: its parsed value, nil for null, and its problems.
// A text that does not parse leaves null, on which the rules then speak too,
// as in Kafka.
func (k Key) value(props map[string]string) (v any, problems []Problem) {
	text, ok := k.given(props)
	switch {
	case ok:
		parsed, err := k.parse(text)
		if err != nil {
			problems = append(problems, k.invalid(text, err.Error()))
		}
		v = parsed
	case k.Required:
		problems = append(problems, Problem{k.Name,
			fmt.Sprintf("Missing required configuration %q which has no default value.", k.Name)})
	default:
		parsed, err := k.defaultValue()
		if err != nil {
			problems = append(problems, k.invalid(k.Default, err.Error()))
		}
		v = parsed
	}
	if v == nil && !ok && !k.Required {
		return nil, problems // a null default is the definition's own choice
	}
	for _, err := range k.violations(v) {
		var p Problem
		errors.As(err, &p)
		problems = append(problems, p)
	}
	if k.Unsupported != "" && ok && len(problems) == 0 && !k.isDefault(v) {
		problems = append(problems, k.invalid(v, k.Unsupported))
	}
	return v, problems
}

func (k Key) isDefault(v any) bool {
	d, err := k.defaultValue()
	return err == nil && d != nil && format(d) == format(v)
}

// Parse turns properties into typed values and reports all problems, in the
// order of the definition. The Config is usable for the keys without problems.
// Properties that the definition does not have are kept as originals.
func (d Def) Parse(props map[string]string) (Config, []Problem) {
	c := Config{def: d, values: make(map[string]any, len(d)), props: props}
	var problems []Problem
	for _, k := range d {
		v, p := k.value(props)
		c.values[k.Name] = v
		problems = append(problems, p...)
	}
	return c, problems
}
