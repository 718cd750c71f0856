package worker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/plugins/configdef"
)

// compileTopicRegex compiles an expression that the whole of a topic's name
// must match. Java's look-around, back-references and possessive quantifiers
// do not exist here and are refused with the piece that is not understood.
func compileTopicRegex(s string) (*regexp.Regexp, error) {
	re, err := regexp.Compile(`^(?:` + s + `)$`)
	if err != nil {
		return nil, fmt.Errorf("not a regular expression that Millrace understands: %w", err)
	}
	return re, nil
}

func checkTopicRegex(v any) error {
	s, _ := v.(string)
	_, err := compileTopicRegex(s)
	return err
}

// topicGroup is one group of topic.creation settings (KIP-158).
type topicGroup struct {
	include, exclude []*regexp.Regexp
	partitions       int32
	replication      int16
	configs          map[string]*string
}

func (g *topicGroup) matches(topic string) bool {
	in := func(res []*regexp.Regexp) bool {
		return slices.ContainsFunc(res, func(re *regexp.Regexp) bool { return re.MatchString(topic) })
	}
	return in(g.include) && !in(g.exclude)
}

// topicRules are a source connector's topic.creation settings. Without any the
// broker creates topics by itself, with its defaults.
type topicRules struct {
	groups   []topicGroup
	fallback topicGroup
	active   bool
}

// parseTopicRules reads the topic.creation keys of a connector's config.
func parseTopicRules(cfg connector.Config) (topicRules, []configdef.Problem) {
	var rules topicRules
	var problems []configdef.Problem
	names := splitNames(cfg["topic.creation.groups"])
	byGroup := map[string]map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(cfg)) {
		rest, ok := strings.CutPrefix(key, prefixTopicCreation)
		if !ok {
			continue
		}
		rules.active = true
		group, setting, ok := strings.Cut(rest, ".")
		if !ok {
			continue // topic.creation.groups
		}
		if byGroup[group] == nil {
			byGroup[group] = map[string]string{}
		}
		byGroup[group][setting] = cfg[key]
		if group != "default" && !slices.Contains(names, group) {
			problems = append(problems, configdef.Problem{Key: key, Text: fmt.Sprintf(
				"Configuration %s belongs to no group: topic.creation.groups does not name %s", key, group)})
		}
	}
	if !rules.active {
		return rules, nil
	}
	unset := topicGroup{partitions: -2, replication: -2}
	var more []configdef.Problem
	rules.fallback, more = parseTopicGroup("default", byGroup["default"], unset)
	problems = append(problems, more...)
	for _, name := range names {
		if name == "default" {
			continue
		}
		g, more := parseTopicGroup(name, byGroup[name], rules.fallback)
		problems = append(problems, more...)
		rules.groups = append(rules.groups, g)
	}
	return rules, problems
}

func splitNames(s string) []string {
	var out []string
	for p := range strings.SplitSeq(s, ",") {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return out
}

// parseTopicGroup reads one group. Partitions and replication factor default
// to those of base; other settings do not.
func parseTopicGroup(name string, props map[string]string, base topicGroup) (topicGroup, []configdef.Problem) {
	g := topicGroup{partitions: base.partitions, replication: base.replication, configs: map[string]*string{}}
	var problems []configdef.Problem
	bad := func(setting string, format string, args ...any) {
		key := prefixTopicCreation + name + "." + setting
		problems = append(problems, configdef.Problem{Key: key, Text: fmt.Sprintf(
			"Invalid value %s for configuration %s: %s", props[setting], key, fmt.Sprintf(format, args...))})
	}
	for setting, value := range props {
		switch setting {
		case "partitions", "replication.factor":
			n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 16)
			if err != nil || n < -1 || n == 0 {
				bad(setting, "must be -1, for the broker's default, or at least 1")
			} else if setting == "partitions" {
				g.partitions = int32(n)
			} else {
				g.replication = int16(n)
			}
		case "include", "exclude":
			for _, expr := range splitNames(value) {
				re, err := compileTopicRegex(expr)
				switch {
				case err != nil:
					bad(setting, "%v", err)
				case setting == "include":
					g.include = append(g.include, re)
				default:
					g.exclude = append(g.exclude, re)
				}
			}
		default:
			g.configs[setting] = &value
		}
	}
	for setting, n := range map[string]int{"partitions": int(g.partitions), "replication.factor": int(g.replication)} {
		if _, given := props[setting]; n == -2 && !given {
			key := prefixTopicCreation + name + "." + setting
			problems = append(problems, configdef.Problem{Key: key,
				Text: fmt.Sprintf("Missing required configuration %q which has no default value.", key)})
		}
	}
	return g, problems
}

// group returns the settings for a topic: the first group that matches.
func (r *topicRules) group(topic string) *topicGroup {
	for i := range r.groups {
		if r.groups[i].matches(topic) {
			return &r.groups[i]
		}
	}
	return &r.fallback
}

// topicCreator creates the topics of one source task by the connector's rules.
type topicCreator struct {
	rules topicRules
	admin *kadm.Client
}

// Ensure creates the topic if the connector has rules for that and the topic
// does not exist.
func (c *topicCreator) Ensure(ctx context.Context, topic string) error {
	if !c.rules.active {
		return nil
	}
	g := c.rules.group(topic)
	resp, err := c.admin.CreateTopic(ctx, g.partitions, g.replication, g.configs, topic)
	if err == nil {
		err = resp.Err
	}
	switch {
	case err == nil || errors.Is(err, kerr.TopicAlreadyExists):
		return nil
	case resp.ErrMessage != "":
		return fmt.Errorf("create it by topic.creation: %w: %s", err, resp.ErrMessage)
	}
	return fmt.Errorf("create it by topic.creation: %w", err)
}
