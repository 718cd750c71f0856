package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/millrace/millrace/broker/quorum"
	"github.com/millrace/millrace/connect/loggers"
	"github.com/millrace/millrace/plugins/resident"
)

func newServer() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Run the log, Connect workers and the schema registry",
		Long: `Run the roles of a node: broker, registry and connect, all of them unless --roles says
otherwise. Settings come from the defaults, the config file, the environment and the flags; each
of these overrides the ones before it.

Every flag is also a key of the config file and an environment variable: --data-dir is data-dir
and MILLRACE_DATA_DIR. Kafka's, Kafka Connect's and the schema registry's own settings go by their
own names in the sections broker, connect and registry of the file, and in the environment by
those of their container images: KAFKA_LOG_SEGMENT_BYTES, CONNECT_GROUP_ID,
SCHEMA_REGISTRY_KAFKASTORE_TOPIC.`,
		Example: `  millrace server
  millrace server --data-dir /var/lib/millrace --log-format json
  millrace server --roles connect --bootstrap-servers kafka-1:9092,kafka-2:9092`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := readSettings(cmd.Flags(), os.Environ())
			if err != nil {
				return err
			}
			return serve(cmd.Context(), s, cmd.ErrOrStderr())
		},
	}
	cmd.Flags().String("config", "", "YAML file of settings")
	for _, f := range serverFlags {
		cmd.Flags().String(f.name, f.value, f.usage)
	}
	return cmd
}

// readSettings lays the layers over each other: defaults, file, environment,
// flags.
func readSettings(flags *pflag.FlagSet, environ []string) (settings, error) {
	s := settings{}
	for _, f := range serverFlags {
		s[f.name] = setting{f.value, "default"}
	}
	path, err := flags.GetString("config")
	if err != nil {
		return nil, err
	}
	if path == "" {
		path = os.Getenv("MILLRACE_CONFIG")
	}
	if path != "" {
		if err := s.addFile(path); err != nil {
			return nil, err
		}
	}
	s.addEnvironment(environ)
	flags.Visit(func(f *pflag.Flag) {
		if f.Name != "config" {
			s[f.Name] = setting{f.Value.String(), "flag --" + f.Name}
		}
	})
	return s, nil
}

// newLogger returns the node's logger, and the levels that it goes by.
func newLogger(o options, w io.Writer) (*slog.Logger, *loggers.Levels) {
	opts := &slog.HandlerOptions{Level: slog.Level(math.MinInt32)} // the levels decide
	var out slog.Handler = slog.NewTextHandler(w, opts)
	if o.logFormat == "json" {
		out = slog.NewJSONHandler(w, opts)
	}
	levels := loggers.New(o.logLevel)
	return slog.New(levels.Handler(out)), levels
}

// addresses is DATA/addresses.json: where the roles that run listen. Metrics
// is where /metrics and /health are, whatever the roles.
type addresses struct {
	Kafka    string `json:"kafka,omitempty"`
	Connect  string `json:"connect,omitempty"`
	Registry string `json:"registry,omitempty"`
	Metrics  string `json:"metrics"`
}

const addressesFile = "addresses.json"

// serve runs a node until ctx ends.
func serve(ctx context.Context, s settings, stderr io.Writer) error {
	s.adopt()
	o, problems := parseOptions(s)
	if err := s.explain(append(problems, s.unknown()...)); err != nil {
		return fmt.Errorf("configuration:\n%w", err)
	}
	log, levels := newLogger(o, stderr)
	if err := os.MkdirAll(o.dataDir, 0o700); err != nil {
		return fmt.Errorf("data-dir: %w", err)
	}
	lock, err := quorum.Lock(o.dataDir)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	file := filepath.Join(o.dataDir, addressesFile)
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	n := &node{options: o, settings: s, log: log, levels: levels}
	defer n.closeListeners()
	if err := n.assemble(); err != nil {
		return err
	}
	err = runUnits(ctx, log, n.units, func() error {
		n.ready.Store(true)
		resident.TrimSoon()
		log.Info("ready", "kafka", n.addrs.Kafka, "connect", n.addrs.Connect, "registry", n.addrs.Registry, "data", o.dataDir)
		return writeAddresses(file, n.addrs)
	}, o.shutdownTimeout)
	if err == nil {
		log.Info("stopped")
	}
	return errors.Join(err, os.RemoveAll(file))
}

// writeAddresses replaces the file at once, so that whoever waits for it never
// reads half of it.
func writeAddresses(path string, a addresses) error {
	raw, err := json.Marshal(a)
	if err != nil {
		return err
	}
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, append(raw, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// node is a process's roles being put together.
type node struct {
	options
	settings  settings
	log       *slog.Logger
	levels    *loggers.Levels
	units     []unit
	addrs     addresses
	listeners []net.Listener
	ready     atomic.Bool
}

// listen binds an address. Every listener is bound before anything starts, so
// that a port in use is told at once.
func (n *node) listen(key, addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%s (%s): %w; is another server running? Port 0 picks a free one", key, n.settings[key].from, err)
	}
	n.listeners = append(n.listeners, l)
	guarded := key == "connect-addr" && n.settings["connect.rest.extension.classes"].value != ""
	if ip := l.Addr().(*net.TCPAddr).IP; !ip.IsLoopback() && !guarded {
		n.log.Warn("listening beyond this machine without authentication", "key", key, "address", l.Addr().String())
	}
	return l, nil
}

// closeListeners is for a start that failed; the units close their own.
func (n *node) closeListeners() {
	for _, l := range n.listeners {
		_ = l.Close() // mostly closed already
	}
}
