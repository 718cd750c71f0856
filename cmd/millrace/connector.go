package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/connect/connector"
)

// connectClient talks to Kafka Connect's REST API, of Millrace or of Kafka
// Connect itself.
type connectClient struct{ restClient }

func (c *connectClient) add(cmd *cobra.Command) {
	c.flag, c.who = "connect-url", "Connect worker"
	cmd.PersistentFlags().StringVarP(&c.url, c.flag, "u", envOr("MILLRACE_CONNECT_URL", "http://127.0.0.1:8083"),
		"address of a Connect worker's REST API")
}

func newConnector() *cobra.Command {
	var c connectClient
	cmd := &cobra.Command{
		Use:   "connector",
		Short: "Create, change, watch and delete connectors",
		Example: `  millrace connector create -f orders-cdc.json
  millrace connector status orders-cdc
  millrace connector restart orders-cdc --tasks`,
	}
	c.add(cmd)
	cmd.AddCommand(
		newConnectorList(&c), newConnectorCreate(&c), newConnectorConfig(&c), newConnectorStatus(&c), newConnectorHistory(&c), newConnectorRestart(&c),
		newConnectorAction(&c, "pause", "Pause a connector and its tasks; they keep their place", http.MethodPut, "/pause"),
		newConnectorAction(&c, "resume", "Resume a paused or stopped connector", http.MethodPut, "/resume"),
		newConnectorAction(&c, "stop", "Stop a connector and end its tasks, keeping its config and offsets", http.MethodPut, "/stop"),
		newConnectorAction(&c, "delete", "Delete a connector; its offsets stay for one of the same name", http.MethodDelete, ""),
		newConnectorPlugins(&c),
	)
	return cmd
}

func newConnectorList(c *connectClient) *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List connectors with their states",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var all map[string]connector.Expanded
			if err := c.call(cmd.Context(), http.MethodGet, "/connectors?expand=info&expand=status", nil, &all); err != nil {
				return err
			}
			return out.print(cmd.OutOrStdout(), all, func(t *table) { listTable(t, all) })
		},
	}
	out.addFlag(cmd)
	return cmd
}

func listTable(t *table, all map[string]connector.Expanded) {
	t.row("NAME", "TYPE", "STATE", "TASKS", "CLASS")
	for _, name := range sortedKeys(all) {
		e := all[name]
		running := 0
		for _, ts := range e.Status.Tasks {
			if ts.State == connector.Running {
				running++
			}
		}
		t.row(name, e.Info.Type, e.Status.Connector.State, fmt.Sprintf("%d/%d running", running, len(e.Status.Tasks)),
			e.Info.Config["connector.class"])
	}
}

func newConnectorCreate(c *connectClient) *cobra.Command {
	var file string
	var dry bool
	var out output
	cmd := &cobra.Command{
		Use:   "create -f FILE",
		Short: "Create a connector, or replace its config",
		Long: `Create a connector from a JSON file, or replace its config if it exists. The file holds what
people POST to Kafka Connect, {"name": ..., "config": {...}}, or only a config with a name in it.
With --dry-run nothing is changed: it tells which keys, tasks and topics would be.`,
		Example: "  millrace connector create -f orders-cdc.json\n  cat orders-cdc.json | millrace connector create -f -\n  millrace connector create -f orders-cdc.json --dry-run",
		Args:    exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			name, cfg, err := readConnectorFile(file, cmd.InOrStdin())
			if err != nil {
				return err
			}
			if dry {
				p, err := c.preview(cmd.Context(), name, cfg)
				if err != nil {
					return err
				}
				return out.print(cmd.OutOrStdout(), p, func(t *table) { previewTable(t, p) })
			}
			var info connector.Info
			path := "/connectors/" + url.PathEscape(name) + "/config"
			if err := c.call(cmd.Context(), http.MethodPut, path, cfg, &info); err != nil {
				return fmt.Errorf("create connector %s: %w", name, err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "connector %s stored; millrace connector status %s shows how it starts\n", name, name)
			return nil
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "JSON file; - is standard input")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "tell what would change, and change nothing")
	out.addFlag(cmd)
	cobra.CheckErr(cmd.MarkFlagRequired("file"))
	return cmd
}

// readConnectorFile returns the connector's name and its config as written.
func readConnectorFile(file string, stdin io.Reader) (string, map[string]any, error) {
	name, cfg, err := readConfigFile(file, stdin)
	if err == nil && name == "" {
		err = fmt.Errorf("%s has no connector name: add \"name\"", file)
	}
	return name, cfg, err
}

// readConfigFile is readConnectorFile for a config that need not have a name.
func readConfigFile(file string, stdin io.Reader) (string, map[string]any, error) {
	var raw []byte
	var err error
	if file == "-" {
		raw, err = io.ReadAll(stdin)
	} else {
		raw, err = os.ReadFile(file)
	}
	if err != nil {
		return "", nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var body map[string]any
	if err := dec.Decode(&body); err != nil {
		return "", nil, fmt.Errorf("%s is not a JSON object: %w", file, err)
	}
	cfg := body
	if inner, ok := body["config"].(map[string]any); ok {
		cfg = inner
	}
	name, _ := body["name"].(string)
	if name == "" {
		name, _ = cfg["name"].(string)
	}
	return name, cfg, nil
}

func newConnectorConfig(c *connectClient) *cobra.Command {
	return &cobra.Command{
		Use:   "config NAME",
		Short: "Print a connector's config as JSON",
		Args:  exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var cfg map[string]string
			if err := c.call(cmd.Context(), http.MethodGet, "/connectors/"+url.PathEscape(args[0])+"/config", nil, &cfg); err != nil {
				return err
			}
			return (&output{format: "json"}).print(cmd.OutOrStdout(), cfg, nil)
		},
	}
}

func newConnectorStatus(c *connectClient) *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:   "status NAME",
		Short: "Show the state of a connector and its tasks, with the reason of a failure",
		Args:  exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var st connector.StateInfo
			if err := c.call(cmd.Context(), http.MethodGet, "/connectors/"+url.PathEscape(args[0])+"/status", nil, &st); err != nil {
				return err
			}
			return out.print(cmd.OutOrStdout(), st, func(t *table) { statusTable(t, st) })
		},
	}
	out.addFlag(cmd)
	return cmd
}

func statusTable(t *table, st connector.StateInfo) {
	t.row("WHAT", "STATE", "WORKER", "MEMORY", "CPU", "UP")
	t.row("connector "+st.Name, st.Connector.State, st.Connector.WorkerID, "-", "-", "-")
	for _, ts := range st.Tasks {
		memory, cpu, up := "-", "-", "-"
		if p := ts.Process; p != nil {
			memory, cpu = fmt.Sprintf("%d MiB", p.MemoryBytes>>20), fmt.Sprintf("%.1f s", p.CPUSeconds)
			up = (time.Duration(p.UptimeSeconds) * time.Second).String()
		}
		t.row(fmt.Sprintf("task %d", ts.ID), ts.State, ts.WorkerID, memory, cpu, up)
	}
	if st.Connector.Trace != "" {
		t.line("\nconnector: " + st.Connector.Trace)
	}
	for _, ts := range st.Tasks {
		if ts.Progress != nil {
			t.line(fmt.Sprintf("\ntask %d: %s", ts.ID, progressText(ts.Progress)))
		}
		if ts.Trace != "" {
			t.line(fmt.Sprintf("\ntask %d: %s", ts.ID, ts.Trace))
		}
	}
}

// progressText is how far a task is: snapshot: 43.2 % done, 120000 records, 9100
// a second, 1m20s left.
func progressText(p *connector.Progress) string {
	var b strings.Builder
	b.WriteString(p.Work + ": ")
	if p.Percent != nil {
		fmt.Fprintf(&b, "%.1f %% done, ", *p.Percent)
	}
	fmt.Fprintf(&b, "%d records, %.0f a second", p.Records, p.PerSecond)
	if p.SecondsLeft != nil {
		fmt.Fprintf(&b, ", %s left", time.Duration(*p.SecondsLeft*float64(time.Second)))
	}
	return b.String()
}

func newConnectorRestart(c *connectClient) *cobra.Command {
	var tasks, failed bool
	cmd := &cobra.Command{
		Use:   "restart NAME",
		Short: "Restart a connector, and with --tasks its tasks",
		Args:  exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := fmt.Sprintf("/connectors/%s/restart?includeTasks=%t&onlyFailed=%t", url.PathEscape(args[0]), tasks, failed)
			if err := c.call(cmd.Context(), http.MethodPost, path, nil, nil); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "connector %s restarting\n", args[0])
			return nil
		},
	}
	cmd.Flags().BoolVar(&tasks, "tasks", false, "restart the tasks as well")
	cmd.Flags().BoolVar(&failed, "only-failed", false, "restart only what has failed")
	return cmd
}

// newConnectorAction makes a command that is one request without a body.
func newConnectorAction(c *connectClient, verb, short, method, suffix string) *cobra.Command {
	return &cobra.Command{
		Use:   verb + " NAME",
		Short: short,
		Args:  exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.call(cmd.Context(), method, "/connectors/"+url.PathEscape(args[0])+suffix, nil, nil); err != nil {
				return fmt.Errorf("%s connector %s: %w", verb, args[0], err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "connector %s: %s done\n", args[0], verb)
			return nil
		},
	}
}

func newConnectorPlugins(c *connectClient) *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:   "plugins",
		Short: "List the connector classes that the worker can run",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var plugins []connector.PluginInfo
			if err := c.call(cmd.Context(), http.MethodGet, "/connector-plugins", nil, &plugins); err != nil {
				return err
			}
			return out.print(cmd.OutOrStdout(), plugins, func(t *table) {
				t.row("CLASS", "TYPE", "VERSION")
				for _, p := range plugins {
					t.row(p.Class, p.Type, p.Version)
				}
			})
		},
	}
	out.addFlag(cmd)
	return cmd
}
