package registry

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/millrace/millrace/schema-registry/store"
)

// What a schema says besides its text; see package store.
type (
	Metadata = store.Metadata
	RuleSet  = store.RuleSet
	Rule     = store.Rule
)

// Properties with a meaning of their own.
const (
	// versionProperty is the version that the schema was registered as, if
	// the client asked for one.
	versionProperty = "confluent:version"
	// reservedProperty lists names, with commas, that fields may not have.
	reservedProperty = "confluent:reserved"
)

// isRuleName reports whether a rule may have a name: a letter or underscore, and
// up to 255 more of letters, digits, underscores and hyphens. As a regular
// expression it would take ten megabytes at the start of every process.
func isRuleName(s string) bool {
	if s == "" || !utf8.ValidString(s) || utf8.RuneCountInString(s) > 256 {
		return false
	}
	for i, r := range s {
		if !unicode.IsLetter(r) && r != '_' && (i == 0 || !unicode.IsNumber(r) && r != '-') {
			return false
		}
	}
	return true
}

// Modes of rules, by the list that they may be in.
var (
	migrationModes = []string{"UPGRADE", "DOWNGRADE", "UPDOWN"}
	dataModes      = []string{"WRITE", "READ", "WRITEREAD"}
)

// checkRules refuses rules that no client could carry out.
func checkRules(set *RuleSet) error {
	if set == nil {
		return nil
	}
	seen := map[string]bool{}
	for _, list := range []struct {
		name  string
		rules []Rule
		modes []string
	}{{"migration", set.Migration, migrationModes}, {"domain", set.Domain, dataModes}, {"encoding", set.Encoding, dataModes}} {
		for _, r := range list.rules {
			if err := checkRule(r, list.name, list.modes); err != nil {
				return err
			}
			if seen[r.Name] {
				return errorf(InvalidRuleSet, "Invalid rule set: found rule with duplicate name '%s'", r.Name)
			}
			seen[r.Name] = true
		}
	}
	return nil
}

func checkRule(r Rule, list string, modes []string) error {
	bad := func(format string, args ...any) error {
		return errorf(InvalidRuleSet, "Invalid rule set: rule '%s': "+format, append([]any{r.Name}, args...)...)
	}
	both := r.Mode == "WRITEREAD" || r.Mode == "UPDOWN"
	switch {
	case !isRuleName(r.Name):
		return bad("a name is of up to 256 letters, digits, _ and -, and begins with a letter or _")
	case r.Type == "":
		return bad("missing rule type")
	case r.Kind != "" && r.Kind != "TRANSFORM" && r.Kind != "CONDITION":
		return bad("the kind is TRANSFORM or CONDITION, not %s", r.Kind)
	case !slices.Contains(modes, r.Mode):
		return bad("%s rules can only be %s", list, strings.Join(modes, ", "))
	case !both && (strings.Contains(r.OnSuccess, ",") || strings.Contains(r.OnFailure, ",")):
		return bad("two actions are for the modes WRITEREAD and UPDOWN")
	}
	return nil
}

// tidied returns metadata with its sets in order.
func tidied(m *Metadata) *Metadata {
	if m == nil {
		return nil
	}
	out := *m
	out.Sensitive = set(m.Sensitive)
	if m.Tags != nil {
		out.Tags = make(map[string][]string, len(m.Tags))
		for k, v := range m.Tags {
			out.Tags[k] = set(v)
		}
	}
	return &out
}

func set(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }

// mergeMetadata adds b to a; where both say something, b does.
func mergeMetadata(a, b *Metadata) *Metadata {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return &Metadata{Tags: overlay(a.Tags, b.Tags), Properties: overlay(a.Properties, b.Properties), Sensitive: set(slices.Concat(a.Sensitive, b.Sensitive))}
}

func overlay[V any](a, b map[string]V) map[string]V {
	switch {
	case len(a) == 0:
		return b
	case len(b) == 0:
		return a
	}
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}

// mergeRules adds b to a; a rule of b takes the place of one of a of its name.
func mergeRules(a, b *RuleSet) *RuleSet {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	out := &RuleSet{
		Migration: mergeList(a.Migration, b.Migration), Domain: mergeList(a.Domain, b.Domain), Encoding: mergeList(a.Encoding, b.Encoding),
		EnableAt: b.EnableAt,
	}
	if out.EnableAt == "" {
		out.EnableAt = a.EnableAt
	}
	return out
}

func mergeList(a, b []Rule) []Rule {
	out := slices.DeleteFunc(slices.Clone(a), func(r Rule) bool {
		return slices.ContainsFunc(b, func(o Rule) bool { return o.Name == r.Name })
	})
	return append(out, b...)
}

// withVersion sets the property that tells the version.
func withVersion(m *Metadata, version int) *Metadata {
	out := Metadata{Properties: map[string]string{}}
	if m != nil {
		out = *m
		out.Properties = maps.Clone(m.Properties)
		if out.Properties == nil {
			out.Properties = map[string]string{}
		}
	}
	out.Properties[versionProperty] = strconv.Itoa(version)
	return &out
}

func (m *contract) versioned() bool {
	return m.metadata != nil && m.metadata.Properties[versionProperty] != ""
}

// contract is what a schema says besides its text.
type contract struct {
	metadata *Metadata
	rules    *RuleSet
}

// same reports whether two contracts differ in nothing but the version that
// they tell.
func (m contract) same(o contract) bool {
	return contractText(m) == contractText(o)
}

// contractText prints a contract without the version, by what goes into its
// hash.
func contractText(m contract) string {
	if m.versioned() {
		stripped := *m.metadata
		stripped.Properties = maps.Clone(stripped.Properties)
		delete(stripped.Properties, versionProperty)
		m.metadata = &stripped
		if len(stripped.Tags)+len(stripped.Properties)+len(stripped.Sensitive) == 0 {
			m.metadata = nil
		}
	}
	return string(appendContract(nil, m))
}

// appendContract appends what of a contract goes into a schema's hash, as
// Confluent's registry has it.
func appendContract(b []byte, m contract) []byte {
	if m.metadata != nil {
		b = append(b, 1)
		for _, k := range slices.Sorted(maps.Keys(m.metadata.Tags)) {
			b = append(b, k...)
			for _, v := range m.metadata.Tags[k] {
				b = append(b, v...)
			}
		}
		b = appendPairs(b, m.metadata.Properties)
		for _, s := range m.metadata.Sensitive {
			b = append(b, s...)
		}
	}
	if m.rules != nil {
		b = append(b, 1)
		for _, list := range [][]Rule{m.rules.Migration, m.rules.Domain, m.rules.Encoding} {
			for _, r := range list {
				b = appendRule(b, r)
			}
		}
		b = append(b, m.rules.EnableAt...)
	}
	return b
}

func appendRule(b []byte, r Rule) []byte {
	for _, s := range []string{r.Name, r.Doc, r.Kind, r.Mode, r.Type} {
		b = append(b, s...)
	}
	for _, s := range set(r.Tags) {
		b = append(b, s...)
	}
	b = appendPairs(b, r.Params)
	for _, s := range []string{r.Expr, r.OnSuccess, r.OnFailure} {
		b = append(b, s...)
	}
	if r.Disabled {
		b = append(b, 1)
	}
	return b
}

func appendPairs(b []byte, m map[string]string) []byte {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		b = append(append(b, k...), m[k]...)
	}
	return b
}

// property returns a property of the metadata, "" without.
func property(m *Metadata, name string) string {
	if m == nil {
		return ""
	}
	return m.Properties[name]
}

// reservedNames lists what the metadata reserves.
func reservedNames(m *Metadata) []string {
	var out []string
	for name := range strings.SplitSeq(property(m, reservedProperty), ",") {
		if name = strings.TrimSpace(name); name != "" {
			out = append(out, name)
		}
	}
	return out
}
