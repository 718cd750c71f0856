package jsonschema

import "slices"

func (c *comparer) objects(o, u *node) []found {
	out := c.required(o, u)
	for _, list := range [][]found{
		c.properties(o, u), c.dependencies(o, u),
		c.rest(additionalOf(&o.object), additionalOf(&u.object), "additionalProperties", "ADDITIONAL_PROPERTIES"),
		c.unevaluated(o.object.unevaluated, u.object.unevaluated, "unevaluatedProperties", "UNEVALUATED_PROPERTIES"),
		c.limits(o, u, objectLimits),
	} {
		out = c.join(out, list)
	}
	return out
}

// required compares which of the properties that both have must be there.
func (c *comparer) required(o, u *node) []found {
	var out []found
	for _, name := range o.object.names {
		now, both := u.object.properties[name]
		if !both {
			continue
		}
		was, is := o.object.required[name], u.object.required[name]
		switch {
		case was && !is:
			out = c.join(out, of("REQUIRED_ATTRIBUTE_REMOVED", "required", name))
		case !was && is && now.fallback != "":
			out = c.join(out, of("REQUIRED_ATTRIBUTE_WITH_DEFAULT_ADDED", "required", name))
		case !was && is:
			out = c.join(out, of("REQUIRED_ATTRIBUTE_ADDED", "required", name))
		}
	}
	return out
}

func (c *comparer) properties(o, u *node) []found {
	var out []found
	for _, name := range union(o.object.names, u.object.names) {
		was, had := o.object.properties[name]
		is, has := u.object.properties[name]
		var list []found
		switch {
		case had && has:
			list = c.compare(was, is)
		case had:
			list = c.removed(u, name, was)
		default:
			list = c.added(o, u, name, is)
		}
		out = c.join(out, under(list, "properties", name))
	}
	return out
}

// removed judges, by what the update allows besides its properties, that one
// is gone.
func (c *comparer) removed(u *node, name string, was *node) []found {
	if u.object.open() {
		return of("PROPERTY_REMOVED_FROM_OPEN_CONTENT_MODEL")
	}
	if cover := c.cover(&u.object, name); cover != nil {
		list := c.compare(was, cover)
		if c.bad(list) {
			return c.join(list, of("PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL"))
		}
		return c.join(list, of("PROPERTY_REMOVED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL"))
	}
	if was.kind == kindFalse {
		return of("PROPERTY_WITH_FALSE_REMOVED_FROM_CLOSED_CONTENT_MODEL")
	}
	return of("PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL")
}

// added judges, by what the original allowed besides its properties, that one
// has come.
func (c *comparer) added(o, u *node, name string, is *node) []found {
	required, fallback := u.object.required[name], is.fallback != ""
	if o.object.open() {
		switch {
		case is.anything():
			return of("PROPERTY_WITH_EMPTY_SCHEMA_ADDED_TO_OPEN_CONTENT_MODEL")
		case required && fallback:
			return of("REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_OPEN_CONTENT_MODEL")
		case required:
			return of("REQUIRED_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL")
		}
		return of("OPTIONAL_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL")
	}
	var list []found
	if cover := c.cover(&o.object, name); cover != nil {
		list = c.compare(cover, is)
		if c.bad(list) {
			list = c.join(list, of("PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL"))
		} else {
			list = c.join(list, of("PROPERTY_ADDED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL"))
		}
	}
	switch {
	case required && fallback:
		return c.join(list, of("REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_UNOPEN_CONTENT_MODEL"))
	case required:
		return c.join(list, of("REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL"))
	}
	return c.join(list, of("OPTIONAL_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL"))
}

// open reports whether anything is allowed besides the properties.
func (o *objectPart) open() bool {
	return !o.closed && o.additional == nil && len(o.patterns) == 0 && (o.unevaluated == nil || o.unevaluated.anything())
}

// cover returns the schema that holds for a property which is not listed, nil
// if none does.
func (c *comparer) cover(o *objectPart, name string) *node {
	for _, p := range o.patterns {
		if p.re == nil {
			c.err = ErrUnresolved
			return nil
		}
		if p.re.MatchString(name) {
			return p.schema
		}
	}
	switch {
	case o.additional != nil:
		return o.additional
	case !o.closed && o.unevaluated != nil && !o.unevaluated.anything() && o.unevaluated.kind != kindFalse:
		return o.unevaluated
	}
	return nil
}

func (c *comparer) dependencies(o, u *node) []found {
	const at = "dependencies"
	var out []found
	for _, name := range union(o.object.needsNames, u.object.needsNames) {
		was, had := o.object.needs[name]
		is, has := u.object.needs[name]
		var k Kind
		switch more, less := !subset(is, was), !subset(was, is); {
		case !has:
			k = "DEPENDENCY_ARRAY_REMOVED"
		case !had:
			k = "DEPENDENCY_ARRAY_ADDED"
		case more && less:
			k = "DEPENDENCY_ARRAY_CHANGED"
		case more:
			k = "DEPENDENCY_ARRAY_EXTENDED"
		case less:
			k = "DEPENDENCY_ARRAY_NARROWED"
		default:
			continue
		}
		out = c.join(out, of(k, at, name))
	}
	for _, name := range union(o.object.schemaNames, u.object.schemaNames) {
		was, is := o.object.schemas[name], u.object.schemas[name]
		switch {
		case is == nil:
			out = c.join(out, of("DEPENDENCY_SCHEMA_REMOVED", at, name))
		case was == nil:
			out = c.join(out, of("DEPENDENCY_SCHEMA_ADDED", at, name))
		default:
			out = c.join(out, under(c.compare(was, is), at, name))
		}
	}
	return out
}

// besides is what is allowed besides what is listed.
type besides struct {
	closed bool
	schema *node // nil for anything
}

func additionalOf(o *objectPart) besides {
	return besides{o.closed && o.additional == nil, o.additional}
}

// rest compares what is allowed besides.
func (c *comparer) rest(o, u besides, at string, prefix Kind) []found {
	switch {
	case o.closed && !u.closed:
		return of(prefix+"_ADDED", at)
	case !o.closed && u.closed:
		return of(prefix+"_REMOVED", at)
	case o.schema == nil && u.schema != nil:
		return of(prefix+"_NARROWED", at)
	case o.schema != nil && u.schema == nil:
		return of(prefix+"_EXTENDED", at)
	}
	return under(c.compare(o.schema, u.schema), at)
}

// unevaluated compares what is allowed of what no other keyword has looked at.
func (c *comparer) unevaluated(o, u *node, at string, prefix Kind) []found {
	never := func(n *node) bool { return n != nil && n.kind == kindFalse }
	always := func(n *node) bool { return n == nil || n.anything() }
	switch {
	case o == nil && u == nil:
		return nil
	case never(o) && !never(u):
		return of(prefix+"_ADDED", at)
	case !never(o) && never(u):
		return of(prefix+"_REMOVED", at)
	case o == nil, always(o) && !always(u):
		return of(prefix+"_NARROWED", at)
	case u == nil, !always(o) && always(u):
		return of(prefix+"_EXTENDED", at)
	}
	return under(c.compare(o, u), at)
}

// union lists the names of both, those of a first.
func union(a, b []string) []string {
	seen := make(map[string]bool, len(a)+len(b))
	var out []string
	for _, name := range slices.Concat(a, b) {
		if !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
	}
	return out
}

func subset(a, b []string) bool {
	in := make(map[string]bool, len(b))
	for _, s := range b {
		in[s] = true
	}
	return !slices.ContainsFunc(a, func(s string) bool { return !in[s] })
}
