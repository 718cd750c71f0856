package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/connectors/postgres/pgtest"
)

// TestTablesAreCopied runs the script of docs/postgres-to-postgres.md, which
// compares the databases.
func TestTablesAreCopied(t *testing.T) {
	pg := pgtest.Start(t)
	source, target := pg.URL(pg.Database(t)), pg.URL(pg.Database(t))
	s := startServer(t)
	script := exec.CommandContext(t.Context(), filepath.Join("..", "..", "deploy", "demo", "copy-tables.sh"), source, target)
	script.Env = append(script.Environ(), "CONNECT=http://"+s.addrs.Connect, "REGISTRY=http://"+s.addrs.Registry)
	out, err := script.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "after a new column: both have the same 6150 rows") {
		t.Fatalf("the script: %v\n%s", err, out)
	}
}
