package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/millrace/millrace/schema-registry/store"
)

// SubjectConfig is what is set for a subject, for a context, or for all.
type SubjectConfig struct {
	store.Settings
	// Others are settings found on the topic that this registry does not know.
	Others map[string]json.RawMessage
}

// ConfigChange says what to set. A member that is not there stays as it is;
// one that is null is unset.
type ConfigChange map[string]json.RawMessage

// settings are what holds for a subject. They can be compared: equal ones are
// the same.
type settings struct {
	level     Level
	normalize bool
	validate  bool // hold new schemas to their language's rules
	fields    bool // and to more; see strictness
	rules     bool // refuse rules that no client could carry out
	tolerant  bool // the policy LENIENT
	group     string
	mode      Mode
	own       *store.Settings // of the nearest config, nil without any
}

// addsContract reports whether the config makes more of a schema than what it
// is registered with.
func (s settings) addsContract() bool {
	return s.own != nil && (s.own.DefaultMetadata != nil || s.own.OverrideMetadata != nil || s.own.DefaultRuleSet != nil || s.own.OverrideRuleSet != nil)
}

// scopes are where to look for a subject's config or mode, nearest first.
func scopes(name string) []scope {
	out := []scope{{subject: name}}
	if ctx := contextOf(name); ctx == defaultContext {
		out = append(out, scope{global: true})
	} else {
		out = append(out, scope{subject: qualify(ctx, "")})
	}
	return append(out, scope{subject: globalContext})
}

// strictness is what a schema sent is held to. One that comes with its id is
// taken as it is.
func (s settings) strictness() strictness {
	return strictness{isNew: s.validate && s.mode != ModeImport && s.mode != ModeForward, fields: s.fields}
}

// settings resolves what holds for a subject.
func (r *Registry) settings(name string) settings {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.settingsIn(r.state, name)
}

// settingsIn resolves what holds for a subject. A config that is set hides the
// levels further out even if it has none itself, as in Confluent's registry.
func (r *Registry) settingsIn(s *state, name string) settings {
	out := settings{level: r.cfg.Compatibility, mode: s.mode(name)}
	var normalize, validate, fields, rules *bool
	var policy, group *string
	for _, at := range scopes(name) {
		c := s.configs[at]
		if c == nil {
			continue
		}
		if out.own == nil {
			out.own = &c.Settings
			if c.Compatibility != nil {
				if l, err := ParseLevel(*c.Compatibility); err == nil { // else from a registry that knows more levels
					out.level = l
				}
			}
		}
		normalize, validate = cmp.Or(normalize, c.Normalize), cmp.Or(validate, c.ValidateNewSchemas)
		fields, rules = cmp.Or(fields, c.ValidateFields), cmp.Or(rules, c.ValidateRules)
		policy, group = cmp.Or(policy, c.CompatibilityPolicy), cmp.Or(group, c.CompatibilityGroup)
	}
	out.normalize, out.validate = isSet(normalize, false), isSet(validate, true)
	out.fields, out.rules = isSet(fields, false), isSet(rules, true)
	out.tolerant = policy != nil && *policy == "LENIENT"
	if group != nil {
		out.group = *group
	}
	return out
}

func isSet(p *bool, otherwise bool) bool {
	if p == nil {
		return otherwise
	}
	return *p
}

// Alias returns the subject that a subject's config makes it another name of,
// or the subject itself. An alias of an alias is not followed.
func (r *Registry) Alias(subject string) string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	name := canonical(subject)
	if c := r.state.configs[scope{subject: name}]; c != nil && c.Alias != nil && *c.Alias != "" && !isContext(name) {
		return qualifyIn(contextOf(name), *c.Alias)
	}
	return subject
}

// Aliases returns the subjects that are other names of subjects, sorted.
func (r *Registry) Aliases() map[string][]string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	out := map[string][]string{}
	for at, c := range r.state.configs {
		if c.Alias != nil && *c.Alias != "" && !at.global && !isContext(at.subject) {
			to := qualifyIn(contextOf(at.subject), *c.Alias)
			out[to] = append(out[to], at.subject)
		}
	}
	for _, names := range out {
		slices.Sort(names)
	}
	return out
}

// GlobalConfig returns what holds where no subject says otherwise.
func (r *Registry) GlobalConfig() SubjectConfig {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.withLevel(publicConfig(r.state.configs[scope{global: true}]))
}

// Config returns what is set for a subject, or with orGlobal what holds for
// it. Kind of error: NoSubjectConfig.
func (r *Registry) Config(subject string, orGlobal bool) (SubjectConfig, error) {
	name := canonical(subject)
	r.mu.RLock()
	defer r.mu.RUnlock()
	at := []scope{{subject: name}}
	if orGlobal {
		at = scopes(name)
	}
	for _, s := range at {
		if c := r.state.configs[s]; c != nil {
			if orGlobal {
				return r.withLevel(publicConfig(c)), nil
			}
			return publicConfig(c), nil
		}
	}
	if orGlobal {
		return r.withLevel(SubjectConfig{}), nil
	}
	return SubjectConfig{}, errorf(NoSubjectConfig, "Subject '%s' does not have subject-level compatibility configured", subject)
}

// withLevel fills in the level that holds where none is set.
func (r *Registry) withLevel(c SubjectConfig) SubjectConfig {
	if c.Compatibility == nil {
		level := string(r.cfg.Compatibility)
		c.Compatibility = &level
	}
	return c
}

func publicConfig(c *store.Config) SubjectConfig {
	if c == nil {
		return SubjectConfig{}
	}
	return SubjectConfig{c.Settings, c.Others}
}

// SetGlobalConfig changes what holds for all subjects without a config, and
// returns all that is set then. Kinds of errors: InvalidLevel,
// InvalidRuleSet for a setting that is not supported, NotPermitted, those of
// the log.
func (r *Registry) SetGlobalConfig(ctx context.Context, ch ConfigChange) (SubjectConfig, error) {
	return r.setConfig(ctx, store.Key{Type: store.ConfigKey, Global: true}, scope{global: true}, ch)
}

// SetConfig is SetGlobalConfig for a subject. Kind of error besides:
// InvalidSubject.
func (r *Registry) SetConfig(ctx context.Context, subject string, ch ConfigChange) (SubjectConfig, error) {
	if err := checkConfigSubject(subject); err != nil {
		return SubjectConfig{}, err
	}
	name := canonical(subject)
	return r.setConfig(ctx, store.Key{Type: store.ConfigKey, Subject: name}, scope{subject: name}, ch)
}

// checkConfigSubject lets pass the name for all contexts too.
func checkConfigSubject(subject string) error {
	if subject == globalContext {
		return nil
	}
	return checkSubject(subject)
}

func (r *Registry) setConfig(ctx context.Context, key store.Key, at scope, ch ConfigChange) (SubjectConfig, error) {
	var out SubjectConfig
	err := r.change(ctx, func(s *state) ([]store.Change, error) {
		if err := mayWrite(s.mode(at.subject), at.subject); err != nil {
			return nil, err
		}
		merged := &store.Config{}
		if old := s.configs[at]; old != nil {
			*merged = *old
			merged.Others = maps.Clone(old.Others)
		}
		merged.Subject = key.Subject
		if err := ch.apply(merged); err != nil {
			return nil, err
		}
		out = publicConfig(merged)
		return []store.Change{{Key: key, Config: merged}}, nil
	})
	return out, err
}

// apply changes a config as asked. Members that are not known are ignored, as
// everywhere in the API.
func (ch ConfigChange) apply(c *store.Config) error {
	into := map[string]func(json.RawMessage) error{
		"alias": setting(&c.Alias), "aliasForDeks": setting(&c.AliasForDeks), "normalize": setting(&c.Normalize), "validateFields": setting(&c.ValidateFields),
		"validateNewSchemas": setting(&c.ValidateNewSchemas), "validateRules": setting(&c.ValidateRules), "compatibility": setting(&c.Compatibility),
		"compatibilityPolicy": setting(&c.CompatibilityPolicy), "compatibilityGroup": setting(&c.CompatibilityGroup),
		"defaultMetadata": setting(&c.DefaultMetadata), "overrideMetadata": setting(&c.OverrideMetadata),
		"defaultRuleSet": setting(&c.DefaultRuleSet), "overrideRuleSet": setting(&c.OverrideRuleSet),
	}
	for _, key := range slices.Sorted(maps.Keys(ch)) {
		set, known := into[key]
		if !known {
			continue
		}
		if err := set(ch[key]); err != nil {
			kind := InvalidRuleSet
			if key == "compatibility" {
				kind = InvalidLevel
			}
			return errorf(kind, "Invalid config: %s cannot be %s", key, ch[key])
		}
	}
	if c.Compatibility != nil {
		level, err := ParseLevel(*c.Compatibility)
		if err != nil {
			return err
		}
		c.Compatibility = (*string)(&level)
	}
	if p := c.CompatibilityPolicy; p != nil {
		upper := strings.ToUpper(*p)
		if !slices.Contains(policies, upper) {
			return errorf(InvalidLevel, "Invalid compatibility policy. Valid values are %s", strings.Join(policies, ", "))
		}
		c.CompatibilityPolicy = &upper
	}
	c.DefaultMetadata, c.OverrideMetadata = tidied(c.DefaultMetadata), tidied(c.OverrideMetadata)
	return cmp.Or(checkRules(c.DefaultRuleSet), checkRules(c.OverrideRuleSet))
}

// setting returns what sets one setting, to a value of its own: the old one is
// part of the state.
func setting[T any](to **T) func(json.RawMessage) error {
	return func(raw json.RawMessage) error {
		var v *T
		if err := json.Unmarshal(raw, &v); err != nil {
			return err
		}
		*to = v
		return nil
	}
}

// policies say how strict a verdict on JSON Schema is. LOGICAL is STRICT here:
// it differs for formats of tables only.
var policies = []string{"STRICT", "LENIENT", "LOGICAL"}

// DeleteGlobalConfig unsets what is set for all and returns what was.
func (r *Registry) DeleteGlobalConfig(ctx context.Context) (SubjectConfig, error) {
	old := r.GlobalConfig()
	return old, r.change(ctx, func(s *state) ([]store.Change, error) {
		if err := mayWrite(s.mode(""), ""); err != nil {
			return nil, err
		}
		return []store.Change{{Key: store.Key{Type: store.ConfigKey, Global: true}}}, nil
	})
}

// DeleteConfig unsets what is set for a subject and returns what was. Kinds of
// errors: SubjectNotFound if nothing is, NotPermitted, those of the log.
func (r *Registry) DeleteConfig(ctx context.Context, subject string) (SubjectConfig, error) {
	name := canonical(subject)
	var old SubjectConfig
	err := r.change(ctx, func(s *state) ([]store.Change, error) {
		c := s.configs[scope{subject: name}]
		if c == nil {
			return nil, errSubjectNotFound(subject)
		}
		if err := mayWrite(s.mode(name), name); err != nil {
			return nil, err
		}
		old = publicConfig(c)
		return []store.Change{{Key: store.Key{Type: store.ConfigKey, Subject: name}}}, nil
	})
	return old, err
}
