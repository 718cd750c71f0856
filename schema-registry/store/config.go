package store

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// Config is the value of a CONFIG record. Others holds the members that this
// registry has no use for, so that they are not lost.
type Config struct {
	Subject string `json:"subject,omitempty"`
	Settings
	Others map[string]json.RawMessage `json:"-"`
}

// plainConfig is Config without its methods.
type plainConfig Config

// knownMembers are those of Config and Settings.
var knownMembers = func() map[string]bool {
	yes, text := true, "x"
	raw, err := json.Marshal(plainConfig{Subject: "s", Settings: Settings{
		Alias: &text, AliasForDeks: &text, Normalize: &yes, ValidateFields: &yes, ValidateNewSchemas: &yes, ValidateRules: &yes,
		Compatibility: &text, CompatibilityPolicy: &text, CompatibilityGroup: &text,
		DefaultMetadata: &Metadata{}, OverrideMetadata: &Metadata{}, DefaultRuleSet: &RuleSet{}, OverrideRuleSet: &RuleSet{},
	}})
	var members map[string]json.RawMessage
	if err == nil {
		err = json.Unmarshal(raw, &members)
	}
	if err != nil {
		panic(err) // the value above is a constant
	}
	out := map[string]bool{}
	for k := range members {
		out[k] = true
	}
	return out
}()

// UnmarshalJSON reads a config. A member that is null is not set.
func (c *Config) UnmarshalJSON(b []byte) error {
	var plain plainConfig
	if err := json.Unmarshal(b, &plain); err != nil {
		return err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(b, &all); err != nil {
		return err
	}
	maps.DeleteFunc(all, func(k string, raw json.RawMessage) bool { return knownMembers[k] || string(raw) == "null" })
	if len(all) > 0 {
		plain.Others = all
	}
	*c = Config(plain)
	return nil
}

// MarshalJSON writes a config's members in Confluent's order, the unknown ones
// last.
func (c *Config) MarshalJSON() ([]byte, error) {
	out, err := marshal((*plainConfig)(c))
	if err != nil {
		return nil, err
	}
	out = out[:len(out)-1]
	for _, k := range slices.Sorted(maps.Keys(c.Others)) {
		name, err := marshal(k)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k, err)
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(append(out, name...), ':'), c.Others[k]...)
	}
	return append(out, '}'), nil
}
