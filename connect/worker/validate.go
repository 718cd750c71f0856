package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/connect/converter"
	"github.com/millrace/millrace/connect/provider"
	"github.com/millrace/millrace/connect/transform"
	"github.com/millrace/millrace/plugins/catalog"
	"github.com/millrace/millrace/plugins/configdef"
)

// Validate checks a connector config: the runtime's keys, the connector's own
// by asking its process, converters and client overrides. What is wrong is in
// the result. The error is of type *connector.Error when the class is unknown.
func (w *Worker) Validate(ctx context.Context, cfg connector.Config) (Infos, error) {
	resolved, err := w.cfg.Providers.Resolve(cfg)
	if err != nil {
		return unresolved(cfg, err), nil
	}
	w.refresh(ctx)
	infos, err := w.validate(ctx, resolved)
	var version *catalog.VersionError
	if errors.As(err, &version) {
		return wrongVersion(cfg, version), nil
	}
	if err != nil {
		var refused *connector.Error
		if errors.As(err, &refused) {
			return Infos{}, err
		}
		return Infos{}, w.hide(cfg, err)
	}
	secret := w.Secret(cfg)
	for _, in := range infos.Configs { // what people see are the variables
		if v := in.Value.Value; v != nil && *v != "" && secret(in.Value.Name) {
			hidden := configdef.Hidden
			in.Value.Value = &hidden
		}
		if raw := cfg[in.Value.Name]; provider.HasVariable(raw) && in.Value.Value != nil && *in.Value.Value != configdef.Hidden {
			in.Value.Value = &raw
		}
		for i, text := range in.Value.Errors {
			in.Value.Errors[i] = scrub(cfg, secret, w.cfg.Providers.Hide(cfg, text))
		}
	}
	return infos, nil
}

// unresolved is the result for a config with variables that have no value.
func unresolved(cfg connector.Config, err error) Infos {
	b := &infoBuilder{byName: map[string]int{}}
	for _, e := range flatten(err) {
		var v *provider.Error
		if errors.As(e, &v) {
			b.problem(cfg, configdef.Problem{Key: v.Key, Text: fmt.Sprintf("Invalid value %s for configuration %s: %v", v.Variable, v.Key, v.Err)})
		}
	}
	return b.build(cfg["connector.class"])
}

// wrongVersion is the result for a class that is here in other versions.
func wrongVersion(cfg connector.Config, e *catalog.VersionError) Infos {
	b := &infoBuilder{byName: map[string]int{}}
	b.add(frameworkKeys(connector.Kind(e.Newest.Kind)).Validate(cfg)...)
	for _, key := range []string{"connector.class", catalog.VersionKey} {
		if b.problem(cfg, configdef.Problem{Key: key, Text: fmt.Sprintf("Invalid value %s for configuration %s: %v", cfg[key], key, e)}); key == catalog.VersionKey {
			b.infos[b.byName[key]].Value.RecommendedValues = e.Available
		}
	}
	return b.build(cfg["connector.class"])
}

// validateVersions checks the versions wanted of converters, and offers those
// of the connector.
func (w *Worker) validateVersions(b *infoBuilder, cfg connector.Config) {
	b.infos[b.byName[catalog.VersionKey]].Value.RecommendedValues = w.cfg.Catalog.Versions(cfg["connector.class"], cfg)
	for _, side := range []converter.Side{converter.Key, converter.Value, converter.Header} {
		class := string(side) + ".converter"
		key := class + ".plugin.version"
		text := strings.TrimSpace(cfg[key])
		if text == "" {
			continue
		}
		if strings.TrimSpace(cfg[class]) == "" {
			b.problem(cfg, configdef.Problem{Key: key, Text: fmt.Sprintf("%s is set and %s is not: a version needs its class beside it", key, class)})
			continue
		}
		if err := w.hasVersion(text); err != nil && checkVersion(text) == nil {
			b.problem(cfg, configdef.Problem{Key: key, Text: fmt.Sprintf("Invalid value %s for configuration %s: %v", text, key, err)})
		}
	}
}

// flatten returns the errors that errors.Join put together.
func flatten(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return []error{err}
}

// validate checks a config whose variables are resolved.
func (w *Worker) validate(ctx context.Context, cfg connector.Config) (Infos, error) {
	target, err := w.resolve(cfg)
	if err != nil {
		return Infos{}, err
	}
	kind := connector.Kind(target.Plugin.Kind)
	framework := frameworkKeys(kind)
	b := &infoBuilder{byName: map[string]int{}}
	b.add(framework.Validate(cfg)...)
	own, err := w.cfg.Host.Validate(ctx, target, cfg)
	if err != nil {
		return Infos{}, fmt.Errorf("validate connector %q: %w", cfg["name"], err)
	}
	b.add(own.Infos...)
	w.validateVersions(b, cfg)
	if kind == connector.Sink {
		w.validateTopics(b, cfg)
	} else {
		w.validateExactly(b, target, cfg, own)
		if _, problems := parseTopicRules(cfg); w.cfg.CreateTopics {
			for _, p := range problems {
				b.problem(cfg, p)
			}
		}
	}
	report := transform.Validate(cfg, w.transformOptions(target.Plugin.Kind, w.cfg.Logger))
	b.add(report.Infos...)
	for _, p := range report.Problems {
		b.problem(cfg, p)
	}
	for _, warning := range report.Warnings {
		w.cfg.Logger.Warn("connector config", "connector", cfg["name"], "key", warning.Key, "why", warning.Text)
	}
	w.validateOverrides(b, cfg)
	for _, side := range []converter.Side{converter.Header, converter.Key, converter.Value} {
		w.validateConverter(b, side, cfg)
	}
	infos := b.build(cfg["connector.class"])
	w.warnUnknown(cfg, framework, target.Plugin.Config)
	return infos, nil
}

// transformOptions are those of the chains of one kind of connector.
func (w *Worker) transformOptions(kind catalog.Kind, log *slog.Logger) transform.Options {
	o := transform.Options{Kind: transform.Source, Logger: log, ParseValue: converter.ParseValue, HasVersion: w.hasVersion}
	if kind == catalog.Sink {
		o.Kind = transform.Sink
	}
	return o
}

// validateTopics holds that a sink names its topics in one way.
func (w *Worker) validateTopics(b *infoBuilder, cfg connector.Config) {
	topics, regex := strings.TrimSpace(cfg["topics"]), strings.TrimSpace(cfg["topics.regex"])
	text := ""
	switch {
	case topics != "" && regex != "":
		text = "topics and topics.regex are mutually exclusive options, but both are set."
	case topics == "" && regex == "":
		text = "Must configure one of topics or topics.regex"
	}
	for _, key := range []string{"topics", "topics.regex"} {
		if text != "" {
			b.problem(cfg, configdef.Problem{Key: key, Text: text})
		}
	}
	if queue := strings.TrimSpace(cfg["errors.deadletterqueue.topic.name"]); queue != "" && consumes(cfg, queue) {
		b.problem(cfg, configdef.Problem{Key: "errors.deadletterqueue.topic.name", Text: fmt.Sprintf(
			"The dead letter queue topic %s is one that the connector reads: bad records would come back to it", queue)})
	}
	if group := sinkGroup(cfg, cfg["name"]); group == w.cfg.Group {
		b.problem(cfg, configdef.Problem{Key: "name", Text: fmt.Sprintf(
			"Consumer group %s conflicts with Connect worker group %s", group, w.cfg.Group)})
	}
}

// consumes reports whether a sink reads a topic.
func consumes(cfg connector.Config, topic string) bool {
	if slices.Contains(splitNames(cfg["topics"]), topic) {
		return true
	}
	if regex := cfg["topics.regex"]; regex != "" {
		re, err := compileTopicRegex(regex)
		return err == nil && re.MatchString(topic)
	}
	return false
}

// sinkGroup is the consumer group of a sink connector.
func sinkGroup(cfg connector.Config, name string) string {
	if g := cfg[prefixConsumer+"group.id"]; g != "" {
		return g
	}
	return "connect-" + name
}

// validateOverrides checks the client settings that a connector brings.
func (w *Worker) validateOverrides(b *infoBuilder, cfg connector.Config) {
	for _, kind := range []clientKind{producers, consumers, admins} {
		props := under(cfg, kind.override)
		if len(props) == 0 {
			continue
		}
		_, problems := w.client(kind, cfg)
		for _, p := range problems {
			b.problem(cfg, configdef.Problem{Key: kind.override + p.Key, Text: p.Text})
		}
		for _, name := range slices.Sorted(maps.Keys(props)) {
			if why := idle(name); why != "" {
				w.cfg.Logger.Warn("connector config", "connector", cfg["name"], "key", kind.override+name, "why", why)
			}
			if !w.cfg.Overrides.Allows(name) {
				b.problem(cfg, configdef.Problem{Key: kind.override + name, Text: fmt.Sprintf(
					"The '%s' policy does not allow '%s' to be overridden in the connector configuration.", w.cfg.Overrides.Name, name)})
			}
		}
	}
}

// warnUnknown logs keys that nobody reads: they may be misspelt.
func (w *Worker) warnUnknown(cfg connector.Config, framework, own configdef.Def) {
	all := append(slices.Clone(own), framework...)
	for _, warning := range all.Warnings(cfg, frameworkPrefixes...) {
		w.cfg.Logger.Warn("connector config", "connector", cfg["name"], "key", warning.Key, "why", warning.Text)
	}
}
