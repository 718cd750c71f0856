package logtail

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
)

// glob is a pattern of paths: the directory that all matches are under, and
// the expression that they match.
type glob struct {
	root string
	deep bool // matches may be in directories below the root
	re   *regexp.Regexp
}

// compileGlob reads a pattern with *, ?, [set] and **.
func compileGlob(pattern string) (glob, error) {
	if !filepath.IsAbs(pattern) {
		return glob{}, fmt.Errorf("%q is not an absolute path: the worker's directory means nothing to a connector", pattern)
	}
	pattern = filepath.Clean(pattern)
	plain := pattern
	if i := strings.IndexAny(pattern, `*?[`); i >= 0 {
		plain = pattern[:i]
	}
	g := glob{root: filepath.Dir(plain + "x")}
	g.deep = strings.Contains(strings.TrimPrefix(pattern[len(g.root):], "/"), "/")
	var b strings.Builder
	b.WriteByte('^')
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; c {
		case '*':
			switch {
			case strings.HasPrefix(pattern[i:], "**/"):
				b.WriteString(`(?:[^/]+/)*`)
				i += 2
			case strings.HasPrefix(pattern[i:], "**"):
				b.WriteString(`.*`)
				i++
			default:
				b.WriteString(`[^/]*`)
			}
		case '?':
			b.WriteString(`[^/]`)
		case '[':
			end := strings.IndexByte(pattern[i:], ']')
			if end < 2 {
				return glob{}, fmt.Errorf("%q: a [ has no ]", pattern)
			}
			set := pattern[i+1 : i+end]
			if set[0] == '!' {
				set = "^" + set[1:]
			}
			b.WriteString("[" + strings.ReplaceAll(set, `\`, `\\`) + "]")
			i += end
		default:
			b.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	re, err := regexp.Compile(b.String() + "$")
	if err != nil {
		return glob{}, fmt.Errorf("%q: %w", pattern, err)
	}
	g.re = re
	return g, nil
}

// match reports whether a path matches.
func (g *glob) match(path string) bool { return g.re.MatchString(path) }

// find returns the files that match, in the order of their names. Directories
// that are missing or may not be read have none.
func (g *glob) find(add func(path string)) error {
	return filepath.WalkDir(g.root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission):
			return nil
		case err != nil:
			return err
		case d.IsDir():
			if path != g.root && !g.deep {
				return fs.SkipDir
			}
			return nil
		case g.match(path):
			add(path)
		}
		return nil
	})
}
