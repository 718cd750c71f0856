package worker

import (
	"slices"

	"github.com/millrace/millrace/plugins/configdef"
)

// Infos is the result of validating a connector config, in the form of
// Connect's REST interface (ConfigInfos).
type Infos struct {
	Name       string           `json:"name"` // the class as it was given
	ErrorCount int              `json:"error_count"`
	Groups     []string         `json:"groups"`
	Configs    []configdef.Info `json:"configs"`
}

// Errors returns all messages, in the order of the keys.
func (i Infos) Errors() []string {
	var out []string
	for _, c := range i.Configs {
		out = append(out, c.Value.Errors...)
	}
	return out
}

// infoBuilder puts Infos together from the parts of the runtime and of the
// connector.
type infoBuilder struct {
	infos  []configdef.Info
	byName map[string]int
}

// add appends entries. One whose key is there already replaces it in place: a
// connector may define a key of the runtime anew.
func (b *infoBuilder) add(infos ...configdef.Info) {
	for _, in := range infos {
		if i, ok := b.byName[in.Value.Name]; ok {
			in.Value.Errors = append(in.Value.Errors, b.infos[i].Value.Errors...)
			b.infos[i] = in
			continue
		}
		b.byName[in.Value.Name] = len(b.infos)
		b.infos = append(b.infos, in)
	}
}

// problem adds a message to a key, making an entry without definition if the
// key has none.
func (b *infoBuilder) problem(props map[string]string, p configdef.Problem) {
	i, ok := b.byName[p.Key]
	if !ok {
		v := &configdef.Value{Name: p.Key, RecommendedValues: []string{}, Errors: []string{}, Visible: true}
		if text, given := props[p.Key]; given {
			v.Value = &text
		}
		i = len(b.infos)
		b.byName[p.Key] = i
		b.infos = append(b.infos, configdef.Info{Value: v})
	}
	if v := b.infos[i].Value; !slices.Contains(v.Errors, p.Text) {
		v.Errors = append(v.Errors, p.Text)
	}
}

// build returns the result. Entries without a definition come first, as in
// Kafka Connect.
func (b *infoBuilder) build(name string) Infos {
	slices.SortStableFunc(b.infos, func(x, y configdef.Info) int {
		switch {
		case x.Definition == nil && y.Definition != nil:
			return -1
		case x.Definition != nil && y.Definition == nil:
			return 1
		}
		return 0
	})
	out := Infos{Name: name, Groups: []string{}, Configs: b.infos}
	for _, in := range b.infos {
		out.ErrorCount += len(in.Value.Errors)
		if d := in.Definition; d != nil && d.Group != nil && !slices.Contains(out.Groups, *d.Group) {
			out.Groups = append(out.Groups, *d.Group)
		}
	}
	return out
}
