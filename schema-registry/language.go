package registry

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/millrace/millrace/schema-registry/tag"
)

// The types of schemas. A schema that does not say is Avro.
const (
	Avro     = "AVRO"
	JSON     = "JSON"
	Protobuf = "PROTOBUF"
)

// language is a schema language, as far as the registry needs to know it.
type language interface {
	// parse reads a text and those it refers to, each after the ones it
	// refers to itself. Errors are *Error.
	parse(text string, refs []referenced, rules strictness) (parsed, error)
	// message words a difference in the language's own form. reader and writer
	// are "new" or "old".
	message(d difference, reader, writer string) string
}

// strictness says what a schema is held to. One that was registered before is
// taken as it is.
type strictness struct {
	isNew  bool // to the language's rules
	fields bool // and to what only a compiler would check
}

// referenced is a schema under the name by which another knows it.
type referenced struct {
	name, text string
	origin     string // the version it is, "" if the schema does not name it itself
}

// parsed is a schema that has been read. It is shared and does not change.
type parsed interface {
	// canonical returns the text to store.
	canonical() string
	// normalized returns a text that is the same for schemas that are.
	normalized() string
	// identity returns a text that is the same for schemas that a lookup
	// takes for each other.
	identity() string
	// formatted returns the text in a format of the language's own, false if
	// there is no such format.
	formatted(format string) (string, bool, error)
	// differences tells why data written as writer cannot be read as this. An
	// error stands for incompatible, with a reason that is no difference.
	// tolerant is the policy LENIENT.
	differences(writer parsed, tolerant bool) ([]difference, error)
	// fields returns the names at the top level.
	fields() []string
	// tags lists what has tags in the text.
	tags() ([]tag.Tagged, error)
	// retagged returns the canonical text with other tags.
	retagged(edits []tag.Edit) (string, error)
}

// difference is one reason for two schemas not to get along. format says it,
// of a path, the reader and the writer.
type difference struct{ kind, format, path, info string }

// languages are those that schemas may be in.
var languages = map[string]language{Avro: avroLanguage{}, JSON: jsonLanguage{}, Protobuf: protobufLanguage{}}

func languageOf(typ string) (language, error) {
	if l, ok := languages[typ]; ok {
		return l, nil
	}
	return nil, errorf(InvalidSchema, "Invalid schema type %s: this registry knows %s", typ, strings.Join(slices.Sorted(maps.Keys(languages)), ", "))
}

var errOtherLanguage = errors.New("Incompatible because of different schema type")

// refusal makes a language's fault the registry's.
func refusal(typ string, tooLarge bool, fault error) *Error {
	if tooLarge {
		return errorf(SchemaTooLarge, "Register operation failed because schema is too large: %s", fault)
	}
	return errorf(InvalidSchema, "Invalid schema of type %s: %s", typ, fault)
}

// refused picks what makes two schemas incompatible.
func refused[D any](found []D, of func(D) (d difference, compatible bool)) []difference {
	var out []difference
	for _, f := range found {
		if d, ok := of(f); !ok {
			out = append(out, d)
		}
	}
	return out
}
