package configdef

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Warning is about a property that does no harm but may not do what its author
// meant.
type Warning struct {
	Key   string
	Meant string // the key that was probably meant, "" if none is near
	Text  string
}

// Warnings reports old names, and properties that the definition does not
// have, with the key that was probably meant. Properties under one of the
// prefixes belong to somebody else and are left out. The result is sorted by
// key.
func (d Def) Warnings(props map[string]string, prefixes ...string) []Warning {
	var out []Warning
	for name := range props {
		foreign := func(p string) bool { return strings.HasPrefix(name, p) }
		if _, ok := d.Key(name); ok || slices.ContainsFunc(prefixes, foreign) || d.opened(name, props) {
			continue
		}
		out = append(out, d.warn(name, props))
	}
	slices.SortFunc(out, func(a, b Warning) int { return cmp.Compare(a.Key, b.Key) })
	return out
}

// opened reports whether a key is among those that the value of another brings
// about.
func (d Def) opened(name string, props map[string]string) bool {
	for _, k := range d {
		for _, pattern := range k.Opens {
			if !strings.Contains(pattern, "{}") {
				if like(pattern, name) {
					return true
				}
				continue
			}
			for element := range strings.SplitSeq(props[k.Name], ",") {
				if element = strings.TrimSpace(element); element != "" && like(strings.ReplaceAll(pattern, "{}", element), name) {
					return true
				}
			}
		}
	}
	return false
}

// like reports whether a name is of a pattern in which * stands for any text.
func like(pattern, name string) bool {
	head, rest, more := strings.Cut(pattern, "*")
	if !more {
		return name == pattern
	}
	name, ok := strings.CutPrefix(name, head)
	if !ok || rest == "" {
		return ok
	}
	for from := 0; from <= len(name); from++ {
		if like(rest, name[from:]) {
			return true
		}
	}
	return false
}

func (d Def) warn(name string, props map[string]string) Warning {
	for _, k := range d {
		if !slices.Contains(k.Aliases, name) {
			continue
		}
		text := fmt.Sprintf("%s is an old name of %s, which it sets", name, k.Name)
		if _, both := props[k.Name]; both {
			text = fmt.Sprintf("%s is an old name of %s, which is set as well and wins", name, k.Name)
		}
		return Warning{name, k.Name, text}
	}
	if meant := d.Nearest(name); meant != "" {
		return Warning{name, meant, fmt.Sprintf("%s is not a configuration key here and has no effect: did you mean %s?", name, meant)}
	}
	return Warning{name, "", name + " is not a configuration key here and has no effect"}
}

// Nearest returns the defined key that a misspelt name is most like, "" if
// none is near. Case, separators, and a part that was forgotten at the end or
// the front count little.
func (d Def) Nearest(name string) string {
	if len(name) > 200 {
		return ""
	}
	best, bestCost := "", len(name)/4+1
	plain := squash(name)
	for _, k := range d {
		cost := distance(name, k.Name)
		if other := squash(k.Name); other == plain || len(plain) > 5 && (strings.HasPrefix(other, plain) || strings.HasSuffix(other, plain)) {
			cost = 0
		}
		if cost < bestCost || cost == bestCost && best == "" {
			best, bestCost = k.Name, cost
		}
	}
	return best
}

// squash drops case and separators, so that tasksMax and tasks.max are one.
func squash(s string) string {
	return strings.ToLower(strings.NewReplacer(".", "", "_", "", "-", "").Replace(s))
}

// distance is the number of insertions, deletions, replacements and swaps of
// neighbours between two names (optimal string alignment).
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// Longest returns the value of name in a table whose keys stand for themselves,
// or with a dot at their end for all names that begin so, "" if there is none.
// Of several the longest counts.
func Longest(table map[string]string, name string) string {
	if v, ok := table[name]; ok {
		return v
	}
	for i := strings.LastIndexByte(name, '.'); i >= 0; i = strings.LastIndexByte(name[:i], '.') {
		if v, ok := table[name[:i+1]]; ok {
			return v
		}
	}
	return ""
}
