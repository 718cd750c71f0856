package group

import "time"

// Protocol is one assignment strategy that a member offers, with its metadata.
type Protocol struct {
	Name     string
	Metadata []byte
}

// JoinRequest is JoinGroup.
type JoinRequest struct {
	Group            string
	MemberID         string // "" for a new member
	InstanceID       string // group.instance.id, "" for a dynamic member
	ClientID         string
	ClientHost       string
	ProtocolType     string // "consumer", "connect", ...
	Protocols        []Protocol
	SessionTimeout   time.Duration
	RebalanceTimeout time.Duration // the session timeout for v0
	RequireMemberID  bool          // v4+: a new dynamic member first learns its id (KIP-394)
	SkipAssignment   bool          // v9+: the leader understands skip_assignment (KIP-814)
}

// JoinResult answers JoinGroup.
type JoinResult struct {
	Err            error // nil or a *kerr.Error
	Generation     int32
	ProtocolType   string
	Protocol       string
	Leader         string
	MemberID       string
	SkipAssignment bool
	Members        []JoinMember // the leader's only
}

// JoinMember is one member as the leader sees it.
type JoinMember struct {
	MemberID   string
	InstanceID string
	Metadata   []byte
}

// SyncRequest is SyncGroup.
type SyncRequest struct {
	Group        string
	MemberID     string
	InstanceID   string
	Generation   int32
	ProtocolType string            // v5+, "" not to check
	Protocol     string            // v5+, "" not to check
	Assignments  map[string][]byte // by member id, the leader's only
}

// SyncResult answers SyncGroup.
type SyncResult struct {
	Err          error
	ProtocolType string
	Protocol     string
	Assignment   []byte
}

// HeartbeatRequest is Heartbeat.
type HeartbeatRequest struct {
	Group      string
	MemberID   string
	InstanceID string
	Generation int32
}

// LeaveRequest is LeaveGroup.
type LeaveRequest struct {
	Group   string
	Members []LeaveMember
}

// LeaveMember is who leaves: a member id, or "" and an instance id.
type LeaveMember struct {
	MemberID   string
	InstanceID string
}

// TopicPartition names a partition.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// CommitRequest is OffsetCommit.
type CommitRequest struct {
	Group           string
	MemberID        string
	InstanceID      string
	Generation      int32 // -1 outside a group
	Offsets         []OffsetToCommit
	GroupIDNotFound bool // v9+: an unknown group is GROUP_ID_NOT_FOUND, not ILLEGAL_GENERATION
}

// OffsetToCommit is one partition of a CommitRequest.
type OffsetToCommit struct {
	TopicPartition
	Offset      int64
	LeaderEpoch int32 // -1 for none
	Metadata    string
	ExpireAt    time.Time // v1's explicit expiry; zero for the broker's retention
}

// CommittedOffset is what OffsetFetch returns of one partition: offset -1,
// leader epoch -1 and no metadata if there is none.
type CommittedOffset struct {
	TopicPartition
	Offset      int64
	LeaderEpoch int32
	Metadata    string
	Unstable    bool // a transaction that is not decided has another for it
}

// Description is what DescribeGroups returns.
type Description struct {
	Group        string
	State        State
	ProtocolType string
	Protocol     string // "" unless Stable
	Members      []MemberDescription
}

// MemberDescription is one member of a Description. Metadata and Assignment
// are nil unless the group is Stable.
type MemberDescription struct {
	MemberID   string
	InstanceID string
	ClientID   string
	ClientHost string
	Metadata   []byte
	Assignment []byte
}

// Listing is one group of ListGroups.
type Listing struct {
	Group        string
	ProtocolType string
	State        string // of a State or a consumer.State
	Type         string // "classic" or "consumer"
}
