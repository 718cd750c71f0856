package main

import (
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// serverFlag is a setting that has a flag of its own.
type serverFlag struct {
	name, value, usage string
}

// serverFlags is the list of them, in the order of the help text.
var serverFlags = []serverFlag{
	{"data-dir", "data", "directory of all state of this node"},
	{"roles", "broker,registry,connect", "what this process runs: broker, registry, connect"},
	{"kafka-addr", "127.0.0.1:9092", "address of the Kafka protocol; port 0 picks a free one"},
	{"connect-addr", "127.0.0.1:8083", "address of the Connect REST API, metrics and health"},
	{"registry-addr", "127.0.0.1:8081", "address of the schema registry"},
	{"bootstrap-servers", "", "brokers of a Kafka cluster to use instead of a broker in this process"},
	{"plugin-path", "", "directories of third-party connector plugins, separated by commas"},
	{"log-level", "info", "least level to log: debug, info, warn or error"},
	{"log-format", "text", "form of the log: text or json"},
	{"shutdown-timeout", "30s", "how long stopping may take before the process ends all the same"},
}

// options are the settings that have a flag, checked.
type options struct {
	dataDir         string
	broker          bool
	registry        bool
	connect         bool
	kafkaAddr       string
	connectAddr     string
	registryAddr    string
	bootstrap       []string
	pluginPath      []string
	logLevel        slog.Level
	logFormat       string
	shutdownTimeout time.Duration
}

// parseOptions checks every setting that has a flag and reports all problems.
func parseOptions(s settings) (options, []problem) {
	var problems []problem
	get := func(key string) string { return s[key].value }
	check := func(key string, err error) {
		if err != nil {
			problems = append(problems, problem{key, err})
		}
	}
	o := options{
		dataDir: get("data-dir"), kafkaAddr: get("kafka-addr"), connectAddr: get("connect-addr"),
		registryAddr: get("registry-addr"), bootstrap: list(get("bootstrap-servers")),
		pluginPath: list(get("plugin-path")), logFormat: get("log-format"),
	}
	if o.dataDir == "" {
		check("data-dir", fmt.Errorf("value is empty: name a directory"))
	}
	check("roles", o.setRoles(list(get("roles"))))
	for _, key := range []string{"kafka-addr", "connect-addr", "registry-addr"} {
		check(key, checkAddr(get(key)))
	}
	for _, b := range o.bootstrap {
		check("bootstrap-servers", checkAddr(b))
	}
	check("log-level", o.setLevel(get("log-level")))
	if o.logFormat != "text" && o.logFormat != "json" {
		check("log-format", fmt.Errorf("value is %q: must be text or json", o.logFormat))
	}
	d, err := time.ParseDuration(get("shutdown-timeout"))
	if err != nil || d <= 0 {
		check("shutdown-timeout", fmt.Errorf("value is %q: must be a duration above zero, such as 30s", get("shutdown-timeout")))
	}
	o.shutdownTimeout = d
	switch {
	case len(problems) > 0:
	case o.broker && len(o.bootstrap) > 0 && s["roles"].from != "default":
		check("bootstrap-servers", fmt.Errorf("names another cluster, but this process has the broker role: leave broker out of roles"))
	case !o.broker && len(o.bootstrap) == 0:
		check("bootstrap-servers", fmt.Errorf("value is empty, and this process has no broker role: name the brokers to use"))
	}
	if len(o.bootstrap) > 0 {
		o.broker = false
	}
	return o, problems
}

func (o *options) setRoles(roles []string) error {
	for _, r := range roles {
		switch r {
		case "broker":
			o.broker = true
		case "registry":
			o.registry = true
		case "connect":
			o.connect = true
		default:
			return fmt.Errorf("%q is no role: the roles are broker, registry and connect", r)
		}
	}
	if len(roles) == 0 {
		return fmt.Errorf("value is empty: name at least one of broker, registry and connect")
	}
	return nil
}

func (o *options) setLevel(s string) error {
	levels := []string{"debug", "info", "warn", "error"}
	if !slices.Contains(levels, strings.ToLower(s)) {
		return fmt.Errorf("value is %q: must be debug, info, warn or error", s)
	}
	return o.logLevel.UnmarshalText([]byte(s))
}

func checkAddr(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("value is %q: must be HOST:PORT", addr)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("value is %q: the port must be a number from 0 to 65535", addr)
	}
	return nil
}

// list splits a comma list, trims its items and drops empty ones.
func list(s string) []string {
	var out []string
	for p := range strings.SplitSeq(s, ",") {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return out
}

// advertisedAddr takes the address out of Kafka's advertised.listeners, which
// for one plain listener is PLAINTEXT://HOST:PORT.
func advertisedAddr(listeners string) string {
	_, addr, ok := strings.Cut(listeners, "://")
	if !ok {
		return listeners
	}
	return addr
}
