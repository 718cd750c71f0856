package configdef

import (
	"regexp"
	"slices"
)

// secretName recognises keys that hold secrets by their name, for keys that
// the definition at hand does not have: those of converters, clients and other
// connectors.
var secretName = regexp.MustCompile(`(?i)(password|passwd|secret|token|credential|jaas|user\.info|private\.?key|access\.?key|api\.?key|passphrase|sasl\.oauthbearer)`)

// reference is a value that only names where the secret is.
var reference = regexp.MustCompile(`^\$\{[^}]*\}$`)

// Redact returns a copy of properties that may be logged: the values of
// PASSWORD keys, and of unknown keys whose name says that they hold a secret,
// are Hidden. A value that is one ${provider:path:key} reference stays.
func (d Def) Redact(props map[string]string) map[string]string {
	out := make(map[string]string, len(props))
	for name, value := range props {
		if d.secret(name) && !reference.MatchString(value) {
			value = Hidden
		}
		out[name] = value
	}
	return out
}

func (d Def) secret(name string) bool {
	for _, k := range d {
		if k.Name == name || slices.Contains(k.Aliases, name) {
			return k.Type == Password
		}
	}
	return secretName.MatchString(name)
}
