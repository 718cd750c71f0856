package transform

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/ext"
	"github.com/google/cel-go/interpreter"

	"github.com/millrace/millrace/connect/expr"
	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
)

// What the scripting transforms of Debezium have in common. Differs from
// Debezium: the language is CEL. There, expressions are run by a Java scripting
// engine that the user adds, most often Groovy's.

// celLanguages are the values of language that stand for CEL.
var celLanguages = []string{"cel", "jsr223.cel"}

// scriptDef are the keys of a scripting transform whose expression has this
// name.
func scriptDef(expression, doc string) configdef.Def {
	return configdef.Def{
		{Name: "language", Type: configdef.String, Required: true, Importance: configdef.High, Check: checkLanguage,
			Doc: "Language of the expression: cel. With groovy, expressions are taken that mean the same in CEL; other languages of Java scripting engines do not exist here."},
		{Name: expression, Type: configdef.String, Required: true, Importance: configdef.High, Check: checkScript, Doc: doc +
			" Known to it are key, value, keySchema, valueSchema, topic and header, as in value.after.qty > 5 && header.source.value == \"web\"."},
		{Name: "topic.regex", Type: configdef.String, Default: "", Importance: configdef.Medium, Check: checkOptionalRegex,
			Doc: "Java regular expression that the whole topic must match for the expression to be evaluated. Records of other topics pass unchanged. Empty is every topic."},
		{Name: "null.handling.mode", Type: configdef.String, Default: "keep", Importance: configdef.Medium,
			Rules: []configdef.Rule{configdef.OneOfFold("keep", "drop", "evaluate")},
			Doc:   "What becomes of records whose value is null: keep passes them unchanged, drop drops them, evaluate evaluates the expression."},
	}
}

func checkOptionalRegex(v any) error {
	if s, _ := v.(string); s == "" {
		return nil
	}
	return checkRegex(v)
}

func checkLanguage(v any) error {
	s, _ := v.(string)
	if s == "" || slices.Contains(celLanguages, strings.ToLower(s)) || isGroovy(s) {
		return nil
	}
	return fmt.Errorf("there is no engine for it here: set language to cel, and write the expression in CEL, " +
		"which has most conditions in the same words (value.op == 'u' && value.after.id > 5)")
}

func isGroovy(language string) bool {
	return slices.Contains(groovyLanguages, strings.ToLower(language))
}

// checkScript compiles an expression. One that is Groovy's in a simple way is
// refused with its spelling in CEL.
func checkScript(v any) error {
	text, ok := v.(string)
	if !ok || text == "" {
		return nil
	}
	env, err := scriptEnv()
	if err != nil {
		return err
	}
	if _, err = expr.CompileLoose(env, text); err == nil {
		return nil
	}
	if other := fromGroovy(text); other != text {
		if _, err := expr.CompileLoose(env, other); err == nil {
			return fmt.Errorf("it is not CEL; in CEL it is spelt %s", other)
		}
	}
	return fmt.Errorf("it is not CEL: %w", err)
}

// groovy are the usual differences of simple Groovy conditions to CEL.
var groovy = []struct {
	from *regexp.Regexp
	to   string
}{
	{regexp.MustCompile(`\s*;\s*$`), ""},
	{regexp.MustCompile(`^\s*return\s+`), ""},
	{regexp.MustCompile(`(\w+(?:\??\.\w+(?:\(\))?)*)\s*==~\s*/((?:[^/\\]|\\.)*)/`), `$1.matches(r"^(?:$2)$$")`},
	{regexp.MustCompile(`(\w+(?:\??\.\w+(?:\(\))?)*)\s*=~\s*/((?:[^/\\]|\\.)*)/`), `$1.matches(r"$2")`},
	{regexp.MustCompile(`===`), "=="},
	{regexp.MustCompile(`\?\.`), "."},
	{regexp.MustCompile(`\.equals\(([^()]*)\)`), " == $1"},
	{regexp.MustCompile(`\.toLowerCase\(\)`), ".lowerAscii()"},
	{regexp.MustCompile(`\.toUpperCase\(\)`), ".upperAscii()"},
	{regexp.MustCompile(`\.(length|size)\(\)`), ".size()"},
	{regexp.MustCompile(`\.(getString|getInt8|getInt16|getInt32|getInt64|getBoolean|getFloat32|getFloat64|getStruct|get)\(['"](\w+)['"]\)`), ".$2"},
	{regexp.MustCompile(`\b(keySchema|valueSchema)\.(name|version|doc|type)\(\)`), "$1.$2"},
	{regexp.MustCompile(`\b(\d+)[LlGg]\b`), "$1"},
}

// fromGroovy respells what simple conditions differ by. Whether the result is
// right is for its reader to say: it is only offered.
func fromGroovy(text string) string {
	for _, g := range groovy {
		text = g.from.ReplaceAllString(text, g.to)
	}
	return text
}

// scriptEnv is what expressions know.
var scriptEnv = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewEnv(
		cel.Variable("key", cel.DynType), cel.Variable("value", cel.DynType),
		cel.Variable("keySchema", cel.DynType), cel.Variable("valueSchema", cel.DynType),
		cel.Variable("topic", cel.StringType), cel.Variable("header", cel.MapType(cel.StringType, cel.DynType)),
		cel.OptionalTypes(), ext.Strings(),
	)
})

// script is a compiled expression with the settings about which records it is
// evaluated for.
type script struct {
	program cel.Program
	topics  *regex // nil for all
	nulls   string // keep, drop or evaluate
	schemas perSchema[map[string]any]
}

func newScript(c configdef.Config, expression string) (*script, error) {
	env, err := scriptEnv()
	if err != nil {
		return nil, err
	}
	s := &script{nulls: strings.ToLower(c.String("null.handling.mode"))}
	if isGroovy(c.String("language")) {
		if err := checkGroovy(env, c.String(expression)); err != nil {
			return nil, err
		}
	}
	if s.program, err = expr.CompileLoose(env, c.String(expression)); err != nil {
		return nil, err
	}
	if pattern := c.String("topic.regex"); pattern != "" {
		s.topics, err = compileRegex(pattern)
	}
	return s, err
}

// eval evaluates the expression for a record. done says that it is not to be
// evaluated, and keep what becomes of the record then.
func (s *script) eval(r *Record) (out any, done, keep bool, err error) {
	if s.topics != nil && !s.topics.matches(r.Topic) {
		return nil, true, true, nil
	}
	if r.value.isNull() && s.nulls != "evaluate" {
		return nil, true, s.nulls == "keep", nil
	}
	scope := &scriptScope{script: s, record: r}
	v, _, err := s.program.Eval(scope)
	if err = errors.Join(scope.err, err); err != nil {
		return nil, false, false, fmt.Errorf("evaluate the expression: %w", err)
	}
	if v.Type() == types.NullType {
		return nil, false, false, nil
	}
	return v.Value(), false, false, nil
}

// scriptScope is what one evaluation sees of a record. What is not asked for is
// not decoded.
type scriptScope struct {
	script *script
	record *Record
	err    error
}

// Parent implements interpreter.Activation.
func (s *scriptScope) Parent() interpreter.Activation { return nil }

// ResolveName implements interpreter.Activation.
func (s *scriptScope) ResolveName(name string) (any, bool) {
	r := s.record
	var v any
	var err error
	switch name {
	case "key":
		v, err = r.key.get()
	case "value":
		v, err = r.value.get()
	case "keySchema":
		return s.schema(r.key.schema()), true
	case "valueSchema":
		return s.schema(r.value.schema()), true
	case "topic":
		return r.Topic, true
	case "header":
		v, err = s.headers()
	default:
		return nil, false
	}
	if err != nil {
		s.err = errors.Join(s.err, err)
	}
	return expr.Native(v, decimalNumber), true
}

// decimalNumber is a decimal for comparisons, which have numbers on the other
// side: near enough, as CEL has no exact fractions.
func decimalNumber(d data.Decimal) any {
	f, err := strconv.ParseFloat(d.String(), 64)
	if err != nil {
		return d.String() // beyond what a double holds
	}
	return f
}

// headers are those of the record by name, the last of each name.
func (s *scriptScope) headers() (any, error) {
	out := make(map[string]any, len(s.record.Headers))
	for _, h := range s.record.Headers {
		v, err := h.Value.Value()
		if err != nil {
			return nil, err
		}
		out[h.Name] = map[string]any{"value": v, "schema": s.schema(h.Value.Schema)}
	}
	return out, nil
}

// schema describes a schema to expressions, nil for none.
func (s *scriptScope) schema(of *data.Schema) any {
	if of == nil {
		return nil
	}
	out, err := s.script.schemas.get(of, describeSchema)
	if err != nil {
		s.err = errors.Join(s.err, err)
	}
	return out
}

func describeSchema(s *data.Schema) (map[string]any, error) {
	out := map[string]any{"type": s.Type().String(), "name": nil, "version": nil, "doc": nil, "optional": s.Optional()}
	if s.Name() != "" {
		out["name"] = s.Name()
	}
	if v, ok := s.Version(); ok {
		out["version"] = int64(v)
	}
	if d, ok := s.Doc(); ok {
		out["doc"] = d
	}
	params := map[string]any{}
	for _, p := range s.Params() {
		params[p.Key] = p.Value
	}
	fields := []any{}
	for _, f := range s.Fields() {
		fields = append(fields, f.Name)
	}
	out["parameters"], out["fields"] = params, fields
	return out, nil
}
