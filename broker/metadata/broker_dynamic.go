package metadata

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// layers are the dynamic configs of a broker.
type layers struct {
	own map[string]string // of this broker
	all map[string]string // of all brokers
}

// dynamicKeys are the broker configs that can be altered while brokers run:
// the defaults of topic configs, and these.
var dynamicKeys = map[string]bool{
	"max.connections":                  true,
	"max.connections.per.ip":           true,
	"max.connections.per.ip.overrides": true,
}

// Dynamic reports whether a broker config can be altered while brokers run.
func (k *ConfigKey) Dynamic() bool {
	if k.fixed != "" {
		return false
	}
	return dynamicKeys[k.Name] || slices.ContainsFunc(topicKeys, func(t ConfigKey) bool { return t.Broker == k.Name })
}

// BrokerKey returns the description of a broker config, nil if there is none.
func BrokerKey(name string) *ConfigKey { return find(brokerKeys, name) }

// CheckDynamicConfigs returns what is wrong with the dynamic configs of a
// broker, or of all; the error wraps ErrConfig.
func CheckDynamicConfigs(set map[string]string) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(set)) {
		k := BrokerKey(name)
		switch {
		case k == nil:
			errs = append(errs, fmt.Errorf("unknown broker config %s: %w", name, ErrConfig))
		case !k.Dynamic():
			errs = append(errs, fmt.Errorf("%s cannot be changed while brokers run: set it in their configuration and start them again: %w", name, ErrConfig))
		default:
			errs = append(errs, k.Check(set[name]))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return checkLags(set, "log.cleaner.min.compaction.lag.ms", "log.cleaner.max.compaction.lag.ms")
}

// Follow takes over the dynamic configs of a broker from the next image, and
// reports whether they differ from those before. It is called by one goroutine.
func (c *BrokerConfig) Follow(next *Image, id int32) (changed bool) {
	l := &layers{
		own: next.ResourceConfigs(BrokerResource, strconv.Itoa(int(id))),
		all: next.ResourceConfigs(BrokerResource, ""),
	}
	was := c.dynamic.Swap(l)
	if was == nil {
		was = new(layers)
	}
	return !maps.Equal(was.own, l.own) || !maps.Equal(was.all, l.all)
}

// lookup returns what was set for a config, in the order of what counts first.
func (c *BrokerConfig) lookup(name string) (string, Source, bool) {
	if l := c.dynamic.Load(); l != nil {
		if v, ok := l.own[name]; ok {
			return v, FromThisBroker, true
		}
		if v, ok := l.all[name]; ok {
			return v, FromAllBrokers, true
		}
	}
	v, ok := c.set[name]
	return v, FromBroker, ok
}

// Setting is one place where a config can get its value from.
type Setting struct {
	Name   string
	Value  string
	Source Source
}

// Settings returns where a broker config could get its value from, what counts
// first. The name must be one of BrokerKeys.
func (c *BrokerConfig) Settings(name string) []Setting {
	var out []Setting
	add := func(set map[string]string, s Source) {
		if v, ok := set[name]; ok {
			out = append(out, Setting{name, v, s})
		}
	}
	if l := c.dynamic.Load(); l != nil {
		add(l.own, FromThisBroker)
		add(l.all, FromAllBrokers)
	}
	add(c.set, FromBroker)
	return append(out, Setting{name, BrokerKey(name).Default, FromDefault})
}
