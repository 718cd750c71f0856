package metadata

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
)

// ResourceType is what has configs besides topics, numbered as in
// DescribeConfigs.
type ResourceType byte

// The types in use.
const (
	BrokerResource ResourceType = 4  // by node id; "" is the default of all brokers
	GroupResource  ResourceType = 32 // by group id
)

// Resource is a resource with configs of its own. It is immutable.
type Resource struct {
	Type    ResourceType
	Name    string
	Configs map[string]string // not empty
}

func resourceKey(t ResourceType, name string) string { return string([]byte{byte(t)}) + name }

// ResourceConfigs returns what was set on a resource. The map is the image's
// own.
func (m *Image) ResourceConfigs(t ResourceType, name string) map[string]string {
	if r := m.resources.get(resourceKey(t, name)); r != nil {
		return r.Configs
	}
	return nil
}

// Resources returns the resources of a type that have configs, by name.
func (m *Image) Resources(t ResourceType) []*Resource {
	var out []*Resource
	for r := range m.resources.values() {
		if r.Type == t {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b *Resource) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// AlterConfigs sets and removes configs of a resource other than a topic. With
// Replace its other configs go. It has no result.
type AlterConfigs struct {
	Type    ResourceType
	Name    string
	Replace bool
	Set     map[string]string
	Remove  []string
}

func (*AlterConfigs) kind() byte { return kindAlterConfigs }

func (c *AlterConfigs) appendTo(b []byte) []byte {
	b = appendString(append(b, byte(c.Type)), c.Name)
	return appendChanges(b, c.Replace, c.Set, c.Remove)
}

func (c *AlterConfigs) readFrom(d *decoder) {
	c.Type, c.Name = ResourceType(d.byte()), d.string()
	c.Replace, c.Set, c.Remove = readChanges(d)
}

func (c *AlterConfigs) apply(m *Image, _ uint64) (any, error) {
	if c.Type != BrokerResource && c.Type != GroupResource {
		return nil, fmt.Errorf("resource type %d: %w", c.Type, ErrConfig)
	}
	key := resourceKey(c.Type, c.Name)
	next := &Resource{Type: c.Type, Name: c.Name, Configs: changed(m.ResourceConfigs(c.Type, c.Name), c.Replace, c.Set, c.Remove)}
	if len(next.Configs) == 0 {
		m.resources = m.resources.without(key)
	} else {
		m.resources = m.resources.with(key, next)
	}
	return nil, nil
}

// changed returns what configs become.
func changed(have map[string]string, replace bool, set map[string]string, remove []string) map[string]string {
	out := make(map[string]string, len(have)+len(set))
	if !replace {
		maps.Copy(out, have)
	}
	for _, k := range remove {
		delete(out, k)
	}
	maps.Copy(out, set)
	return out
}

func appendChanges(b []byte, replace bool, set map[string]string, remove []string) []byte {
	b = append(b, boolByte(replace))
	b = appendStringMap(b, set)
	b = binary.AppendUvarint(b, uint64(len(remove)))
	for _, k := range remove {
		b = appendString(b, k)
	}
	return b
}

func readChanges(d *decoder) (replace bool, set map[string]string, remove []string) {
	replace, set = d.bool(), d.stringMap()
	for range d.count() {
		remove = append(remove, d.string())
	}
	return replace, set, remove
}

func (m *Image) sortedResources() []*Resource {
	return slices.SortedFunc(m.resources.values(), func(a, b *Resource) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name))
	})
}
