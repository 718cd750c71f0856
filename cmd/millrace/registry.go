package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/rest"
	"github.com/millrace/millrace/rest/registryapi"
	registry "github.com/millrace/millrace/schema-registry"
	"github.com/millrace/millrace/schema-registry/elect"
)

// registryKeys are the settings of the schema registry, under the names of
// Confluent's.
var registryKeys = configdef.Def{
	{Name: "kafkastore.topic", Type: configdef.String, Default: "_schemas", Rules: []configdef.Rule{configdef.NonEmpty()}, Importance: configdef.High,
		Doc: "Topic of schemas."},
	{Name: "kafkastore.topic.replication.factor", Type: configdef.Short, Default: -1, Rules: []configdef.Rule{configdef.AtLeast(-1)}, Importance: configdef.High,
		Doc: "Copies of the topic if it must be created; -1 is the broker's default. Confluent's default is 3."},
	{Name: "kafkastore.init.timeout.ms", Type: configdef.Int, Default: 60000, Rules: []configdef.Rule{configdef.AtLeast(1)},
		Doc: "How long reaching the log and reading the topic may take, in milliseconds."},
	{Name: "kafkastore.timeout.ms", Type: configdef.Int, Default: 30000, Rules: []configdef.Rule{configdef.AtLeast(1)},
		Doc: "How long a request may wait for the log, in milliseconds. Confluent's default is 500."},
	{Name: "schema.compatibility.level", Type: configdef.String, Default: "backward", Aliases: []string{"avro.compatibility.level"}, Importance: configdef.High,
		Doc: "Compatibility of subjects for which nothing else is set."},
	{Name: "mode.mutability", Type: configdef.Boolean, Default: true, Doc: "Whether the modes of subjects can be changed."},
	{Name: "schema.registry.group.id", Type: configdef.String, Default: "schema-registry", Rules: []configdef.Rule{configdef.NonEmpty()},
		Doc: "Group in which the registries that share a topic elect their primary."},
	{Name: "host.name", Type: configdef.String, Importance: configdef.High,
		Doc: "Host by which the other registries of the group reach this one; by default that of registry-addr, or the machine's name if that is no host's."},
	{Name: "inter.instance.protocol", Type: configdef.String, Default: "http", Rules: []configdef.Rule{configdef.OneOf("http", "https")},
		Doc: "Protocol by which the other registries reach this one; https is for a proxy before it."},
	{Name: "leader.eligibility", Type: configdef.Boolean, Default: true, Aliases: []string{"master.eligibility"},
		Doc: "Whether this registry may become the primary, which is the one that writes."},
}

// addRegistry makes the schema registry and its units.
func (n *node) addRegistry(clients []kgo.Opt) (*registry.Registry, error) {
	l, err := n.listen("registry-addr", n.registryAddr)
	if err != nil {
		return nil, err
	}
	cfg, err := parseRegistry(n.settings.section("registry"))
	if err != nil {
		return nil, n.settings.inSection("registry", "schema registry", err)
	}
	cfg.ClientOpts, cfg.Logger = clients, n.log.With("role", "registry")
	if cfg.Advertised, err = advertised(cfg.Advertised, l.Addr()); err != nil {
		return nil, err
	}
	reg, err := registry.New(cfg)
	if err != nil {
		return nil, n.settings.inSection("registry", "schema registry", err)
	}
	info := readBuildInfo()
	n.addrs.Registry = l.Addr().String()
	n.units = append(n.units, unit{"schema registry", reg.Run}, unit{"schema registry REST server", func(ctx context.Context, ready func()) error {
		ready()
		return rest.Serve(ctx, rest.Config{
			Listener: l, Known: registryapi.Known(reg), API: registryapi.Routes(reg, cfg.Logger, registryapi.Build{Version: info.Version, Commit: info.Commit}), Logger: cfg.Logger,
			Health: rest.Health{Ready: func() bool { return reg.Ready() == nil }, Fault: func() error { return nil }},
		})
	}})
	return reg, nil
}

// advertised fills in where the other registries reach one that listens on an
// address.
func advertised(id elect.Identity, addr net.Addr) (elect.Identity, error) {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return id, err
	}
	if id.Port, err = strconv.Atoi(port); err != nil {
		return id, err
	}
	if id.Host == "" {
		id.Host = host
		if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
			id.Host, err = os.Hostname()
		}
	}
	return id, err
}

// parseRegistry checks the registry's settings and reports all problems.
func parseRegistry(props map[string]string) (registry.Config, error) {
	c, problems := registryKeys.Parse(props)
	var errs []error
	for _, p := range problems {
		errs = append(errs, p)
	}
	for _, name := range slices.Sorted(maps.Keys(props)) {
		if _, ok := registryKeys.Key(name); ok || name == "avro.compatibility.level" || name == "master.eligibility" {
			continue
		}
		text := "unknown key " + name
		if near := registryKeys.Nearest(name); near != "" {
			text += "; did you mean " + near + "?"
		}
		errs = append(errs, errors.New(text))
	}
	if err := errors.Join(errs...); err != nil {
		return registry.Config{}, err
	}
	level, err := registry.ParseLevel(c.String("schema.compatibility.level"))
	if err != nil {
		return registry.Config{}, fmt.Errorf("schema.compatibility.level: %w", err)
	}
	return registry.Config{
		Topic: c.String("kafkastore.topic"), ReplicationFactor: int16(c.Int("kafkastore.topic.replication.factor")),
		InitTimeout: c.Millis("kafkastore.init.timeout.ms"), Timeout: c.Millis("kafkastore.timeout.ms"), Compatibility: level,
		Advertised: elect.Identity{Host: c.String("host.name"), Scheme: c.String("inter.instance.protocol"), Eligible: c.Bool("leader.eligibility")},
		FixedModes: !c.Bool("mode.mutability"), GroupID: c.String("schema.registry.group.id"),
	}, nil
}
