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
func (d Def) Redact(props map[string]string) map[string]string { return Mask(props, d.Secret) }

// Mask returns a copy of properties in which the values of secret keys are
// Hidden, but for those that are empty, or one ${provider:path:key} reference.
func Mask(props map[string]string, secret func(name string) bool) map[string]string {
	out := make(map[string]string, len(props))
	for name, value := range props {
		if value != "" && secret(name) && !reference.MatchString(value) {
			value = Hidden
		}
		out[name] = value
	}
	return out
}

// Secret reports whether a key holds a secret: its type is PASSWORD, or it is
// not defined here and its name says so.
func (d Def) Secret(name string) bool {
	for _, k := range d {
		if k.Name == name || slices.Contains(k.Aliases, name) {
			return k.Type == Password
		}
	}
	return secretName.MatchString(name)
}
