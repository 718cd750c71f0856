package configdef

import (
	"fmt"
	"maps"
	"strings"
	"time"
)

// Config holds the typed values of a configuration. It is immutable and safe
// for concurrent use. Getters panic for a key that the definition does not
// have, or has with another type: that is a mistake in the program. A null
// value reads as the zero value; IsNull tells.
type Config struct {
	def    Def
	values map[string]any
	props  map[string]string
}

func get[T any](c Config, name string) (x T) {
	v, ok := c.values[name]
	if !ok {
		panic(fmt.Sprintf("configdef: key %q is not defined", name))
	}
	if v == nil {
		return x
	}
	if x, ok = v.(T); !ok {
		panic(fmt.Sprintf("configdef: key %q is a %T, not a %T", name, v, x))
	}
	return x
}

// String returns a STRING, CLASS or PASSWORD, trimmed.
func (c Config) String(name string) string { return get[string](c, name) }

// Bool returns a BOOLEAN.
func (c Config) Bool(name string) bool { return get[bool](c, name) }

// Int returns a SHORT, INT or LONG.
func (c Config) Int(name string) int { return int(get[int64](c, name)) }

// Int64 returns a SHORT, INT or LONG.
func (c Config) Int64(name string) int64 { return get[int64](c, name) }

// Float64 returns a DOUBLE.
func (c Config) Float64(name string) float64 { return get[float64](c, name) }

// List returns a LIST. The caller must not change it.
func (c Config) List(name string) []string { return get[[]string](c, name) }

// Millis returns a SHORT, INT or LONG that counts milliseconds, as Kafka's
// *.ms keys do.
func (c Config) Millis(name string) time.Duration {
	return time.Duration(get[int64](c, name)) * time.Millisecond
}

// IsNull reports whether a key has no value: none was given, and its default
// is null.
func (c Config) IsNull(name string) bool { return get[any](c, name) == nil }

// Given reports whether the properties hold the key or one of its aliases.
func (c Config) Given(name string) bool {
	k, ok := c.def.Key(name)
	if !ok {
		panic(fmt.Sprintf("configdef: key %q is not defined", name))
	}
	_, ok = k.given(c.props)
	return ok
}

// Original returns a property as it was given, not trimmed, whether the
// definition has it or not.
func (c Config) Original(name string) (string, bool) {
	v, ok := c.props[name]
	return v, ok
}

// Originals returns a copy of all properties.
func (c Config) Originals() map[string]string { return maps.Clone(c.props) }

// WithPrefix returns the properties whose keys begin with a prefix, without
// it.
func (c Config) WithPrefix(prefix string) map[string]string {
	out := make(map[string]string)
	for k, v := range c.props {
		if rest, ok := strings.CutPrefix(k, prefix); ok {
			out[rest] = v
		}
	}
	return out
}
