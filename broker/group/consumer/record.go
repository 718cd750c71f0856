package consumer

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
)

// Record is one record of __consumer_offsets. A nil Value is a tombstone.
type Record struct {
	Key   []byte
	Value []byte
}

// Kinds of record: the version of the key. Values are version 0, and flexible
// (KIP-482). In the order of Kafka's schemas:
//
//	3 group           epoch i32
//	4 group           topics [ id uuid, name string, partitions i32,
//	                  racks [ partition i32, racks [string] ] ]
//	5 group, member   instance string?, rack string?, client id string,
//	                  client host string, names [string], regex string?,
//	                  rebalance timeout i32 ms, assignor string?,
//	                  tag 0: what the classic protocol needs
//	6 group           target epoch i32
//	7 group, member   topics [ id uuid, partitions [i32] ]
//	8 group, member   epoch i32, previous epoch i32, state i8,
//	                  assigned [ id, [i32] ], revoking [ id, [i32] ]
const (
	kindEpoch       = 3
	kindTopics      = 4
	kindMember      = 5
	kindTargetEpoch = 6
	kindTarget      = 7
	kindCurrent     = 8
)

// change is a record that is understood, and all that can happen to a group.
// value is nil for a tombstone, and else an int32, a map[string]Topic, a
// *membership, an Assignment or a *current, by kind.
type change struct {
	kind   int16
	member string
	value  any
}

// Mine reports whether a record is one of this package's, by its key.
func Mine(key []byte) bool {
	if len(key) < 2 {
		return false
	}
	k := int16(binary.BigEndian.Uint16(key))
	return k >= kindEpoch && k <= kindCurrent
}

// encode returns the record of a change.
func (c change) encode(group string) Record {
	key := binary.BigEndian.AppendUint16(nil, uint16(c.kind))
	key = kbin.AppendString(key, group)
	if c.perMember() {
		key = kbin.AppendString(key, c.member)
	}
	if c.value == nil {
		return Record{Key: key}
	}
	b := binary.BigEndian.AppendUint16(nil, 0)
	switch v := c.value.(type) {
	case int32:
		b = kbin.AppendInt32(b, v)
	case map[string]Topic:
		b = appendTopics(b, v)
	case *membership:
		b = appendMembership(b, v)
	case Assignment:
		b = appendAssignment(b, v)
	case *current:
		b = kbin.AppendInt32(kbin.AppendInt32(b, v.epoch), v.previous)
		b = append(b, byte(v.state))
		b = appendAssignment(appendAssignment(b, v.assigned), v.revoking)
	}
	return Record{Key: key, Value: append(b, 0)} // no tagged fields
}

func (c change) perMember() bool {
	return c.kind == kindMember || c.kind == kindTarget || c.kind == kindCurrent
}

func appendTopics(b []byte, topics map[string]Topic) []byte {
	b = kbin.AppendCompactArrayLen(b, len(topics))
	for _, name := range slices.Sorted(maps.Keys(topics)) {
		t := topics[name]
		b = kbin.AppendCompactString(append(b, t.ID[:]...), name)
		b = kbin.AppendInt32(b, t.Partitions)
		b = kbin.AppendCompactArrayLen(b, 0) // racks are not looked at
		b = append(b, 0)
	}
	return b
}

func appendMembership(b []byte, m *membership) []byte {
	b = appendOptional(appendOptional(b, m.instance), m.rack)
	b = kbin.AppendCompactString(kbin.AppendCompactString(b, m.clientID), m.clientHost)
	b = kbin.AppendCompactArrayLen(b, len(m.names))
	for _, n := range m.names {
		b = kbin.AppendCompactString(b, n)
	}
	b = appendOptional(b, m.regex)
	b = kbin.AppendInt32(b, int32(m.rebalance.Milliseconds()))
	return appendOptional(b, m.assignor)
}

func appendOptional(b []byte, s string) []byte {
	if s == "" {
		return kbin.AppendCompactNullableString(b, nil)
	}
	return kbin.AppendCompactString(b, s)
}

func appendAssignment(b []byte, a Assignment) []byte {
	b = kbin.AppendCompactArrayLen(b, len(a))
	for _, t := range a.Topics() {
		b = append(b, t[:]...)
		b = kbin.AppendCompactArrayLen(b, len(a[t]))
		for _, p := range a[t] {
			b = kbin.AppendInt32(b, p)
		}
		b = append(b, 0)
	}
	return b
}

// Decoded is a record that Decode has understood, for Replay.
type Decoded struct {
	Group  string
	change change
}

// Decode reads a record for which Mine is true. Fields of later versions that
// are tagged are skipped; the error is for bytes that are no such record.
func Decode(r Record) (Decoded, error) {
	k := kbin.Reader{Src: r.Key}
	d := Decoded{change: change{kind: k.Int16()}}
	d.Group = k.String()
	if d.change.perMember() {
		d.change.member = k.String()
	}
	if err := k.Complete(); err != nil {
		return d, fmt.Errorf("key of kind %d: %v: %w", d.change.kind, err, errRecord)
	}
	if r.Value == nil {
		return d, nil
	}
	v := valueReader{kbin.Reader{Src: r.Value}}
	if version := v.Int16(); version != 0 {
		return d, fmt.Errorf("group %q: value of kind %d has version %d, must be 0: %w", d.Group, d.change.kind, version, errRecord)
	}
	switch d.change.kind {
	case kindEpoch, kindTargetEpoch:
		d.change.value = v.Int32()
	case kindTopics:
		d.change.value = v.topics()
	case kindMember:
		d.change.value = v.membership()
	case kindTarget:
		d.change.value = v.assignment()
	case kindCurrent:
		c := &current{epoch: v.Int32(), previous: v.Int32(), state: progress(v.Int8())}
		c.assigned, c.revoking = v.assignment(), v.assignment()
		d.change.value = c
	}
	v.tags()
	if err := v.Complete(); err != nil {
		return d, fmt.Errorf("group %q: value of kind %d: %v: %w", d.Group, d.change.kind, err, errRecord)
	}
	return d, nil
}

// valueReader reads what the values are made of.
type valueReader struct{ kbin.Reader }

// count reads a number of elements of at least so many bytes each.
func (v *valueReader) count(size int) int {
	n := v.CompactArrayLen()
	if int(n) > len(v.Src)/size {
		v.Src = nil // fails the reader with the next read
		v.Int64()
		return 0
	}
	return int(max(n, 0))
}

func (v *valueReader) optional() string {
	if s := v.CompactNullableString(); s != nil {
		return *s
	}
	return ""
}

// tags skips tagged fields.
func (v *valueReader) tags() {
	for n := v.Uvarint(); n > 0 && v.Ok(); n-- {
		v.Uvarint()
		v.Span(int(min(v.Uvarint(), uint32(len(v.Src)+1))))
	}
}

func (v *valueReader) topics() map[string]Topic {
	n := v.count(16 + 1 + 4 + 1 + 1)
	out := make(map[string]Topic, n)
	for range n {
		id := TopicID(v.Uuid())
		name := v.CompactString()
		out[name] = Topic{ID: id, Partitions: v.Int32()}
		for range v.count(4 + 1 + 1) {
			v.Int32()
			for range v.count(1) {
				v.CompactString()
			}
			v.tags()
		}
		v.tags()
	}
	return out
}

func (v *valueReader) membership() *membership {
	m := &membership{instance: v.optional(), rack: v.optional(), clientID: v.CompactString(), clientHost: v.CompactString()}
	for range v.count(1) {
		m.names = append(m.names, v.CompactString())
	}
	m.regex = v.optional()
	m.rebalance = time.Duration(v.Int32()) * time.Millisecond
	m.assignor = v.optional()
	return m
}

func (v *valueReader) assignment() Assignment {
	n := v.count(16 + 1 + 1)
	out := make(Assignment, n)
	for range n {
		id := TopicID(v.Uuid())
		var ps []int32
		for range v.count(4) {
			ps = append(ps, v.Int32())
		}
		v.tags()
		if len(ps) > 0 {
			slices.Sort(ps)
			out[id] = slices.Compact(ps)
		}
	}
	return out
}
