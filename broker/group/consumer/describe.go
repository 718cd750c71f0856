package consumer

// Description is what ConsumerGroupDescribe returns.
type Description struct {
	Group       string
	State       State
	Epoch       int32
	TargetEpoch int32
	Assignor    string
	Members     []MemberDescription // by id
}

// MemberDescription is one member of a Description.
type MemberDescription struct {
	MemberID   string
	InstanceID string
	RackID     string
	Epoch      int32
	ClientID   string
	ClientHost string
	Names      []string // subscribed topics
	Regex      string
	Assigned   Assignment
	Target     Assignment
}

// Describe returns what can be seen of the group.
func (g *Group) Describe() Description {
	d := Description{Group: g.id, State: g.State(), Epoch: g.epoch, TargetEpoch: g.targetEpoch, Assignor: g.Assignor()}
	for _, id := range g.ids() {
		m, c := g.members[id], g.currents[id]
		d.Members = append(d.Members, MemberDescription{
			MemberID: id, InstanceID: m.instance, RackID: m.rack, Epoch: c.epoch,
			ClientID: m.clientID, ClientHost: m.clientHost, Names: m.names, Regex: m.regex,
			Assigned: c.assigned, Target: g.targets[id],
		})
	}
	return d
}
