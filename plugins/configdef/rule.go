package configdef

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Rule is a check of a key's value that is plain data. Make one with the
// functions below.
type Rule struct {
	Kind    string
	Number  float64  `json:",omitempty"`
	Choices []string `json:",omitempty"`
	Pattern string   `json:",omitempty"`
}

// The kinds of rules.
const (
	ruleMin       = "min"
	ruleMax       = "max"
	ruleOneOf     = "one-of"
	ruleOneOfFold = "one-of-fold"
	ruleNonEmpty  = "non-empty"
	ruleName      = "name"
	ruleMatches   = "matches"
	ruleNonNull   = "non-null"
)

// AtLeast accepts numbers from n on.
func AtLeast(n float64) Rule { return Rule{Kind: ruleMin, Number: n} }

// AtMost accepts numbers up to n.
func AtMost(n float64) Rule { return Rule{Kind: ruleMax, Number: n} }

// OneOf accepts the choices; for a LIST each element must be one.
func OneOf(choices ...string) Rule { return Rule{Kind: ruleOneOf, Choices: choices} }

// OneOfFold accepts the choices in upper or lower case.
func OneOfFold(choices ...string) Rule { return Rule{Kind: ruleOneOfFold, Choices: choices} }

// NonEmpty refuses empty text and empty lists. Null passes.
func NonEmpty() Rule { return Rule{Kind: ruleNonEmpty} }

// PlainName refuses empty text and control characters. Null passes.
func PlainName() Rule { return Rule{Kind: ruleName} }

// Matches accepts text, or the elements of a LIST, that match the pattern as a
// whole. Null passes.
func Matches(pattern string) Rule { return Rule{Kind: ruleMatches, Pattern: pattern} }

// NonNull refuses null.
func NonNull() Rule { return Rule{Kind: ruleNonNull} }

func (r Rule) check() error {
	switch r.Kind {
	case ruleMin, ruleMax, ruleNonEmpty, ruleName, ruleNonNull:
		return nil
	case ruleOneOf, ruleOneOfFold:
		if len(r.Choices) == 0 {
			return errors.New("a rule has no choices")
		}
		return nil
	case ruleMatches:
		_, err := r.compile()
		return err
	}
	return fmt.Errorf("unknown rule %q", r.Kind)
}

func (r Rule) compile() (*regexp.Regexp, error) {
	re, err := regexp.Compile(`^(?:` + r.Pattern + `)$`)
	if err != nil {
		return nil, fmt.Errorf("pattern of a rule: %w", err)
	}
	return re, nil
}

// apply returns what is wrong with a value, "" if nothing is.
func (r Rule) apply(v any) string {
	switch r.Kind {
	case ruleMin, ruleMax:
		return r.limit(v)
	case ruleNonNull:
		if v == nil {
			return "Value must be non-null"
		}
		return ""
	}
	if list, ok := v.([]string); ok {
		if r.Kind == ruleNonEmpty {
			if len(list) == 0 {
				return "List must be non-empty"
			}
			return ""
		}
		for _, e := range list {
			if text := r.text(e); text != "" {
				return text
			}
		}
		return ""
	}
	return r.text(v)
}

// limit applies the rules for numbers, which refuse null as Kafka's do.
func (r Rule) limit(v any) string {
	var n float64
	switch v := v.(type) {
	case int64:
		n = float64(v)
	case float64:
		n = v
	default:
		return "Value must be non-null"
	}
	limit := strconv.FormatFloat(r.Number, 'f', -1, 64)
	switch {
	case r.Kind == ruleMin && !(n >= r.Number):
		return "Value must be at least " + limit
	case r.Kind == ruleMax && !(n <= r.Number):
		return "Value must be no more than " + limit
	}
	return ""
}

// text applies the rules for text. v is a string or nil.
func (r Rule) text(v any) string {
	s, ok := v.(string)
	switch r.Kind {
	case ruleOneOf:
		if !ok || !slices.Contains(r.Choices, s) {
			return "String must be one of: " + strings.Join(r.Choices, ", ")
		}
	case ruleOneOfFold:
		same := func(c string) bool { return strings.EqualFold(c, s) }
		if !ok || !slices.ContainsFunc(r.Choices, same) {
			return "String must be one of (case insensitive): " + strings.Join(r.Choices, ", ")
		}
	case ruleNonEmpty:
		if ok && s == "" {
			return "String must be non-empty"
		}
	case ruleName:
		switch {
		case ok && s == "":
			return "String may not be empty"
		case strings.ContainsFunc(s, unicode.IsControl):
			return "String may not contain control characters"
		}
	case ruleMatches:
		re, err := r.compile()
		if err != nil {
			return err.Error()
		}
		if ok && !re.MatchString(s) {
			return "String must match pattern " + r.Pattern
		}
	}
	return ""
}
