package jsonschema

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/schema-registry/jsontext"
)

// sortRank is what Confluent's registry sorts the members of a combination by,
// before it numbers them: their kinds, by the alphabet.
type sortRank uint8

const (
	rankArray sortRank = iota
	rankBoolean
	rankCombined
	rankConditional
	rankConst
	rankEmpty
	rankEnum
	rankFalse
	rankNot
	rankNull
	rankNumber
	rankObject
	rankReference
	rankString
	rankTrue
)

var typeRanks = map[string]sortRank{
	"array": rankArray, "boolean": rankBoolean, "integer": rankNumber, "null": rankNull, "number": rankNumber, "object": rankObject, "string": rankString,
}

// part is what a schema says of one type, or a combination in it.
type part struct {
	rank      sortRank
	criterion string            // of a combination: allof, anyof, oneof
	members   []*jsontext.Value // of one that is written
	types     []part            // of one that is a list of types
}

// parts takes a schema apart, in the order of their ranks.
func (w *tagWalk) parts(v *jsontext.Value) []part {
	switch v.Kind {
	case jsontext.True:
		return []part{{rank: rankTrue}}
	case jsontext.False:
		return []part{{rank: rankFalse}}
	case jsontext.Object:
	default:
		return nil
	}
	words := index(v)
	var out []part
	if ref := words["$ref"]; ref != nil {
		out = append(out, part{rank: rankReference})
		if !w.words.modern {
			return out // what stands beside it means nothing
		}
	}
	for _, k := range []struct {
		key  string
		rank sortRank
	}{{"enum", rankEnum}, {"not", rankNot}, {"const", rankConst}} {
		if words[k.key] != nil {
			out = append(out, part{rank: k.rank})
		}
	}
	for _, c := range []criterion{allOf, anyOf, oneOf} {
		if list := words[string(c)]; list != nil && list.Kind == jsontext.Array {
			p := part{rank: rankCombined, criterion: strings.ToLower(string(c))}
			for i := range list.Items {
				p.members = append(p.members, &list.Items[i])
			}
			out = append(out, p)
		}
	}
	out = append(out, w.typeParts(words)...)
	if w.words.conditional && (words["if"] != nil || words["then"] != nil || words["else"] != nil) {
		out = append(out, part{rank: rankConditional})
	}
	slices.SortStableFunc(out, func(a, b part) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.criterion, b.criterion))
	})
	return out
}

// typeParts are those of the keyword type, and of keywords whose type it does
// not name.
func (w *tagWalk) typeParts(words map[string]*jsontext.Value) []part {
	var out []part
	named := map[sortRank]bool{}
	add := func(to *[]part, name string) {
		// A list may name a type once; what is walked twice at each level would
		// be walked without end.
		if r, ok := typeRanks[name]; ok && (!named[r] || r == rankNumber) {
			*to, named[r] = append(*to, part{rank: r}), true
		}
	}
	if v := words["type"]; v != nil && v.Kind == jsontext.Array {
		p := part{rank: rankCombined, criterion: "anyof", types: []part{}}
		for _, name := range v.Strings() {
			add(&p.types, name)
		}
		slices.SortStableFunc(p.types, func(a, b part) int { return cmp.Compare(a.rank, b.rank) })
		out = append(out, p)
	} else if v != nil {
		add(&out, v.Text)
	}
	for _, family := range []struct {
		rank  sortRank
		words []string
	}{{rankArray, w.words.array}, {rankObject, w.words.object}, {rankNumber, w.words.number}, {rankString, w.words.string}} {
		if !named[family.rank] && slices.ContainsFunc(family.words, func(k string) bool { return words[k] != nil }) {
			out = append(out, part{rank: family.rank})
		}
	}
	return out
}

// sorted puts the members of a combination into the order in which they are
// numbered: by kind, title, description, default, and what an object has. The
// rest stays as written.
func (w *tagWalk) sorted(members []*jsontext.Value) []*jsontext.Value {
	type keyed struct {
		value *jsontext.Value
		rank  sortRank
		texts []string
	}
	all := make([]keyed, len(members))
	for i, m := range members {
		k := keyed{value: m, rank: rankEmpty}
		switch parts := w.parts(m); {
		case len(parts) == 1:
			k.rank, k.texts = parts[0].rank, []string{parts[0].criterion}
		case len(parts) > 1:
			k.rank, k.texts = rankCombined, []string{"allof"}
		default:
			k.texts = []string{""}
		}
		k.texts = slices.Concat(annotations(m), k.texts, propertyNames(m))
		all[i] = k
	}
	slices.SortStableFunc(all, func(a, b keyed) int { return cmp.Or(cmp.Compare(a.rank, b.rank), slices.Compare(a.texts, b.texts)) })
	out := make([]*jsontext.Value, len(all))
	for i := range all {
		out[i] = all[i].value
	}
	return out
}

// annotations are what members are sorted by after their kinds. One that is
// absent comes before all others.
func annotations(v *jsontext.Value) []string {
	out := make([]string, 3)
	for i, key := range []string{"title", "description", "default"} {
		if m, ok := v.Member(key); ok {
			out[i] = "=" + m.Text
			if m.Kind != jsontext.String {
				out[i] = "=" + string(jsontext.Append(nil, m, false))
			}
		}
	}
	return out
}

// propertyNames sorts objects by how many properties they have, and then by
// their names.
func propertyNames(v *jsontext.Value) []string {
	properties, ok := v.Member("properties")
	if !ok {
		return nil
	}
	out := []string{fmt.Sprintf("%08d", len(properties.Members))}
	for _, m := range jsontext.Sorted(properties.Members) {
		out = append(out, m.Key)
	}
	return out
}
