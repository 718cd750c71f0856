package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/millrace/millrace/broker"
	"github.com/millrace/millrace/connect"
	"github.com/millrace/millrace/connect/client"
	"github.com/millrace/millrace/rest"
	"github.com/millrace/millrace/rest/basicauth"
	"github.com/millrace/millrace/rest/connectapi"
	"github.com/millrace/millrace/rest/header"
	"github.com/millrace/millrace/rest/metrics"
)

// nodeID is the broker id of a single node.
const nodeID = 1

// assemble binds all addresses, checks the settings of every role, and lists
// the units in the order in which they are to start: each may use those before
// it, and stops before them.
func (n *node) assemble() error {
	var errs []error
	var sources metrics.Sources
	var brokers client.Target
	if n.broker {
		b, err := n.addBroker()
		errs = append(errs, err)
		if err == nil {
			sources.Broker = b.Stats
			brokers = client.Target{
				Seeds: []string{b.MemoryAddr()}, Public: []string{n.addrs.Kafka},
				Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return b.Dial(ctx) },
			}
		}
	} else {
		brokers.Seeds = n.bootstrap
	}
	if n.registry {
		reg, err := n.addRegistry(brokers.Opts(nil))
		errs = append(errs, err)
		if err == nil {
			sources.Registry = reg.Stats
		}
	}
	listeners, err := n.listenREST()
	errs = append(errs, err)
	cfg := rest.Config{API: http.NotFoundHandler(), Logger: n.log, Health: rest.Health{Ready: n.ready.Load, Fault: func() error { return nil }}}
	var worker *connect.Connect
	if n.connect && err == nil {
		n.addrs.Connect = listeners[0].Addr().String()
		worker, err = n.newWorker(brokers)
		errs = append(errs, err)
		if err == nil {
			sources.Connect = worker.Stats
			cfg.API, err = workerAPI(worker, n.settings.section("connect"), n.log)
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if worker != nil {
		n.units = append(n.units, unit{"connect worker", worker.Run})
		listeners = secured(listeners, n.settings.section("connect"), worker.TLS())
	}
	n.addrs.Metrics = listeners[0].Addr().String()
	cfg.Metrics = metrics.Handler(sources, n.log)
	n.units = append(n.units, restUnits(listeners, cfg)...)
	return nil
}

// listenREST binds the addresses of the REST API: connect-addr, and those of
// the worker's listeners beyond the first, for which connect-addr stands.
func (n *node) listenREST() ([]net.Listener, error) {
	addrs := []string{n.connectAddr}
	if named := restListeners(n.settings.section("connect")); n.connect && len(named) > 1 {
		for _, l := range named[1:] {
			addrs = append(addrs, l.Addr)
		}
	}
	out := make([]net.Listener, len(addrs))
	for i, addr := range addrs {
		var err error
		if out[i], err = n.listen("connect-addr", addr); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// secured puts TLS over those listeners that a worker's settings want so. They
// are in the settings' order.
func secured(listeners []net.Listener, props map[string]string, cfg *tls.Config) []net.Listener {
	for i, named := range restListeners(props) {
		if named.Secure {
			listeners[i] = tls.NewListener(listeners[i], cfg)
		}
	}
	return listeners
}

// workerAPI is a worker's REST API for those who may use it, with the headers
// that its settings ask for.
func workerAPI(w *connect.Connect, props map[string]string, log *slog.Logger) (http.Handler, error) {
	rules, err := header.ParseRules(props["response.http.headers.config"])
	if err != nil {
		return nil, fmt.Errorf("response.http.headers.config: %w", err)
	}
	var api http.Handler = connectapi.Routes(w, w.Transport(), log)
	if allows := w.Allows(); allows != nil {
		api = basicauth.Handler(api, allows)
	}
	cors := header.CORS{Origins: list(props["access.control.allow.origin"]), Methods: list(props["access.control.allow.methods"])}
	return header.Handler(cors.Handler(api), rules), nil
}

// restUnits serve one API on several listeners.
func restUnits(listeners []net.Listener, cfg rest.Config) []unit {
	var out []unit
	for _, l := range listeners {
		cfg := cfg
		cfg.Listener = l
		out = append(out, unit{"REST server", func(ctx context.Context, ready func()) error {
			ready()
			return rest.Serve(ctx, cfg)
		}})
	}
	return out
}

// addBroker makes the broker and its unit.
func (n *node) addBroker() (*broker.Broker, error) {
	l, err := n.listen("kafka-addr", n.kafkaAddr)
	if err != nil {
		return nil, err
	}
	n.addrs.Kafka = l.Addr().String()
	props := n.settings.section("broker")
	if _, given := props["group.initial.rebalance.delay.ms"]; !given {
		// Kafka waits three seconds for more members. On a single node the
		// wait is all that a first sink or consumer would notice.
		props["group.initial.rebalance.delay.ms"] = "0"
	}
	advertised := props["advertised.listeners"]
	delete(props, "advertised.listeners")
	b, err := broker.New(broker.Config{
		DataDir: filepath.Join(n.dataDir, "broker"), NodeID: nodeID, Properties: props, Logger: n.log.With("role", "broker"),
		Listeners: []broker.Listener{{Name: "PLAINTEXT", Listener: l, Advertised: advertisedAddr(advertised)}},
	})
	if err != nil {
		return nil, n.settings.inSection("broker", "broker", err)
	}
	n.units = append(n.units, unit{"broker", func(ctx context.Context, ready func()) error {
		return runBroker(ctx, b, ready)
	}})
	return b, nil
}

// runBroker runs a broker and calls ready when it is.
func runBroker(ctx context.Context, b *broker.Broker, ready func()) error {
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	select {
	case <-b.Ready():
		ready()
	case err := <-done:
		return err
	}
	return <-done
}

// newWorker makes the Connect worker.
func (n *node) newWorker(brokers client.Target) (*connect.Connect, error) {
	info := readBuildInfo()
	w, err := connect.New(connect.Config{
		Properties: n.settings.section("connect"), Brokers: brokers, Address: n.addrs.Connect,
		BuiltIn: builtinPlugins(), PluginPath: n.pluginPath, CacheFile: connect.CacheFile(n.dataDir), MemberFile: connect.MemberFile(n.dataDir),
		RegistryURL: n.registryURL(), Version: info.Version, Commit: info.Commit, Loggers: n.levels, Logger: n.log.With("role", "connect"),
		LoginConfig: loginConfig(os.Getenv("KAFKA_OPTS")),
	})
	if err != nil {
		return nil, n.settings.inSection("connect", "Connect worker", err)
	}
	return w, nil
}

// registryURL is the address of the registry of this process, "" without one.
func (n *node) registryURL() string {
	if n.addrs.Registry == "" {
		return ""
	}
	return "http://" + n.addrs.Registry
}
