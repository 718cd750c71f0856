package rebalance

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

// StrangerError says that the group belongs to a Connect cluster that keeps its
// state elsewhere. The worker must not join it: give one of the two clusters
// another group.id.
type StrangerError struct {
	Group, LeaderURL  string
	Storage, TheirOwn string // what this worker and the leader keep their state in
}

// Error names both clusters' topics.
func (e *StrangerError) Error() string {
	return fmt.Sprintf("group.id %s is that of another Connect cluster, led by %s: it keeps its state in %s, this worker in %s; "+
		"give this cluster a group.id of its own, or the storage topics of that one", e.Group, e.LeaderURL, e.TheirOwn, e.Storage)
}

var (
	// errAgain asks for another round at once.
	errAgain = errors.New("rejoin")
	// errUnsynced ends the membership for a while: this worker cannot read the
	// config topic as far as its leader has.
	errUnsynced = errors.New("config topic not read in time")
)

// refusals are the answers to a join that no repetition mends, with what to do
// about them.
var refusals = map[*kerr.Error]string{
	kerr.InconsistentGroupProtocol: "a group of that name is not one of Connect workers, or its workers speak another connect.protocol; use another group.id",
	kerr.InvalidSessionTimeout:     "session.timeout.ms is outside the brokers' group.min.session.timeout.ms and group.max.session.timeout.ms",
	kerr.GroupAuthorizationFailed:  "the worker's principal needs Read on the group",
	kerr.InvalidGroupID:            "group.id is not a name that a group may have",
	kerr.GroupMaxSizeReached:       "the group is full (group.max.size of the brokers)",
	kerr.UnsupportedVersion:        "the brokers are too old",
}

// refused returns err with advice if it is one that no repetition mends.
func refused(group string, err error) error {
	for known, advice := range refusals {
		if errors.Is(err, known) {
			return fmt.Errorf("join group %s: %w: %s", group, err, advice)
		}
	}
	return nil
}
