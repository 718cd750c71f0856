package rule

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// field is what rules know of a field.
type field struct {
	full string
	tags []string // not nil
}

// field returns what is known of the field at a path. One that the schema does
// not know is called after the struct that it is in.
func (s *Set) field(path []string, record string) *field {
	key := strings.Join(path, "\x00")
	if f := s.fields[key]; f != nil {
		return f
	}
	f := &field{full: strings.TrimPrefix(record+"."+path[len(path)-1], "."), tags: []string{}}
	if s.names != nil {
		if full, tags, ok := s.names(path); ok {
			f.full, f.tags = full, append(f.tags, tags...)
		}
	}
	for _, p := range s.tags {
		if !p.names.MatchString(f.full) {
			continue
		}
		for _, t := range p.tags {
			if !slices.Contains(f.tags, t) {
				f.tags = append(f.tags, t)
			}
		}
	}
	s.fields[key] = f
	return f
}

// pattern gives tags to fields by their full names.
type pattern struct {
	names *regexp.Regexp
	tags  []string
}

// wildcards are what stands for other text in a pattern, escaped as
// regexp.QuoteMeta leaves it, the longest first.
var wildcards = strings.NewReplacer(`\*\*`, `.*`, `\*`, `[^.]*`, `\?`, `[^.]`)

func patterns(tags map[string][]string) []pattern {
	var out []pattern
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		re, err := regexp.Compile(`(?s)^` + wildcards.Replace(regexp.QuoteMeta(strings.ReplaceAll(name, "**.*", "**"))) + `$`)
		if err != nil { // too long for a regular expression: no name is that
			continue
		}
		out = append(out, pattern{re, tags[name]})
	}
	return out
}
