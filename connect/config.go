package connect

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/millrace/millrace/connect/client"
	"github.com/millrace/millrace/connect/loggers"
	"github.com/millrace/millrace/connect/provider"
	"github.com/millrace/millrace/connect/store"
	"github.com/millrace/millrace/connect/worker"
	"github.com/millrace/millrace/plugins/catalog"
	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/host"
)

// Config is what a worker process is made of.
type Config struct {
	// Properties are the worker's settings under Kafka Connect's names, checked
	// by New.
	Properties map[string]string
	// Standalone makes the worker one without a group: it keeps connectors and
	// statuses in this process and source offsets in the file that
	// offset.storage.file.filename names.
	Standalone bool
	// Brokers is the cluster to work with, unless Properties name another with
	// bootstrap.servers. Their security settings are added to it.
	Brokers client.Target
	// Address is the host:port of this worker's REST API, by which statuses
	// name it unless rest.advertised.* says otherwise.
	Address string
	// BuiltIn are the connectors of this executable, and PluginPath the
	// directories of others.
	BuiltIn    []catalog.Plugin
	PluginPath []string
	// InProcess are plugins among BuiltIn that run in this process; see
	// host.Config.
	InProcess map[string]host.Inside
	// CacheFile keeps the descriptions of plugins between runs, "" for none.
	CacheFile string
	// MemberFile keeps the worker's id in its group between runs, so that one
	// whose process was killed need not wait for its own session to end. "" for
	// none.
	MemberFile string
	// RegistryURL is the schema registry of converters that name none, "" for
	// none.
	RegistryURL string
	// Version and Commit are those that GET / tells.
	Version, Commit string
	// LoginConfig is the file that java.security.auth.login.config names, which
	// may say where the users of the REST API are. "" for none.
	LoginConfig string
	// Loggers are the levels of the process's loggers, which Logger goes by.
	// Nil is levels that nothing goes by.
	Loggers *loggers.Levels
	Logger  *slog.Logger
}

// settings are Config's properties, parsed.
type settings struct {
	configdef.Config
	props     map[string]string
	providers provider.Set
	policy    worker.OverridePolicy
	warnings  []configdef.Problem
}

// parseSettings checks the worker's properties and reports all problems at
// once.
func parseSettings(props map[string]string, standalone bool) (settings, error) {
	providers, perr := provider.New(props)
	resolved, rerr := providers.Resolve(props)
	if err := errors.Join(perr, rerr); err != nil {
		return settings{}, err
	}
	props = resolved
	cfg, problems := workerKeys.Parse(props)
	unknown, warnings := unknownKeys(props, standalone)
	clients, more := worker.CheckClients(props)
	problems = append(append(problems, unknown...), clients...)
	policy, ok := worker.ParsePolicy(cfg.String("connector.client.config.override.policy"), cfg.List("connector.client.config.override.allowlist"))
	if !ok {
		problems = append(problems, configdef.Problem{Key: "connector.client.config.override.policy", Text: fmt.Sprintf(
			"connector.client.config.override.policy is %s: must be one of %s", cfg.String("connector.client.config.override.policy"), strings.Join(worker.PolicyNames, ", "))})
	}
	var errs []error
	for _, p := range problems {
		errs = append(errs, &KeyError{Key: p.Key, Err: p})
	}
	switch {
	case standalone && cfg.String("offset.storage.file.filename") == "":
		errs = append(errs, &KeyError{Key: "offset.storage.file.filename",
			Err: errors.New(`Missing required configuration "offset.storage.file.filename" which has no default value.`)})
	case !standalone && len(errs) == 0:
		errs = append(errs, checkGroup(cfg))
	}
	return settings{cfg, props, providers, policy, append(warnings, more...)}, errors.Join(errs...)
}

// checkGroup holds what keys of the group say against each other.
func checkGroup(cfg configdef.Config) error {
	var errs []error
	if beat, session := cfg.Int("heartbeat.interval.ms"), cfg.Int("session.timeout.ms"); 3*beat > session {
		errs = append(errs, &KeyError{Key: "heartbeat.interval.ms", Err: fmt.Errorf(
			"heartbeat.interval.ms is %d and session.timeout.ms %d: the first must be at most a third of the second", beat, session)})
	}
	if sign, verify := cfg.String("inter.worker.signature.algorithm"), cfg.List("inter.worker.verification.algorithms"); !slices.Contains(verify, sign) {
		errs = append(errs, &KeyError{Key: "inter.worker.signature.algorithm", Err: fmt.Errorf(
			"inter.worker.signature.algorithm is %s, which inter.worker.verification.algorithms (%s) does not hold: workers could not verify each other",
			sign, strings.Join(verify, ","))})
	}
	topics := map[string]string{}
	for _, k := range []string{"config.storage.topic", "offset.storage.topic", "status.storage.topic"} {
		if other, ok := topics[cfg.String(k)]; ok {
			errs = append(errs, &KeyError{Key: k, Err: fmt.Errorf("%s and %s are both %s: each needs a topic of its own", other, k, cfg.String(k))})
		}
		topics[cfg.String(k)] = k
	}
	return errors.Join(errs...)
}

// KeyError is a worker setting that cannot be taken as it is.
type KeyError struct {
	Key string
	Err error
}

// Error returns the problem, which names the key.
func (e *KeyError) Error() string { return e.Err.Error() }

// Unwrap returns the problem.
func (e *KeyError) Unwrap() error { return e.Err }

// storeConfig describes one of the internal topics.
func (s settings) storeConfig(c Config, brokers client.Target, which string, partitions int) store.Config {
	if c.Standalone {
		local := store.Config{Local: true, Logger: c.Logger}
		if which == "offset" {
			local.File = s.String("offset.storage.file.filename")
		}
		return local
	}
	configs := map[string]string{}
	for k, v := range s.props {
		rest, ok := strings.CutPrefix(k, which+".storage.")
		if ok && rest != "topic" && rest != "partitions" && rest != "replication.factor" && rest != "cleanup.policy" && rest != "file.filename" {
			configs[rest] = v
		}
	}
	id := s.String("group.id") + "-"
	if own := s.String("client.id"); own != "" {
		id += own + "-"
	}
	suffix := map[string]string{"config": "configs", "offset": "offsets", "status": "statuses"}[which]
	return store.Config{
		Topic: s.String(which + ".storage.topic"), Partitions: int32(partitions),
		ReplicationFactor: int16(s.Int(which + ".storage.replication.factor")), TopicConfigs: configs,
		ClientID: id + suffix, ClientOpts: brokers.Opts(nil), Logger: c.Logger,
	}
}

// taskDefaults are the keys that connectors inherit: converters with what is
// under them, and client settings.
func (s settings) taskDefaults() map[string]string {
	out := maps.Clone(s.props)
	if out == nil {
		out = map[string]string{}
	}
	for _, k := range []string{"key.converter", "value.converter", "header.converter"} {
		out[k] = s.String(k)
	}
	return out
}
