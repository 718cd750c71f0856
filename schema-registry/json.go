package registry

import (
	"errors"
	"fmt"

	"github.com/millrace/millrace/schema-registry/jsonschema"
	"github.com/millrace/millrace/schema-registry/tag"
)

type jsonLanguage struct{}

type jsonSchema struct{ *jsonschema.Schema }

func (jsonLanguage) parse(text string, refs []referenced, rules strictness) (parsed, error) {
	others := make([]jsonschema.Reference, len(refs))
	for i, r := range refs {
		others[i] = jsonschema.Reference{Name: r.name, Text: r.text}
	}
	read := jsonschema.ParseStored
	if rules.isNew {
		read = jsonschema.Parse
	}
	s, err := read(text, others)
	var fault *jsonschema.Error
	switch {
	case errors.As(err, &fault):
		return nil, refusal(JSON, fault.TooLarge, fault)
	case err != nil:
		return nil, refusal(JSON, false, err)
	}
	return jsonSchema{s}, nil
}

func (s jsonSchema) canonical() string           { return s.Canonical() }
func (s jsonSchema) normalized() string          { return s.Normalized() }
func (s jsonSchema) identity() string            { return s.Canonical() }
func (s jsonSchema) fields() []string            { return s.Properties() }
func (s jsonSchema) tags() ([]tag.Tagged, error) { return s.Tags() }

func (s jsonSchema) retagged(edits []tag.Edit) (string, error) { return s.Retagged(edits) }

func (s jsonSchema) formatted(string) (string, bool, error) { return "", false, nil }
func (s jsonSchema) differences(writer parsed, tolerant bool) ([]difference, error) {
	w, ok := writer.(jsonSchema)
	if !ok {
		return nil, errOtherLanguage
	}
	found, err := jsonschema.Compare(s.Schema, w.Schema, tolerant)
	if err != nil {
		return nil, err
	}
	return refused(found, func(d jsonschema.Difference) (difference, bool) {
		return difference{string(d.Kind), d.Text, d.Path, ""}, d.Compatible
	}), nil
}

// message closes with a quote that does not open: so do Confluent's.
func (jsonLanguage) message(d difference, reader, writer string) string {
	return fmt.Sprintf(`{errorType:"%s", description:"%s'}`, d.kind, fmt.Sprintf(d.format, d.path, reader, writer))
}
