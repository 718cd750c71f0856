package registry

import (
	"context"
	"encoding/json"
	"maps"
	"strings"

	"github.com/millrace/millrace/schema-registry/store"
)

// SubjectConfig is what is set for a subject, for a context, or for all. What
// is nil is not set.
type SubjectConfig struct {
	Compatibility      *Level
	Normalize          *bool // store texts normalised
	ValidateNewSchemas *bool // hold new schemas to the rules for names and defaults
	// Others are settings found on the topic that this registry has no use
	// for.
	Others map[string]json.RawMessage
}

// ConfigChange says what to set. A member that is not there stays as it is;
// one that is null is unset.
type ConfigChange map[string]json.RawMessage

// settings are what holds for a subject.
type settings struct {
	level     Level
	normalize bool
	validate  bool
	mode      Mode
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

// settings resolves what holds for a subject. A config that is set hides the
// levels further out even if it has none itself, as in Confluent's registry.
func (r *Registry) settings(name string) settings {
	r.mu.RLock()
	defer r.mu.RUnlock()
	out := settings{level: r.cfg.Compatibility, validate: true, mode: r.state.mode(name)}
	var normalize, validate *bool
	levelFound := false
	for _, at := range scopes(name) {
		c := r.state.configs[at]
		if c == nil {
			continue
		}
		if !levelFound && c.Compatibility != nil {
			if l, err := ParseLevel(*c.Compatibility); err == nil { // else from a registry that knows more levels
				out.level = l
			}
		}
		levelFound = true
		if normalize == nil {
			normalize = c.Normalize
		}
		if validate == nil {
			validate = c.ValidateNewSchemas
		}
	}
	if normalize != nil {
		out.normalize = *normalize
	}
	if validate != nil {
		out.validate = *validate
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
		level := r.cfg.Compatibility
		c.Compatibility = &level
	}
	return c
}

func publicConfig(c *store.Config) SubjectConfig {
	if c == nil {
		return SubjectConfig{}
	}
	return SubjectConfig{Compatibility: (*Level)(c.Compatibility), Normalize: c.Normalize, ValidateNewSchemas: c.ValidateNewSchemas, Others: c.Others}
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

// harmless are values of settings not supported here that ask for what is so
// anyway.
var harmless = map[string]string{
	"validateFields": "false", "validateRules": "true", "compatibilityPolicy": `"STRICT"`,
}

// unsupported are the settings of Confluent's registry that this one refuses
// rather than ignores.
var unsupported = []string{
	"alias", "aliasForDeks", "validateFields", "validateRules", "compatibilityPolicy", "compatibilityGroup",
	"defaultMetadata", "overrideMetadata", "defaultRuleSet", "overrideRuleSet",
}

func (ch ConfigChange) apply(c *store.Config) error {
	if raw, ok := ch["compatibility"]; ok {
		var text *string
		if err := json.Unmarshal(raw, &text); err != nil {
			return errorf(InvalidLevel, "Invalid compatibility level: %s is not a string", raw)
		}
		c.Compatibility = nil
		if text != nil {
			level, err := ParseLevel(*text)
			if err != nil {
				return err
			}
			c.Compatibility = (*string)(&level)
		}
	}
	for key, into := range map[string]**bool{"normalize": &c.Normalize, "validateNewSchemas": &c.ValidateNewSchemas} {
		if raw, ok := ch[key]; ok {
			*into = nil
			if err := json.Unmarshal(raw, into); err != nil {
				return errorf(InvalidRuleSet, "Invalid config: %s is true or false, not %s", key, raw)
			}
		}
	}
	for _, key := range unsupported {
		raw, ok := ch[key]
		switch {
		case !ok:
		case string(raw) == "null":
			delete(c.Others, key)
		case !strings.EqualFold(string(raw), harmless[key]):
			return errorf(InvalidRuleSet, "Invalid config: %s is not supported by this registry; leave it out", key)
		}
	}
	return nil
}

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
