package catalog

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// index answers look-ups over a fixed set of plugins.
type index struct {
	plugins []*Plugin            // by name, the newest version first
	classes map[string][]*Plugin // versions of one plugin, the newest first
	aliases map[string][]string  // to classes, several where the name alone does not decide
}

// newIndex reports all mistakes of a set of plugins at once. Plugins of one
// name are versions of one plugin.
func newIndex(plugins []Plugin) (*index, error) {
	ix := &index{classes: make(map[string][]*Plugin), aliases: make(map[string][]string)}
	var errs []error
	for i := range plugins {
		if err := plugins[i].check(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", plugins[i].Origin, err))
			continue
		}
		ix.plugins = append(ix.plugins, &plugins[i])
	}
	slices.SortStableFunc(ix.plugins, func(a, b *Plugin) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), CompareVersions(b.Version, a.Version))
	})
	for i, p := range ix.plugins {
		if i > 0 && ix.plugins[i-1].Name == p.Name && CompareVersions(ix.plugins[i-1].Version, p.Version) == 0 {
			errs = append(errs, fmt.Errorf("two plugins are named %q and both have version %s: %s and %s: remove one",
				p.Name, p.Version, ix.plugins[i-1].Origin, p.Origin))
		}
		for _, class := range p.Classes {
			if others := ix.classes[class]; len(others) > 0 && others[0].Name != p.Name {
				errs = append(errs, fmt.Errorf("two plugins claim class %s: %s and %s: remove one", class, others[0].Origin, p.Origin))
				continue
			}
			ix.classes[class] = append(ix.classes[class], p)
			ix.alias(class)
		}
		for alias, class := range p.Aliases {
			ix.addAlias(alias, class)
		}
	}
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
func (ix *index) alias(class string) {
	simple := class[strings.LastIndexByte(class, '.')+1:]
	ix.addAlias(simple, class)
	if i := strings.LastIndex(simple, "Connector"); i > 0 {
		ix.addAlias(simple[:i], class)
	}
}

func (ix *index) addAlias(name, class string) {
	if !slices.Contains(ix.aliases[name], class) {
		ix.aliases[name] = append(ix.aliases[name], class)
	}
}

func (ix *index) resolve(name string, config map[string]string) (*Plugin, string, error) {
	class, err := ix.class(name, config)
	if err != nil {
		return nil, "", err
	}
	p, err := choose(class, ix.classes[class], config[VersionKey])
	return p, class, err
}

// class returns the full class that a name stands for.
func (ix *index) class(name string, config map[string]string) (string, error) {
	classes := ix.aliases[name]
	if own, ok := ix.classes[name]; ok {
		// A short name that is a class of its own may be another plugin's as
		// well, where a key says so.
		if marked := ix.withMarks(classes, config); len(marked) == 1 && ix.classes[marked[0]][0].Name != own[0].Name {
			return marked[0], nil
		}
		return name, nil
	}
	if len(classes) > 1 {
		if marked := ix.withMarks(classes, config); len(marked) > 0 {
			classes = marked
		}
	}
	switch len(classes) {
	case 1:
		return classes[0], nil
	case 0:
		return "", fmt.Errorf("%w %q: the classes here are %s", ErrUnknownClass, name, strings.Join(ix.known(), ", "))
	}
	return "", fmt.Errorf("%w %q: it may be any of %s: use the full name", ErrUnknownClass, name,
		strings.Join(slices.Sorted(slices.Values(classes)), ", "))
}

// choose returns the newest version of a plugin that will do.
func choose(class string, versions []*Plugin, text string) (*Plugin, error) {
	r, err := ParseRequirement(text)
	if err == nil {
		for _, p := range versions {
			if r.Allows(p.Version) {
				return p, nil
			}
		}
	}
	e := &VersionError{Class: class, Wanted: text, Newest: versions[0], Err: err}
	for _, p := range versions {
		e.Available = append(e.Available, p.Version)
	}
	return nil, e
}

// withMarks keeps the classes whose distinguishing key is configured.
func (ix *index) withMarks(classes []string, config map[string]string) []string {
	var out []string
	for _, c := range classes {
		if _, ok := config[ix.classes[c][0].Marks[c]]; ok {
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
