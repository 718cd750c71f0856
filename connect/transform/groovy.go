package transform

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
)

// groovyLanguages are the values of language that stand for Groovy.
var groovyLanguages = []string{"groovy", "jsr223.groovy"}

// sameInGroovy are the operators and functions that mean the same in CEL as in
// Groovy. Division does not: there, of whole numbers it gives a fraction.
var sameInGroovy = []string{
	operators.Equals, operators.NotEquals, operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals,
	operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot, operators.Conditional, operators.In, operators.Index,
	operators.Add, operators.Subtract, operators.Multiply, operators.Modulo, operators.Negate,
	"contains", "startsWith", "endsWith", "size",
}

// checkGroovy accepts the text of an expression that was written for Groovy and
// is evaluated as CEL: it has to mean the same. What is no text in Groovy's own
// sense, such as one with $, is refused as well.
func checkGroovy(env *cel.Env, text string) error {
	if strings.ContainsAny(text, `$\`) {
		return fmt.Errorf("language is Groovy, whose texts with $ and \\ mean something else in CEL: write the expression in CEL, and set language to cel")
	}
	parsed, issues := env.Parse(text)
	if err := issues.Err(); err != nil {
		return err
	}
	var other string
	ast.PreOrderVisit(parsed.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.CallKind:
			if name := e.AsCall().FunctionName(); !slices.Contains(sameInGroovy, name) {
				other = strings.Trim(name, "_")
			}
		case ast.ComprehensionKind, ast.StructKind, ast.MapKind:
			other = "a loop, map or struct"
		}
	}))
	if other != "" {
		return fmt.Errorf("language is Groovy, and %s may mean something else in CEL: write the expression in CEL, and set language to cel", other)
	}
	return nil
}
