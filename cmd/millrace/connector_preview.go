package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/connect/connector"
)

// preview asks what a config would change. A worker that has no such question
// would change it: it is asked for its API first.
func (c *connectClient) preview(ctx context.Context, name string, cfg map[string]any) (connector.Preview, error) {
	var api struct {
		Components struct{ Schemas map[string]any }
	}
	var p connector.Preview
	err := c.call(ctx, http.MethodGet, "/openapi.json", nil, &api)
	if err != nil || api.Components.Schemas["Preview"] == nil {
		return p, fmt.Errorf("dry run of connector %s: the worker has no dry runs, and would change the config; it is not asked (%v)", name, err)
	}
	if err := c.call(ctx, http.MethodPut, "/connectors/"+url.PathEscape(name)+"/config?dryRun=true", cfg, &p); err != nil {
		return p, fmt.Errorf("dry run of connector %s: %w", name, err)
	}
	return p, nil
}

// previewTable tells what would change.
func previewTable(t *table, p connector.Preview) {
	what := "would be made"
	if p.Exists {
		what = "exists"
	}
	t.line(fmt.Sprintf("connector %s %s", p.Name, what))
	t.row("KEY", "CHANGE", "BEFORE", "AFTER")
	for _, k := range p.Config {
		t.row(k.Key, k.Change, orDash(k.Before), orDash(k.After))
	}
	if p.Tasks != nil {
		for _, part := range []struct {
			what  string
			tasks []int
		}{{"started", p.Tasks.Started}, {"stopped", p.Tasks.Stopped}, {"restarted", p.Tasks.Restarted}, {"left to run", p.Tasks.Unchanged}} {
			if len(part.tasks) > 0 {
				t.line(fmt.Sprintf("tasks %s: %s", part.what, strings.Trim(fmt.Sprint(part.tasks), "[]")))
			}
		}
	}
	for _, topic := range p.Topics {
		t.line(fmt.Sprintf("topic %s would be made (%s)", topic.Name, topic.Use))
	}
	for _, note := range p.Notes {
		t.line("note: " + note)
	}
	if !p.Valid {
		t.line("the config would be refused; -o json shows why")
	}
}

func orDash(s *string) string {
	if s == nil {
		return "-"
	}
	return *s
}

func newConnectorHistory(c *connectClient) *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:   "history NAME",
		Short: "Show the states that a connector and its tasks were in",
		Args:  exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var h connector.History
			if err := c.call(cmd.Context(), http.MethodGet, "/connectors/"+url.PathEscape(args[0])+"/history", nil, &h); err != nil {
				return err
			}
			return out.print(cmd.OutOrStdout(), h, func(t *table) { historyTable(t, h) })
		},
	}
	out.addFlag(cmd)
	return cmd
}

func historyTable(t *table, h connector.History) {
	t.row("TIME", "WHAT", "STATE", "WORKER", "WHY")
	for _, e := range h.Entries {
		what := "connector"
		if e.Task != nil {
			what = fmt.Sprint("task ", *e.Task)
		}
		why, _, _ := strings.Cut(e.Trace, "\n")
		t.row(time.UnixMilli(e.Time).Format(time.RFC3339), what, e.State, e.WorkerID, why)
	}
}
