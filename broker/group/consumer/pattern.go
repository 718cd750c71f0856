package consumer

import (
	"fmt"
	"regexp"

	"github.com/twmb/franz-go/pkg/kerr"
)

// maxPattern bounds the length of a pattern in bytes. Matching takes time in
// proportion to it for every topic.
const maxPattern = 16 << 10

// pattern is a subscription by regular expression (RE2), which must match the
// whole name of a topic.
type pattern struct {
	re      *regexp.Regexp
	names   []string // topics that match, as of version
	version uint64
}

func compile(regex string) (*pattern, error) {
	if len(regex) > maxPattern {
		return nil, refuse(kerr.InvalidRegularExpression, "subscribed pattern has %d bytes: must be at most %d", len(regex), maxPattern)
	}
	if _, err := regexp.Compile(regex); err != nil { // else "a)|(b" would be one
		return nil, refuse(kerr.InvalidRegularExpression, "subscribed pattern: %v", err)
	}
	re, err := regexp.Compile(`\A(?:` + regex + `)\z`)
	if err != nil {
		return nil, refuse(kerr.InvalidRegularExpression, "subscribed pattern: %v", err)
	}
	return &pattern{re: re}, nil
}

func (p *pattern) matches(topic string) bool { return p.re.MatchString(topic) }

// resolve returns the topics that match. As in Kafka these include internal
// ones.
func (p *pattern) resolve(topics Topics) []string {
	if v := topics.Version(); p.version != v {
		p.version, p.names = v, nil
		for name := range topics.Names() {
			if p.matches(name) {
				p.names = append(p.names, name)
			}
		}
	}
	return p.names
}

// pattern returns a pattern that a member subscribes to; nil for "", and for
// one from a stored record that is none.
func (g *Group) pattern(regex string) *pattern {
	if regex == "" {
		return nil
	}
	p, ok := g.patterns[regex]
	if !ok {
		p, _ = compile(regex) // checked when the member came
		g.patterns[regex] = p
	}
	return p
}

// forgetPatterns drops those that nobody subscribes to any more.
func (g *Group) forgetPatterns() {
	used := make(map[string]bool)
	for _, m := range g.members {
		used[m.regex] = true
	}
	for regex := range g.patterns {
		if !used[regex] {
			delete(g.patterns, regex)
		}
	}
}

// refused is a Kafka error that says more than its code.
type refused struct {
	code *kerr.Error
	text string
}

func refuse(code *kerr.Error, format string, args ...any) error {
	return &refused{code, fmt.Sprintf(format, args...)}
}

func (e *refused) Error() string { return e.text }
func (e *refused) Unwrap() error { return e.code }
