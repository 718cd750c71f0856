package api

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/group"
	"github.com/millrace/millrace/broker/wire"
)

// describeGroups answers API 15, versions 0 to 6. v3 adds authorized
// operations, which are not reported because nothing is authorized here; v4
// static members; v5 is flexible; v6 says GROUP_ID_NOT_FOUND of a group that
// earlier versions call Dead.
func (a *API) describeGroups(_ context.Context, _ *wire.Conn, req *kmsg.DescribeGroupsRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.DescribeGroupsResponse)
	for _, id := range req.Groups {
		rg := kmsg.NewDescribeGroupsResponseGroup()
		rg.Group = id
		d, err := a.groups.Describe(id)
		if errors.Is(err, kerr.GroupIDNotFound) {
			rg.State = group.Dead.String()
			if req.Version < 6 {
				err = nil
			}
		}
		rg.ErrorCode, rg.ErrorMessage = a.code(req.Key(), err), message(err)
		if d.Group != "" {
			describeGroup(&rg, &d)
		}
		resp.Groups = append(resp.Groups, rg)
	}
	return resp, nil
}

func describeGroup(rg *kmsg.DescribeGroupsResponseGroup, d *group.Description) {
	rg.State, rg.ProtocolType, rg.Protocol = d.State.String(), d.ProtocolType, d.Protocol
	for _, m := range d.Members {
		rm := kmsg.NewDescribeGroupsResponseGroupMember()
		rm.MemberID, rm.InstanceID = m.MemberID, optional(m.InstanceID)
		rm.ClientID, rm.ClientHost = m.ClientID, m.ClientHost
		rm.ProtocolMetadata, rm.MemberAssignment = m.Metadata, m.Assignment
		rg.Members = append(rg.Members, rm)
	}
}
