package store

// Metadata says more about a schema than its text. Nil and empty differ: the
// schema's hash says so.
type Metadata struct {
	Tags       map[string][]string `json:"tags,omitempty"` // by the path of what is tagged
	Properties map[string]string   `json:"properties,omitempty"`
	Sensitive  []string            `json:"sensitive,omitempty"` // names of properties not to be shown around
}

// RuleSet are the rules of a schema's data. Clients carry them out.
type RuleSet struct {
	Migration []Rule `json:"migrationRules,omitempty"` // between versions
	Domain    []Rule `json:"domainRules,omitempty"`
	Encoding  []Rule `json:"encodingRules,omitempty"`
	EnableAt  string `json:"enableAt,omitempty"`
}

// Rule is one of them.
type Rule struct {
	Name      string            `json:"name,omitempty"`
	Doc       string            `json:"doc,omitempty"`
	Kind      string            `json:"kind,omitempty"` // TRANSFORM or CONDITION
	Mode      string            `json:"mode,omitempty"` // when: WRITE, READ, WRITEREAD, UPGRADE, DOWNGRADE, UPDOWN
	Type      string            `json:"type,omitempty"` // of the executor, as in CEL
	Tags      []string          `json:"tags,omitempty"`
	Params    map[string]string `json:"params,omitempty"`
	Expr      string            `json:"expr,omitempty"`
	OnSuccess string            `json:"onSuccess,omitempty"`
	OnFailure string            `json:"onFailure,omitempty"`
	Disabled  bool              `json:"disabled"`
}

// Settings are what a config may set. What is nil is not set.
type Settings struct {
	Alias               *string   `json:"alias,omitempty"`
	AliasForDeks        *string   `json:"aliasForDeks,omitempty"` // kept for Confluent's clients
	Normalize           *bool     `json:"normalize,omitempty"`
	ValidateFields      *bool     `json:"validateFields,omitempty"`
	ValidateNewSchemas  *bool     `json:"validateNewSchemas,omitempty"`
	ValidateRules       *bool     `json:"validateRules,omitempty"`
	Compatibility       *string   `json:"compatibilityLevel,omitempty"`
	CompatibilityPolicy *string   `json:"compatibilityPolicy,omitempty"`
	CompatibilityGroup  *string   `json:"compatibilityGroup,omitempty"`
	DefaultMetadata     *Metadata `json:"defaultMetadata,omitempty"`
	OverrideMetadata    *Metadata `json:"overrideMetadata,omitempty"`
	DefaultRuleSet      *RuleSet  `json:"defaultRuleSet,omitempty"`
	OverrideRuleSet     *RuleSet  `json:"overrideRuleSet,omitempty"`
}
