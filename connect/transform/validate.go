package transform

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/plugins/configdef"
)

// Report is the result of validating the transforms and predicates of a
// connector's config.
type Report struct {
	// Infos are the entries of all keys of all aliases, under their full
	// names, in groups "Transforms: <alias>" and "Predicates: <alias>".
	Infos []configdef.Info
	// Problems are errors of the keys "transforms" and "predicates", which the
	// caller defines. Errors of other keys are in Infos.
	Problems []configdef.Problem
	// Warnings are about keys that have no effect.
	Warnings []configdef.Warning
}

// Validate checks the transforms and predicates of a connector's config.
func Validate(config map[string]string, o Options) Report {
	p := parse(config, o.withDefaults())
	return Report{Infos: p.infos, Problems: p.lists, Warnings: p.warnings}
}

const (
	transformsKey = "transforms"
	predicatesKey = "predicates"
	typeKey       = "type"
	predicateKey  = "predicate"
	negateKey     = "negate"
	versionKey    = "plugin.version"
)

// parsing goes over a config once, for Validate and for New.
type parsing struct {
	config   map[string]string
	options  Options
	infos    []configdef.Info
	lists    []configdef.Problem
	warnings []configdef.Warning
	stages   []stage
	tests    map[string]Predicate
}

func parse(config map[string]string, o Options) *parsing {
	p := &parsing{config: config, options: o, tests: map[string]Predicate{}}
	transforms, predicates := p.aliases(transformsKey), p.aliases(predicatesKey)
	for _, alias := range transforms {
		p.transform(alias, transforms, predicates)
	}
	for _, alias := range predicates {
		p.predicate(alias, predicates)
	}
	for i := range p.stages {
		s := &p.stages[i]
		if name := strings.TrimSpace(config[transformsKey+"."+s.alias+"."+predicateKey]); name != "" {
			s.predicate = p.tests[name]
		}
	}
	p.strays(transformsKey, transforms)
	p.strays(predicatesKey, predicates)
	return p
}

// problems returns all errors.
func (p *parsing) problems() []configdef.Problem {
	out := slices.Clone(p.lists)
	for _, in := range p.infos {
		for _, text := range in.Value.Errors {
			out = append(out, configdef.Problem{Key: in.Value.Name, Text: text})
		}
	}
	return out
}

// aliases reads a list of names, which must be unique and not empty.
func (p *parsing) aliases(key string) []string {
	text := strings.TrimSpace(p.config[key])
	if text == "" {
		return nil
	}
	var out []string
	for _, alias := range strings.Split(text, ",") {
		alias = strings.TrimSpace(alias)
		why := ""
		switch {
		case alias == "":
			why = "an alias must not be empty"
		case slices.Contains(out, alias):
			why = fmt.Sprintf("alias %q occurs twice", alias)
		default:
			out = append(out, alias)
			continue
		}
		p.lists = append(p.lists, configdef.Problem{Key: key,
			Text: fmt.Sprintf("Invalid value %s for configuration %s: %s", text, key, why)})
	}
	return out
}

// transform evaluates one alias of transforms.
func (p *parsing) transform(alias string, all, predicates []string) {
	prefix := transformsKey + "." + alias + "."
	class, known := Lookup(strings.TrimSpace(p.config[prefix+typeKey]))
	own := configdef.Def{
		{Name: typeKey, Type: configdef.Class, Required: true, Importance: configdef.High, Doc: "Class of the '" + alias + "' transform.",
			Check: checkClass(classNames(), known), Recommend: recommend(classNames())},
		p.versionKey(),
		{Name: predicateKey, Type: configdef.String, Default: "", Importance: configdef.Medium,
			Doc: "Alias of the predicate that decides whether the transform is applied.", Check: checkOneOf(predicates)},
		{Name: negateKey, Type: configdef.Boolean, Default: false, Importance: configdef.Medium,
			Doc: "Apply the transform where the predicate does not hold."},
	}
	warnings := len(p.warnings)
	infos := p.evaluate(prefix, "Transforms: "+alias, own, class.Def, all)
	if !known {
		p.warnings = p.warnings[:warnings] // which keys it has is not known
	}
	props := p.under(prefix, typeKey, versionKey, predicateKey, negateKey)
	negate := strings.EqualFold(strings.TrimSpace(p.config[prefix+negateKey]), "true")
	if negate && strings.TrimSpace(p.config[prefix+predicateKey]) == "" {
		fail(infos, prefix+typeKey, fmt.Sprintf("%s is set, but there is no %s to negate", prefix+negateKey, prefix+predicateKey))
	}
	if !hasErrors(infos) {
		c, _ := class.Def.Parse(props)
		t, err := class.make(settings{p.options, class.Side}, c)
		if err != nil {
			fail(infos, prefix+typeKey, invalidType(prefix, class.Name, err))
		} else {
			p.stages = append(p.stages, stage{alias: alias, class: class.Name, transform: t, negate: negate})
		}
	}
	p.infos = append(p.infos, infos...)
}

// predicate evaluates one alias of predicates.
func (p *parsing) predicate(alias string, all []string) {
	prefix := predicatesKey + "." + alias + "."
	class, known := LookupPredicate(strings.TrimSpace(p.config[prefix+typeKey]))
	own := configdef.Def{
		{Name: typeKey, Type: configdef.Class, Required: true, Importance: configdef.High, Doc: "Class of the '" + alias + "' predicate.",
			Check: checkClass(predicateNames(), known), Recommend: recommend(predicateNames())},
		p.versionKey(),
	}
	infos := p.evaluate(prefix, "Predicates: "+alias, own, class.Def, all)
	if !hasErrors(infos) {
		c, _ := class.Def.Parse(p.under(prefix, typeKey, versionKey))
		test, err := class.make(c)
		if err != nil {
			fail(infos, prefix+typeKey, invalidType(prefix, class.Name, err))
		} else {
			p.tests[alias] = test
		}
	}
	p.infos = append(p.infos, infos...)
}

func (p *parsing) versionKey() configdef.Key {
	return configdef.Key{Name: versionKey, Type: configdef.String, Importance: configdef.Medium,
		Doc: "Version of the class, which is built in: a version or range that does not hold Millrace's own is refused.",
		Check: func(v any) error {
			text, _ := v.(string)
			return p.options.HasVersion(text)
		}}
}

func invalidType(prefix, class string, err error) string {
	return fmt.Sprintf("Invalid value %s for configuration %s%s: %v", class, prefix, typeKey, err)
}

// evaluate validates the keys of an alias under their full names and collects
// warnings. The runtime's own keys hide those of the class.
func (p *parsing) evaluate(prefix, group string, own, def configdef.Def, all []string) []configdef.Info {
	full := slices.Clone(own)
	for _, k := range def {
		if _, hidden := own.Key(k.Name); !hidden {
			full = append(full, k)
		}
	}
	for i := range full {
		k := &full[i]
		k.Group, k.DisplayName = group, k.Name
		k.Name = prefix + k.Name
		k.Aliases, k.Dependents = prefixed(prefix, k.Aliases), prefixed(prefix, k.Dependents)
	}
	mine := map[string]string{}
	for name, v := range p.config {
		if ownerOf(name, prefix, all) {
			mine[name] = v
		}
	}
	p.warnings = append(p.warnings, full.Warnings(mine)...)
	return full.Validate(mine)
}

// ownerOf reports whether a key belongs to the alias of the prefix, and not to
// an alias that goes on with a dot.
func ownerOf(name, prefix string, all []string) bool {
	if !strings.HasPrefix(name, prefix) {
		return false
	}
	list, _, _ := strings.Cut(prefix, ".")
	return !slices.ContainsFunc(all, func(other string) bool {
		longer := list + "." + other + "."
		return len(longer) > len(prefix) && strings.HasPrefix(name, longer)
	})
}

func prefixed(prefix string, names []string) []string {
	var out []string
	for _, n := range names {
		out = append(out, prefix+n)
	}
	return out
}

// under returns the properties of an alias for its class.
func (p *parsing) under(prefix string, without ...string) map[string]string {
	out := map[string]string{}
	for name, v := range p.config {
		if rest, ok := strings.CutPrefix(name, prefix); ok && !slices.Contains(without, rest) {
			out[rest] = v
		}
	}
	return out
}

// strays warns of keys for aliases that the list does not have.
func (p *parsing) strays(list string, aliases []string) {
	var names []string
	for name := range p.config {
		rest, ok := strings.CutPrefix(name, list+".")
		if ok && !slices.ContainsFunc(aliases, func(a string) bool { return strings.HasPrefix(rest, a+".") }) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		p.warnings = append(p.warnings, configdef.Warning{Key: name,
			Text: fmt.Sprintf("%s has no effect: its alias is not in %s", name, list)})
	}
}

func classNames() []string {
	out := make([]string, len(classes))
	for i, c := range classes {
		out[i] = c.Name
	}
	return out
}

func predicateNames() []string {
	out := make([]string, len(predicates))
	for i, c := range predicates {
		out[i] = c.Name
	}
	return out
}

func checkClass(names []string, known bool) func(any) error {
	return func(v any) error {
		if v == nil || known {
			return nil
		}
		return fmt.Errorf("there is no such class here; known are %s", strings.Join(names, ", "))
	}
}

func recommend(names []string) func(configdef.Config) ([]string, bool) {
	return func(configdef.Config) ([]string, bool) { return names, true }
}

func checkOneOf(aliases []string) func(any) error {
	return func(v any) error {
		if name, _ := v.(string); name != "" && !slices.Contains(aliases, name) {
			return fmt.Errorf("there is no such alias in %s", predicatesKey)
		}
		return nil
	}
}

func hasErrors(infos []configdef.Info) bool {
	return slices.ContainsFunc(infos, func(in configdef.Info) bool { return len(in.Value.Errors) > 0 })
}

// fail adds an error to one of the entries.
func fail(infos []configdef.Info, key, text string) {
	for _, in := range infos {
		if in.Value.Name == key {
			in.Value.Errors = append(in.Value.Errors, text)
		}
	}
}
