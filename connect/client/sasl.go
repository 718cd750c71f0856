package client

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/millrace/millrace/plugins/configdef"
)

// mechanisms are those that exist, by name, with the Java login module that
// sasl.jaas.config must name for each.
var mechanisms = map[string]struct {
	module string
	make   func(user, pass string, token bool) sasl.Mechanism
}{
	"PLAIN": {"org.apache.kafka.common.security.plain.PlainLoginModule",
		func(user, pass string, _ bool) sasl.Mechanism {
			return plain.Auth{User: user, Pass: pass}.AsMechanism()
		}},
	"SCRAM-SHA-256": {"org.apache.kafka.common.security.scram.ScramLoginModule",
		func(user, pass string, token bool) sasl.Mechanism {
			return scram.Auth{User: user, Pass: pass, IsToken: token}.AsSha256Mechanism()
		}},
	"SCRAM-SHA-512": {"org.apache.kafka.common.security.scram.ScramLoginModule",
		func(user, pass string, token bool) sasl.Mechanism {
			return scram.Auth{User: user, Pass: pass, IsToken: token}.AsSha512Mechanism()
		}},
}

// saslOf makes the mechanism that the settings name. Problems never quote what
// sasl.jaas.config holds.
func saslOf(cfg configdef.Config) (sasl.Mechanism, *configdef.Problem) {
	name := strings.ToUpper(strings.TrimSpace(cfg.String("sasl.mechanism")))
	m, ok := mechanisms[name]
	if !ok {
		p := problem("sasl.mechanism", "%s is not spoken by Millrace's clients; name PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", name)
		return nil, &p
	}
	module, options, err := parseJAAS(cfg.String("sasl.jaas.config"))
	if err != nil {
		p := problem("sasl.jaas.config", "%v", err)
		return nil, &p
	}
	if module != m.module {
		p := problem("sasl.jaas.config", "login module %s is not that of %s, which is %s", module, name, m.module)
		return nil, &p
	}
	for _, k := range []string{"username", "password"} {
		if options[k] == "" {
			p := problem("sasl.jaas.config", "it has no %s", k)
			return nil, &p
		}
	}
	return m.make(options["username"], options["password"], options["tokenauth"] == "true"), nil
}

// parseJAAS reads one entry of Java's login configuration:
//
//	module flag key="value" ... ;
//
// Values may be quoted, with a backslash before what would end them.
func parseJAAS(s string) (module string, options map[string]string, err error) {
	words, err := jaasWords(s, ";")
	if err != nil {
		return "", nil, err
	}
	if len(words) < 3 || words[len(words)-1] != ";" {
		return "", nil, fmt.Errorf(`it must be of the form MODULE required username="..." password="...";`)
	}
	options, err = jaasOptions(words[2 : len(words)-1])
	return words[0], options, err
}

func jaasOptions(words []string) (map[string]string, error) {
	options := map[string]string{}
	for _, w := range words {
		k, v, ok := strings.Cut(w, "=")
		if !ok || k == "" {
			return nil, fmt.Errorf("an option is not of the form name=value")
		}
		options[k] = v
	}
	return options, nil
}

// LoginSection returns the login module of a section of a Java login
// configuration, and its options. A section with several has only its first.
func LoginSection(text, section string) (module string, options map[string]string, err error) {
	words, err := jaasWords(loginComment.ReplaceAllString(text, " "), ";{}")
	if err != nil {
		return "", nil, err
	}
	for i := 0; i+1 < len(words); i++ {
		if words[i] != section || words[i+1] != "{" {
			continue
		}
		rest := words[i+2:]
		end := slices.Index(rest, ";")
		if end < 2 {
			return "", nil, fmt.Errorf("section %s is not of the form %s { MODULE required name=\"value\"; };", section, section)
		}
		options, err := jaasOptions(rest[2:end])
		return rest[0], options, err
	}
	return "", nil, fmt.Errorf("it has no section %s", section)
}

// loginComment is a comment of a login configuration, which begins a line.
var loginComment = regexp.MustCompile(`(?ms)^\s*//.*?$|^\s*/\*.*?\*/`)

// jaasWords splits at white space outside of quotes, which it takes away. Each
// of the marks is a word of its own.
func jaasWords(s, marks string) ([]string, error) {
	var words []string
	var word strings.Builder
	inside := false // of a word
	end := func() {
		if inside {
			words = append(words, word.String())
			word.Reset()
			inside = false
		}
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			end()
		case strings.IndexByte(marks, c) >= 0:
			end()
			words = append(words, string(c))
		case c == '"' || c == '\'':
			inside = true
			for i++; i < len(s) && s[i] != c; i++ {
				if s[i] == '\\' && i+1 < len(s) {
					i++
				}
				word.WriteByte(s[i])
			}
			if i >= len(s) {
				return nil, fmt.Errorf("a quote is not closed")
			}
		default:
			inside = true
			word.WriteByte(c)
		}
	}
	end()
	return words, nil
}
