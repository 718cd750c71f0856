package registry

import "cmp"

// candidate is a draft that has been read.
type candidate struct {
	typ    string
	parsed parsed
	text   string      // to be stored
	normal bool        // text is the normalised one
	refs   []Reference // with versions filled in
	contract
	hash hash
}

// read parses a draft for a subject. With normalize, the stored text is the
// normalised one.
func (r *Registry) read(name string, d Draft, normalize bool, rules strictness) (*candidate, error) {
	typ := cmp.Or(d.Type, Avro)
	lang, err := languageOf(typ)
	if err != nil {
		return nil, err
	}
	r.mu.RLock()
	refs, texts, err := r.state.resolve(contextOf(name), d.References, !rules.isNew)
	r.mu.RUnlock()
	if err != nil {
		return nil, err
	}
	c := &candidate{typ: typ, refs: refs, contract: contract{tidied(d.Metadata), d.RuleSet}}
	if c.parsed, err = r.parse(lang, typ, d.Text, texts, rules); err != nil {
		return nil, err
	}
	if !d.Tags.Empty() {
		text, err := retagged(c.parsed, typ, d.Tags)
		if err != nil {
			return nil, err
		}
		if c.parsed, err = r.parse(lang, typ, text, texts, rules); err != nil {
			return nil, err
		}
	}
	c.text, c.normal = c.parsed.canonical(), normalize
	if normalize {
		c.text = c.parsed.normalized()
	}
	c.hash = contentHash(c.text, refs, c.contract)
	return c, nil
}

// identity is that of the schemas which a look-up takes for the candidate.
func (c *candidate) identity() string {
	if c.normal {
		return c.text
	}
	return c.parsed.identity()
}

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
