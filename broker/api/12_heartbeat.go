package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/group"
	"github.com/millrace/millrace/broker/wire"
)

// heartbeat answers API 12, versions 0 to 4. v3 adds static members; v4 is
// flexible.
func (a *API) heartbeat(_ context.Context, _ *wire.Conn, req *kmsg.HeartbeatRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.HeartbeatResponse)
	resp.ErrorCode = a.code(req.Key(), a.groups.Heartbeat(group.HeartbeatRequest{
		Group: req.Group, MemberID: req.MemberID, InstanceID: deref(req.InstanceID), Generation: req.Generation,
	}))
	return resp, nil
}
