package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/millrace/millrace/plugins/sdk"
)

// reselectClass is the post-processor that exists here.
const reselectClass = "io.debezium.processors.reselect.ReselectColumnsPostProcessor"

// reselector is Debezium's ReselectColumnsPostProcessor: columns whose value the
// server did not send, or that are null, are read from the table.
type reselector struct {
	include, exclude   []*regexp.Regexp // of schema.table:column; the first counts if it is not empty
	unavailable, nulls bool
	eventKey           bool // rows are found by the event's key, not the table's own
	fail               bool // a row that is not found fails the task
}

// reselectKeys are the keys of a reselector with what they are by default.
var reselectKeys = map[string]string{
	"type": "", "reselect.columns.include.list": "", "reselect.columns.exclude.list": "", "reselect.unavailable.values": "true",
	"reselect.null.values": "true", "reselect.use.event.key": "false", "reselect.error.handling.mode": "warn",
	"reselect.cache.enabled": "false",
}

// processors reads post.processors. The keys of one are under its name, or under
// post.processors and its name.
func (c *config) processors(p *parser) {
	const key = "post.processors"
	for _, name := range p.cfg.List(key) {
		prefix := key + "." + name + "."
		props := p.cfg.WithPrefix(prefix)
		if len(props) == 0 {
			prefix = name + "."
			props = p.cfg.WithPrefix(prefix)
		}
		switch class := props["type"]; {
		case class == "":
			p.bad(key, fmt.Errorf("%s is listed, but %s.%s.type is not set", name, key, name))
		case class != reselectClass && class != "ReselectColumnsPostProcessor":
			p.bad(prefix+"type", fmt.Errorf("%s is a Java class, which cannot run here; there is %s", class, reselectClass))
		case c.reselector != nil:
			p.bad(key, fmt.Errorf("%s is the second one that reads columns: one is enough", name))
		default:
			c.reselector = newReselector(p, prefix, props)
		}
	}
}

func newReselector(p *parser, prefix string, props map[string]string) *reselector {
	value := func(name string) string {
		if v := strings.TrimSpace(props[name]); v != "" {
			return strings.ToLower(v)
		}
		return reselectKeys[name]
	}
	truth := func(name string) bool {
		v := value(name)
		if v != "true" && v != "false" {
			p.bad(prefix+name, fmt.Errorf("%s is neither true nor false", props[name]))
		}
		return v == "true"
	}
	patterns := func(name string) []*regexp.Regexp {
		out, err := compilePatterns(props[name])
		p.bad(prefix+name, err)
		return out
	}
	r := &reselector{
		include: patterns("reselect.columns.include.list"), exclude: patterns("reselect.columns.exclude.list"),
		unavailable: truth("reselect.unavailable.values"), nulls: truth("reselect.null.values"), eventKey: truth("reselect.use.event.key"),
	}
	const mode = "reselect.error.handling.mode"
	if r.fail = value(mode) == "fail"; !r.fail && value(mode) != "warn" {
		p.bad(prefix+mode, fmt.Errorf("%s is neither warn nor fail", props[mode]))
	}
	if truth("reselect.cache.enabled") {
		p.bad(prefix+"reselect.cache.enabled", errors.New("values that were read are not kept: remove the key"))
	}
	for _, name := range slices.Sorted(maps.Keys(props)) {
		if _, known := reselectKeys[name]; !known {
			p.bad(prefix+name, fmt.Errorf("it is no key of %s: remove it", reselectClass))
		}
	}
	return r
}

// takes reports whether a column is one to read again.
func (r *reselector) takes(schema, table, column string) bool {
	name := schema + "." + table + ":" + column
	if len(r.include) > 0 {
		return matchesAny(r.include, name)
	}
	return !matchesAny(r.exclude, name)
}

// converters refuses custom converters by their classes.
func (c *config) converters(p *parser) {
	for _, name := range p.cfg.List("converters") {
		class, _ := p.cfg.Original(name + ".type")
		if class == "" {
			p.bad("converters", fmt.Errorf("%s is listed, but %s.type is not set", name, name))
			continue
		}
		p.bad("converters", fmt.Errorf("%s is %s, a Java class, which cannot run here: remove it. decimal.handling.mode, time.precision.mode, binary.handling.mode, hstore.handling.mode, interval.handling.mode and transforms say how values appear", name, class))
	}
}

// reselectRow reads columns of a row that was inserted or updated, as they are by
// now. Differs from Debezium: what the transaction did is made sure to be
// visible first, so that no older value is taken for a newer one.
func (t *task) reselectRow(ctx context.Context, tab *table, before, after []value) error {
	r := t.cfg.reselector
	key := tab.primary
	if r.eventKey {
		key = tab.key
	}
	if len(key) == 0 || len(tab.key) == 0 || len(after) != len(tab.columns) {
		return nil
	}
	var want []int
	for i := range after {
		c := &tab.columns[i]
		known := i < len(before) && before[i].kind == valueText
		if c.included && c.reselect && (r.unavailable && after[i].kind == valueUnchanged && !known || r.nulls && after[i].kind == valueNull) {
			want = append(want, i)
		}
	}
	sql, args := rowSQL(tab, want, key, after)
	if sql == "" {
		return nil
	}
	if err := t.waitVisible(ctx); err != nil {
		return err
	}
	rows, err := query(ctx, t.conn, sql, args...)
	switch {
	case err != nil && sqlState(err) == "":
		return fmt.Errorf("read columns of %s again: %w", tab.id, err)
	case err == nil && len(rows) != 1:
		err = errors.New("there is no such row")
	}
	if err != nil {
		return t.notReselected(tab, err)
	}
	tab.complained = false
	for n, i := range want {
		if rows[0][n] == nil {
			after[i] = value{kind: valueNull}
		} else {
			after[i] = value{valueText, rows[0][n]}
		}
	}
	return nil
}

// notReselected does what is configured about a row that could not be read: it
// says so once, until one can be read again.
func (t *task) notReselected(tab *table, err error) error {
	if t.cfg.reselector.fail {
		return sdk.Fatal(fmt.Errorf("read columns of a row of %s at %s again: %w: reselect.error.handling.mode=warn leaves the event as it is", tab.id, t.dec.origin.lsn, err))
	}
	if !tab.complained {
		tab.complained = true
		t.log.Warn("columns of a row cannot be read again, the event is left as it is", "table", tab.id, "lsn", t.dec.origin.lsn.String(), "err", err)
	}
	return nil
}

// waitVisible waits until others see what the transaction at hand did, which it
// finds out once for each.
func (t *task) waitVisible(ctx context.Context) error {
	for t.dec.origin.xid != t.visibleXID {
		now, err := readMoment(ctx, t.conn)
		if err != nil {
			return err
		}
		if now.seen.sees(t.dec.origin.xid) {
			t.visibleXID = t.dec.origin.xid
			return nil
		}
		if err := wait(ctx, notVisible); err != nil {
			return err
		}
	}
	return nil
}

// rowSQL selects columns of the row that a tuple is of, by the columns of a key.
// It is "" if there are none to select, or the tuple does not tell the key.
func rowSQL(tab *table, want, key []int, tuple []value) (string, []string) {
	if len(want) == 0 {
		return "", nil
	}
	columns := make([]string, len(want))
	for n, i := range want {
		columns[n] = quoteName(tab.columns[i].name)
	}
	conditions, args := make([]string, len(key)), make([]string, len(key))
	for n, i := range key {
		if tuple[i].kind != valueText {
			return "", nil
		}
		conditions[n] = fmt.Sprintf("%s = $%d", quoteName(tab.columns[i].name), n+1)
		args[n] = string(tuple[i].text)
	}
	return "SELECT " + strings.Join(columns, ", ") + " FROM " + quoteName(tab.relation.schema, tab.name) + " WHERE " + strings.Join(conditions, " AND "), args
}
