package protobuf

// Kind names a difference, in the words of Confluent's registry.
type Kind string

// rule says of a kind whether what it changes can be lived with, and how it is
// told: of a path, the newer side's name and the older's.
type rule struct {
	compatible bool
	text       string
}

const textSilent = "'%[1]s' differs between the %[2]s and the %[3]s schema"

// rules are all differences.
var rules = map[Kind]rule{
	"PACKAGE_CHANGED": {false, "the package in the %[2]s schema is another than in the %[3]s schema (path '%[1]s')"},

	"MESSAGE_ADDED":   {true, textSilent},
	"MESSAGE_MOVED":   {true, textSilent},
	"MESSAGE_REMOVED": {false, "the %[2]s schema lacks the message at path '%[1]s' of the %[3]s schema"},

	"ENUM_ADDED":         {true, textSilent},
	"ENUM_REMOVED":       {true, textSilent},
	"ENUM_CONST_ADDED":   {true, textSilent},
	"ENUM_CONST_CHANGED": {true, textSilent},
	"ENUM_CONST_REMOVED": {true, textSilent},

	"FIELD_ADDED":                         {true, textSilent},
	"FIELD_REMOVED":                       {true, textSilent},
	"FIELD_NAME_CHANGED":                  {true, textSilent},
	"FIELD_KIND_CHANGED":                  {false, "the field at path '%[1]s' is of another kind (scalar, message or map) in the %[2]s schema than in the %[3]s schema"},
	"FIELD_SCALAR_KIND_CHANGED":           {false, "the scalar at path '%[1]s' is of a type in the %[2]s schema that is encoded otherwise than that in the %[3]s schema"},
	"FIELD_NAMED_TYPE_CHANGED":            {false, "the message type of the field at path '%[1]s' is another in the %[2]s schema than in the %[3]s schema"},
	"FIELD_NUMERIC_LABEL_CHANGED":         {false, "the number at path '%[1]s' has another label in the %[2]s schema than in the %[3]s schema"},
	"FIELD_STRING_OR_BYTES_LABEL_CHANGED": {true, textSilent},
	"REQUIRED_FIELD_ADDED":                {false, "the %[2]s schema requires the field at path '%[1]s', which the %[3]s schema does not have"},
	"REQUIRED_FIELD_REMOVED":              {false, "the %[2]s schema lacks the field at path '%[1]s', which the %[3]s schema requires"},

	"ONEOF_ADDED":                    {true, textSilent},
	"ONEOF_REMOVED":                  {true, textSilent},
	"ONEOF_FIELD_ADDED":              {true, textSilent},
	"ONEOF_FIELD_REMOVED":            {false, "the %[2]s schema lacks the member of a oneof at path '%[1]s' of the %[3]s schema"},
	"ONEOF_FIELD_MOVED_TO_TOP_LEVEL": {true, textSilent},
	"MULTIPLE_FIELDS_MOVED_TO_ONEOF": {false, "the oneof at path '%[1]s' in the %[2]s schema unites fields that could be set together in the %[3]s schema"},
	"FIELD_MOVED_TO_EXISTING_ONEOF":  {false, "the oneof at path '%[1]s' in the %[2]s schema has a member that could be set beside it in the %[3]s schema"},
}
