// Package consumer is the consumer group protocol of KIP-848 for one group, as
// a pure state machine: the broker assigns partitions, and moves each from one
// member to the next only once the first has confirmed that it let go of it.
//
// A Group's state is what its records of __consumer_offsets add up to. An event
// changes the state at once and returns the records that say so as a Change;
// its result holds once those are durable. If they cannot be stored, Undo takes
// the event back. The caller must not give a group another event before it has
// done one or the other. Replay builds a group from the same records.
//
// Errors are kerr values. Slices and strings given to a group must not change
// afterwards. A Group is not safe for concurrent use.
package consumer

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace/millrace/broker/group/assignor"
)

// TopicID names a topic.
type TopicID = assignor.TopicID

// Assignment is partitions by topic.
type Assignment = assignor.Assignment

// Topic is a topic that exists.
type Topic struct {
	ID         TopicID
	Partitions int32
}

// Topics is the cluster's topics at one moment.
type Topics interface {
	// Version grows whenever topics are created, deleted or get partitions. It
	// is not 0.
	Version() uint64
	// Topic finds a topic by name.
	Topic(name string) (Topic, bool)
	// Names iterates over all topics.
	Names() iter.Seq[string]
	// Name finds the name of a topic.
	Name(id TopicID) (string, bool)
}

// Timing is what a group's members are told and held to.
type Timing struct {
	Session   time.Duration // after which a silent member is removed
	Heartbeat time.Duration // between a member's heartbeats
}

// Config is what all groups have in common. All fields are required.
type Config struct {
	MaxSize   int                       // members of a group
	Assignors []string                  // names, the default first
	Timing    func(group string) Timing // of a group, at this moment
	NewID     func() string             // of a member that has none
}

// State is where a group is in its life.
type State int8

// The states of a group.
const (
	Empty       State = iota // no members; may have offsets
	Assigning                // the target assignment is to be made
	Reconciling              // members are on their way to the target assignment
	Stable                   // every member has what it should have
)

var stateNames = [...]string{"Empty", "Assigning", "Reconciling", "Stable"}

// String returns the name that ConsumerGroupDescribe shows.
func (s State) String() string {
	if s < 0 || int(s) >= len(stateNames) {
		return fmt.Sprintf("State(%d)", int8(s))
	}
	return stateNames[s]
}

var errRecord = errors.New("malformed record")

// partition names a partition.
type partition struct {
	topic TopicID
	id    int32
}

// owner is a member that has a partition.
type owner struct {
	member string
	since  int32 // its epoch when it got it; after a load, that of the load
}

// progress is where a member is on its way to its target.
type progress int8

// The states of a member, numbered as in its record.
const (
	stable     progress = 0 // has its target
	unrevoked  progress = 1 // is to confirm that it let go of partitions
	unreleased progress = 2 // waits for partitions that others still have
)

// membership is what a member said of itself. It is immutable.
type membership struct {
	instance, rack       string
	clientID, clientHost string
	names                []string // subscribed topics
	regex                string   // subscribed pattern, "" for none
	rebalance            time.Duration
	assignor             string // "" for no preference
}

// current is what a member owns. It is immutable.
type current struct {
	epoch, previous int32
	state           progress
	assigned        Assignment
	revoking        Assignment // no longer to be used, not yet confirmed
}

// timers are a member's deadlines. They are not stored.
type timers struct {
	session time.Time
	revoke  time.Time // zero unless unrevoked
}

// Group is one group.
type Group struct {
	id  string
	cfg *Config

	epoch       int32 // grows with every change of members, subscriptions or their topics
	targetEpoch int32 // the epoch that the targets are for
	topics      map[string]Topic
	members     map[string]*membership
	targets     map[string]Assignment
	currents    map[string]*current

	// What follows from the above.

	static   map[string]string   // instance id to member id
	owners   map[partition]owner // who has a partition, or has yet to let go of it
	timers   map[string]*timers
	patterns map[string]*pattern
	version  uint64 // of Topics that topics was made from; 0 for none
}

// New returns a group without members.
func New(id string, cfg *Config) *Group {
	return &Group{
		id: id, cfg: cfg,
		topics: map[string]Topic{}, members: map[string]*membership{},
		targets: map[string]Assignment{}, currents: map[string]*current{},
		static: map[string]string{}, owners: map[partition]owner{},
		timers: map[string]*timers{}, patterns: map[string]*pattern{},
	}
}

// Size returns the number of members.
func (g *Group) Size() int { return len(g.members) }

// Blank reports whether the group is as if it had never been.
func (g *Group) Blank() bool { return len(g.members) == 0 && g.epoch == 0 }

// State returns where the group is.
func (g *Group) State() State {
	if len(g.members) == 0 {
		return Empty
	}
	if g.epoch > g.targetEpoch {
		return Assigning
	}
	for id := range g.members {
		if c := g.currents[id]; c == nil || c.state != stable || c.epoch != g.targetEpoch {
			return Reconciling
		}
	}
	return Stable
}

// Subscribed reports whether a member subscribes to the topic.
func (g *Group) Subscribed(topic string) bool {
	for _, m := range g.members {
		if slices.Contains(m.names, topic) {
			return true
		}
		if p := g.pattern(m.regex); p != nil && p.matches(topic) {
			return true
		}
	}
	return false
}

// Committed is a partition that an offset is committed for.
type Committed struct {
	Topic     string
	Partition int32
}

// CheckCommit decides whether a member may commit offsets: UNKNOWN_MEMBER_ID,
// or STALE_MEMBER_EPOCH. An epoch before its present one is good enough for
// partitions that it has had since (KIP-1251), so that a commit which crosses
// a heartbeat on its way is not lost. Without members anyone may who gives no
// epoch.
func (g *Group) CheckCommit(member string, epoch int32, partitions iter.Seq[Committed]) error {
	if epoch < 0 && len(g.members) == 0 {
		return nil
	}
	err := g.CheckEpoch(member, epoch)
	if err != kerr.StaleMemberEpoch || epoch <= 0 || epoch > g.currents[member].epoch {
		return err
	}
	for p := range partitions {
		o, ok := g.owners[partition{g.topics[p.Topic].ID, p.Partition}]
		if !ok || o.member != member || o.since > epoch {
			return err
		}
	}
	return nil
}

// CheckEpoch compares a member's epoch with what the group knows.
func (g *Group) CheckEpoch(member string, epoch int32) error {
	c := g.currents[member]
	if g.members[member] == nil || c == nil {
		return kerr.UnknownMemberID
	}
	if c.epoch != epoch {
		return kerr.StaleMemberEpoch
	}
	return nil
}

// ids returns the members in an order that is always the same.
func (g *Group) ids() []string { return slices.Sorted(maps.Keys(g.members)) }
