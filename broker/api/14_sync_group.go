package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/group"
	"github.com/millrace/millrace/broker/wire"
)

// syncGroup answers API 14, versions 0 to 5. v3 adds static members; v4 is
// flexible; v5 names the protocol on both sides (KIP-559).
func (a *API) syncGroup(_ context.Context, _ *wire.Conn, _ *wire.Request, req *kmsg.SyncGroupRequest) (wire.Reply, error) {
	in := group.SyncRequest{
		Group: req.Group, MemberID: req.MemberID, InstanceID: deref(req.InstanceID), Generation: req.Generation,
		ProtocolType: deref(req.ProtocolType), Protocol: deref(req.Protocol),
		Assignments: make(map[string][]byte, len(req.GroupAssignment)),
	}
	for _, m := range req.GroupAssignment {
		in.Assignments[m.MemberID] = m.MemberAssignment
	}
	done := make(chan group.SyncResult, 1) // the coordinator must not wait for the connection
	a.groups.Sync(in, func(out group.SyncResult) { done <- out })
	return func(ctx context.Context) (wire.Response, error) {
		select {
		case out := <-done:
			resp := req.ResponseKind().(*kmsg.SyncGroupResponse)
			resp.ErrorCode = a.code(req.Key(), out.Err)
			resp.ProtocolType, resp.Protocol = optional(out.ProtocolType), optional(out.Protocol)
			resp.MemberAssignment = out.Assignment
			if resp.MemberAssignment == nil {
				resp.MemberAssignment = []byte{}
			}
			return wire.Response{Message: resp}, nil
		case <-ctx.Done():
			return wire.Response{}, context.Cause(ctx)
		}
	}, nil
}
