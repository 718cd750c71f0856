package configdef

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Type is the type of a key's value.
type Type string

// The types, by the names that Connect's REST interface uses. The Go type of
// the parsed value is named beside each.
const (
	Boolean  Type = "BOOLEAN"  // bool
	String   Type = "STRING"   // string
	Int      Type = "INT"      // int64, of 32 bits
	Short    Type = "SHORT"    // int64, of 16 bits
	Long     Type = "LONG"     // int64
	Double   Type = "DOUBLE"   // float64
	List     Type = "LIST"     // []string
	Class    Type = "CLASS"    // string
	Password Type = "PASSWORD" // string
)

// Importance says how much a key matters to users.
type Importance string

// The importances. An unset one is Medium.
const (
	High   Importance = "HIGH"
	Medium Importance = "MEDIUM"
	Low    Importance = "LOW"
)

// Width says how wide an input field for a key should be.
type Width string

// The widths. An unset one is NoWidth.
const (
	NoWidth     Width = "NONE"
	ShortWidth  Width = "SHORT"
	MediumWidth Width = "MEDIUM"
	LongWidth   Width = "LONG"
)

// Key defines one configuration key.
type Key struct {
	Name string
	Type Type
	// Required keys have no default and must be given. The default of a key
	// that is not required may be nil: then its value is null unless given.
	Required bool
	// Default is of the type's Go type, an int for the integer types, or text
	// that parses as the type.
	Default any
	Rules   []Rule
	// Aliases are old names that are still honoured, with a warning.
	Aliases []string
	// Unsupported, when set, is the reason why no value but the default works
	// here although other software honours the key: it becomes the error of
	// any other value.
	Unsupported string
	// Opens are patterns of further keys that are read although they have no
	// definition, so that nobody is warned of them: * stands for any text, and
	// {} for each element of this key's value.
	Opens []string

	Importance  Importance
	Group       string
	Order       int // within the group; 0 counts from the place in the Def
	Width       Width
	DisplayName string // "" is the name
	Doc         string
	Dependents  []string

	// Check validates the parsed value beyond the rules; nil values too.
	Check func(value any) error `json:"-"`
	// Recommend returns values to offer and whether the key matters, given the
	// values of the others.
	Recommend func(c Config) (values []string, visible bool) `json:"-"`
}

// Def is the definition of a configuration: its keys in order.
type Def []Key

// Key returns the definition of a key by its name, not by its aliases.
func (d Def) Key(name string) (Key, bool) {
	i := slices.IndexFunc(d, func(k Key) bool { return k.Name == name })
	if i < 0 {
		return Key{}, false
	}
	return d[i], true
}

// Check reports all mistakes in the definition itself: names that are empty or
// used twice, unknown types, defaults that do not parse or break the key's own
// rules, rules that cannot work, dependents that do not exist. It is for tests
// and for definitions that come from other processes.
func (d Def) Check() error {
	var errs []error
	seen := make(map[string]bool)
	for _, k := range d {
		for _, name := range append([]string{k.Name}, k.Aliases...) {
			if name == "" || seen[name] {
				errs = append(errs, fmt.Errorf("key %q is empty or defined twice", name))
			}
			seen[name] = true
		}
		if err := k.check(d); err != nil {
			errs = append(errs, fmt.Errorf("key %q: %w", k.Name, err))
		}
	}
	return errors.Join(errs...)
}

func (k Key) check(d Def) error {
	if _, ok := parsers[k.Type]; !ok {
		return fmt.Errorf("unknown type %q", k.Type)
	}
	for _, r := range k.Rules {
		if err := r.check(); err != nil {
			return err
		}
	}
	for _, name := range k.Dependents {
		if _, ok := d.Key(name); !ok {
			return fmt.Errorf("dependent %q is not defined", name)
		}
	}
	if k.Required {
		if k.Default != nil {
			return errors.New("required and has a default")
		}
		return nil
	}
	v, err := k.defaultValue()
	if err != nil || v == nil {
		return err
	}
	return errors.Join(k.violations(v)...)
}

// defaultValue returns the default as the type's Go type, nil for none.
func (k Key) defaultValue() (any, error) {
	switch v := k.Default.(type) {
	case nil:
		return nil, nil
	case bool:
		return k.parse(fmt.Sprint(v))
	case int, int16, int32, int64, float64:
		return k.parse(fmt.Sprint(v))
	case string:
		return k.parse(v)
	case []string:
		if k.Type == List {
			return slices.Clone(v), nil
		}
	}
	return nil, fmt.Errorf("a default of type %T does not fit %s", k.Default, k.Type)
}

// keyJSON is Key without its functions and with the default as text.
type keyJSON struct {
	plainKey
	Default *string
}

type plainKey Key

// MarshalJSON writes the definition's data, without its functions.
func (k Key) MarshalJSON() ([]byte, error) {
	out := keyJSON{plainKey: plainKey(k)}
	v, err := k.defaultValue()
	if err != nil {
		return nil, fmt.Errorf("default of %s: %w", k.Name, err)
	}
	if v != nil {
		text := format(v)
		out.Default = &text
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (k *Key) UnmarshalJSON(b []byte) error {
	var in keyJSON
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	*k = Key(in.plainKey)
	k.Default = nil
	if in.Default != nil {
		k.Default = *in.Default
	}
	return nil
}
