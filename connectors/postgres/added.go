package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// A table that is added to the lists of tables is read while streaming goes on.
// Which tables are new is told by the lists that were in force before, which
// are stored beside the position, under a source partition of their own so that
// they are not repeated with each position.

// lists are the keys that say which tables are captured, as they were written.
type lists struct {
	SchemaInclude string `json:"schema.include.list,omitempty"`
	SchemaExclude string `json:"schema.exclude.list,omitempty"`
	TableInclude  string `json:"table.include.list,omitempty"`
	TableExclude  string `json:"table.exclude.list,omitempty"`
}

// filter compiles the lists.
func (l lists) filter() (*config, error) {
	c := &config{}
	for _, f := range []struct {
		text string
		to   *nameFilter
		out  bool
	}{{l.SchemaInclude, &c.schemas, false}, {l.SchemaExclude, &c.schemas, true}, {l.TableInclude, &c.tables, false}, {l.TableExclude, &c.tables, true}} {
		re, err := compilePatterns(f.text)
		if err != nil {
			return nil, err
		}
		if f.out {
			f.to.exclude = re
		} else {
			f.to.include = re
		}
	}
	return c, nil
}

// listsPartition is the source partition of the lists.
func listsPartition(prefix string) map[string]any {
	return map[string]any{"server": prefix, "millrace": "tables"}
}

const listsField = "lists"

// readLists reads the lists that were in force, nil for none.
func readLists(o sdk.Offset) (*lists, error) {
	text := o.String(listsField)
	if text == "" {
		return nil, nil
	}
	var l lists
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		return nil, fmt.Errorf("stored offset: the lists of tables: %w", err)
	}
	return &l, nil
}

// keepLists stores the lists that are in force now, with the records so far.
func (t *task) keepLists() error {
	text, err := json.Marshal(t.cfg.filters)
	if err != nil {
		return err
	}
	partition, err := sdk.EncodeMap(listsPartition(t.cfg.prefix))
	if err != nil {
		return err
	}
	offset, err := sdk.EncodeMap(map[string]any{listsField: string(text)})
	if err != nil {
		return err
	}
	t.em.batch.Positions = append(t.em.batch.Positions, data.Position{Partition: partition, Offset: offset})
	l := t.cfg.filters
	t.lists = &l
	return nil
}

// between does what there is to do between two transactions of the stream.
func (t *task) between(ctx context.Context) error {
	if !t.told {
		if err := t.addTables(ctx); err != nil {
			return err
		}
		t.told = true
	}
	if err := t.answer(ctx); err != nil || t.phase != phaseStreaming {
		return err
	}
	return t.inc.step(ctx)
}

// addTables begins to read tables that were added to the lists, once the
// stream is there. It is done between two transactions.
func (t *task) addTables(ctx context.Context) error {
	if t.lists != nil && *t.lists == t.cfg.filters {
		return nil
	}
	was := t.lists
	if was == nil || !t.cfg.readAdded {
		return t.keepLists()
	}
	old, err := was.filter()
	if err != nil {
		return sdk.Fatal(fmt.Errorf("stored offset: the lists of tables: %w", err))
	}
	all, err := t.cat.tables(ctx, t.cfg, t.viaRoot)
	if err != nil {
		return err
	}
	var added []incrementalTable
	for _, c := range all {
		name := c.schema + "." + c.name
		if !old.captures(c.schema, c.name) && name != t.cfg.signalTable {
			added = append(added, incrementalTable{ID: name})
		}
	}
	if len(added) > 0 {
		t.log.Info("reading tables that were added to the configuration", "tables", tableList(added))
		if err := t.inc.add(added, newUUID()); err != nil {
			return err
		}
		t.dec.asked = true // what is to be read is stored with the lists
	}
	return t.keepLists()
}
