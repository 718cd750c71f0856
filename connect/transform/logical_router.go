package transform

import (
	"errors"
	"fmt"
	"strings"

	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
)

// logicalRouterDef is the definition with the default name of the identifier
// field, which the two classes do not share.
func logicalRouterDef(identifier string) configdef.Def {
	return configdef.Def{
		{Name: "topic.regex", Type: configdef.String, Required: true, Importance: configdef.High, Check: checkRegex,
			Rules: []configdef.Rule{configdef.NonEmpty()}, Doc: "Java regular expression that the whole topic must match to be replaced."},
		{Name: "topic.replacement", Type: configdef.String, Required: true, Importance: configdef.High,
			Rules: []configdef.Rule{configdef.NonEmpty()}, Doc: "The new topic, in which $1 or ${name} stand for groups."},
		{Name: "key.enforce.uniqueness", Type: configdef.Boolean, Default: true, Importance: configdef.Low,
			Doc: "Add a field to the key that tells the tables apart."},
		{Name: "key.field.name", Type: configdef.String, Default: identifier, Importance: configdef.Low, Doc: "Name of that field."},
		{Name: "key.field.regex", Type: configdef.String, Importance: configdef.Low, Check: checkRegex,
			Doc: "Java regular expression for the value of that field, on the old topic."},
		{Name: "key.field.replacement", Type: configdef.String, Importance: configdef.Low, Doc: "Value of that field, with the groups of key.field.regex."},
		{Name: "schema.name.adjustment.mode", Type: configdef.String, Default: "none", Importance: configdef.Medium,
			Rules: []configdef.Rule{configdef.OneOfFold("none", "avro", "avro_unicode")}, Doc: "How schema names are brought to what Avro allows."},
		{Name: "logical.table.cache.size", Type: configdef.Int, Default: 16, Importance: configdef.Low,
			Aliases: []string{"logical.destination.cache.size"}, Rules: []configdef.Rule{configdef.AtLeast(1)},
			Doc: "Size of a cache upstream; here caches hold 64 schemas whatever it says."},
	}
}

// logicalRouter is Debezium's ByLogicalTableRouter: sends the tables of one
// logical table to one topic.
type logicalRouter struct {
	regex       *regex
	replacement replacement
	unique      bool
	keyField    string
	keyRegex    *regex // nil for none
	keyReplace  replacement
	adjust      func(string) string
	keys        cache[routedSchema, *rewrite]
	values      cache[routedSchema, *data.Schema]
}

// routedSchema is a schema on its way to a topic.
type routedSchema struct {
	schema data.Hash
	topic  string
}

func newLogicalRouter(_ settings, c configdef.Config) (Transform, error) {
	t := &logicalRouter{unique: c.Bool("key.enforce.uniqueness"), keyField: c.String("key.field.name"),
		adjust: nameAdjustment(c.String("schema.name.adjustment.mode"))}
	var err error
	if t.regex, err = compileRegex(c.String("topic.regex")); err != nil {
		return nil, err
	}
	if t.replacement, err = compileReplacement(c.String("topic.replacement"), t.regex); err != nil {
		return nil, err
	}
	pattern := c.String("key.field.regex")
	if pattern == "" {
		return t, nil
	}
	if c.String("key.field.replacement") == "" {
		return nil, errors.New("key.field.regex needs key.field.replacement")
	}
	if t.keyRegex, err = compileRegex(pattern); err != nil {
		return nil, err
	}
	t.keyReplace, err = compileReplacement(c.String("key.field.replacement"), t.keyRegex)
	return t, err
}

// Apply never drops a record, and leaves those of other topics alone.
func (t *logicalRouter) Apply(r *Record) (bool, error) {
	topic, matched := t.replacement.replaceFirst(t.regex, r.Topic)
	if !matched || topic == "" {
		return true, nil
	}
	if !r.key.isNull() {
		if err := t.rekey(r, topic); err != nil {
			return false, fmt.Errorf("key: %w", err)
		}
	}
	if !r.value.isNull() && isEnvelope(r.value.schema()) {
		if err := t.relabel(r, topic); err != nil {
			return false, fmt.Errorf("value: %w", err)
		}
	}
	r.Topic = topic
	return true, nil
}

// rekey renames the key's schema and adds the identifier.
func (t *logicalRouter) rekey(r *Record, topic string) error {
	s := r.key.schema()
	if s == nil {
		return errors.New("it has no schema, and only structs can be made unique")
	}
	p, err := t.keys.get(routedSchema{s.Hash(), topic}, func() (*rewrite, error) {
		if err := requireStruct(s, "logical tables"); err != nil {
			return nil, err
		}
		var cols []column
		for _, f := range s.Fields() {
			cols = append(cols, keepColumn(f))
		}
		if t.unique {
			cols = append(cols, column{name: t.keyField, schema: data.StringSchema, from: added,
				value: func(r *Record) any { return t.identifier(r.Topic) },
				write: func(r *Record, w *data.RowWriter) { w.Text(t.identifier(r.Topic)) }})
		}
		return compileRewrite(s, basicsAs(s, t.adjust(topic+".Key"), nil), cols, false)
	})
	if err != nil {
		return err
	}
	return p.apply(r, &r.key, &r.key)
}

// identifier tells the table of a topic from the others.
func (t *logicalRouter) identifier(topic string) string {
	if t.keyRegex == nil {
		return topic
	}
	out, _ := t.keyReplace.replaceFirst(t.keyRegex, topic)
	return out
}

// relabel renames the schemas of an envelope. The row stays: its bytes do not
// depend on the names.
func (t *logicalRouter) relabel(r *Record, topic string) error {
	s := r.value.schema()
	out, err := t.values.get(routedSchema{s.Hash(), topic}, func() (*data.Schema, error) {
		b := basicsAs(s, t.adjust(topic+".Envelope"), nil)
		for _, f := range s.Fields() {
			child := f.Schema
			if f.Name == "before" || f.Name == "after" {
				var err error
				if child, err = renamed(f.Schema, t.adjust(topic+".Value"), nil); err != nil {
					return nil, err
				}
			}
			b.Field(f.Name, child)
		}
		if s.Optional() {
			b.Optional()
		}
		return b.Build()
	})
	if err != nil {
		return err
	}
	d, err := r.encoded(&r.value)
	if err != nil {
		return err
	}
	d.Schema = out
	r.setDatum(&r.value, d)
	return nil
}

// nameAdjustment brings names to what Avro allows: letters, digits and
// underscores between the dots, no digit first.
func nameAdjustment(mode string) func(string) string {
	mode = strings.ToLower(mode)
	if mode == "none" {
		return func(name string) string { return name }
	}
	return func(name string) string {
		var b strings.Builder
		start := true
		for _, c := range name {
			letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' && mode == "avro"
			switch {
			case letter || c == '.' || !start && c >= '0' && c <= '9':
				b.WriteRune(c)
			case mode == "avro":
				b.WriteByte('_')
			default:
				fmt.Fprintf(&b, "_u%04x", c)
			}
			start = c == '.'
		}
		return b.String()
	}
}
