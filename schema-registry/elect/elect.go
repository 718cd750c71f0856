// Package elect elects one of the registries that share a topic their primary,
// the only one that writes, through a Kafka group. Group, protocol and messages
// are those of Confluent's registries, so that both can be members of one
// group.
//
// The election only says who should write. That nobody else does is the topic's
// business: see package store.
package elect

import (
	"encoding/json"
	"fmt"
	"net"
	"strconv"
)

// Identity is a registry as the others see it.
type Identity struct {
	Version  int    `json:"version"`
	Host     string `json:"host"`
	Port     int    `json:"port"`
	Eligible bool   `json:"master_eligibility"`
	Scheme   string `json:"scheme"`
	Leader   bool   `json:"leader"`
}

// URL is where the others reach it.
func (i Identity) URL() string {
	return i.Scheme + "://" + net.JoinHostPort(i.Host, strconv.Itoa(i.Port))
}

const (
	protocolType = "sr"
	protocolName = "v0"
	version      = 1
)

// errors of an assignment.
const (
	noError       = 0
	duplicateURLs = 1
)

// assignment is what the group's leader tells each member. Members is ours:
// Confluent's registries neither write nor read it.
type assignment struct {
	Version  int       `json:"version"`
	Error    int       `json:"error"`
	Primary  string    `json:"master,omitempty"` // a member's id
	Identity *Identity `json:"master_identity,omitempty"`
	Members  int       `json:"members,omitempty"`
}

// member is one of the group.
type member struct {
	id string
	Identity
}

// choose elects: the primary that there was, if there was one, else the
// eligible member with the smallest address. All choose alike, whoever does.
func choose(members []member) assignment {
	out := assignment{Version: version, Members: len(members)}
	urls := map[string]bool{}
	var best, before *member
	several := false
	for i := range members {
		m := &members[i]
		if urls[m.URL()] {
			return assignment{Version: version, Error: duplicateURLs, Members: len(members)}
		}
		urls[m.URL()] = true
		if !m.Eligible {
			continue
		}
		if best == nil || m.URL() < best.URL() {
			best = m
		}
		if m.Leader {
			several = before != nil
			before = m
		}
	}
	if before != nil && !several {
		best = before
	}
	if best != nil {
		identity := best.Identity
		out.Primary, out.Identity = best.id, &identity
	}
	return out
}

// Role is what a member is.
type Role struct {
	// Primary is set if it is the one that writes.
	Primary bool
	// URL is where the primary is, "" if there is none.
	URL string
	// Alone is set if the group has no other members.
	Alone bool
}

// roleOf reads what the group's leader told a member.
func roleOf(id string, raw []byte) (Role, error) {
	var a assignment
	if err := json.Unmarshal(raw, &a); err != nil {
		return Role{}, fmt.Errorf("read assignment: %w", err)
	}
	switch {
	case a.Error == duplicateURLs:
		return Role{}, fmt.Errorf("two registries of the group have the same address: set host.name to one that the others reach, different for each")
	case a.Error != noError:
		return Role{}, fmt.Errorf("the group's leader reports error %d", a.Error)
	case a.Identity == nil:
		return Role{}, nil
	}
	return Role{Primary: a.Primary == id, URL: a.Identity.URL(), Alone: a.Members == 1}, nil
}
