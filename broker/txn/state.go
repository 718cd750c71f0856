package txn

import (
	"fmt"
	"slices"
)

// State is where a transactional id is, numbered as in its records.
type State int8

// The states of a transactional id. PrepareEpochFence is never written: it is
// the moment in which a transaction is taken from its producer by a new epoch.
const (
	Empty             State = 0 // no transaction
	Ongoing           State = 1
	PrepareCommit     State = 2 // decided; markers are being written
	PrepareAbort      State = 3
	CompleteCommit    State = 4 // all markers are written
	CompleteAbort     State = 5
	Dead              State = 6 // expired
	PrepareEpochFence State = 7

	none State = -1
)

var stateNames = [...]string{
	"Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "Dead", "PrepareEpochFence",
}

// String returns the name that DescribeTransactions shows.
func (s State) String() string {
	if s < 0 || int(s) >= len(stateNames) {
		return fmt.Sprintf("State(%d)", int8(s))
	}
	return stateNames[s]
}

// ParseState returns the state of a name, false if there is none.
func ParseState(name string) (State, bool) {
	i := slices.Index(stateNames[:], name)
	return State(i), i >= 0
}

// from says from which states each state may be entered. A producer of
// transaction.version 2 may abort a transaction whose partitions the
// coordinator never heard of.
var from = [...][]State{
	Empty:             {Empty, CompleteCommit, CompleteAbort},
	Ongoing:           {Ongoing, Empty, CompleteCommit, CompleteAbort},
	PrepareCommit:     {Ongoing},
	PrepareAbort:      {Ongoing, PrepareEpochFence, Empty, CompleteCommit, CompleteAbort},
	CompleteCommit:    {PrepareCommit},
	CompleteAbort:     {PrepareAbort},
	Dead:              {Empty, CompleteCommit, CompleteAbort},
	PrepareEpochFence: {Ongoing},
}

func canEnter(old, next State) bool { return slices.Contains(from[next], old) }

// decided reports whether markers are being written.
func (s State) decided() bool { return s == PrepareCommit || s == PrepareAbort }

// idle reports whether there is no transaction.
func (s State) idle() bool { return s == Empty || s == CompleteCommit || s == CompleteAbort }
