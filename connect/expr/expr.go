// Package expr evaluates CEL expressions over Connect's values, within bounds.
package expr

import (
	"strings"

	"github.com/google/cel-go/cel"

	"github.com/millrace/millrace/plugins/data"
)

// costLimit bounds one evaluation, in CEL's units; a comparison is 1.
const costLimit = 1_000_000

// Compile prepares an expression. An evaluation that costs too much fails, and
// one by ContextEval ends with its context.
func Compile(env *cel.Env, text string) (cel.Program, error) {
	ast, issues := env.Compile(text)
	if err := issues.Err(); err != nil {
		return nil, err
	}
	return program(env, ast)
}

// CompileLoose is Compile for expressions that may choose between values of
// different types, such as a text and null, which CEL's type checker does not
// allow. What such a choice leads to is checked when it is evaluated.
func CompileLoose(env *cel.Env, text string) (cel.Program, error) {
	ast, issues := env.Parse(text)
	if err := issues.Err(); err != nil {
		return nil, err
	}
	_, issues = env.Check(ast)
	for _, e := range issues.Errors() {
		if !strings.Contains(e.Message, "'_?_:_'") {
			return nil, issues.Err()
		}
	}
	return program(env, ast)
}

func program(env *cel.Env, ast *cel.Ast) (cel.Program, error) {
	// Every turn of a loop asks whether time is up. Asked less often, only the
	// loop that asks would end, and not those around it.
	return env.Program(ast, cel.CostLimit(costLimit), cel.InterruptCheckFrequency(1))
}

// Native is a value as CEL wants it: whole numbers as int64, fractions as
// float64, structs as maps. CEL has no decimals: what becomes of them is for
// the caller to say.
func Native(v any, decimal func(data.Decimal) any) any {
	switch v := v.(type) {
	case int8:
		return int64(v)
	case int16:
		return int64(v)
	case int32:
		return int64(v)
	case float32:
		return float64(v)
	case data.Decimal:
		return decimal(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = Native(v[i], decimal)
		}
		return out
	case data.Map:
		out := make(map[any]any, len(v))
		for _, e := range v {
			out[Native(e.Key, decimal)] = Native(e.Value, decimal)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = Native(e, decimal)
		}
		return out
	case *data.Struct:
		out := make(map[string]any, len(v.Schema().Fields()))
		for i, f := range v.Schema().Fields() {
			out[f.Name] = Native(v.AtWithoutDefault(i), decimal)
		}
		return out
	}
	return v
}
