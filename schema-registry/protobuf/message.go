package protobuf

import (
	"slices"
	"strconv"
)

// layout is a message's fields by number, whether in a oneof or not: moving a
// field in or out of one must not hide what else became of it.
type layout struct {
	fields map[int]*field
	oneofs map[int]string // of the fields that are in one
	byName map[string]*oneof
}

func layoutOf(m *message) layout {
	l := layout{map[int]*field{}, map[int]string{}, map[string]*oneof{}}
	for f, in := range m.all {
		l.fields[f.tag] = f
		if in != "" {
			l.oneofs[f.tag] = in
		}
	}
	for _, o := range m.oneofs {
		l.byName[o.name] = o
	}
	return l
}

// messages compares two messages of one name. One that is being compared
// already, further up, counts as equal.
func (c *comparer) messages(o, u *message) {
	if *c.budget--; *c.budget < 0 || *c.refusals >= maxRefusals {
		return
	}
	if !c.busy[o] {
		c.busy[o] = true
		from, to := layoutOf(o), layoutOf(u)
		c.oneofs(u, from, to)
		for _, tag := range both(from.fields, to.fields) {
			c.field(tag, from, to)
		}
		delete(c.busy, o)
	}
	c.types(&o.types, &u.types)
}

// oneofs compares which fields exclude each other.
func (c *comparer) oneofs(u *message, from, to layout) {
	for _, o := range u.oneofs {
		origins := map[string]bool{} // what could be set independently of each other
		plain := 0
		for _, f := range o.fields {
			switch was, known := from.oneofs[f.tag]; {
			case known:
				origins["oneof "+was] = true
			case from.fields[f.tag] != nil:
				origins["field "+strconv.Itoa(f.tag)] = true
				plain++
			}
		}
		switch {
		case len(origins) <= 1:
		case plain > 1:
			c.add("MULTIPLE_FIELDS_MOVED_TO_ONEOF", o.name)
		default:
			c.add("FIELD_MOVED_TO_EXISTING_ONEOF", o.name)
		}
	}
	for _, name := range both(from.byName, to.byName) {
		switch {
		case to.byName[name] == nil:
			c.add("ONEOF_REMOVED", name)
		case from.byName[name] == nil:
			c.add("ONEOF_ADDED", name)
		}
	}
}

// field compares what is at one number.
func (c *comparer) field(tag int, from, to layout) {
	o, u := from.fields[tag], to.fields[tag]
	was, wasMember := from.oneofs[tag]
	is, isMember := to.oneofs[tag]
	at := strconv.Itoa(tag)
	switch {
	case u == nil && wasMember:
		if !from.gone(was, to) {
			c.add("ONEOF_FIELD_REMOVED", was, at)
		}
	case u == nil && o.label == "required":
		c.add("REQUIRED_FIELD_REMOVED", at)
	case u == nil:
		c.add("FIELD_REMOVED", at)
	case o == nil && isMember:
		c.add("ONEOF_FIELD_ADDED", is, at)
	case o == nil && u.label == "required":
		c.add("REQUIRED_FIELD_ADDED", at)
	case o == nil:
		c.add("FIELD_ADDED", at)
	default:
		if wasMember && !isMember {
			c.add("ONEOF_FIELD_MOVED_TO_TOP_LEVEL", at)
		}
		path := []string{at}
		if isMember {
			path = []string{is, at}
		}
		c.contents(path, o, u)
	}
}

func (c *comparer) contents(at []string, o, u *field) {
	path := c.path
	c.path = append(slices.Clip(path), at...)
	if o.name != u.name {
		c.add("FIELD_NAME_CHANGED")
	}
	c.compareTypes(o.typ, u.typ, o.label, u.label)
	c.path = path
}

// gone reports whether a oneof has vanished with all its members, which is
// taken for dropping it on purpose.
func (l layout) gone(name string, to layout) bool {
	if to.byName[name] != nil {
		return false
	}
	return !slices.ContainsFunc(l.byName[name].fields, func(f *field) bool { return to.fields[f.tag] != nil })
}
