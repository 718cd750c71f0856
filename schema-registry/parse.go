package registry

import "cmp"

// candidate is a draft that has been read.
type candidate struct {
	typ    string
	parsed parsed
	same   string      // what a schema that it is looked up as has for identity
	text   string      // to be stored
	refs   []Reference // with versions filled in
	hash   hash
}

// read parses a draft for a subject. strict holds it to all rules for new
// schemas; normalize makes the stored text the normalised one.
func (r *Registry) read(name string, d Draft, normalize, strict bool) (*candidate, error) {
	if given(d.Metadata) {
		return nil, errorf(InvalidSchema, "Invalid schema: metadata is not supported by this registry; leave it out")
	}
	if given(d.RuleSet) {
		return nil, errorf(InvalidRuleSet, "Invalid rule set: rules are not supported by this registry; leave ruleSet out")
	}
	lang, err := languageOf(cmp.Or(d.Type, Avro))
	if err != nil {
		return nil, err
	}
	context, _ := split(name)
	r.mu.RLock()
	refs, texts, err := r.state.resolve(context, d.References, !strict)
	r.mu.RUnlock()
	if err != nil {
		return nil, err
	}
	c := &candidate{typ: cmp.Or(d.Type, Avro), refs: refs}
	if c.parsed, err = r.parse(lang, c.typ, d.Text, texts, strictness{isNew: strict}); err != nil {
		return nil, err
	}
	c.text, c.same = c.parsed.canonical(), c.parsed.identity()
	if normalize {
		c.text = c.parsed.normalized()
		c.same = c.text
	}
	c.hash = contentHash(c.text, refs)
	return c, nil
}

func given(raw []byte) bool { return len(raw) > 0 && string(raw) != "null" }

// parsedEntry reads a registered schema.
func (r *Registry) parsedEntry(e *entry) (parsed, error) {
	lang, err := languageOf(e.Type)
	if err != nil {
		return nil, err
	}
	context, _ := split(e.Subject)
	r.mu.RLock()
	_, texts, err := r.state.resolve(context, e.References, true)
	r.mu.RUnlock()
	if err != nil {
		return nil, err
	}
	return r.parse(lang, e.Type, e.Text, texts, strictness{})
}

func (r *Registry) parse(lang language, typ, text string, refs []referenced, rules strictness) (parsed, error) {
	key := keyOf(typ, text, refs, rules)
	if p, ok := r.cache.get(key); ok {
		return p, nil
	}
	p, err := lang.parse(text, refs, rules)
	if err != nil {
		return nil, err
	}
	size := len(text)
	for _, ref := range refs {
		size += len(ref.text)
	}
	r.cache.put(key, p, size)
	return p, nil
}
