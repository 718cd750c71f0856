package metadata

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// snapshotVersion is the first byte of a snapshot. Version 1 ends with the
// topics.
const snapshotVersion = 2

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Snapshot returns the whole image in the layout of
// docs/format/metadata-command.md. Equal images give equal bytes.
func (m *Image) Snapshot() []byte {
	b := []byte{snapshotVersion}
	b = binary.AppendUvarint(b, m.Index)
	b = binary.AppendVarint(b, m.NextProducerID)
	b = binary.AppendUvarint(b, uint64(len(m.brokers)))
	for _, br := range m.brokers {
		b = binary.AppendVarint(b, br.Epoch)
		b = appendBroker(b, br)
	}
	topics := m.sortedTopics()
	b = binary.AppendUvarint(b, uint64(len(topics)))
	for _, t := range topics {
		b = append(b, t.ID[:]...)
		b = appendString(b, t.Name)
		b = appendStringMap(b, t.Configs)
		b = binary.AppendUvarint(b, uint64(len(t.Partitions)))
		for i := range t.Partitions {
			b = appendPartition(b, &t.Partitions[i])
		}
	}
	resources := m.sortedResources()
	b = binary.AppendUvarint(b, uint64(len(resources)))
	for _, r := range resources {
		b = appendStringMap(appendString(append(b, byte(r.Type)), r.Name), r.Configs)
	}
	quotas := m.Quotas()
	b = binary.AppendUvarint(b, uint64(len(quotas)))
	for _, q := range quotas {
		b = appendLimits(appendEntity(b, &q.Entity), q.Limits)
	}
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func appendPartition(b []byte, p *Partition) []byte {
	b = appendInt32s(b, p.Replicas)
	b = appendInt32s(b, p.ISR)
	b = binary.AppendVarint(b, int64(p.Leader))
	b = binary.AppendVarint(b, int64(p.LeaderEpoch))
	return binary.AppendVarint(b, int64(p.Epoch))
}

// Restore returns the image that Snapshot wrote. The error wraps ErrDecode.
func Restore(b []byte) (*Image, error) {
	if len(b) < 5 {
		return nil, fmt.Errorf("snapshot of %d bytes: %w", len(b), ErrDecode)
	}
	body := b[:len(b)-4]
	if got, want := crc32.Checksum(body, castagnoli), binary.BigEndian.Uint32(b[len(body):]); got != want {
		return nil, fmt.Errorf("snapshot checksum is %08x, file says %08x: %w", got, want, ErrDecode)
	}
	d := &decoder{b: body}
	version := d.byte()
	if version < 1 || version > snapshotVersion {
		return nil, fmt.Errorf("snapshot version %d, this program knows 1 to %d: %w", version, snapshotVersion, ErrDecode)
	}
	m := &Image{Index: d.uvarint(), NextProducerID: d.varint()}
	for range d.count() {
		epoch := d.varint()
		br := readBroker(d)
		br.Epoch = epoch
		m.brokers = append(m.brokers, &br)
	}
	for range d.count() {
		if d.err != nil {
			break
		}
		m.put(readTopic(d))
	}
	if version >= 2 {
		m.readResources(d)
	}
	if err := d.done(); err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	return m, nil
}

func (m *Image) readResources(d *decoder) {
	for range d.count() {
		r := &Resource{Type: ResourceType(d.byte()), Name: d.string(), Configs: d.stringMap()}
		m.resources = m.resources.with(resourceKey(r.Type, r.Name), r)
	}
	for range d.count() {
		q := &Quota{Entity: readEntity(d), Limits: readLimits(d)}
		m.quotas = m.quotas.with(q.Entity.key(), q)
	}
}

func readTopic(d *decoder) *Topic {
	t := &Topic{ID: d.id(), Name: d.string(), Configs: d.stringMap()}
	for range d.count() {
		if d.err != nil {
			break
		}
		t.Partitions = append(t.Partitions, Partition{
			Replicas: d.int32s(), ISR: d.int32s(), Leader: d.int32(), LeaderEpoch: d.int32(), Epoch: d.int32(),
		})
	}
	return t
}
