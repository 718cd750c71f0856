package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/group"
	"github.com/millrace/millrace/broker/wire"
)

// leaveGroup answers API 13, versions 0 to 5. v3 lets several members leave at
// once, also by their instance ids; v4 is flexible; v5 adds a reason.
func (a *API) leaveGroup(_ context.Context, _ *wire.Conn, req *kmsg.LeaveGroupRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.LeaveGroupResponse)
	in := group.LeaveRequest{Group: req.Group}
	if req.Version < 3 {
		in.Members = []group.LeaveMember{{MemberID: req.MemberID}}
	}
	for _, m := range req.Members {
		in.Members = append(in.Members, group.LeaveMember{MemberID: m.MemberID, InstanceID: deref(m.InstanceID)})
	}
	errs, err := a.groups.Leave(in)
	if req.Version < 3 && err == nil {
		err = errs[0]
	}
	resp.ErrorCode = a.code(req.Key(), err)
	if req.Version < 3 || err != nil {
		return resp, nil
	}
	for i, m := range req.Members {
		rm := kmsg.NewLeaveGroupResponseMember()
		rm.MemberID, rm.InstanceID, rm.ErrorCode = m.MemberID, m.InstanceID, a.code(req.Key(), errs[i])
		resp.Members = append(resp.Members, rm)
	}
	return resp, nil
}
