package metadata

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ConfigType is a config's type, numbered as in DescribeConfigs.
type ConfigType int8

// The types in use.
const (
	Boolean ConfigType = 1
	String  ConfigType = 2
	Int     ConfigType = 3
	Long    ConfigType = 5
	Double  ConfigType = 6
	List    ConfigType = 7
)

// ConfigKey describes one config: Kafka's name, what it accepts and what it
// does.
type ConfigKey struct {
	Name    string
	Broker  string // the broker config that gives a topic config its default
	Type    ConfigType
	Default string
	Doc     string

	min, max  int64    // of Int and Long
	low, high float64  // of Double
	oneOf     []string // of String, and of each element of a List
	check     func(string) error
	fixed     string // why no value but Default is taken; empty if others are
}

// Check returns why value cannot be used; the error wraps ErrConfig.
func (k *ConfigKey) Check(value string) error {
	if k.fixed != "" {
		if value == k.Default {
			return nil
		}
		return fmt.Errorf("%s is %q: %s, so only %q is accepted: %w", k.Name, value, k.fixed, k.Default, ErrConfig)
	}
	var err error
	switch k.Type {
	case Boolean:
		err = checkOneOf(value, []string{"true", "false"})
	case Int, Long:
		err = checkNumber(value, k.min, k.max)
	case Double:
		err = checkFraction(value, k.low, k.high)
	case List:
		for _, v := range Split(value) {
			if err = checkOneOf(v, k.oneOf); err != nil {
				break
			}
		}
	default:
		err = checkOneOf(value, k.oneOf)
	}
	if err == nil && k.check != nil {
		err = k.check(value)
	}
	if err != nil {
		return fmt.Errorf("%s is %q: %v: %w", k.Name, value, err, ErrConfig)
	}
	return nil
}

func checkOneOf(value string, allowed []string) error {
	if allowed == nil {
		return nil
	}
	for _, a := range allowed {
		if value == a {
			return nil
		}
	}
	return fmt.Errorf("must be one of %s", strings.Join(allowed, ", "))
}

func checkNumber(value string, low, high int64) error {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return fmt.Errorf("must be a whole number")
	}
	if n < low || n > high {
		return fmt.Errorf("must be from %d to %d", low, high)
	}
	return nil
}

func checkFraction(value string, low, high float64) error {
	x, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return fmt.Errorf("must be a number")
	}
	if !(x >= low && x <= high) { // not so for NaN
		return fmt.Errorf("must be from %g to %g", low, high)
	}
	return nil
}

// Split takes a list value apart; blanks around elements do not count.
func Split(value string) []string {
	var out []string
	for v := range strings.SplitSeq(value, ",") {
		if v = strings.TrimSpace(v); v != "" {
			out = append(out, v)
		}
	}
	return out
}

const (
	maxInt32 = math.MaxInt32
	maxInt64 = math.MaxInt64
)

// values is a set of configs, each with a value that its key has checked.
type values map[string]string

func (v values) number(name string) int64 {
	n, err := strconv.ParseInt(v[name], 10, 64)
	if err != nil {
		panic("config " + name + " was not checked: " + err.Error())
	}
	return n
}

func (v values) flag(name string) bool { return v[name] == "true" }

func (v values) fraction(name string) float64 {
	x, err := strconv.ParseFloat(v[name], 64)
	if err != nil {
		panic("config " + name + " was not checked: " + err.Error())
	}
	return x
}
