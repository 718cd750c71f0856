package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/millrace/millrace/connect"
)

// setting is one value of the configuration and where it was said, so that an
// error can name the place to mend.
type setting struct {
	value string
	from  string
}

// settings is the configuration in its layers' order laid over each other:
// YAML file, environment, flags. Keys are those of the flags, and
// "broker.KEY", "connect.KEY" and "registry.KEY" for the property names of
// Kafka, Kafka Connect and the schema registry.
type settings map[string]setting

// sections are the roles' parts of the configuration and the environment
// prefixes that lead into them: Millrace's own, and the one by which the
// container images of the original systems are configured.
var sections = []struct{ name, image string }{
	{"broker", "KAFKA_"}, {"connect", "CONNECT_"}, {"registry", "SCHEMA_REGISTRY_"},
}

// launchVariables are what the start scripts of those images read. They steer
// a JVM or a script and say nothing to Millrace, so that they may stay set.
var launchVariables = []string{
	"KAFKA_OPTS", "KAFKA_HEAP_OPTS", "KAFKA_HOME", "KAFKA_GC_LOG_OPTS", "KAFKA_DEBUG", "KAFKA_JVM_PERFORMANCE_OPTS",
	"KAFKA_JMX_", "KAFKA_LOG4J_", "CONNECT_LOG4J_", "CONNECT_JMX_", "SCHEMA_REGISTRY_OPTS", "SCHEMA_REGISTRY_HEAP_OPTS",
	"SCHEMA_REGISTRY_JMX_", "SCHEMA_REGISTRY_LOG4J_", "SCHEMA_REGISTRY_JVM_",
}

// clientVariables are read by other commands of this binary, and by the server
// only to let them be.
var clientVariables = []string{"MILLRACE_CONNECT_URL", "MILLRACE_CONFIG"}

// addFile lays a YAML file under what is set so far.
func (s settings) addFile(path string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read config file: %w", err)
	}
	var root map[string]any
	if err := yaml.Unmarshal(raw, &root); err != nil {
		return fmt.Errorf("config file %s: %w", path, err)
	}
	return s.addTree("", root, "file "+path)
}

// addTree flattens nested maps into dotted keys and lists into comma lists.
func (s settings) addTree(prefix string, tree map[string]any, from string) error {
	for k, v := range tree {
		key := prefix + k
		switch v := v.(type) {
		case map[string]any:
			if err := s.addTree(key+".", v, from); err != nil {
				return err
			}
		case []any:
			parts := make([]string, len(v))
			for i, e := range v {
				parts[i] = fmt.Sprint(e)
			}
			s[key] = setting{strings.Join(parts, ","), from}
		case nil:
			return fmt.Errorf("%s: %s has no value", from, key)
		case float64:
			s[key] = setting{strconv.FormatFloat(v, 'f', -1, 64), from}
		default:
			s[key] = setting{fmt.Sprint(v), from}
		}
	}
	return nil
}

// addEnvironment lays the environment over what is set so far. Millrace's own
// variables come last and so win over the images' names.
func (s settings) addEnvironment(environ []string) {
	environ = slices.Clone(environ)
	sort.Strings(environ)
	for _, sec := range sections {
		for _, kv := range environ {
			name, value, _ := strings.Cut(kv, "=")
			if rest, ok := strings.CutPrefix(name, sec.image); ok && !isLaunchVariable(name) {
				s[sec.name+"."+imageKey(rest)] = setting{value, "environment " + name}
			}
		}
	}
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		rest, ok := strings.CutPrefix(name, "MILLRACE_")
		if !ok || slices.Contains(clientVariables, name) {
			continue
		}
		s[ownKey(rest)] = setting{value, "environment " + name}
	}
}

func isLaunchVariable(name string) bool {
	for _, v := range launchVariables {
		if name == v || strings.HasSuffix(v, "_") && strings.HasPrefix(name, v) {
			return true
		}
	}
	return false
}

// imageKey turns LOG_SEGMENT_BYTES into log.segment.bytes by the container
// images' rule: _ is a dot, __ an underscore, ___ a hyphen.
func imageKey(name string) string {
	name = strings.ToLower(name)
	name = strings.ReplaceAll(name, "___", "-")
	name = strings.ReplaceAll(name, "__", "\x00")
	name = strings.ReplaceAll(name, "_", ".")
	return strings.ReplaceAll(name, "\x00", "_")
}

// ownKey turns DATA_DIR into data-dir and BROKER_LOG_SEGMENT_BYTES into
// broker.log.segment.bytes.
func ownKey(name string) string {
	flag := strings.ReplaceAll(strings.ToLower(name), "_", "-")
	if slices.ContainsFunc(serverFlags, func(f serverFlag) bool { return f.name == flag }) {
		return flag
	}
	for _, sec := range sections {
		if rest, ok := strings.CutPrefix(name, strings.ToUpper(sec.name)+"_"); ok {
			return sec.name + "." + imageKey(rest)
		}
	}
	return flag
}

// adopt takes what Kafka Connect's own settings, which existing workers carry,
// say of the node itself: the brokers to use, and the address of the REST API.
func (s settings) adopt() {
	if v, ok := s["connect.bootstrap.servers"]; ok && s["bootstrap-servers"].value == "" {
		var plain []string
		for _, b := range list(v.value) {
			if _, addr, ok := strings.Cut(b, "://"); ok {
				b = addr
			}
			plain = append(plain, b)
		}
		s["bootstrap-servers"] = setting{strings.Join(plain, ","), v.from}
	}
	if l := restListeners(s.section("connect")); len(l) > 0 && s["connect-addr"].from == "default" {
		s["connect-addr"] = setting{l[0].Addr, s["connect."+l[0].Key].from}
	}
}

// restListeners returns the addresses that a worker's settings have its REST
// API listen on. Settings that are wrong name none; the worker refuses them.
func restListeners(props map[string]string) []connect.Listener {
	l, err := connect.Listeners(props)
	if err != nil {
		return nil
	}
	return l
}

// loginConfig returns the file that Java's options name as the login
// configuration, "" if they name none.
func loginConfig(javaOptions string) string {
	for word := range strings.FieldsSeq(javaOptions) {
		if path, ok := strings.CutPrefix(word, "-Djava.security.auth.login.config="); ok {
			return strings.Trim(path, `"'`)
		}
	}
	return ""
}

// section returns the part of the settings under a name, without it.
func (s settings) section(name string) map[string]string {
	out := map[string]string{}
	for k, v := range s {
		if rest, ok := strings.CutPrefix(k, name+"."); ok {
			out[rest] = v.value
		}
	}
	return out
}

// inSection tells of problems that a role has with its settings, and where
// those that it names were made.
func (s settings) inSection(name, role string, err error) error {
	text := fmt.Sprintf("configuration of the %s:\n%v", role, err)
	for _, k := range sortedKeys(s.section(name)) {
		if strings.Contains(err.Error(), k) {
			text += fmt.Sprintf("\n(%s.%s is set by %s)", name, k, s[name+"."+k].from)
		}
	}
	return errors.New(text + "\nThe keys and what they accept are in docs/configuration.md")
}

// problem is what is wrong with one setting.
type problem struct {
	key string
	err error
}

// explain joins problems into one error, each with the place where its setting
// was made.
func (s settings) explain(problems []problem) error {
	var errs []error
	for _, p := range problems {
		from := s[p.key].from
		if from == "" {
			from = "default"
		}
		errs = append(errs, fmt.Errorf("%s (%s): %w", p.key, from, p.err))
	}
	return errors.Join(errs...)
}

// unknown returns a problem for each key that no role knows.
func (s settings) unknown() []problem {
	var out []problem
	for _, k := range sortedKeys(s) {
		if slices.ContainsFunc(serverFlags, func(f serverFlag) bool { return f.name == k }) {
			continue
		}
		sec, _, ok := strings.Cut(k, ".")
		if ok && (sec == "broker" || sec == "connect" || sec == "registry") {
			continue // the role itself judges its keys
		}
		names := make([]string, len(serverFlags))
		for i, f := range serverFlags {
			names[i] = f.name
		}
		out = append(out, problem{k, fmt.Errorf("unknown key; the keys are %s, and in the sections broker, connect and registry those of Kafka, Kafka Connect and the schema registry",
			strings.Join(names, ", "))})
	}
	return out
}
