package transform

import (
	"fmt"
	"log/slog"
	"strings"

	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
)

// The values of delete.tombstone.handling.mode.
const (
	deleteDrop             = "drop"
	deleteTombstone        = "tombstone"
	deleteRewrite          = "rewrite"
	deleteRewriteTombstone = "rewrite-with-tombstone"
	deleteToTombstone      = "delete-to-tombstone"
)

var unwrapDef = configdef.Def{
	{Name: "delete.tombstone.handling.mode", Type: configdef.String, Default: deleteTombstone, Importance: configdef.Medium,
		Rules: []configdef.Rule{configdef.OneOfFold(deleteDrop, deleteTombstone, deleteRewrite, deleteRewriteTombstone, deleteToTombstone)},
		Doc:   "What becomes of delete events and of the tombstones that follow them."},
	{Name: "drop.tombstones", Type: configdef.Boolean, Default: true, Importance: configdef.Low,
		Doc: "Removed from Debezium: with delete.handling.mode it stands for a delete.tombstone.handling.mode."},
	{Name: "delete.handling.mode", Type: configdef.String, Default: "drop", Importance: configdef.Low,
		Rules: []configdef.Rule{configdef.OneOfFold("drop", "rewrite", "none")},
		Doc:   "Removed from Debezium: with drop.tombstones it stands for a delete.tombstone.handling.mode."},
	{Name: "route.by.field", Type: configdef.String, Default: "", Importance: configdef.Medium, Doc: "Text column that becomes the topic."},
	{Name: "add.fields", Type: configdef.List, Default: "", Importance: configdef.Medium, Check: checkReferences,
		Doc: "Metadata to add to the value, as field or struct.field, each with :name to rename it."},
	{Name: "add.fields.prefix", Type: configdef.String, Default: "__", Importance: configdef.Low, Doc: "Prefix of the added fields."},
	{Name: "add.headers", Type: configdef.List, Default: "", Importance: configdef.Medium, Check: checkReferences,
		Doc: "Metadata to add as headers, likewise."},
	{Name: "add.headers.prefix", Type: configdef.String, Default: "__", Importance: configdef.Low, Doc: "Prefix of the added headers."},
	{Name: "drop.fields.header.name", Type: configdef.String, Importance: configdef.Medium,
		Doc: "Header that holds a list of the fields to drop from the record."},
	{Name: "drop.fields.from.key", Type: configdef.Boolean, Default: false, Importance: configdef.Medium, Doc: "Drop them from the key as well."},
	{Name: "drop.fields.keep.schema.compatible", Type: configdef.Boolean, Default: true, Importance: configdef.Low, Doc: "Drop only optional fields."},
	replaceNull,
}

// deletedField tells deleted rows from others in the rewrite modes.
const deletedField = "__deleted"

// unwrap is Debezium's ExtractNewRecordState: makes the row after the change
// the value.
type unwrap struct {
	mode            string
	routeBy         string
	fields, headers []reference
	dropHeader      string
	dropFromKey     bool
	dropCompatible  bool
	withDefaults    bool
	plans           perSchema[*unwrapPlan]
	drops           cache[dropKey, *rewrite]
}

func newUnwrap(s settings, c configdef.Config) (Transform, error) {
	prefix := func(key string) string { // kept as given: configdef trims
		text, _ := c.Original(key)
		if text == "" {
			return c.String(key)
		}
		return text
	}
	t := &unwrap{
		mode: unwrapMode(s.Logger, c), routeBy: c.String("route.by.field"),
		fields:     parseReferences(c.List("add.fields"), prefix("add.fields.prefix")),
		headers:    parseReferences(c.List("add.headers"), prefix("add.headers.prefix")),
		dropHeader: c.String("drop.fields.header.name"), dropFromKey: c.Bool("drop.fields.from.key"),
		dropCompatible: c.Bool("drop.fields.keep.schema.compatible"),
	}
	t.withDefaults = t.rewrites() && c.Bool(replaceNull.Name)
	return t, nil
}

// unwrapMode reads the mode from its key or from the two that it replaced.
func unwrapMode(log *slog.Logger, c configdef.Config) string {
	const key = "delete.tombstone.handling.mode"
	if c.Given(key) || !c.Given("drop.tombstones") && !c.Given("delete.handling.mode") {
		return strings.ToLower(c.String(key))
	}
	drop, mode := c.Bool("drop.tombstones"), ""
	switch old := strings.ToLower(c.String("delete.handling.mode")); {
	case old == "rewrite" && drop:
		mode = deleteRewrite
	case old == "rewrite":
		mode = deleteRewriteTombstone
	case old == "drop" && drop:
		mode = deleteDrop
	default:
		mode = deleteTombstone
	}
	log.Warn("drop.tombstones and delete.handling.mode were removed from Debezium; delete.tombstone.handling.mode replaces them",
		"class", "ExtractNewRecordState", "mode", mode)
	return mode
}

func (t *unwrap) rewrites() bool { return t.mode == deleteRewrite || t.mode == deleteRewriteTombstone }

// Apply drops tombstones and truncates, deletes as the mode says, and leaves
// records alone that are no change events.
func (t *unwrap) Apply(r *Record) (bool, error) {
	c := &r.value
	if c.isNull() {
		return t.tombstone(r)
	}
	if !isEnvelope(c.schema()) {
		return true, nil
	}
	p, err := t.plans.get(c.schema(), t.compile)
	if err != nil {
		return false, err
	}
	if err := t.addHeaders(r, c); err != nil {
		return false, err
	}
	before, after, err := p.present(c)
	if err != nil || !before && !after {
		return false, err
	}
	body := p.after
	if !after {
		body = p.before
	}
	if t.routeBy != "" {
		if err := t.route(r, c, body); err != nil {
			return false, err
		}
	}
	switch {
	case after || t.rewrites():
		err = body.apply(r, c)
	case t.mode == deleteDrop:
		return false, nil
	case t.mode == deleteTombstone:
		r.setDatum(c, nullOf(p.rowSchema))
	default:
		r.setDatum(c, data.Datum{})
	}
	if err == nil && t.dropHeader != "" {
		err = t.dropFields(r)
	}
	return err == nil, err
}

// tombstone handles a null value; of the metadata only the operation is known.
func (t *unwrap) tombstone(r *Record) (bool, error) {
	if t.mode != deleteRewriteTombstone {
		return false, nil
	}
	for _, h := range t.headers {
		if h.field == "op" && h.parent == "" {
			if err := r.addHeader(h.as, data.OptionalStringSchema, "d"); err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

func (t *unwrap) addHeaders(r *Record, c *cell) error {
	if len(t.headers) == 0 {
		return nil
	}
	env, err := c.structOf("change events")
	if err != nil {
		return err
	}
	for _, h := range t.headers {
		at, ok := h.locate(env.Schema())
		if !ok {
			continue
		}
		if err := r.addHeader(h.as, at.schema, at.of(env)); err != nil {
			return err
		}
	}
	return nil
}

// route takes the topic from a column of the row.
func (t *unwrap) route(r *Record, c *cell, body *unwrapBody) error {
	i := fieldIndex(body.in, t.routeBy)
	if i < 0 {
		return fmt.Errorf("route.by.field: the row has no column %q", t.routeBy)
	}
	env, err := c.structOf("change events")
	if err != nil {
		return err
	}
	row, _ := env.AtWithoutDefault(body.index).(*data.Struct)
	switch v := row.AtWithoutDefault(i).(type) {
	case string:
		r.Topic = v
	case nil:
	default:
		return fmt.Errorf("route.by.field: column %q holds %s, not text", t.routeBy, kindOf(v))
	}
	return nil
}
