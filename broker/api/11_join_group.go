package api

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/group"
	"github.com/millrace/millrace/broker/wire"
)

// joinGroup answers API 11, versions 0 to 9. v1 adds the rebalance timeout; v4
// makes a new member learn its id first (KIP-394); v5 adds static members
// (KIP-345); v6 is flexible; v7 returns the protocol type; v8 adds a reason;
// v9 lets a static leader skip the assignment (KIP-814).
func (a *API) joinGroup(_ context.Context, c *wire.Conn, r *wire.Request, req *kmsg.JoinGroupRequest) (wire.Reply, error) {
	in := group.JoinRequest{
		Group: req.Group, MemberID: req.MemberID, InstanceID: deref(req.InstanceID),
		ClientID: r.ClientID, ClientHost: "/" + c.RemoteHost, ProtocolType: req.ProtocolType,
		SessionTimeout:   milliseconds(req.SessionTimeoutMillis),
		RebalanceTimeout: milliseconds(req.RebalanceTimeoutMillis),
		RequireMemberID:  req.Version >= 4,
		SkipAssignment:   req.Version >= 9,
	}
	if req.Version == 0 {
		in.RebalanceTimeout = in.SessionTimeout
	}
	for _, p := range req.Protocols {
		in.Protocols = append(in.Protocols, group.Protocol{Name: p.Name, Metadata: p.Metadata})
	}
	done := make(chan group.JoinResult, 1) // the coordinator must not wait for the connection
	a.groups.Join(in, func(out group.JoinResult) { done <- out })
	return func(ctx context.Context) (wire.Response, error) {
		select {
		case out := <-done:
			return wire.Response{Message: a.joined(req, out)}, nil
		case <-ctx.Done():
			return wire.Response{}, context.Cause(ctx)
		}
	}, nil
}

func (a *API) joined(req *kmsg.JoinGroupRequest, out group.JoinResult) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.JoinGroupResponse)
	resp.ErrorCode = a.code(req.Key(), out.Err)
	resp.Generation, resp.LeaderID, resp.MemberID = out.Generation, out.Leader, out.MemberID
	resp.SkipAssignment = out.SkipAssignment
	resp.Protocol = &out.Protocol
	if req.Version >= 7 {
		resp.ProtocolType, resp.Protocol = optional(out.ProtocolType), optional(out.Protocol)
	}
	for _, m := range out.Members {
		rm := kmsg.NewJoinGroupResponseMember()
		rm.MemberID, rm.InstanceID, rm.ProtocolMetadata = m.MemberID, optional(m.InstanceID), m.Metadata
		resp.Members = append(resp.Members, rm)
	}
	return resp
}

func milliseconds(n int32) time.Duration { return time.Duration(n) * time.Millisecond }

// deref returns what s points to, "" for nil.
func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
