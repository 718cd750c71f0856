package jsonschema

// Kind names a difference, in the words of Confluent's registry.
type Kind string

// class is what becomes of a difference.
type class uint8

const (
	refused  class = iota
	lenient        // accepted by the policy LENIENT only
	accepted       // what was valid stays valid
)

// rule says of a kind what becomes of it, and how it is told: of a path, the
// newer side's name and the older's.
type rule struct {
	class class
	text  string
}

// The texts. Several kinds share one.
const (
	textKeyword  = "the keyword at path '%[1]s' in the %[2]s schema is not in the %[3]s schema"
	textMore     = "the value at path '%[1]s' in the %[2]s schema is above that in the %[3]s schema"
	textLess     = "the value at path '%[1]s' in the %[2]s schema is below that in the %[3]s schema"
	textOther    = "the value at path '%[1]s' in the %[2]s schema is another than in the %[3]s schema"
	textFewer    = "at path '%[1]s' the %[2]s schema allows less than the %[3]s schema"
	textDemands  = "at path '%[1]s' the %[2]s schema demands more than the %[3]s schema"
	textType     = "the type at path '%[1]s' in the %[2]s schema is another than in the %[3]s schema"
	textOpen     = "the %[2]s schema constrains '%[1]s', of which the %[3]s schema, which has an open content model, allows anything: close the model with additionalProperties, or set compatibilityPolicy to LENIENT"
	textRequired = "the %[2]s schema requires the property at path '%[1]s', which the %[3]s schema does not have"
	textClosed   = "the %[2]s schema, which has a closed content model, lacks what is at path '%[1]s' in the %[3]s schema"
	textGone     = "what is at path '%[1]s' in the %[3]s schema is missing in the %[2]s schema, whose partially open content model does not cover it"
	textUncover  = "what is at path '%[1]s' in the %[2]s schema is not covered by the partially open content model of the %[3]s schema"
	textSilent   = "'%[1]s' differs between the %[2]s and the %[3]s schema"
)

// limit is a keyword with a number that may not be left.
type limit struct {
	keyword string
	prefix  Kind
	upper   bool // a greater number allows more
}

// The limits of each type of node.
var (
	stringLimits = []limit{{"maxLength", "MAX_LENGTH", true}, {"minLength", "MIN_LENGTH", false}}
	numberLimits = []limit{
		{"maximum", "MAXIMUM", true}, {"minimum", "MINIMUM", false},
		{"exclusiveMaximum", "EXCLUSIVE_MAXIMUM", true}, {"exclusiveMinimum", "EXCLUSIVE_MINIMUM", false},
	}
	objectLimits = []limit{{"maxProperties", "MAX_PROPERTIES", true}, {"minProperties", "MIN_PROPERTIES", false}}
	arrayLimits  = []limit{
		{"maxItems", "MAX_ITEMS", true}, {"minItems", "MIN_ITEMS", false},
		{"maxContains", "MAX_CONTAINS", true}, {"minContains", "MIN_CONTAINS", false},
	}
)

// rules are all differences but those of limits, which limitRules adds.
var rules = limitRules(map[Kind]rule{
	"ID_CHANGED":          {accepted, textSilent},
	"TITLE_CHANGED":       {accepted, textSilent},
	"DESCRIPTION_CHANGED": {accepted, textSilent},
	"DEFAULT_CHANGED":     {accepted, textSilent},

	"SCHEMA_ADDED":   {refused, "the %[2]s schema constrains '%[1]s', of which the %[3]s schema says nothing"},
	"SCHEMA_REMOVED": {accepted, textSilent},
	"TYPE_EXTENDED":  {accepted, textSilent},
	"TYPE_NARROWED":  {refused, textType},
	"TYPE_CHANGED":   {refused, textType},

	"PATTERN_ADDED":   {refused, textKeyword},
	"PATTERN_REMOVED": {accepted, textSilent},
	"PATTERN_CHANGED": {refused, textOther},

	"MULTIPLE_OF_ADDED":    {refused, textKeyword},
	"MULTIPLE_OF_REMOVED":  {accepted, textSilent},
	"MULTIPLE_OF_EXPANDED": {refused, textMore},
	"MULTIPLE_OF_REDUCED":  {accepted, textSilent},
	"MULTIPLE_OF_CHANGED":  {refused, textOther},

	"REQUIRED_ATTRIBUTE_ADDED":              {refused, textKeyword},
	"REQUIRED_ATTRIBUTE_WITH_DEFAULT_ADDED": {accepted, textSilent},
	"REQUIRED_ATTRIBUTE_REMOVED":            {accepted, textSilent},

	"DEPENDENCY_ARRAY_ADDED":    {refused, textKeyword},
	"DEPENDENCY_ARRAY_REMOVED":  {accepted, textSilent},
	"DEPENDENCY_ARRAY_EXTENDED": {refused, textDemands},
	"DEPENDENCY_ARRAY_NARROWED": {accepted, textSilent},
	"DEPENDENCY_ARRAY_CHANGED":  {refused, textOther},
	"DEPENDENCY_SCHEMA_ADDED":   {refused, textKeyword},
	"DEPENDENCY_SCHEMA_REMOVED": {accepted, textSilent},

	"ADDITIONAL_PROPERTIES_ADDED":     {accepted, textSilent},
	"ADDITIONAL_PROPERTIES_REMOVED":   {lenient, textKeyword},
	"ADDITIONAL_PROPERTIES_EXTENDED":  {accepted, textSilent},
	"ADDITIONAL_PROPERTIES_NARROWED":  {lenient, textFewer},
	"UNEVALUATED_PROPERTIES_ADDED":    {accepted, textSilent},
	"UNEVALUATED_PROPERTIES_REMOVED":  {lenient, textKeyword},
	"UNEVALUATED_PROPERTIES_EXTENDED": {accepted, textSilent},
	"UNEVALUATED_PROPERTIES_NARROWED": {lenient, textFewer},
	"ADDITIONAL_ITEMS_ADDED":          {accepted, textSilent},
	"ADDITIONAL_ITEMS_REMOVED":        {refused, textKeyword},
	"ADDITIONAL_ITEMS_EXTENDED":       {accepted, textSilent},
	"ADDITIONAL_ITEMS_NARROWED":       {refused, textFewer},
	"UNEVALUATED_ITEMS_ADDED":         {accepted, textSilent},
	"UNEVALUATED_ITEMS_REMOVED":       {refused, textKeyword},
	"UNEVALUATED_ITEMS_EXTENDED":      {accepted, textSilent},
	"UNEVALUATED_ITEMS_NARROWED":      {refused, textFewer},
	"UNIQUE_ITEMS_ADDED":              {refused, textKeyword},
	"UNIQUE_ITEMS_REMOVED":            {accepted, textSilent},

	"PROPERTY_WITH_EMPTY_SCHEMA_ADDED_TO_OPEN_CONTENT_MODEL":       {accepted, textSilent},
	"REQUIRED_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL":                {refused, textOpen},
	"REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_OPEN_CONTENT_MODEL":   {lenient, textOpen},
	"OPTIONAL_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL":                {lenient, textOpen},
	"REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL":              {refused, textRequired},
	"REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_UNOPEN_CONTENT_MODEL": {accepted, textSilent},
	"OPTIONAL_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL":              {accepted, textSilent},
	"PROPERTY_REMOVED_FROM_OPEN_CONTENT_MODEL":                     {accepted, textSilent},
	"PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL":                   {lenient, textClosed},
	"PROPERTY_WITH_FALSE_REMOVED_FROM_CLOSED_CONTENT_MODEL":        {accepted, textSilent},
	"PROPERTY_ADDED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL":    {accepted, textSilent},
	"PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL":   {lenient, textUncover},
	"PROPERTY_REMOVED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL":  {accepted, textSilent},
	"PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL": {lenient, textGone},

	"ITEM_WITH_EMPTY_SCHEMA_ADDED_TO_OPEN_CONTENT_MODEL":       {accepted, textSilent},
	"ITEM_ADDED_TO_OPEN_CONTENT_MODEL":                         {refused, textOpen},
	"ITEM_ADDED_TO_CLOSED_CONTENT_MODEL":                       {accepted, textSilent},
	"ITEM_REMOVED_FROM_OPEN_CONTENT_MODEL":                     {accepted, textSilent},
	"ITEM_REMOVED_FROM_CLOSED_CONTENT_MODEL":                   {refused, textClosed},
	"ITEM_WITH_FALSE_REMOVED_FROM_CLOSED_CONTENT_MODEL":        {accepted, textSilent},
	"ITEM_ADDED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL":    {accepted, textSilent},
	"ITEM_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL":   {refused, textUncover},
	"ITEM_REMOVED_IS_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL":  {accepted, textSilent},
	"ITEM_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL": {refused, textGone},

	"ENUM_ARRAY_EXTENDED": {accepted, textSilent},
	"ENUM_ARRAY_NARROWED": {refused, textFewer},
	"ENUM_ARRAY_CHANGED":  {refused, textType},

	"COMBINED_TYPE_EXTENDED":           {accepted, textSilent},
	"COMBINED_TYPE_CHANGED":            {refused, textType},
	"COMBINED_TYPE_SUBSCHEMAS_CHANGED": {refused, textType},
	"PRODUCT_TYPE_EXTENDED":            {refused, textDemands},
	"PRODUCT_TYPE_NARROWED":            {accepted, textSilent},
	"SUM_TYPE_EXTENDED":                {accepted, textSilent},
	"SUM_TYPE_NARROWED":                {refused, textFewer},
	"NOT_TYPE_NARROWED":                {accepted, textSilent},
	"NOT_TYPE_EXTENDED":                {refused, textDemands},
})

// limitRules adds the rules of limits: to loosen one is accepted, to tighten
// it is not.
func limitRules(m map[Kind]rule) map[Kind]rule {
	for _, list := range [][]limit{stringLimits, numberLimits, objectLimits, arrayLimits} {
		for _, l := range list {
			m[l.prefix+"_ADDED"] = rule{refused, textKeyword}
			m[l.prefix+"_REMOVED"] = rule{accepted, textSilent}
			m[l.prefix+"_INCREASED"] = rule{refused, textMore}
			m[l.prefix+"_DECREASED"] = rule{accepted, textSilent}
			if l.upper {
				m[l.prefix+"_INCREASED"] = rule{accepted, textSilent}
				m[l.prefix+"_DECREASED"] = rule{refused, textLess}
			}
		}
	}
	return m
}
