package protobuf

import (
	"slices"
	"strings"

	"github.com/millrace/millrace/schema-registry/tag"
)

// The options of confluent/meta.proto that hold tags.
const (
	messageMeta = "(confluent.message_meta)"
	fieldMeta   = "(confluent.field_meta)"
)

// Tags lists the tags of messages, by their names without the package, and of
// their fields, by those and a dot and their own.
func (s *Schema) Tags() ([]tag.Tagged, error) {
	var w tagWalk
	err := w.types(&s.file.types, nil, 0)
	return w.list.Tagged, err
}

// tagWalk collects tags. Paths are put together only where there are some.
type tagWalk struct{ list tag.List }

// types visits types below messages, whose path has some length.
func (w *tagWalk) types(t *types, within []string, length int) error {
	for _, m := range t.messages {
		path := append(slices.Clip(within), m.name)
		length := length + len(m.name) + 1
		join := func() string { return strings.Join(path, ".") }
		if err := w.list.Add(tag.Record, tagsOf(m.options, messageMeta), length, join); err != nil {
			return err
		}
		for f := range m.all {
			err := w.list.Add(tag.Field, tagsOf(f.options, fieldMeta), length+len(f.name), func() string { return join() + "." + f.name })
			if err != nil {
				return err
			}
		}
		if err := w.types(&m.types, path, length); err != nil {
			return err
		}
	}
	return nil
}

// metaOf returns the members of an option that is a confluent.Meta, however it
// is written: as a whole, or member by member.
func metaOf(options []option, name string) []option {
	var out []option
	for _, o := range options {
		member, ok := metaMember(o.name, name)
		switch {
		case !ok:
		case member == "":
			out = append(out, o.value.members...)
		default:
			out = append(out, option{member, o.value})
		}
	}
	return out
}

// metaMember reports whether an option is one of a name, or sets a member of
// it.
func metaMember(option, name string) (member string, ok bool) {
	option = strings.Replace(option, "(.", "(", 1)
	member, ok = strings.CutPrefix(option, name)
	if ok && member != "" {
		return strings.CutPrefix(member, ".")
	}
	return "", ok
}

func tagsOf(options []option, name string) []string {
	var out []string
	for _, m := range metaOf(options, name) {
		if m.name != "tags" {
			continue
		}
		for _, v := range m.value.each() {
			if v.kind == stringValue && !slices.Contains(out, v.text) {
				out = append(out, v.text)
			}
		}
	}
	return out
}

// each returns a list's values, or the value if it is none.
func (v value) each() []value {
	if v.kind == listValue {
		return v.list
	}
	return []value{v}
}

// Retagged returns the canonical text with other tags. Below a path's messages,
// the oneof of a field may be named too.
func (s *Schema) Retagged(edits []tag.Edit) (string, error) {
	fresh, fault := readAny(s.Canonical())
	if fault != nil {
		return "", fault
	}
	for _, e := range edits {
		options, name := fresh.tagged(e)
		if options == nil {
			if err := e.Missing(); err != nil {
				return "", err
			}
			continue
		}
		*options = withTags(*options, name, e.Apply(tagsOf(*options, name)))
	}
	p := printer{index: s.index}
	p.file(fresh)
	return p.b.String(), nil
}

// tagged finds the options of an entity, and which of them has its tags; nil if
// there is no such entity.
func (f *file) tagged(e tag.Edit) (options *[]option, name string) {
	steps := strings.Split(e.Path, ".")
	t := &f.types
	var m *message
	for len(steps) > 0 {
		i := slices.IndexFunc(t.messages, func(m *message) bool { return m.name == steps[0] })
		if i < 0 || e.Type == tag.Field && len(steps) == 1 {
			break
		}
		m, steps = t.messages[i], steps[1:]
		t = &m.types
	}
	switch {
	case m == nil:
		return nil, ""
	case e.Type == tag.Record && len(steps) == 0:
		return &m.options, messageMeta
	case e.Type == tag.Record:
		return nil, ""
	}
	for f, oneof := range m.all {
		if len(steps) == 1 && f.name == steps[0] || len(steps) == 2 && oneof == steps[0] && f.name == steps[1] {
			return &f.options, fieldMeta
		}
	}
	return nil, ""
}

// withTags puts all that options say of a confluent.Meta into one of them, with
// other tags, in the place of the first of them or else last.
func withTags(options []option, name string, tags []string) []option {
	members := metaOf(options, name)
	at := slices.IndexFunc(members, func(m option) bool { return m.name == "tags" })
	var merged []option
	for i, m := range members {
		if m.name != "tags" {
			merged = append(merged, m)
		} else if i == at && len(tags) > 0 {
			merged = append(merged, tagList(tags))
		}
	}
	if at < 0 && len(tags) > 0 {
		merged = append(merged, tagList(tags))
	}
	var out []option
	place := -1
	for _, o := range options {
		if _, is := metaMember(o.name, name); !is {
			out = append(out, o)
		} else if place < 0 {
			place = len(out)
		}
	}
	if len(merged) == 0 {
		return out
	}
	if place < 0 {
		place = len(out)
	}
	return slices.Insert(out, place, option{name, value{kind: memberValue, members: merged}})
}

func tagList(tags []string) option {
	v := value{kind: listValue}
	for _, t := range tags {
		v.list = append(v.list, value{kind: stringValue, text: t})
	}
	return option{"tags", v}
}

// withMeta lets a compiler find Confluent's options in a text that does not
// import them: those who add tags do not have to. The import comes last, so that
// no line is another.
func withMeta(text string) string {
	if strings.Contains(text, `"confluent/meta.proto"`) || !strings.Contains(text, "(confluent.") && !strings.Contains(text, "(.confluent.") {
		return text
	}
	return text + "import \"confluent/meta.proto\";\n"
}
