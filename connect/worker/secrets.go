package worker

import (
	"context"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/millrace/millrace/connect/client"
	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/connect/converter"
	"github.com/millrace/millrace/connect/transform"
	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/host"
)

// Secret returns which keys of a connector's config, and of its tasks', hold
// secrets: those that their definition gives the type PASSWORD, and those
// without a definition whose name says so.
func (w *Worker) Secret(cfg connector.Config) func(key string) bool {
	var own configdef.Def
	if t, err := w.resolve(cfg); err == nil {
		own = w.knownKeys(t)
	}
	framework := frameworkKeys(w.Kind(cfg))
	return func(key string) bool {
		if _, ok := own.Key(key); ok {
			return own.Secret(key)
		}
		if def, name, ok := w.definedIn(cfg, key); ok {
			return def.Secret(name)
		}
		return framework.Secret(key)
	}
}

// clientSecrets defines the connection settings of clients.
var clientSecrets = client.Keys()

// definedIn returns the definition of the converter, client, transform or
// predicate that a key of a connector's config is for, and its name there. A
// class that is not here has an empty definition.
func (w *Worker) definedIn(cfg connector.Config, key string) (def configdef.Def, name string, ok bool) {
	for _, side := range []converter.Side{converter.Key, converter.Value, converter.Header} {
		if name, ok := strings.CutPrefix(key, string(side)+".converter."); ok {
			class, _ := converter.Lookup(w.choose(side, cfg).class)
			return class.Def, name, true
		}
	}
	for _, prefix := range []string{prefixProducer, prefixConsumer, prefixAdmin} {
		if name, ok := strings.CutPrefix(key, prefix); ok {
			return clientSecrets, name, true
		}
	}
	if alias, name, ok := cutAlias(key, prefixTransform); ok {
		class, _ := transform.Lookup(strings.TrimSpace(cfg[prefixTransform+alias+".type"]))
		return class.Def, name, true
	}
	if alias, name, ok := cutAlias(key, prefixPredicate); ok {
		class, _ := transform.LookupPredicate(strings.TrimSpace(cfg[prefixPredicate+alias+".type"]))
		return class.Def, name, true
	}
	return nil, "", false
}

// cutAlias splits PREFIX ALIAS.NAME.
func cutAlias(key, prefix string) (alias, name string, ok bool) {
	rest, ok := strings.CutPrefix(key, prefix)
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, ".")
}

// Mask hides the secrets of a config that people will see. Variables stay: they
// only name where a secret is.
func (w *Worker) Mask(cfg connector.Config) connector.Config {
	return configdef.Mask(cfg, w.Secret(cfg))
}

// leastSecret is the length of the shortest secret that is taken out of texts:
// shorter ones are part of many words.
const leastSecret = 4

// scrub takes the secrets of a config out of a text, where they stand as words
// of their own. One that is the value of another key too, as of the user's
// name, is none.
func scrub(cfg connector.Config, secret func(string) bool, text string) string {
	var values []string
	open := map[string]bool{}
	for k, v := range cfg {
		switch {
		case len(v) < leastSecret || !strings.Contains(text, v):
		case secret(k):
			values = append(values, v)
		default:
			open[v] = true
		}
	}
	slices.SortFunc(values, func(a, b string) int { return len(b) - len(a) }) // one may be part of another
	for _, v := range values {
		if !open[v] {
			text = hideWord(text, v)
		}
	}
	return text
}

// hideWord replaces a word where no letter or digit continues it.
func hideWord(text, word string) string {
	var out strings.Builder
	for {
		i := strings.Index(text, word)
		if i < 0 {
			out.WriteString(text)
			return out.String()
		}
		before, _ := utf8.DecodeLastRuneInString(text[:i])
		after, _ := utf8.DecodeRuneInString(text[i+len(word):])
		out.WriteString(text[:i])
		if wordRune(before) || wordRune(after) {
			out.WriteString(word)
		} else {
			out.WriteString(configdef.Hidden)
		}
		text = text[i+len(word):]
	}
}

func wordRune(r rune) bool { return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r)) }

// knownKeys are the keys that a connector defines. One that is known from its
// manifest alone is asked once; until it answers none are known.
func (w *Worker) knownKeys(t host.Target) configdef.Def {
	if len(t.Plugin.Config) > 0 {
		return t.Plugin.Config
	}
	w.mu.Lock()
	def, ok := w.described[t.Plugin.Origin]
	w.mu.Unlock()
	if ok {
		return def
	}
	def, err := w.describe(context.Background(), t) // the host bounds it
	if err != nil {
		w.cfg.Logger.Warn("keys of a plugin unknown, secrets are told by their names", "plugin", t.Plugin.Name, "err", err)
		return nil
	}
	w.mu.Lock()
	w.described[t.Plugin.Origin] = def
	w.mu.Unlock()
	return def
}
