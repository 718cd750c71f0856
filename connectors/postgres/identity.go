package postgres

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// identityRule is one entry of replica.identity.autoset.values.
type identityRule struct {
	table *regexp.Regexp
	kind  byte   // as pg_class.relreplident: d, f, n or i
	index string // of kind i
}

// parseIdentities reads table:FULL,table:INDEX name.
func parseIdentities(text string) ([]identityRule, error) {
	var out []identityRule
	for _, entry := range splitPatterns(text) {
		i := strings.LastIndexByte(entry, ':')
		if i <= 0 {
			return nil, fmt.Errorf("%q is not of the form table:VALUE", entry)
		}
		re, err := compilePattern(strings.TrimSpace(entry[:i]))
		if err != nil {
			return nil, err
		}
		r := identityRule{table: re}
		value, index, _ := strings.Cut(strings.TrimSpace(entry[i+1:]), " ")
		switch strings.ToUpper(value) {
		case "DEFAULT":
			r.kind = 'd'
		case "FULL":
			r.kind = 'f'
		case "NOTHING":
			r.kind = 'n'
		case "INDEX":
			if r.kind, r.index = 'i', strings.TrimSpace(index); r.index == "" {
				return nil, fmt.Errorf("%q names no index", entry)
			}
		default:
			return nil, fmt.Errorf("%q is not one of DEFAULT, FULL, NOTHING and INDEX name", value)
		}
		out = append(out, r)
	}
	return out, nil
}

// clause is what ALTER TABLE ... REPLICA IDENTITY says.
func (r *identityRule) clause() string {
	switch r.kind {
	case 'f':
		return "FULL"
	case 'n':
		return "NOTHING"
	case 'i':
		return "USING INDEX " + quoteName(r.index)
	}
	return "DEFAULT"
}

// setIdentities gives tables the replica identity that the configuration asks
// for. A table that two rules match gets the first's.
func setIdentities(ctx context.Context, conn *pgconn.PgConn, c *config, tables []*catalogTable) error {
	for _, t := range tables {
		for i := range c.identities {
			r := &c.identities[i]
			if !r.table.MatchString(t.schema + "." + t.name) {
				continue
			}
			if r.kind == t.identity && r.kind != 'i' {
				break
			}
			sql := "ALTER TABLE " + quoteName(t.schema, t.name) + " REPLICA IDENTITY " + r.clause()
			if _, err := query(ctx, conn, sql); err != nil {
				return fmt.Errorf("replica.identity.autoset.values: %s: %w", sql, err)
			}
			t.identity = r.kind
			break
		}
	}
	return nil
}
