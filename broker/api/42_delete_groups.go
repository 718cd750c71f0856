package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/wire"
)

// deleteGroups answers API 42, versions 0 to 2: groups without members go, with
// their offsets. v2 is flexible. The reply waits until that is durable.
func (a *API) deleteGroups(_ context.Context, _ *wire.Conn, _ *wire.Request, req *kmsg.DeleteGroupsRequest) (wire.Reply, error) {
	type result struct {
		i   int
		err error
	}
	done := make(chan result, len(req.Groups)) // the coordinator must not wait for the connection
	for i, id := range req.Groups {
		a.groups.Delete(id, func(err error) { done <- result{i, err} })
	}
	return func(ctx context.Context) (wire.Response, error) {
		resp := req.ResponseKind().(*kmsg.DeleteGroupsResponse)
		resp.Groups = make([]kmsg.DeleteGroupsResponseGroup, len(req.Groups))
		for range req.Groups {
			select {
			case r := <-done:
				rg := &resp.Groups[r.i]
				*rg = kmsg.NewDeleteGroupsResponseGroup()
				rg.Group, rg.ErrorCode = req.Groups[r.i], a.code(req.Key(), r.err)
			case <-ctx.Done():
				return wire.Response{}, context.Cause(ctx)
			}
		}
		return wire.Response{Message: resp}, nil
	}, nil
}
