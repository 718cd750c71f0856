package catalog

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// claim is a class and the plugin that answers to it.
type claim struct {
	class  string
	plugin *Plugin
}

// index answers look-ups over a fixed set of plugins.
type index struct {
	plugins []*Plugin
	classes map[string]*Plugin
	aliases map[string][]claim // several where the name alone does not decide
}

// newIndex reports all mistakes of a set of plugins at once.
func newIndex(plugins []Plugin) (*index, error) {
	ix := &index{classes: make(map[string]*Plugin), aliases: make(map[string][]claim)}
	names := make(map[string]*Plugin)
	var errs []error
	for i := range plugins {
		p := &plugins[i]
		if err := p.check(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", p.Origin, err))
			continue
		}
		if other, ok := names[p.Name]; ok {
			errs = append(errs, fmt.Errorf("two plugins are named %q: %s and %s: remove one", p.Name, other.Origin, p.Origin))
		}
		names[p.Name] = p
		ix.plugins = append(ix.plugins, p)
		for _, class := range p.Classes {
			if other, ok := ix.classes[class]; ok {
				errs = append(errs, fmt.Errorf("two plugins claim class %s: %s and %s: remove one", class, other.Origin, p.Origin))
				continue
			}
			ix.classes[class] = p
			ix.alias(class, class, p)
		}
		for alias, class := range p.Aliases {
			ix.addAlias(alias, claim{class, p})
		}
	}
	slices.SortFunc(ix.plugins, func(a, b *Plugin) int { return cmp.Compare(a.Name, b.Name) })
	return ix, errors.Join(errs...)
}

// check refuses a plugin that could not be looked up or started.
func (p *Plugin) check() error {
	switch {
	case p.Name == "":
		return errors.New("plugin without a name")
	case p.Kind != Source && p.Kind != Sink:
		return fmt.Errorf("plugin %s: kind %q is neither source nor sink", p.Name, p.Kind)
	case len(p.Classes) == 0 || slices.Contains(p.Classes, ""):
		return fmt.Errorf("plugin %s answers to no class, or to an empty one", p.Name)
	case len(p.Command) == 0:
		return fmt.Errorf("plugin %s has no command", p.Name)
	}
	for alias, class := range p.Aliases {
		if !slices.Contains(p.Classes, class) {
			return fmt.Errorf("plugin %s: alias %s is for class %s, which it does not answer to", p.Name, alias, class)
		}
	}
	return nil
}

// alias adds the short forms of a class, by Kafka Connect's rule: the last
// part, and that cut at its last Connector.
func (ix *index) alias(class, full string, p *Plugin) {
	simple := class[strings.LastIndexByte(class, '.')+1:]
	ix.addAlias(simple, claim{full, p})
	if i := strings.LastIndex(simple, "Connector"); i > 0 {
		ix.addAlias(simple[:i], claim{full, p})
	}
}

func (ix *index) addAlias(name string, c claim) {
	if !slices.Contains(ix.aliases[name], c) {
		ix.aliases[name] = append(ix.aliases[name], c)
	}
}

func (ix *index) resolve(class string, config map[string]string) (*Plugin, string, error) {
	if p, ok := ix.classes[class]; ok {
		return p, class, nil
	}
	claims := ix.aliases[class]
	if len(claims) > 1 {
		if marked := withMarks(claims, config); len(marked) > 0 {
			claims = marked
		}
	}
	switch len(claims) {
	case 1:
		return claims[0].plugin, claims[0].class, nil
	case 0:
		return nil, "", fmt.Errorf("%w %q: the classes here are %s", ErrUnknownClass, class, strings.Join(ix.known(), ", "))
	}
	var names []string
	for _, c := range claims {
		names = append(names, c.class)
	}
	slices.Sort(names)
	return nil, "", fmt.Errorf("%w %q: it may be any of %s: use the full name", ErrUnknownClass, class, strings.Join(names, ", "))
}

// withMarks keeps the claims whose distinguishing key is configured.
func withMarks(claims []claim, config map[string]string) []claim {
	var out []claim
	for _, c := range claims {
		if _, ok := config[c.plugin.Marks[c.class]]; ok {
			out = append(out, c)
		}
	}
	return out
}

func (ix *index) known() []string {
	out := make([]string, 0, len(ix.classes))
	for class := range ix.classes {
		out = append(out, class)
	}
	slices.Sort(out)
	return out
}
