package metadata

import "encoding/binary"

// CreateTopic creates a topic with an id that no topic has had, on replicas
// that Place or the user chose. It has no result.
type CreateTopic struct {
	ID       ID
	Name     string
	Replicas [][]int32 // by partition id; the first replica leads
	Configs  map[string]string
}

func (*CreateTopic) kind() byte { return kindCreateTopic }

func (c *CreateTopic) appendTo(b []byte) []byte {
	b = append(b, c.ID[:]...)
	b = appendString(b, c.Name)
	b = appendAssignment(b, c.Replicas)
	return appendStringMap(b, c.Configs)
}

func (c *CreateTopic) readFrom(d *decoder) {
	c.ID, c.Name = d.id(), d.string()
	c.Replicas, c.Configs = readAssignment(d), d.stringMap()
}

// DeleteTopic removes the topic with that id. It has no result.
type DeleteTopic struct{ ID ID }

func (*DeleteTopic) kind() byte { return kindDeleteTopic }

func (c *DeleteTopic) appendTo(b []byte) []byte { return append(b, c.ID[:]...) }

func (c *DeleteTopic) readFrom(d *decoder) { c.ID = d.id() }

// CreatePartitions adds partitions behind those that the topic has. From is
// how many there were when the replicas were placed; the command is refused if
// that has changed. It has no result.
type CreatePartitions struct {
	ID       ID
	From     int32
	Replicas [][]int32 // of the new partitions
}

func (*CreatePartitions) kind() byte { return kindCreatePartitions }

func (c *CreatePartitions) appendTo(b []byte) []byte {
	b = append(b, c.ID[:]...)
	b = binary.AppendVarint(b, int64(c.From))
	return appendAssignment(b, c.Replicas)
}

func (c *CreatePartitions) readFrom(d *decoder) {
	c.ID, c.From, c.Replicas = d.id(), d.int32(), readAssignment(d)
}

// AlterTopicConfigs sets and removes configs of a topic. With Replace the
// topic's other configs go back to their defaults (the old AlterConfigs); else
// they stay. It has no result.
type AlterTopicConfigs struct {
	ID      ID
	Replace bool
	Set     map[string]string
	Remove  []string
}

func (*AlterTopicConfigs) kind() byte { return kindAlterTopicConfigs }

func (c *AlterTopicConfigs) appendTo(b []byte) []byte {
	b = append(b, c.ID[:]...)
	return appendChanges(b, c.Replace, c.Set, c.Remove)
}

func (c *AlterTopicConfigs) readFrom(d *decoder) {
	c.ID = d.id()
	c.Replace, c.Set, c.Remove = readChanges(d)
}

func appendAssignment(b []byte, replicas [][]int32) []byte {
	b = binary.AppendUvarint(b, uint64(len(replicas)))
	for _, r := range replicas {
		b = appendInt32s(b, r)
	}
	return b
}

func readAssignment(d *decoder) [][]int32 {
	n := d.count()
	var out [][]int32
	for range n {
		if d.err != nil {
			return nil
		}
		out = append(out, d.int32s())
	}
	return out
}
