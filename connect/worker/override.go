package worker

import (
	"slices"
	"strings"
)

// OverridePolicy says which settings of their clients connectors may change
// (connector.client.config.override.policy, KIP-458 and 1188).
type OverridePolicy struct {
	// Name is All, None, Principal or Allowlist.
	Name string
	// Allowed are the keys of Allowlist.
	Allowed []string
}

// principalKeys are what Principal allows: who the client is.
var principalKeys = []string{"sasl.jaas.config", "sasl.mechanism", "security.protocol"}

// PolicyNames are the policies by the names that settings may use: Kafka
// Connect's class names, and what is left of them.
var PolicyNames = []string{"All", "None", "Principal", "Allowlist"}

// ParsePolicy finds a policy by its name or by Kafka Connect's class name for
// it. ok is false if there is none.
func ParsePolicy(name string, allowed []string) (p OverridePolicy, ok bool) {
	short := strings.TrimPrefix(name, "org.apache.kafka.connect.connector.policy.")
	short = strings.TrimSuffix(short, "ConnectorClientConfigOverridePolicy")
	for _, known := range PolicyNames {
		if strings.EqualFold(known, short) {
			return OverridePolicy{Name: known, Allowed: allowed}, true
		}
	}
	return OverridePolicy{}, false
}

// Allows reports whether a connector may set a client's key.
func (p OverridePolicy) Allows(key string) bool {
	switch p.Name {
	case "All":
		return true
	case "Principal":
		return slices.Contains(principalKeys, key)
	case "Allowlist":
		return slices.Contains(p.Allowed, key)
	}
	return false
}
