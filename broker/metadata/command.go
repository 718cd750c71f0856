package metadata

import (
	"encoding/binary"
	"fmt"
)

// Command is one change of the metadata. The types of this package that are
// commands say what Apply does with them; all inputs from clocks, random
// sources and configuration are in their fields.
type Command interface {
	kind() byte
	appendTo(b []byte) []byte
	readFrom(d *decoder)
	apply(m *Image, index uint64) (any, error)
}

// commandVersion is the first byte of every command.
const commandVersion = 1

// Kinds of command, the second byte. A number is never used again.
const (
	kindRegisterBroker      = 1
	kindCreateTopic         = 2
	kindDeleteTopic         = 3
	kindCreatePartitions    = 4
	kindAlterTopicConfigs   = 5
	kindAllocateProducerIDs = 6
	kindAlterConfigs        = 7
	kindAlterQuota          = 8
)

// newCommand makes an empty command of a kind.
func newCommand(kind byte) Command {
	switch kind {
	case kindRegisterBroker:
		return new(RegisterBroker)
	case kindCreateTopic:
		return new(CreateTopic)
	case kindDeleteTopic:
		return new(DeleteTopic)
	case kindCreatePartitions:
		return new(CreatePartitions)
	case kindAlterTopicConfigs:
		return new(AlterTopicConfigs)
	case kindAllocateProducerIDs:
		return new(AllocateProducerIDs)
	case kindAlterConfigs:
		return new(AlterConfigs)
	case kindAlterQuota:
		return new(AlterQuota)
	}
	return nil
}

// Encode returns c as it is stored in the metadata log.
func Encode(c Command) []byte {
	return c.appendTo([]byte{commandVersion, c.kind()})
}

// Decode reads a command that Encode wrote. The error wraps ErrDecode.
func Decode(b []byte) (Command, error) {
	d := &decoder{b: b}
	if v := d.byte(); v != commandVersion && d.err == nil {
		return nil, fmt.Errorf("command version %d, this program knows %d: %w", v, commandVersion, ErrDecode)
	}
	k := d.byte()
	c := newCommand(k)
	if c == nil {
		return nil, fmt.Errorf("command kind %d is unknown to this program: %w", k, ErrDecode)
	}
	c.readFrom(d)
	if err := d.done(); err != nil {
		return nil, fmt.Errorf("command kind %d: %w", k, err)
	}
	return c, nil
}

// Apply returns the image after c, which is the log entry of that index, and
// c's result. A refused command gives an error that is the same on every node
// and an image that differs from m only in its index. Apply never changes m.
func (m *Image) Apply(index uint64, c Command) (*Image, any, error) {
	next := *m
	result, err := c.apply(&next, index)
	if err != nil {
		next = *m
	}
	next.Index = index
	return &next, result, err
}

// RegisterBroker makes a broker known under a new incarnation, with where its
// clients reach it. Its result is the broker's epoch, an int64. A broker that
// did not stop cleanly may have lost the end of its logs, so the partitions it
// leads get a new leader epoch: what is written from now on can be told from
// what was lost.
type RegisterBroker struct {
	Broker  Broker // Epoch is ignored
	Unclean bool
}

func (*RegisterBroker) kind() byte { return kindRegisterBroker }

func (c *RegisterBroker) appendTo(b []byte) []byte {
	b = appendBroker(b, &c.Broker)
	return append(b, boolByte(c.Unclean))
}

func (c *RegisterBroker) readFrom(d *decoder) {
	c.Broker = readBroker(d)
	c.Unclean = d.bool()
}

// AllocateProducerIDs hands out Count producer ids in one block. Its result is
// the first of them, an int64.
type AllocateProducerIDs struct{ Count int64 }

func (*AllocateProducerIDs) kind() byte { return kindAllocateProducerIDs }

func (c *AllocateProducerIDs) appendTo(b []byte) []byte { return binary.AppendVarint(b, c.Count) }

func (c *AllocateProducerIDs) readFrom(d *decoder) { c.Count = d.varint() }

func boolByte(v bool) byte {
	if v {
		return 1
	}
	return 0
}

func (d *decoder) bool() bool {
	v := d.byte()
	if v > 1 {
		d.fail("flag is neither 0 nor 1")
	}
	return v == 1
}

func appendBroker(b []byte, br *Broker) []byte {
	b = binary.AppendVarint(b, int64(br.ID))
	b = append(b, br.Incarnation[:]...)
	b = appendString(b, br.Rack)
	b = binary.AppendUvarint(b, uint64(len(br.Endpoints)))
	for _, e := range br.Endpoints {
		b = appendString(appendString(b, e.Listener), e.Host)
		b = binary.AppendVarint(b, int64(e.Port))
	}
	return b
}

func readBroker(d *decoder) Broker {
	br := Broker{ID: d.int32(), Incarnation: d.id(), Rack: d.string()}
	n := d.count()
	for range n {
		if d.err != nil {
			break
		}
		br.Endpoints = append(br.Endpoints, Endpoint{Listener: d.string(), Host: d.string(), Port: d.int32()})
	}
	return br
}
