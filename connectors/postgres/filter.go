package postgres

import (
	"fmt"
	"regexp"
	"strings"
)

// compilePattern makes a Java regular expression that must match the whole
// name, in any case.
func compilePattern(pattern string) (*regexp.Regexp, error) {
	re, err := regexp.Compile("(?i)^(?:" + pattern + ")$")
	if err != nil {
		return nil, fmt.Errorf("%q: %w: look-around, back-references and possessive quantifiers of Java do not exist here", pattern, err)
	}
	return re, nil
}

// splitPatterns splits at commas that are not escaped.
func splitPatterns(text string) []string {
	var out []string
	var one strings.Builder
	flush := func() {
		if s := strings.TrimSpace(one.String()); s != "" {
			out = append(out, s)
		}
		one.Reset()
	}
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '\\' && i+1 < len(text) && text[i+1] == ',':
			one.WriteByte(',')
			i++
		case text[i] == ',':
			flush()
		default:
			one.WriteByte(text[i])
		}
	}
	flush()
	return out
}

// nameFilter is one pair of include and exclude lists; one of them is empty.
type nameFilter struct{ include, exclude []*regexp.Regexp }

func matchesAny(list []*regexp.Regexp, name string) bool {
	for _, re := range list {
		if re.MatchString(name) {
			return true
		}
	}
	return false
}

func (f *nameFilter) takes(name string) bool {
	if len(f.include) > 0 {
		return matchesAny(f.include, name)
	}
	return !matchesAny(f.exclude, name)
}

func compilePatterns(text string) ([]*regexp.Regexp, error) {
	var out []*regexp.Regexp
	for _, p := range splitPatterns(text) {
		re, err := compilePattern(p)
		if err != nil {
			return nil, err
		}
		out = append(out, re)
	}
	return out, nil
}

// system reports schemas that are never captured.
func system(schema string) bool {
	return schema == "information_schema" || strings.HasPrefix(schema, "pg_catalog") ||
		strings.HasPrefix(schema, "pg_temp") || strings.HasPrefix(schema, "pg_toast")
}

// keyColumns is one entry of message.key.columns.
type keyColumns struct {
	table   *regexp.Regexp
	columns []string
}

// parseKeyColumns reads table:column,column;table:column.
func parseKeyColumns(text string) ([]keyColumns, error) {
	var out []keyColumns
	for entry := range strings.SplitSeq(text, ";") {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		i := strings.LastIndexByte(entry, ':')
		if i <= 0 {
			return nil, fmt.Errorf("%q is not of the form table:column,column", entry)
		}
		re, err := compilePattern(entry[:i])
		if err != nil {
			return nil, err
		}
		k := keyColumns{table: re}
		for c := range strings.SplitSeq(entry[i+1:], ",") {
			if c = strings.TrimSpace(c); c == "" {
				return nil, fmt.Errorf("%q names an empty column", entry)
			}
			k.columns = append(k.columns, c)
		}
		out = append(out, k)
	}
	return out, nil
}
