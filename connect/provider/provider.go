// Package provider resolves the variables of connector configs, such as
// ${file:/run/secrets/db.properties:password}, when a config is put to use.
// What is stored and shown keeps the reference (KIP-297, 421, 887, 993).
package provider

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Provider looks values up. Look-ups happen each time a config is put to use.
type Provider interface {
	// Get returns the value of a key under a path, which may be empty.
	Get(path, key string) (string, error)
}

// Set are the providers of a worker by the names that its settings give them.
// The zero Set resolves nothing and refuses every variable.
type Set struct{ providers map[string]Provider }

// constructors are the providers that exist, by Java class name.
var constructors = map[string]func(params map[string]string) (Provider, error){
	"org.apache.kafka.common.config.provider.FileConfigProvider":      newFile,
	"org.apache.kafka.common.config.provider.DirectoryConfigProvider": newDirectory,
	"org.apache.kafka.common.config.provider.EnvVarConfigProvider":    newEnvironment,
}

// New makes the providers that a worker's properties name: config.providers,
// and for each name config.providers.NAME.class and .param.KEY. It reports all
// problems at once.
func New(props map[string]string) (Set, error) {
	s := Set{providers: map[string]Provider{}}
	var errs []error
	for name := range strings.SplitSeq(props["config.providers"], ",") {
		name = strings.TrimSpace(name)
		if name == "" {
			continue
		}
		prefix := "config.providers." + name + "."
		class := strings.TrimSpace(props[prefix+"class"])
		construct, ok := constructors[class]
		if !ok {
			errs = append(errs, fmt.Errorf("%sclass is %q: must be one of %s", prefix, class, strings.Join(slices.Sorted(maps.Keys(constructors)), ", ")))
			continue
		}
		params := map[string]string{}
		for k, v := range props {
			if p, ok := strings.CutPrefix(k, prefix+"param."); ok {
				params[p] = v
			}
		}
		p, err := construct(params)
		if err != nil {
			errs = append(errs, fmt.Errorf("%sparam: %w", prefix, err))
			continue
		}
		s.providers[name] = p
	}
	return s, errors.Join(errs...)
}

// variable is ${provider:[path:]key}; the path ends at the last colon but one,
// as in Kafka's lazy pattern, and may be left out.
var variable = regexp.MustCompile(`\$\{([^}]*?):(([^}]*?):)?([^}]*?)\}`)

// HasVariable reports whether a value refers to a provider.
func HasVariable(value string) bool { return variable.MatchString(value) }

// Error is a variable that could not be resolved.
type Error struct {
	Key      string // of the config
	Variable string
	Err      error
}

func (e *Error) Error() string { return fmt.Sprintf("%s: variable %s: %v", e.Key, e.Variable, e.Err) }

func (e *Error) Unwrap() error { return e.Err }

// Resolve returns a copy of a config with its variables replaced; the config
// itself if it has none. Results are not searched for variables again. Errors
// are of type *Error, joined. Differs from Kafka: a variable without a value is
// an error, where Kafka leaves its text as the value.
func (s Set) Resolve(config map[string]string) (map[string]string, error) {
	var out map[string]string
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(config)) {
		value := config[key]
		if !HasVariable(value) {
			continue
		}
		if out == nil {
			out = maps.Clone(config)
		}
		out[key] = variable.ReplaceAllStringFunc(value, func(text string) string {
			v, err := s.lookup(text)
			if err != nil {
				errs = append(errs, &Error{Key: key, Variable: text, Err: err})
			}
			return v
		})
	}
	if out == nil {
		return config, nil
	}
	return out, errors.Join(errs...)
}

func (s Set) lookup(text string) (string, error) {
	m := variable.FindStringSubmatch(text)
	p, ok := s.providers[m[1]]
	if !ok {
		names := slices.Sorted(maps.Keys(s.providers))
		return "", fmt.Errorf("no config provider is named %q; the worker's config.providers are [%s]", m[1], strings.Join(names, ", "))
	}
	return p.Get(m[3], m[4])
}

// Unresolve puts references back: where a value of resolved equals one that a
// variable of config gave, it becomes the variable's text. So secrets that a
// connector copies into its task configs do not reach the config topic.
func (s Set) Unresolve(config, resolved map[string]string) map[string]string {
	given, err := s.Resolve(config)
	if err != nil {
		return resolved
	}
	byValue := map[string]string{}
	for k, v := range config {
		if HasVariable(v) && given[k] != "" {
			byValue[given[k]] = v
		}
	}
	if len(byValue) == 0 {
		return resolved
	}
	out := maps.Clone(resolved)
	for k, v := range out {
		if ref, ok := byValue[v]; ok {
			out[k] = ref
		}
	}
	return out
}

// Hide replaces, in a text meant for people, what variables of config gave by
// the variables themselves.
func (s Set) Hide(config map[string]string, text string) string {
	given, err := s.Resolve(config)
	if err != nil {
		return text // nothing was resolved that the text could hold
	}
	for k, v := range config {
		if HasVariable(v) && given[k] != "" {
			text = strings.ReplaceAll(text, given[k], v)
		}
	}
	return text
}
