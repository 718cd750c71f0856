package registry

import (
	"errors"
	"sync"

	"github.com/millrace/millrace/schema-registry/avro"
)

// Avro is the type of schemas that do not say another.
const Avro = "AVRO"

// language is a schema language, as far as the registry needs to know it.
type language interface {
	// parse reads a text and those it refers to, each after the ones it
	// refers to itself. With strict, it is a new schema, to be held to all
	// rules; else it was registered before. Errors are *Error.
	parse(text string, refs []referenced, strict bool) (parsed, error)
}

// referenced is a schema under the name by which another knows it.
type referenced struct{ name, text string }

// parsed is a schema that has been read. It is shared and does not change.
type parsed interface {
	// canonical returns the text to store.
	canonical() string
	// normalized returns a text that is the same for schemas that are.
	normalized() string
	// formatted returns the text in a format of the language's own, false if
	// there is no such format.
	formatted(format string) (string, bool)
	// differences tells why data written as writer cannot be read as this.
	// An error stands for incompatible, with a reason that is no difference.
	differences(writer parsed) ([]difference, error)
}

// difference is one reason for two schemas not to get along. format says it,
// of a path, the reader ("new" or "old") and the writer.
type difference struct{ kind, format, path, info string }

// languages are those that schemas may be in.
var languages = map[string]language{Avro: avroLanguage{}}

func languageOf(typ string) (language, error) {
	if l, ok := languages[typ]; ok {
		return l, nil
	}
	return nil, errorf(InvalidSchema, "Invalid schema type %s: this registry knows %s", typ, Avro)
}

type avroLanguage struct{}

type avroSchema struct {
	*avro.Schema
	norm func() string
}

func (avroLanguage) parse(text string, refs []referenced, strict bool) (parsed, error) {
	texts := make([]string, len(refs))
	for i, r := range refs {
		texts[i] = r.text
	}
	read := avro.ParseStored
	if strict {
		read = avro.Parse
	}
	s, err := read(text, texts)
	var fault *avro.Error
	switch {
	case errors.As(err, &fault) && fault.TooLarge:
		return nil, errorf(SchemaTooLarge, "Register operation failed because schema is too large: %s", fault)
	case err != nil:
		return nil, errorf(InvalidSchema, "Invalid schema of type AVRO: %s", err)
	}
	return avroSchema{s, sync.OnceValue(s.Normalized)}, nil
}

func (s avroSchema) canonical() string  { return s.Canonical() }
func (s avroSchema) normalized() string { return s.norm() }

func (s avroSchema) formatted(format string) (string, bool) {
	if format == "resolved" {
		return s.Resolved(), true
	}
	return "", false
}

// avroTexts are the formats of Avro's differences.
var avroTexts = map[avro.DifferenceType]string{
	avro.TypeMismatch:        "the type at path '%[1]s' in the %[2]s schema cannot read the one in the %[3]s schema",
	avro.NameMismatch:        "the name at path '%[1]s' in the %[2]s schema is not the one in the %[3]s schema",
	avro.FixedSizeMismatch:   "the size at path '%[1]s' in the %[2]s schema is not the one in the %[3]s schema",
	avro.MissingEnumSymbols:  "the enum at path '%[1]s' in the %[2]s schema lacks symbols of the %[3]s schema and has no default",
	avro.MissingUnionBranch:  "the union in the %[2]s schema has no branch for the type at path '%[1]s' in the %[3]s schema",
	avro.MissingFieldDefault: "the field at path '%[1]s' in the %[2]s schema has no default and is missing in the %[3]s schema",
}

func (s avroSchema) differences(writer parsed) ([]difference, error) {
	w, ok := writer.(avroSchema)
	if !ok {
		return nil, errOtherLanguage
	}
	found, err := avro.Compare(s.Schema, w.Schema)
	if err != nil {
		return nil, err
	}
	out := make([]difference, len(found))
	for i, d := range found {
		out[i] = difference{string(d.Type), avroTexts[d.Type], d.Path, d.Info}
	}
	return out, nil
}

var errOtherLanguage = errors.New("Incompatible because of different schema type")
