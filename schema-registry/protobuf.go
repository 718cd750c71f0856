package registry

import (
	"errors"
	"fmt"

	"github.com/millrace/millrace/schema-registry/protobuf"
	"github.com/millrace/millrace/schema-registry/tag"
)

type protobufLanguage struct{}

type protobufSchema struct{ *protobuf.Schema }

func (protobufLanguage) parse(text string, refs []referenced, rules strictness) (parsed, error) {
	others := make([]protobuf.Reference, len(refs))
	for i, r := range refs {
		others[i] = protobuf.Reference{Name: r.name, Text: r.text, Origin: r.origin}
	}
	var s *protobuf.Schema
	var err error
	if rules.isNew {
		s, err = protobuf.Parse(text, others, rules.fields)
	} else {
		s, err = protobuf.ParseStored(text, others)
	}
	var fault *protobuf.Error
	if errors.As(err, &fault) {
		return nil, refusal(Protobuf, fault.TooLarge, fault)
	}
	return protobufSchema{s}, nil
}

func (s protobufSchema) canonical() string  { return s.Canonical() }
func (s protobufSchema) normalized() string { return s.Normalized() }
func (s protobufSchema) identity() string   { return s.Canonical() }
func (s protobufSchema) fields() []string   { return s.Fields() }

func (s protobufSchema) tags() ([]tag.Tagged, error) { return s.Tags() }

func (s protobufSchema) retagged(edits []tag.Edit) (string, error) { return s.Retagged(edits) }

func (s protobufSchema) formatted(format string) (string, bool, error) {
	switch format {
	case "serialized":
		text, err := s.Serialized()
		if err != nil {
			return "", true, refusal(Protobuf, false, err)
		}
		return text, true, nil
	case "ignore_extensions":
		return s.WithoutExtensions(), true, nil
	}
	return "", false, nil
}

func (s protobufSchema) differences(writer parsed, _ bool) ([]difference, error) {
	w, ok := writer.(protobufSchema)
	if !ok {
		return nil, errOtherLanguage
	}
	found, err := protobuf.Compare(s.Schema, w.Schema)
	if err != nil {
		return nil, err
	}
	return refused(found, func(d protobuf.Difference) (difference, bool) {
		return difference{string(d.Kind), d.Text, d.Path, ""}, d.Compatible
	}), nil
}

func (protobufLanguage) message(d difference, reader, writer string) string {
	return fmt.Sprintf(`{errorType:"%s", description:"%s"}`, d.kind, fmt.Sprintf(d.format, d.path, reader, writer))
}
