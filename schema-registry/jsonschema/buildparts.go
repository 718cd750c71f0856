package jsonschema

import (
	"strconv"

	"github.com/millrace/millrace/schema-registry/jsontext"
)

func (s *sheet) objectNode() *node {
	n := &node{kind: kindObject}
	o := &n.object
	s.limits(n, objectLimits)
	s.take("propertyNames")
	o.properties, o.names = s.schemas("properties")
	o.required = map[string]bool{}
	for _, name := range textsOf(s.take("required")) {
		o.required[name] = true
	}
	if v := s.take("patternProperties"); v != nil {
		for i := range v.Members {
			m := &v.Members[i]
			re, err := compilePattern(m.Key)
			if err != nil {
				s.fail(s.down(&m.Value, "patternProperties", m.Key), "the pattern %q cannot be used for properties: %s", m.Key, err)
			}
			o.patterns = append(o.patterns, patternProperty{re, s.child(&m.Value, "patternProperties", m.Key)})
		}
	}
	switch v := s.take("additionalProperties"); {
	case v == nil || v.Kind == jsontext.True:
	case v.Kind == jsontext.False:
		o.closed = true
	default:
		o.additional = s.child(v, "additionalProperties")
	}
	if v := s.take("unevaluatedProperties"); v != nil && s.words.modern {
		o.unevaluated = s.child(v, "unevaluatedProperties")
	}
	if s.words.modern {
		o.needs, o.needsNames = s.names("dependentRequired")
		o.schemas, o.schemaNames = s.schemas("dependentSchemas")
		return n
	}
	s.dependencies(o)
	return n
}

// dependencies reads the keyword of old, which holds lists of names and
// schemas.
func (s *sheet) dependencies(o *objectPart) {
	v := s.take("dependencies")
	if v == nil {
		return
	}
	o.needs, o.schemas = map[string][]string{}, map[string]*node{}
	for i := range v.Members {
		m := &v.Members[i]
		if m.Value.Kind == jsontext.Array {
			o.needs[m.Key] = textsOf(&m.Value)
			o.needsNames = append(o.needsNames, m.Key)
			continue
		}
		o.schemas[m.Key] = s.child(&m.Value, "dependencies", m.Key)
		o.schemaNames = append(o.schemaNames, m.Key)
	}
}

// schemas reads a keyword that is an object of schemas.
func (s *sheet) schemas(key string) (map[string]*node, []string) {
	v := s.take(key)
	if v == nil {
		return nil, nil
	}
	out, names := make(map[string]*node, len(v.Members)), make([]string, 0, len(v.Members))
	for i := range v.Members {
		m := &v.Members[i]
		out[m.Key] = s.child(&m.Value, key, m.Key)
		names = append(names, m.Key)
	}
	return out, names
}

// names reads a keyword that is an object of lists of names.
func (s *sheet) names(key string) (map[string][]string, []string) {
	v := s.take(key)
	if v == nil {
		return nil, nil
	}
	out, names := map[string][]string{}, []string(nil)
	for i := range v.Members {
		out[v.Members[i].Key] = textsOf(&v.Members[i].Value)
		names = append(names, v.Members[i].Key)
	}
	return out, names
}

func textsOf(v *jsontext.Value) []string {
	if v == nil {
		return nil
	}
	return v.Strings()
}

func (s *sheet) arrayNode() *node {
	n := &node{kind: kindArray}
	a := &n.array
	contains := s.take("contains")
	s.limits(n, arrayLimits)
	if contains == nil || !s.words.modern { // without it, how many are to be contained means nothing
		delete(n.limits, "minContains")
		delete(n.limits, "maxContains")
	} else if _, given := n.limits["minContains"]; !given {
		if n.limits == nil {
			n.limits = map[string]float64{}
		}
		n.limits["minContains"] = 1
	}
	if v := s.take("uniqueItems"); v != nil {
		a.unique = v.Kind == jsontext.True
	}
	if s.words.modern {
		s.modernItems(a)
		return n
	}
	switch v := s.take("items"); {
	case v == nil:
	case v.Kind == jsontext.Array:
		a.items = s.positions("items", v)
	default:
		a.all = s.child(v, "items")
	}
	switch v := s.take("additionalItems"); {
	case v == nil || v.Kind == jsontext.True:
	case v.Kind == jsontext.False:
		a.closed = a.all == nil // beside one schema for all, nothing is additional
	default:
		a.additional = s.child(v, "additionalItems")
	}
	return n
}

func (s *sheet) modernItems(a *arrayPart) {
	if v := s.take("prefixItems"); v != nil {
		a.items = s.positions("prefixItems", v)
	}
	switch v := s.take("items"); {
	case v == nil || v.Kind == jsontext.True:
	case v.Kind == jsontext.False:
		a.closed = true
	case len(a.items) == 0:
		a.all = s.child(v, "items")
	default:
		a.additional = s.child(v, "items")
	}
	if v := s.take("unevaluatedItems"); v != nil {
		a.unevaluated = s.child(v, "unevaluatedItems")
	}
}

func (s *sheet) positions(key string, v *jsontext.Value) []*node {
	out := make([]*node, len(v.Items))
	for i := range v.Items {
		out[i] = s.child(&v.Items[i], key, strconv.Itoa(i))
	}
	return out
}
