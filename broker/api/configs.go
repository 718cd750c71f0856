package api

import (
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/metadata"
)

// groupResource is the resource type of groups, which kmsg has no name for.
const groupResource = kmsg.ConfigResourceType(metadata.GroupResource)

// configured is a resource whose configs are described or altered.
type configured struct {
	set      map[string]string // what was set on it
	keys     []metadata.ConfigKey
	own      metadata.Source                   // of what was set
	inherits bool                              // configs that were not set are those of the broker
	check    func(set map[string]string) error // of all that would be set
	alter    func(replace bool, set map[string]string, remove []string) metadata.Command
}

// configured finds a resource.
func (a *API) configured(kind kmsg.ConfigResourceType, name string) (*configured, error) {
	image := a.cfg.Controller.Image()
	switch kind {
	case kmsg.ConfigResourceTypeTopic:
		t := image.Topic(name)
		if t == nil {
			if err := metadata.CheckTopicName(name); err != nil {
				return nil, err
			}
			return nil, kerr.UnknownTopicOrPartition
		}
		return &configured{
			set: t.Configs, keys: metadata.TopicKeys(), own: metadata.FromTopic, inherits: true, check: metadata.CheckTopicConfigs,
			alter: func(replace bool, set map[string]string, remove []string) metadata.Command {
				return &metadata.AlterTopicConfigs{ID: t.ID, Replace: replace, Set: set, Remove: remove}
			},
		}, nil
	case kmsg.ConfigResourceTypeBroker:
		return a.configuredBroker(image, name)
	case groupResource:
		if name == "" {
			return nil, refuse(kerr.InvalidRequest, "group id must not be empty")
		}
		c := resource(image, metadata.GroupResource, name)
		c.keys, c.own, c.inherits = metadata.GroupKeys(), metadata.FromGroup, true
		c.check = func(set map[string]string) error { return metadata.CheckGroupConfigs(set, a.cfg.Broker) }
		return c, nil
	}
	return nil, refuse(kerr.InvalidRequest, fmt.Sprintf("resources of type %d have no configs here: topics (2), brokers (4) and groups (32) have", kind))
}

func resource(image *metadata.Image, kind metadata.ResourceType, name string) *configured {
	return &configured{
		set: image.ResourceConfigs(kind, name),
		alter: func(replace bool, set map[string]string, remove []string) metadata.Command {
			return &metadata.AlterConfigs{Type: kind, Name: name, Replace: replace, Set: set, Remove: remove}
		},
	}
}

// configuredBroker finds this broker, or all brokers, whose name is empty.
func (a *API) configuredBroker(image *metadata.Image, name string) (*configured, error) {
	c := resource(image, metadata.BrokerResource, name)
	c.keys, c.own, c.check = metadata.BrokerKeys(), metadata.FromAllBrokers, metadata.CheckDynamicConfigs
	if name == "" {
		return c, nil
	}
	id, err := strconv.ParseInt(name, 10, 32)
	if err != nil || int32(id) != a.cfg.NodeID || name != strconv.FormatInt(id, 10) {
		return nil, refuse(kerr.InvalidRequest, fmt.Sprintf("this is broker %d: ask broker %q itself", a.cfg.NodeID, name))
	}
	c.own, c.inherits = metadata.FromThisBroker, true
	return c, nil
}

// key returns the description of a config, nil if there is none.
func (c *configured) key(name string) *metadata.ConfigKey {
	for i := range c.keys {
		if c.keys[i].Name == name {
			return &c.keys[i]
		}
	}
	return nil
}

// settings returns where a config can get its value from, what counts first.
// It is empty for what all brokers have not been given.
func (c *configured) settings(k *metadata.ConfigKey, broker *metadata.BrokerConfig) []metadata.Setting {
	var out []metadata.Setting
	v, ok := c.set[k.Name]
	switch {
	case c.own == metadata.FromThisBroker:
		return broker.Settings(k.Name)
	case ok:
		out = append(out, metadata.Setting{Name: k.Name, Value: v, Source: c.own})
	}
	switch {
	case !c.inherits:
		return out
	case k.Broker != "":
		return append(out, broker.Settings(k.Broker)...)
	}
	return append(out, metadata.Setting{Name: k.Name, Value: k.Default, Source: metadata.FromDefault})
}
