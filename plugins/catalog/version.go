package catalog

import (
	"cmp"
	"fmt"
	"strings"
)

// Requirement says which versions of a plugin will do, in the syntax of Maven
// that Kafka Connect has for plugin.version (KIP-891): nothing or "latest" is
// any, a plain version is that one, and ranges are written [1.0,2.0), (,1.5] or
// [1.0],[1.2].
type Requirement struct {
	text  string
	spans []span // none for any version
}

// span is a range of versions; an empty end is open.
type span struct {
	low, high         string
	withLow, withHigh bool
}

// ParseRequirement reads a requirement.
func ParseRequirement(text string) (Requirement, error) {
	text = strings.TrimSpace(text)
	r := Requirement{text: text}
	if text == "" || strings.EqualFold(text, "latest") {
		return r, nil
	}
	if !strings.ContainsAny(text, "[](),") {
		r.spans = []span{{text, text, true, true}}
		return r, nil
	}
	for rest := text; rest != ""; {
		end := strings.IndexAny(rest, ")]")
		if end < 0 || rest[0] != '[' && rest[0] != '(' {
			return Requirement{}, fmt.Errorf("%q is no range of versions: write 1.2.3, [1.0,2.0) or [1.0],[1.2]", text)
		}
		s, err := parseSpan(rest[1:end], rest[0] == '[', rest[end] == ']')
		if err != nil {
			return Requirement{}, fmt.Errorf("%q: %w", text, err)
		}
		r.spans = append(r.spans, s)
		if rest = strings.TrimSpace(rest[end+1:]); rest != "" {
			after, ok := strings.CutPrefix(rest, ",")
			if rest = strings.TrimSpace(after); !ok || rest == "" {
				return Requirement{}, fmt.Errorf("%q: ranges are separated by commas", text)
			}
		}
	}
	return r, nil
}

func parseSpan(inside string, withLow, withHigh bool) (span, error) {
	low, high, two := strings.Cut(inside, ",")
	s := span{strings.TrimSpace(low), strings.TrimSpace(high), withLow, withHigh}
	switch {
	case !two && (!withLow || !withHigh || s.low == ""):
		return span{}, fmt.Errorf("a single version is written [1.2.3]")
	case !two:
		s.high = s.low
	case strings.Contains(s.high, ","):
		return span{}, fmt.Errorf("a range has two ends")
	case s.low != "" && s.high != "" && CompareVersions(s.low, s.high) > 0:
		return span{}, fmt.Errorf("%s is above %s", s.low, s.high)
	}
	return s, nil
}

// Any reports whether every version will do, so that the newest is taken.
func (r Requirement) Any() bool { return len(r.spans) == 0 }

// String returns the requirement as it was written.
func (r Requirement) String() string { return r.text }

// Allows reports whether a version will do.
func (r Requirement) Allows(version string) bool {
	for _, s := range r.spans {
		low, high := 1, 1
		if s.low != "" {
			low = CompareVersions(version, s.low)
		}
		if s.high != "" {
			high = CompareVersions(s.high, version)
		}
		if (low > 0 || low == 0 && s.withLow) && (high > 0 || high == 0 && s.withHigh) {
			return true
		}
	}
	return r.Any()
}

// CompareVersions orders versions as Maven does: parts between dots, hyphens
// and where digits meet letters; numbers by value; alpha < beta < milestone <
// rc < snapshot < release < sp < other words. Trailing zeros do not count.
func CompareVersions(a, b string) int {
	x, y := tokens(a), tokens(b)
	for i := range max(len(x), len(y)) {
		var s, t token
		switch {
		case i >= len(x):
			t = y[i]
			s = t.nothing()
		case i >= len(y):
			s = x[i]
			t = s.nothing()
		default:
			s, t = x[i], y[i]
		}
		if c := s.compare(t); c != 0 {
			return c
		}
	}
	return 0
}

// token is one part of a version: a number or a word, and what came before it.
type token struct {
	hyphen, number bool
	text           string // of a number, without leading zeros
}

// nothing is what stands against a token where the other version has ended.
func (t token) nothing() token { return token{hyphen: t.hyphen, number: t.number} }

// isNothing reports whether the token adds nothing to what is before it.
func (t token) isNothing() bool { return t.text == "" || !t.number && wordRank(t.text) == releaseRank }

func (t token) compare(o token) int {
	if t.number && o.number && t.hyphen == o.hyphen {
		return cmp.Or(cmp.Compare(len(t.text), len(o.text)), cmp.Compare(t.text, o.text))
	}
	if !t.number && !o.number {
		r, s := wordRank(t.text), wordRank(o.text)
		if r == s && r == len(words) {
			return cmp.Compare(t.text, o.text)
		}
		return cmp.Compare(r, s)
	}
	return cmp.Compare(t.rank(), o.rank())
}

// rank orders tokens of different kinds.
func (t token) rank() int {
	switch {
	case !t.number:
		return 0
	case t.hyphen:
		return 1
	}
	return 2
}

// words are those with an order of their own.
var words = [][]string{{"alpha", "a"}, {"beta", "b"}, {"milestone", "m"}, {"rc", "cr"}, {"snapshot"}, {"", "final", "ga", "release"}, {"sp"}}

const releaseRank = 5

func wordRank(s string) int {
	for i, names := range words {
		for _, n := range names {
			if n == s {
				return i
			}
		}
	}
	return len(words)
}

// tokens splits a version, without what adds nothing at its end and before
// hyphens.
func tokens(version string) []token {
	var out []token
	hyphen, start := false, 0
	version = strings.ToLower(strings.TrimSpace(version))
	end := func(i int) {
		t := token{hyphen: hyphen, text: version[start:i]}
		if t.number = t.text == "" || isDigit(t.text[0]); t.number {
			t.text = strings.TrimLeft(t.text, "0")
		}
		out = append(out, t)
	}
	for i := range len(version) {
		switch c := version[i]; {
		case c == '.' || c == '-' || c == '_':
			end(i)
			hyphen, start = c != '.', i+1
		case i > start && isDigit(c) != isDigit(version[i-1]):
			end(i)
			hyphen, start = true, i
		}
	}
	end(len(version))
	return trim(out)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func trim(in []token) []token {
	var out []token
	drop := func() {
		for len(out) > 0 && out[len(out)-1].isNothing() {
			out = out[:len(out)-1]
		}
	}
	for _, t := range in {
		if t.hyphen {
			drop()
		}
		out = append(out, t)
	}
	drop()
	return out
}
