// Package rule carries out the conditions that a data contract puts on values:
// CEL expressions that must be true of a message, or of each of its fields.
package rule

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/cel-go/cel"

	"github.com/millrace/millrace/connect/expr"
	"github.com/millrace/millrace/plugins/data"
)

// Rule is one rule of a schema, as the registry returns it.
type Rule struct {
	Name, Kind, Mode, Type, Expr string
	Tags                         []string
	Params                       map[string]string
	OnFailure                    string
	Disabled                     bool
	Encoding                     bool // of the bytes, not of the value
}

// Contract is what a schema demands of values.
type Contract struct {
	Rules []Rule
	// Tags are those of fields by patterns of their full names, in which * and
	// ? stand for anything but a dot, and ** for anything.
	Tags map[string][]string
	// Names tells what the schema's text says of fields, nil for nothing.
	Names Names
}

// Names tells what a field is called in its schema, and the tags that it has in
// the schema's text. path are the names of the fields that lead to it, from the
// top; an element of a list or a map is on the path of that. It returns false
// for what the schema has no field for.
type Names func(path []string) (full string, tags []string, ok bool)

// Moment is when rules are carried out.
type Moment string

// The moments that conditions know.
const (
	Write Moment = "WRITE"
	Read  Moment = "READ"
)

// Bounds of one evaluation.
const (
	timeLimit = time.Second
	maxRules  = 1000
)

// ErrViolated is wrapped by the error of a value that a rule refuses.
var ErrViolated = errors.New("the value breaks a rule of its schema")

// Set are the rules of one schema for one moment. It is used by one goroutine.
type Set struct {
	rules  []compiled
	tags   []pattern
	names  Names
	fields map[string]*field // by their paths; they are those of one schema
}

type compiled struct {
	Rule
	guard, expr cel.Program
	field       bool // for each field, not for the message
	ignore      bool // a failure is let pass
	fault       error
}

// Compile prepares the rules that are to be carried out at a moment; nil if
// there are none. A rule that cannot be carried out here fails for every value:
// a contract is not kept by leaving rules out. One for the encoding fails at
// once, since without it the bytes mean something else.
func Compile(c Contract, at Moment) (*Set, error) {
	if len(c.Rules) > maxRules {
		return nil, fmt.Errorf("the schema has %d rules, more than %d", len(c.Rules), maxRules)
	}
	s := &Set{names: c.Names, tags: patterns(c.Tags), fields: map[string]*field{}}
	for _, r := range c.Rules {
		if r.Disabled || r.Mode != string(at) && r.Mode != "WRITEREAD" {
			continue
		}
		c := compiled{Rule: r, field: r.Type == "CEL_FIELD", ignore: action(r, at) == "NONE"}
		if r.Encoding {
			if c.ignore {
				continue
			}
			return nil, fmt.Errorf("%w: encoding rule %q: rules of type %s are not carried out here; "+
				"only its onFailure NONE lets values pass without", ErrViolated, r.Name, r.Type)
		}
		c.fault = c.prepare()
		s.rules = append(s.rules, c)
	}
	if len(s.rules) == 0 {
		return nil, nil
	}
	if at == Read { // the last that was carried out on writing is the first
		slices.Reverse(s.rules)
	}
	return s, nil
}

// action is what is to become of a value that fails: ERROR unless the rule says
// otherwise. For both directions it may name two.
func action(r Rule, at Moment) string {
	first, second, two := strings.Cut(r.OnFailure, ",")
	if two && at == Read {
		return strings.ToUpper(strings.TrimSpace(second))
	}
	return strings.ToUpper(strings.TrimSpace(first))
}

// prepare compiles a rule's guard and expression.
func (c *compiled) prepare() error {
	if c.Kind != "" && c.Kind != "CONDITION" || c.Type != "CEL" && c.Type != "CEL_FIELD" {
		return fmt.Errorf("rules of kind %s and type %s are not carried out here: only conditions in CEL and CEL_FIELD are", c.Kind, c.Type)
	}
	env, err := environment(c.field)
	if err != nil {
		return err
	}
	guard, text, guarded := strings.Cut(c.Expr, ";")
	if !guarded || c.Params["cel.ignore.guard.separator"] == "true" {
		guard, text = "", c.Expr
	}
	if c.expr, err = expr.Compile(env, text); err != nil {
		return err
	}
	if strings.TrimSpace(guard) != "" {
		c.guard, err = expr.Compile(env, guard)
	}
	return err
}

// Check returns an error that wraps ErrViolated for the first rule that refuses
// a value.
func (s *Set) Check(ctx context.Context, schema *data.Schema, v any) error {
	ctx, stop := context.WithTimeout(ctx, timeLimit)
	defer stop()
	message := native(v)
	for i := range s.rules {
		c := &s.rules[i]
		err := c.fault
		switch {
		case err != nil:
		case c.field:
			err = s.structure(ctx, c, nil, schema, v, message)
		default:
			err = c.holds(ctx, map[string]any{"message": message})
		}
		if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = fmt.Errorf("over the time limit of %s: %w", timeLimit, err)
		}
		if err != nil && !c.ignore {
			return fmt.Errorf("%w: rule %q: %w", ErrViolated, c.Name, err)
		}
	}
	return nil
}

var errFalse = errors.New("its condition is false")

// holds evaluates a rule: a guard that is false lets the value pass.
func (c *compiled) holds(ctx context.Context, vars map[string]any) error {
	if c.guard != nil {
		out, _, err := c.guard.ContextEval(ctx, vars)
		if err != nil {
			return fmt.Errorf("guard: %w", err)
		}
		if wanted, ok := out.Value().(bool); ok && !wanted {
			return nil
		}
	}
	out, _, err := c.expr.ContextEval(ctx, vars)
	if err != nil {
		return err
	}
	if kept, ok := out.Value().(bool); ok && !kept {
		return errFalse
	}
	return nil
}
