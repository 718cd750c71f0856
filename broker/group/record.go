package group

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/group/consumer"
)

// Record is one record of __consumer_offsets. A nil Value is a tombstone.
type Record struct {
	Key   []byte
	Value []byte
}

// Key versions, which say what a record is.
const (
	offsetKeyV0 = 0
	offsetKeyV1 = 1
	metadataV2  = 2
	valueV3     = 3 // the newest version that is not flexible
)

func offsetKey(group string, tp TopicPartition) []byte {
	k := kmsg.OffsetCommitKey{Version: offsetKeyV1, Group: group, Topic: tp.Topic, Partition: tp.Partition}
	return k.AppendTo(nil)
}

// offsetRecord encodes a committed offset. An explicit expiry is written as
// v1, the only version that has one, which has no leader epoch.
func offsetRecord(group string, tp TopicPartition, c committed) Record {
	v := kmsg.NewOffsetCommitValue()
	v.Version, v.Offset, v.LeaderEpoch, v.Metadata = valueV3, c.offset, c.epoch, c.metadata
	v.CommitTimestamp = c.at.UnixMilli()
	if !c.expireAt.IsZero() {
		v.Version, v.ExpireTimestamp = 1, c.expireAt.UnixMilli()
	}
	return Record{offsetKey(group, tp), v.AppendTo(nil)}
}

func metadataKey(group string) []byte {
	k := kmsg.GroupMetadataKey{Version: metadataV2, Group: group}
	return k.AppendTo(nil)
}

// metadataRecord encodes the group with the assignments given, or those its
// members have.
func (g *Group) metadataRecord(given map[string][]byte) Record {
	v := kmsg.NewGroupMetadataValue()
	v.Version, v.ProtocolType, v.Generation = valueV3, g.protocolType, g.generation
	v.Protocol, v.Leader = optional(g.protocol), optional(g.leader)
	v.CurrentStateTimestamp = g.since.UnixMilli()
	for _, m := range g.each() {
		e := kmsg.NewGroupMetadataValueMember()
		e.MemberID, e.InstanceID, e.ClientID, e.ClientHost = m.id, optional(m.instance), m.clientID, m.clientHost
		e.RebalanceTimeoutMillis = int32(m.rebalance.Milliseconds())
		e.SessionTimeoutMillis = int32(m.session.Milliseconds())
		e.Subscription, e.Assignment = m.metadata(g.protocol), m.assignment
		if given != nil {
			e.Assignment = given[m.id]
		}
		v.Members = append(v.Members, e)
	}
	return Record{metadataKey(g.id), v.AppendTo(nil)}
}

// maxString is the longest string that keys, and the values that are written
// here, can hold: its length has 16 bits.
const maxString = 1<<15 - 1

// storable reports whether everything that is kept of a member can be written.
// Member ids are made of a client or instance id and a UUID.
func (r *JoinRequest) storable() bool {
	const most = maxString - len("-00000000-0000-4000-8000-000000000000")
	ok := len(r.ClientID) <= most && len(r.InstanceID) <= most && len(r.MemberID) <= maxString && len(r.ProtocolType) <= maxString
	for _, p := range r.Protocols {
		ok = ok && len(p.Name) <= maxString
	}
	return ok
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func required(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// decoded is one record of the kinds that a group has.
type decoded struct {
	group  string
	tp     TopicPartition
	offset *kmsg.OffsetCommitValue // nil for a tombstone, or for metadata
	meta   *kmsg.GroupMetadataValue
	isMeta bool
	member *consumer.Decoded // of the consumer protocol; nothing else is set then
}

var errRecord = errors.New("malformed record")

// decodeRecord returns false for records of other kinds, which other versions
// and protocols write to the same topic, and which are skipped.
func decodeRecord(r Record) (d decoded, ok bool, err error) {
	if len(r.Key) < 2 {
		return d, false, fmt.Errorf("key of %d bytes: %w", len(r.Key), errRecord)
	}
	switch int16(binary.BigEndian.Uint16(r.Key)) {
	case offsetKeyV0, offsetKeyV1:
		return decodeOffset(r)
	case metadataV2:
		return decodeMetadata(r)
	}
	if !consumer.Mine(r.Key) {
		return d, false, nil
	}
	m, err := consumer.Decode(consumer.Record(r))
	if err != nil {
		return d, false, fmt.Errorf("%v: %w", err, errRecord)
	}
	return decoded{group: m.Group, member: &m}, true, nil
}

func decodeOffset(r Record) (d decoded, ok bool, err error) {
	var k kmsg.OffsetCommitKey
	if err := k.ReadFrom(r.Key); err != nil {
		return d, false, fmt.Errorf("offset commit key: %v: %w", err, errRecord)
	}
	d.group, d.tp = k.Group, TopicPartition{k.Topic, k.Partition}
	if r.Value == nil {
		return d, true, nil
	}
	if err := checkValue(r.Value, 4); err != nil {
		return d, false, fmt.Errorf("offset commit of group %q: %w", k.Group, err)
	}
	d.offset = new(kmsg.OffsetCommitValue)
	if err := d.offset.ReadFrom(r.Value); err != nil {
		return d, false, fmt.Errorf("offset commit of group %q: %v: %w", k.Group, err, errRecord)
	}
	return d, true, nil
}

func decodeMetadata(r Record) (d decoded, ok bool, err error) {
	var k kmsg.GroupMetadataKey
	if err := k.ReadFrom(r.Key); err != nil {
		return d, false, fmt.Errorf("group metadata key: %v: %w", err, errRecord)
	}
	d.group, d.isMeta = k.Group, true
	if r.Value == nil {
		return d, true, nil
	}
	if err := checkValue(r.Value, 4); err != nil {
		return d, false, fmt.Errorf("metadata of group %q: %w", k.Group, err)
	}
	d.meta = new(kmsg.GroupMetadataValue)
	if err := d.meta.ReadFrom(r.Value); err != nil {
		return d, false, fmt.Errorf("metadata of group %q: %v: %w", k.Group, err, errRecord)
	}
	return d, true, nil
}

// checkValue refuses versions of a value that kmsg would misread.
func checkValue(b []byte, newest int16) error {
	if len(b) < 2 {
		return fmt.Errorf("value of %d bytes: %w", len(b), errRecord)
	}
	if v := int16(binary.BigEndian.Uint16(b)); v < 0 || v > newest {
		return fmt.Errorf("value version %d, must be at most %d: %w", v, newest, errRecord)
	}
	return nil
}

// storeError is what a client hears when an append failed.
func storeError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kerr.NotLeaderForPartition), errors.Is(err, kerr.KafkaStorageError):
		return kerr.NotCoordinator
	case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.NotEnoughReplicas),
		errors.Is(err, kerr.NotEnoughReplicasAfterAppend), errors.Is(err, kerr.RequestTimedOut):
		return kerr.CoordinatorNotAvailable
	case errors.Is(err, kerr.NotCoordinator):
		return kerr.NotCoordinator
	}
	return kerr.UnknownServerError
}

// commitError is storeError for offsets, where too large has a code.
func commitError(err error) error {
	switch {
	case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.RecordListTooLarge):
		return kerr.InvalidCommitOffsetSize
	case errors.Is(err, kerr.InvalidProducerEpoch), errors.Is(err, kerr.InvalidTxnState):
		return err // of the producer's transaction
	}
	return storeError(err)
}

// restore takes a loaded metadata record as the group's state. Sessions begin
// afresh.
func (g *Group) restore(now time.Time, v *kmsg.GroupMetadataValue) {
	*g = Group{
		id: g.id, cfg: g.cfg, log: g.log, offsets: g.offsets, appends: g.appends, txns: g.txns,
		protocolType: v.ProtocolType, protocol: required(v.Protocol),
		generation: v.Generation, leader: required(v.Leader), since: now,
		members: make(map[string]*member), static: make(map[string]string),
		pending: make(map[string]time.Time), unsynced: make(map[string]bool),
	}
	if v.CurrentStateTimestamp >= 0 {
		g.since = time.UnixMilli(v.CurrentStateTimestamp)
	}
	for i := range v.Members {
		e := &v.Members[i]
		session := time.Duration(e.SessionTimeoutMillis) * time.Millisecond
		rebalance := time.Duration(e.RebalanceTimeoutMillis) * time.Millisecond
		if rebalance <= 0 {
			rebalance = session
		}
		m := &member{
			id: e.MemberID, instance: required(e.InstanceID), clientID: e.ClientID, clientHost: e.ClientHost,
			session: session, rebalance: rebalance, assignment: e.Assignment,
			protocols: []Protocol{{g.protocol, e.Subscription}},
		}
		if g.members[m.id] != nil {
			continue
		}
		m.touch(now)
		g.add(m, g.protocolType)
		g.state = Stable
	}
}

// restoreOffset takes a loaded offset as committed.
func (g *Group) restoreOffset(tp TopicPartition, v *kmsg.OffsetCommitValue) {
	g.appends++
	g.offsets[tp] = restoredOffset(v, g.appends)
}

func restoredOffset(v *kmsg.OffsetCommitValue, at int64) committed {
	c := committed{offset: v.Offset, epoch: -1, metadata: v.Metadata, at: time.UnixMilli(v.CommitTimestamp), append: at}
	if v.Version >= valueV3 {
		c.epoch = v.LeaderEpoch
	}
	if v.Version == 1 && v.ExpireTimestamp >= 0 {
		c.expireAt = time.UnixMilli(v.ExpireTimestamp)
	}
	return c
}
