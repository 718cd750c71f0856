package transform

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/plugins/data"
)

// dropKey identifies a rewrite without certain fields.
type dropKey struct {
	schema data.Hash
	names  string
}

// dropFields removes the fields that a header lists from the value, and from
// the key if asked to.
func (t *unwrap) dropFields(r *Record) error {
	names, err := t.dropList(r)
	if err != nil || len(names) == 0 {
		return err
	}
	sides := []Side{Value, Key}
	if !t.dropFromKey {
		sides = sides[:1]
	}
	for _, side := range sides {
		c := r.side(side)
		if c.isNull() || c.schema() == nil || c.schema().Type() != data.TypeStruct {
			continue
		}
		s := c.schema()
		p, err := t.drops.get(dropKey{s.Hash(), strings.Join(names, "\x00")}, func() (*rewrite, error) {
			return t.compileDrop(s, names)
		})
		if err != nil {
			return err
		}
		if err := p.apply(r, c, c); err != nil {
			return err
		}
	}
	return nil
}

func (t *unwrap) compileDrop(s *data.Schema, names []string) (*rewrite, error) {
	var cols []column
	for _, f := range s.Fields() {
		if slices.Contains(names, f.Name) && (f.Schema.Optional() || !t.dropCompatible) {
			continue
		}
		cols = append(cols, keepColumn(f))
	}
	return compileRewrite(s, data.CopyBasics(s), cols, false)
}

func (t *unwrap) dropList(r *Record) ([]string, error) {
	for _, h := range slices.Backward(r.Headers) {
		if h.Name != t.dropHeader {
			continue
		}
		v, err := h.Value.Value()
		if err != nil || v == nil {
			return nil, err
		}
		list, ok := v.([]any)
		if !ok {
			return nil, fmt.Errorf("header %q holds %s, not a list of fields", h.Name, kindOf(v))
		}
		var names []string
		for _, e := range list {
			if name, ok := e.(string); ok {
				names = append(names, name)
			}
		}
		return names, nil
	}
	return nil, nil
}
