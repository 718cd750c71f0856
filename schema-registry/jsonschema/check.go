package jsonschema

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"

	library "github.com/santhosh-tekuri/jsonschema/v6"
	cause "github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/millrace/millrace/schema-registry/jsontext"
)

// dialects are the versions of JSON Schema, by what $schema says without
// scheme and fragment.
var dialects = []struct {
	name  string
	words *keywords
	draft *library.Draft
}{
	{"json-schema.org/draft-04/schema", draft4, library.Draft4},
	{"json-schema.org/draft-06/schema", draft6, library.Draft6},
	{"json-schema.org/draft-07/schema", draft7, library.Draft7},
	{"json-schema.org/draft/2019-09/schema", modern, library.Draft2019},
	{"json-schema.org/draft/2020-12/schema", modern, library.Draft2020},
}

// dialectOf returns a text's dialect: draft 7 unless it names one that is
// known.
func dialectOf(root *jsontext.Value) (*keywords, *library.Draft) {
	if name, ok := root.Str("$schema"); ok {
		name = strings.TrimSuffix(name, "#")
		_, name, _ = strings.Cut(name, "://")
		for _, d := range dialects {
			if d.name == name {
				return d.words, d.draft
			}
		}
	}
	return draft7, library.Draft7
}

// metaschemas validate schemas, one for each draft. They are made when they
// are first wanted.
var metaschemas = func() map[*library.Draft]func() (*library.Schema, error) {
	m := map[*library.Draft]func() (*library.Schema, error){}
	for _, d := range dialects {
		m[d.draft] = sync.OnceValues(func() (*library.Schema, error) {
			c := library.NewCompiler()
			c.UseRegexpEngine(regexpEngine)
			c.AssertFormat()
			scheme := "http://"
			if d.words == modern {
				scheme = "https://"
			}
			return c.Compile(scheme + d.name)
		})
	}
	return m
}()

// metaschemaOf returns the draft whose own schema a URI names, nil for none.
func metaschemaOf(uri string) *library.Draft {
	uri = strings.TrimSuffix(uri, "#")
	for _, d := range dialects {
		if _, name, _ := strings.Cut(uri, "://"); name == d.name {
			return d.draft
		}
	}
	return nil
}

// printer words the faults that the library finds.
var printer = message.NewPrinter(language.English)

// checkAgainst holds a new schema against the schema of its dialect.
func checkAgainst(draft *library.Draft, root *jsontext.Value) error {
	meta, err := metaschemas[draft]()
	if err != nil {
		return fmt.Errorf("the schema of schemas: %w", err)
	}
	err = meta.Validate(plain(root))
	var fault *library.ValidationError
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &fault):
		return &Error{Reason: err.Error()}
	}
	leaf := worst(fault)
	if leaf == nil {
		return nil
	}
	return &Error{
		Reason: fmt.Sprintf("not a JSON Schema: %s", leaf.ErrorKind.LocalizedString(printer)),
		Path:   "#/" + strings.Join(leaf.InstanceLocation, "/"), Offset: endOf(root, leaf.InstanceLocation),
	}
}

// worst returns the deepest cause of a fault that matters, nil if none does:
// lists that are empty or name something twice are taken, as Confluent's
// registry takes them.
func worst(e *library.ValidationError) *library.ValidationError {
	if len(e.Causes) == 0 {
		switch e.ErrorKind.(type) {
		case *cause.MinItems, *cause.UniqueItems:
			return nil
		}
		return e
	}
	_, choice := e.ErrorKind.(*cause.AnyOf)
	var out *library.ValidationError
	for _, c := range e.Causes {
		w := worst(c)
		if w == nil && choice {
			return nil
		}
		if w != nil && (out == nil || len(w.InstanceLocation) > len(out.InstanceLocation)) {
			out = w
		}
	}
	return out
}

// endOf returns the offset of the place that a path leads to.
func endOf(v *jsontext.Value, path []string) int {
	for _, token := range path {
		next := step1(v, token)
		if next == nil {
			break
		}
		v = next
	}
	return v.End
}

// plain is a value as the library wants it.
func plain(v *jsontext.Value) any {
	switch v.Kind {
	case jsontext.False, jsontext.True:
		return v.Kind == jsontext.True
	case jsontext.Number:
		return number(v.Text)
	case jsontext.String:
		return v.Text
	case jsontext.Array:
		out := make([]any, len(v.Items))
		for i := range v.Items {
			out[i] = plain(&v.Items[i])
		}
		return out
	case jsontext.Object:
		out := make(map[string]any, len(v.Members))
		for i := range v.Members {
			out[v.Members[i].Key] = plain(&v.Members[i].Value)
		}
		return out
	}
	return nil
}

// number is a number as the library wants it. It would write out numbers with
// great exponents, so that those are given rounded.
func number(text string) any {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return n
	}
	f, err := strconv.ParseFloat(text, 64)
	switch {
	case err != nil: // over the range
		return 1e300
	case f == 0 && strings.ContainsAny(text, "123456789"): // or under it
		return 1e-300
	}
	return f
}

// regexpEngine takes the patterns of Java and ECMAScript. Those that cannot be
// had in bounded time are taken as they are, and match everything.
func regexpEngine(pattern string) (library.Regexp, error) {
	re, err := compilePattern(pattern)
	if err == nil {
		return re, nil
	}
	if unbounded.MatchString(pattern) {
		return anyText(pattern), nil
	}
	return nil, err
}

// unbounded are looks ahead and behind, references back, and quantifiers and
// groups that do not let go.
var unbounded = regexp.MustCompile(`\(\?<?[=!]|\(\?>|\\[1-9]|\\k<|[*+?}]\+|\\p\{Is|\\[hHvVRXGZ]|&&`)

type anyText string

func (anyText) MatchString(string) bool { return true }
func (a anyText) String() string        { return string(a) }

// escapes are what Go writes otherwise.
var escapes = regexp.MustCompile(`\\(?:u([0-9A-Fa-f]{4})|.)`)

func compilePattern(pattern string) (*regexp.Regexp, error) {
	return regexp.Compile(escapes.ReplaceAllStringFunc(pattern, func(m string) string {
		if m[1] == 'u' && len(m) == 6 {
			return `\x{` + m[2:] + `}`
		}
		return m
	}))
}
