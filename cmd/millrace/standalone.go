package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/connect"
	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/connect/provider"
	"github.com/millrace/millrace/rest"
	"github.com/millrace/millrace/rest/metrics"
)

func newConnect() *cobra.Command {
	cmd := &cobra.Command{Use: "connect", Short: "Run Connect workers in ways other than server"}
	cmd.AddCommand(newStandalone())
	return cmd
}

func newStandalone() *cobra.Command {
	var o standaloneOptions
	cmd := &cobra.Command{
		Use:   "standalone WORKER.properties CONNECTOR.properties...",
		Short: "Run one worker without a group, with the connectors of some files",
		Long: `Run one worker on its own, as Kafka Connect's connect-standalone does. The first file holds the
worker's settings, each further one a connector's config: properties, or JSON if its name ends
with .json. Connectors that are made through the REST API last until the worker ends; source
offsets are kept in the file that offset.storage.file.filename names, in Kafka Connect's format.`,
		Example: `  millrace connect standalone connect-standalone.properties file-source.properties`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usagef("want the worker's properties file, and then those of connectors")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return runStandalone(cmd.Context(), o, args, cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVar(&o.addr, "connect-addr", "", "address of the REST API; listeners of the worker's settings, or 127.0.0.1:8083, if not given")
	cmd.Flags().StringVar(&o.pluginPath, "plugin-path", "", "directories of third-party connector plugins, separated by commas")
	cmd.Flags().StringVar(&o.level, "log-level", "info", "least level to log: debug, info, warn or error")
	cmd.Flags().StringVar(&o.format, "log-format", "text", "form of the log: text or json")
	return cmd
}

// standaloneGrace is how long stopping may take.
const standaloneGrace = 30 * time.Second

// standaloneOptions are the flags of connect standalone.
type standaloneOptions struct{ addr, pluginPath, level, format string }

// runStandalone runs the worker until ctx ends.
func runStandalone(ctx context.Context, so standaloneOptions, files []string, stderr io.Writer) error {
	o := options{logFormat: so.format, pluginPath: list(so.pluginPath)}
	if err := o.setLevel(so.level); err != nil {
		return usagef("--log-level: %w", err)
	}
	if so.format != "text" && so.format != "json" {
		return usagef("--log-format: value is %q: must be text or json", so.format)
	}
	log, levels := newLogger(o, stderr)
	props, err := readConfig(files[0])
	if err != nil {
		return err
	}
	configs := make([]connector.Config, len(files)-1)
	for i, path := range files[1:] {
		if configs[i], err = readConfig(path); err != nil {
			return err
		}
		if configs[i]["name"] == "" {
			return fmt.Errorf("%s: name is missing: the connector needs one", path)
		}
	}
	listeners, err := standaloneListeners(so.addr, props)
	defer func() {
		for _, l := range listeners {
			_ = l.Close() // the REST server closes it, if it comes to that
		}
	}()
	if err != nil {
		return err
	}
	info := readBuildInfo()
	w, err := connect.New(connect.Config{
		Properties: props, Standalone: true, Address: listeners[0].Addr().String(), BuiltIn: builtinPlugins(), PluginPath: o.pluginPath,
		LoginConfig: loginConfig(os.Getenv("KAFKA_OPTS")), Version: info.Version, Commit: info.Commit, Loggers: levels, Logger: log.With("role", "connect"),
	})
	if err != nil {
		return fmt.Errorf("%s:\n%w", files[0], err)
	}
	api, err := workerAPI(w, props, log)
	if err != nil {
		return fmt.Errorf("%s:\n%w", files[0], err)
	}
	n := &node{log: log}
	n.units = append([]unit{{"connect worker", w.Run}}, restUnits(secured(listeners, props, w.TLS()), rest.Config{
		API: api, Metrics: metrics.Handler(metrics.Sources{Connect: w.Stats}, log), Logger: log,
		Health: rest.Health{Ready: n.ready.Load, Fault: func() error { return nil }},
	})...)
	return runUnits(ctx, log, n.units, func() error {
		for i, cfg := range configs {
			if _, _, err := w.Put(ctx, cfg["name"], cfg); err != nil {
				return fmt.Errorf("%s: %w", files[i+1], err)
			}
		}
		n.ready.Store(true)
		log.Info("ready", "connect", listeners[0].Addr().String(), "connectors", len(configs))
		return nil
	}, standaloneGrace)
}

// standaloneListeners binds the addresses of the REST API: those of the
// worker's settings, the first of which addr stands for if it is not empty.
func standaloneListeners(addr string, props map[string]string) ([]net.Listener, error) {
	addrs := []string{"127.0.0.1:8083"}
	for i, l := range restListeners(props) {
		addrs = append(addrs[:i], l.Addr)
	}
	if addr != "" {
		addrs[0] = addr
	}
	var out []net.Listener
	for _, addr := range addrs {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return out, fmt.Errorf("connect-addr: %w; is another worker running? Port 0 picks a free one", err)
		}
		out = append(out, l)
	}
	return out, nil
}

// readConfig reads a file of properties, or of JSON if it is named so: an
// object of them, or {"name": ..., "config": {...}} as the REST API takes.
func readConfig(path string) (connector.Config, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if filepath.Ext(path) != ".json" {
		props, err := provider.ParseProperties(string(raw))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return props, nil
	}
	var whole map[string]any
	if err := json.Unmarshal(raw, &whole); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	values, nested := whole["config"].(map[string]any)
	if !nested {
		values = whole
	}
	out := connector.Config{}
	for k, v := range values {
		switch v.(type) {
		case map[string]any, []any, nil:
			return nil, fmt.Errorf("%s: %w", path, errors.New(k+" is neither text nor a number nor a boolean"))
		}
		out[k] = fmt.Sprint(v)
	}
	if name, ok := whole["name"].(string); ok && nested && out["name"] == "" {
		out["name"] = name
	}
	return out, nil
}
