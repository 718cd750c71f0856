package jsonschema

import "strconv"

// combined compares two combinations: their criteria, their sizes, and whether
// the members of the smaller one each find another member that they get along
// with.
func (c *comparer) combined(o, u *node) []found {
	out, stop := criteria(o, u)
	if stop {
		return out
	}
	from, to := distinct(o.members), distinct(u.members)
	switch {
	case len(from) < len(to) && u.criterion == allOf:
		out = c.join(out, of("PRODUCT_TYPE_EXTENDED"))
	case len(from) < len(to):
		out = c.join(out, of("SUM_TYPE_EXTENDED"))
	case len(from) > len(to) && o.criterion == allOf:
		out = c.join(out, of("PRODUCT_TYPE_NARROWED"))
	case len(from) > len(to):
		out = c.join(out, of("SUM_TYPE_NARROWED"))
	}
	m := matching{edges: make([][]int, len(from)), taken: map[int]int{}}
	for i, a := range from {
		for j, b := range to {
			if d := c.compare(a, b); c.err == nil && !c.bad(d) {
				m.edges[i] = append(m.edges[i], j)
			}
		}
	}
	if c.err != nil {
		return nil
	}
	if m.size() < min(len(from), len(to)) {
		return c.join(out, of("COMBINED_TYPE_SUBSCHEMAS_CHANGED"))
	}
	for j := range to {
		if i, ok := m.taken[j]; ok {
			out = c.join(out, under(c.compare(from[i], to[j]), string(o.criterion), strconv.Itoa(i)))
		}
	}
	return out
}

// criteria compares how two combinations combine, and says whether that is the
// end of it.
func criteria(o, u *node) (list []found, stop bool) {
	one, other := len(o.members) == 1, len(u.members) == 1
	switch {
	case o.criterion == u.criterion:
		return nil, false
	case u.criterion == anyOf, one && other, one && u.criterion == oneOf, other && o.criterion == allOf:
		return of("COMBINED_TYPE_EXTENDED"), false
	}
	return of("COMBINED_TYPE_CHANGED"), true
}

// distinct drops members that say the same.
func distinct(members []*node) []*node {
	seen := map[[32]byte]bool{}
	var out []*node
	for _, m := range members {
		if !seen[m.sum] {
			seen[m.sum] = true
			out = append(out, m)
		}
	}
	return out
}

// matching finds the most pairs of which no two share an end. To take the
// first that fits is not enough: it may be the only one for another.
type matching struct {
	edges [][]int     // from the one side to the other
	taken map[int]int // from the other side to the one
}

func (m *matching) size() int {
	n := 0
	for i := range m.edges {
		if m.augment(i, map[int]bool{}) {
			n++
		}
	}
	return n
}

// augment finds a partner for i, for which others may have to move.
func (m *matching) augment(i int, tried map[int]bool) bool {
	for _, j := range m.edges[i] {
		if tried[j] {
			continue
		}
		tried[j] = true
		if k, ok := m.taken[j]; !ok || m.augment(k, tried) {
			m.taken[j] = i
			return true
		}
	}
	return false
}
