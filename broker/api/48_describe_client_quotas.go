package api

import (
	"context"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/metadata"
	"github.com/millrace/millrace/broker/wire"
)

// The parts of a quota's entity, in the order in which they are told.
const (
	quotaUser   = "user"
	quotaClient = "client-id"
	quotaIP     = "ip"
)

// part returns one part of an entity by its type, nil for an unknown type.
func part(e *metadata.QuotaEntity, kind string) *metadata.QuotaName {
	switch kind {
	case quotaUser:
		return &e.User
	case quotaClient:
		return &e.ClientID
	case quotaIP:
		return &e.IP
	}
	return nil
}

// describeClientQuotas answers API 48, versions 0 to 1 (KIP-546): the quotas of
// the entities that match every component asked for, and, if the request is
// strict, have no other parts. v1 is flexible.
func (a *API) describeClientQuotas(_ context.Context, _ *wire.Conn, req *kmsg.DescribeClientQuotasRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.DescribeClientQuotasResponse)
	if err := checkComponents(req.Components); err != nil {
		resp.ErrorCode, resp.ErrorMessage = a.code(req.Key(), err), message(err)
		return resp, nil
	}
	resp.Entries = []kmsg.DescribeClientQuotasResponseEntry{}
	for _, q := range a.cfg.Controller.Image().Quotas() {
		if quotaMatches(req, q.Entity) {
			resp.Entries = append(resp.Entries, describeQuota(q))
		}
	}
	return resp, nil
}

func checkComponents(components []kmsg.DescribeClientQuotasRequestComponent) error {
	seen := make(map[string]bool)
	for _, c := range components {
		switch {
		case part(new(metadata.QuotaEntity), c.EntityType) == nil:
			return refuse(kerr.UnsupportedVersion, "unknown entity type "+c.EntityType+": must be user, client-id or ip")
		case seen[c.EntityType]:
			return refuse(kerr.InvalidRequest, "entity type "+c.EntityType+" is given more than once")
		case c.MatchType < kmsg.QuotasMatchTypeExact || c.MatchType > kmsg.QuotasMatchTypeAny:
			return refuse(kerr.InvalidRequest, "unknown match type")
		case c.MatchType == kmsg.QuotasMatchTypeExact && c.Match == nil:
			return refuse(kerr.InvalidRequest, "an exact match needs a name")
		case c.MatchType != kmsg.QuotasMatchTypeExact && c.Match != nil:
			return refuse(kerr.InvalidRequest, "only an exact match has a name")
		}
		seen[c.EntityType] = true
	}
	if seen[quotaIP] && len(seen) > 1 {
		return refuse(kerr.InvalidRequest, "ip cannot be combined with user or client-id")
	}
	return nil
}

func quotaMatches(req *kmsg.DescribeClientQuotasRequest, e metadata.QuotaEntity) bool {
	asked := make(map[string]bool)
	for _, c := range req.Components {
		asked[c.EntityType] = true
		n := part(&e, c.EntityType)
		switch {
		case !n.Given,
			c.MatchType == kmsg.QuotasMatchTypeExact && (n.Default || n.Name != *c.Match),
			c.MatchType == kmsg.QuotasMatchTypeDefault && !n.Default:
			return false
		}
	}
	for _, kind := range []string{quotaUser, quotaClient, quotaIP} {
		if req.Strict && part(&e, kind).Given && !asked[kind] {
			return false
		}
	}
	return true
}

func describeQuota(q *metadata.Quota) kmsg.DescribeClientQuotasResponseEntry {
	out := kmsg.NewDescribeClientQuotasResponseEntry()
	e := q.Entity
	for _, kind := range []string{quotaUser, quotaClient, quotaIP} {
		n := part(&e, kind)
		if !n.Given {
			continue
		}
		re := kmsg.NewDescribeClientQuotasResponseEntryEntity()
		if re.Type = kind; !n.Default {
			re.Name = &n.Name
		}
		out.Entity = append(out.Entity, re)
	}
	for _, name := range slices.Sorted(maps.Keys(q.Limits)) {
		rv := kmsg.NewDescribeClientQuotasResponseEntryValue()
		rv.Key, rv.Value = name, q.Limits[name]
		out.Values = append(out.Values, rv)
	}
	return out
}
