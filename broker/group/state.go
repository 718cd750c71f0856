package group

import (
	"fmt"
	"slices"
)

// State is where a group is in its life.
type State int8

// The states of a classic group.
const (
	Empty               State = iota // no members; may have offsets
	PreparingRebalance               // members are to join again
	CompletingRebalance              // members have joined; the leader is to assign
	Stable                           // members have their assignments
	Dead                             // deleted, or led by another broker
)

var stateNames = [...]string{"Empty", "PreparingRebalance", "CompletingRebalance", "Stable", "Dead"}

// String returns the name that DescribeGroups shows.
func (s State) String() string {
	if s < 0 || int(s) >= len(stateNames) {
		return fmt.Sprintf("State(%d)", int8(s))
	}
	return stateNames[s]
}

// from says from which states each state may be entered.
var from = [...][]State{
	Empty:               {PreparingRebalance},
	PreparingRebalance:  {Empty, CompletingRebalance, Stable},
	CompletingRebalance: {PreparingRebalance},
	Stable:              {CompletingRebalance},
	Dead:                {Empty, PreparingRebalance, CompletingRebalance, Stable},
}

func canEnter(old, next State) bool { return slices.Contains(from[next], old) }
