package elect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Config says who takes part in which election.
type Config struct {
	Client   *kgo.Client // not used for a group of its own
	Group    string
	Identity Identity
	Logger   *slog.Logger
	// Session is how long the group waits for a sign of life, 10 seconds if 0.
	Session time.Duration
}

const (
	defaultSession   = 10 * time.Second
	rebalanceTimeout = time.Minute
	maxPause         = 5 * time.Second
)

// Run takes part until ctx ends, and then leaves. changed is called, from one
// goroutine, whenever the role changes; first with no role at all, and so again
// when the group cannot be reached for as long as it waits for members.
func Run(ctx context.Context, cfg Config, changed func(Role)) error {
	if cfg.Session == 0 {
		cfg.Session = defaultSession
	}
	cfg.Identity.Version = version
	m := &membership{Config: cfg, changed: changed}
	pause := 50 * time.Millisecond
	for ctx.Err() == nil {
		err := m.round(ctx)
		if err == nil {
			pause = 50 * time.Millisecond
			continue
		}
		if ctx.Err() != nil {
			break
		}
		if !m.told || err.Error() != m.last {
			cfg.Logger.Warn("election failed, retrying", "group", cfg.Group, "err", err)
			m.told, m.last = true, err.Error()
		}
		if time.Since(m.alive) > cfg.Session {
			m.become(Role{})
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause = min(2*pause, maxPause)
	}
	m.become(Role{})
	m.leave(context.WithoutCancel(ctx))
	return nil
}

type membership struct {
	Config
	changed    func(Role)
	id         string
	generation int32
	role       Role
	alive      time.Time // when the group last answered
	told       bool
	last       string // error that was told
}

func (m *membership) become(r Role) {
	if r == m.role {
		return
	}
	m.role = r
	m.Logger.Info("role in the election changed", "group", m.Group, "primary", r.Primary, "url", r.URL)
	m.changed(r)
}

// round joins the group and stays in it for one generation.
func (m *membership) round(ctx context.Context) error {
	members, err := m.join(ctx)
	if err != nil {
		return err
	}
	role, err := m.sync(ctx, members)
	if err != nil {
		return err
	}
	m.alive, m.told = time.Now(), false
	m.become(role)
	return m.stay(ctx)
}

// join returns the members if this one leads the group.
func (m *membership) join(ctx context.Context) ([]kmsg.JoinGroupResponseMember, error) {
	self := m.Identity
	self.Leader = m.role.Primary
	raw, err := json.Marshal(self)
	if err != nil {
		return nil, err
	}
	for {
		req := kmsg.NewPtrJoinGroupRequest()
		req.Group, req.MemberID, req.ProtocolType = m.Group, m.id, protocolType
		req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = int32(m.Session.Milliseconds()), int32(rebalanceTimeout.Milliseconds())
		p := kmsg.NewJoinGroupRequestProtocol()
		p.Name, p.Metadata = protocolName, raw
		req.Protocols = append(req.Protocols, p)
		resp, err := req.RequestWith(ctx, m.Client)
		if err != nil {
			return nil, fmt.Errorf("join group %s: %w", m.Group, err)
		}
		err = kerr.ErrorForCode(resp.ErrorCode)
		if errors.Is(err, kerr.MemberIDRequired) && m.id != resp.MemberID {
			m.id = resp.MemberID
			continue
		}
		if err != nil {
			m.forget(err)
			return nil, fmt.Errorf("join group %s: %w", m.Group, err)
		}
		m.id, m.generation = resp.MemberID, resp.Generation
		if resp.LeaderID != resp.MemberID {
			return nil, nil
		}
		return resp.Members, nil
	}
}

// forget drops a member id that the group does not know.
func (m *membership) forget(err error) {
	if errors.Is(err, kerr.UnknownMemberID) || errors.Is(err, kerr.IllegalGeneration) || errors.Is(err, kerr.FencedInstanceID) {
		m.id = ""
	}
}

// sync elects, if this member leads the group, and learns who was elected.
func (m *membership) sync(ctx context.Context, members []kmsg.JoinGroupResponseMember) (Role, error) {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Group, req.MemberID, req.Generation = m.Group, m.id, m.generation
	req.ProtocolType, req.Protocol = kmsg.StringPtr(protocolType), kmsg.StringPtr(protocolName)
	if members != nil {
		raw, err := elected(members)
		if err != nil {
			return Role{}, err
		}
		for _, other := range members {
			a := kmsg.NewSyncGroupRequestGroupAssignment()
			a.MemberID, a.MemberAssignment = other.MemberID, raw
			req.GroupAssignment = append(req.GroupAssignment, a)
		}
	}
	resp, err := req.RequestWith(ctx, m.Client)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		m.forget(err)
		if errors.Is(err, kerr.RebalanceInProgress) {
			return Role{}, nil
		}
		return Role{}, fmt.Errorf("sync group %s: %w", m.Group, err)
	}
	return roleOf(m.id, resp.MemberAssignment)
}

// elected decides for all members.
func elected(list []kmsg.JoinGroupResponseMember) ([]byte, error) {
	var members []member
	for _, m := range list {
		one := member{id: m.MemberID}
		if err := json.Unmarshal(m.ProtocolMetadata, &one.Identity); err != nil {
			return nil, fmt.Errorf("read identity of member %s: %w", m.MemberID, err)
		}
		members = append(members, one)
	}
	return json.Marshal(choose(members))
}

// stay sends signs of life until the group wants its members to join anew.
func (m *membership) stay(ctx context.Context) error {
	tick := time.NewTicker(m.Session / 4)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		req := kmsg.NewPtrHeartbeatRequest()
		req.Group, req.MemberID, req.Generation = m.Group, m.id, m.generation
		bounded, stop := context.WithTimeout(ctx, m.Session)
		resp, err := req.RequestWith(bounded, m.Client)
		stop()
		if err == nil {
			err = kerr.ErrorForCode(resp.ErrorCode)
		}
		switch {
		case err == nil:
			m.alive = time.Now()
		case errors.Is(err, kerr.RebalanceInProgress):
			m.alive = time.Now()
			return nil
		default:
			m.forget(err)
			if m.id == "" {
				return nil
			}
			return fmt.Errorf("heartbeat to group %s: %w", m.Group, err)
		}
	}
}

func (m *membership) leave(ctx context.Context) {
	if m.id == "" {
		return
	}
	ctx, stop := context.WithTimeout(ctx, 2*time.Second)
	defer stop()
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group, req.MemberID = m.Group, m.id
	one := kmsg.NewLeaveGroupRequestMember()
	one.MemberID = m.id
	req.Members = append(req.Members, one)
	if _, err := req.RequestWith(ctx, m.Client); err != nil {
		m.Logger.Debug("group not left", "group", m.Group, "err", err) // it will notice
	}
}
