package metadata

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// groupKeys is every group config there is, by name.
var groupKeys = []ConfigKey{
	{Name: "consumer.heartbeat.interval.ms", Broker: "group.consumer.heartbeat.interval.ms", Type: Int, Default: "5000", min: 1, max: maxInt32,
		Doc: "How often members of the consumer protocol show themselves."},
	{Name: "consumer.session.timeout.ms", Broker: "group.consumer.session.timeout.ms", Type: Int, Default: "45000", min: 1, max: maxInt32,
		Doc: "After how long without a heartbeat a member of the consumer protocol is removed."},
}

// GroupKeys returns the table of group configs. The slice is shared.
func GroupKeys() []ConfigKey { return groupKeys }

// GroupKey returns the description of a group config, nil if there is none.
func GroupKey(name string) *ConfigKey { return find(groupKeys, name) }

func find(keys []ConfigKey, name string) *ConfigKey {
	i := slices.IndexFunc(keys, func(k ConfigKey) bool { return k.Name == name })
	if i < 0 {
		return nil
	}
	return &keys[i]
}

// CheckGroupConfigs returns what is wrong with the configs of a group, which
// must be within the broker's bounds; the error wraps ErrConfig.
func CheckGroupConfigs(set map[string]string, broker *BrokerConfig) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(set)) {
		k := GroupKey(name)
		if k == nil {
			errs = append(errs, fmt.Errorf("unknown group config %s: %w", name, ErrConfig))
			continue
		}
		errs = append(errs, k.Check(set[name]))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, suffix := range []string{"heartbeat.interval.ms", "session.timeout.ms"} {
		v, ok := set["consumer."+suffix]
		if !ok {
			continue
		}
		n := values(set).number("consumer." + suffix)
		low, high := broker.Int("group.consumer.min."+suffix), broker.Int("group.consumer.max."+suffix)
		if n < int64(low) || n > int64(high) {
			errs = append(errs, fmt.Errorf("consumer.%s is %s: must be from %d to %d (group.consumer.min.%s, group.consumer.max.%s): %w",
				suffix, v, low, high, suffix, suffix, ErrConfig))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if session, heartbeat := ConsumerTiming(set, broker); heartbeat > session {
		return fmt.Errorf("consumer.heartbeat.interval.ms is %d: must not be above consumer.session.timeout.ms, which is %d: %w", heartbeat.Milliseconds(), session.Milliseconds(), ErrConfig)
	}
	return nil
}

// ConsumerTiming returns the session timeout and the heartbeat interval of a
// group with these configs, which have been checked. Where the broker's bounds
// have become narrower since then they are kept.
func ConsumerTiming(set map[string]string, broker *BrokerConfig) (session, heartbeat time.Duration) {
	resolve := func(suffix string) time.Duration {
		v, source := groupValue("consumer."+suffix, set, broker)
		n := int(values{"v": v}.number("v"))
		if source == FromGroup {
			n = min(max(n, broker.Int("group.consumer.min."+suffix)), broker.Int("group.consumer.max."+suffix))
		}
		return time.Duration(n) * time.Millisecond
	}
	return resolve("session.timeout.ms"), resolve("heartbeat.interval.ms")
}

func groupValue(name string, set map[string]string, broker *BrokerConfig) (string, Source) {
	return Value(GroupKey(name), set, FromGroup, broker)
}
