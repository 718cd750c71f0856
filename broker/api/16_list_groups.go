package api

import (
	"context"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/wire"
)

// listGroups answers API 16, versions 0 to 5. v3 is flexible; v4 adds states
// and a filter by them (KIP-518); v5 the same for types (KIP-848). Filters do
// not mind case.
func (a *API) listGroups(_ context.Context, _ *wire.Conn, req *kmsg.ListGroupsRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.ListGroupsResponse)
	list, err := a.groups.List()
	resp.ErrorCode = a.code(req.Key(), err)
	for _, l := range list {
		if !passes(req.StatesFilter, l.State) || !passes(req.TypesFilter, l.Type) {
			continue
		}
		rg := kmsg.NewListGroupsResponseGroup()
		rg.Group, rg.ProtocolType, rg.GroupState, rg.GroupType = l.Group, l.ProtocolType, l.State, l.Type
		resp.Groups = append(resp.Groups, rg)
	}
	return resp, nil
}

func passes(filter []string, value string) bool {
	return len(filter) == 0 || slices.ContainsFunc(filter, func(f string) bool { return strings.EqualFold(f, value) })
}
