package transform

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
)

// replaceNull is the key that most transforms of fields share (KIP-1040).
var replaceNull = configdef.Key{Name: "replace.null.with.default", Type: configdef.Boolean, Default: true,
	Importance: configdef.Medium, Doc: "Read a null in a field that has a default as the default."}

var replaceFieldDef = configdef.Def{
	{Name: "exclude", Type: configdef.List, Default: "", Aliases: []string{"blacklist"}, Importance: configdef.Medium,
		Doc: "Fields to drop. Wins over include."},
	{Name: "include", Type: configdef.List, Default: "", Aliases: []string{"whitelist"}, Importance: configdef.Medium,
		Doc: "Fields to keep; all if empty."},
	{Name: "renames", Type: configdef.List, Default: "", Importance: configdef.Medium, Check: checkPairs,
		Doc: "Fields to rename, as old:new."},
	replaceNull,
}

// checkPairs holds that each element is two texts with a colon between.
func checkPairs(v any) error {
	list, _ := v.([]string)
	for _, e := range list {
		if a, b, ok := strings.Cut(e, ":"); !ok || strings.TrimSpace(a) == "" || strings.TrimSpace(b) == "" || strings.Contains(b, ":") {
			return fmt.Errorf("%q is not of the form old:new", e)
		}
	}
	return nil
}

// replaceField is Kafka's ReplaceField: drops and renames fields.
type replaceField struct {
	side             Side
	exclude, include []string
	renames          map[string]string
	withDefaults     bool
	plans            perSchema[*rewrite]
}

func newReplaceField(s settings, c configdef.Config) (Transform, error) {
	t := &replaceField{side: s.side, exclude: c.List("exclude"), include: c.List("include"),
		renames: map[string]string{}, withDefaults: c.Bool(replaceNull.Name)}
	for _, pair := range c.List("renames") {
		from, to, _ := strings.Cut(pair, ":")
		t.renames[strings.TrimSpace(from)] = strings.TrimSpace(to)
	}
	return t, nil
}

func (t *replaceField) keeps(name string) bool {
	return !slices.Contains(t.exclude, name) && (len(t.include) == 0 || slices.Contains(t.include, name))
}

func (t *replaceField) rename(name string) string {
	if to, ok := t.renames[name]; ok {
		return to
	}
	return name
}

// Apply leaves nulls alone.
func (t *replaceField) Apply(r *Record) (bool, error) {
	c := r.side(t.side)
	if c.isNull() {
		return true, nil
	}
	if c.schema() == nil {
		return true, t.applyMap(r, c)
	}
	p, err := t.plans.get(c.schema(), t.compile)
	if err != nil {
		return false, err
	}
	return true, p.apply(r, c, c)
}

func (t *replaceField) compile(s *data.Schema) (*rewrite, error) {
	if err := requireStruct(s, "field replacement"); err != nil {
		return nil, err
	}
	var cols []column
	for _, f := range s.Fields() {
		if t.keeps(f.Name) {
			col := keepColumn(f)
			col.name = t.rename(f.Name)
			cols = append(cols, col)
		}
	}
	return compileRewrite(s, data.CopyBasics(s), cols, t.withDefaults)
}

func (t *replaceField) applyMap(r *Record, c *cell) error {
	in, err := c.mapOf("field replacement")
	if err != nil {
		return err
	}
	out := make(map[string]any, len(in))
	for name, v := range in {
		if t.keeps(name) {
			out[t.rename(name)] = v
		}
	}
	r.set(c, nil, out)
	return nil
}
