package jsonschema

import "strconv"

func (c *comparer) arrays(o, u *node) []found {
	a, b := &o.array, &u.array
	out := under(c.compare(a.all, b.all), "items")
	for _, list := range [][]found{
		c.items(a, b),
		c.rest(besides{a.closed, a.additional}, besides{b.closed, b.additional}, "additionalItems", "ADDITIONAL_ITEMS"),
		c.unevaluated(a.unevaluated, b.unevaluated, "unevaluatedItems", "UNEVALUATED_ITEMS"),
		c.limits(o, u, arrayLimits),
	} {
		out = c.join(out, list)
	}
	switch {
	case a.unique && !b.unique:
		out = c.join(out, of("UNIQUE_ITEMS_REMOVED", "uniqueItems"))
	case !a.unique && b.unique:
		out = c.join(out, of("UNIQUE_ITEMS_ADDED", "uniqueItems"))
	}
	return out
}

// items compares position by position.
func (c *comparer) items(o, u *arrayPart) []found {
	var out []found
	for i := range max(len(o.items), len(u.items)) {
		var list []found
		switch {
		case i >= len(u.items):
			list = c.itemRemoved(u, o.items[i])
		case i >= len(o.items):
			list = c.itemAdded(o, u.items[i])
		default:
			list = c.compare(o.items[i], u.items[i])
		}
		out = c.join(out, under(list, "items", strconv.Itoa(i)))
	}
	return out
}

func (c *comparer) itemRemoved(u *arrayPart, was *node) []found {
	if u.open() {
		return of("ITEM_REMOVED_FROM_OPEN_CONTENT_MODEL")
	}
	if cover := u.cover(); cover != nil {
		list := c.compare(was, cover)
		if c.bad(list) {
			return c.join(list, of("ITEM_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL"))
		}
		return c.join(list, of("ITEM_REMOVED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL"))
	}
	if was.kind == kindFalse {
		return of("ITEM_WITH_FALSE_REMOVED_FROM_CLOSED_CONTENT_MODEL")
	}
	return of("ITEM_REMOVED_FROM_CLOSED_CONTENT_MODEL")
}

func (c *comparer) itemAdded(o *arrayPart, is *node) []found {
	switch cover := o.cover(); {
	case o.open() && is.anything():
		return of("ITEM_WITH_EMPTY_SCHEMA_ADDED_TO_OPEN_CONTENT_MODEL")
	case o.open():
		return of("ITEM_ADDED_TO_OPEN_CONTENT_MODEL")
	case cover != nil:
		list := c.compare(cover, is)
		if c.bad(list) {
			return c.join(list, of("ITEM_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL"))
		}
		return c.join(list, of("ITEM_ADDED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL"))
	}
	return of("ITEM_ADDED_TO_CLOSED_CONTENT_MODEL")
}

// open reports whether anything may follow the listed items.
func (a *arrayPart) open() bool {
	return !a.closed && a.additional == nil && (a.unevaluated == nil || a.unevaluated.anything())
}

// cover returns the schema of items that are not listed, nil if there is none.
func (a *arrayPart) cover() *node {
	if a.additional != nil {
		return a.additional
	}
	if !a.closed && a.unevaluated != nil && !a.unevaluated.anything() && a.unevaluated.kind != kindFalse {
		return a.unevaluated
	}
	return nil
}
