package registry

import (
	"errors"
	"fmt"
	"sync"

	"github.com/millrace/millrace/schema-registry/avro"
	"github.com/millrace/millrace/schema-registry/tag"
)

type avroLanguage struct{}

type avroSchema struct {
	*avro.Schema
	norm func() string
}

func (avroLanguage) parse(text string, refs []referenced, rules strictness) (parsed, error) {
	texts := make([]string, len(refs))
	for i, r := range refs {
		texts[i] = r.text
	}
	read := avro.ParseStored
	if rules.isNew {
		read = avro.Parse
	}
	s, err := read(text, texts)
	var fault *avro.Error
	if errors.As(err, &fault) {
		return nil, refusal(Avro, fault.TooLarge, fault)
	}
	return avroSchema{s, sync.OnceValue(s.Normalized)}, nil
}

func (s avroSchema) canonical() string  { return s.Canonical() }
func (s avroSchema) normalized() string { return s.norm() }
func (s avroSchema) identity() string   { return s.norm() }
func (s avroSchema) fields() []string   { return s.Fields() }

func (s avroSchema) tags() ([]tag.Tagged, error) { return s.Tags() }

func (s avroSchema) retagged(edits []tag.Edit) (string, error) { return s.Retagged(edits) }

func (s avroSchema) formatted(format string) (string, bool, error) {
	if format == "resolved" {
		return s.Resolved(), true, nil
	}
	return "", false, nil
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

func (s avroSchema) differences(writer parsed, _ bool) ([]difference, error) {
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

func (avroLanguage) message(d difference, reader, writer string) string {
	return fmt.Sprintf("{errorType:'%s', description:'%s', additionalInfo:'%s'}", d.kind, fmt.Sprintf(d.format, d.path, reader, writer), d.info)
}
