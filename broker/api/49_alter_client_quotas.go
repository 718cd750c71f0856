package api

import (
	"context"
	"net/netip"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/metadata"
	"github.com/millrace/millrace/broker/wire"
)

// alterClientQuotas answers API 49, versions 0 to 1 (KIP-546): quotas of users,
// client ids, both together, and addresses are set and removed; a part without
// a name is the default. v1 is flexible.
//
// Differs from Kafka: addresses are numbers, not host names.
func (a *API) alterClientQuotas(ctx context.Context, _ *wire.Conn, req *kmsg.AlterClientQuotasRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.AlterClientQuotasResponse)
	ctx, cancel := context.WithTimeout(ctx, adminTimeout(0))
	defer cancel()
	seen := make(map[metadata.QuotaEntity]bool)
	for i := range req.Entries {
		e := &req.Entries[i]
		c, err := alteredQuota(e)
		if err == nil && seen[c.Entity] {
			err = refuse(kerr.InvalidRequest, "entity is given more than once")
		}
		if err == nil {
			seen[c.Entity] = true
			err = a.change(ctx, c, req.ValidateOnly)
		}
		re := kmsg.NewAlterClientQuotasResponseEntry()
		re.ErrorCode, re.ErrorMessage = a.code(req.Key(), err), message(err)
		for _, p := range e.Entity {
			rp := kmsg.NewAlterClientQuotasResponseEntryEntity()
			rp.Type, rp.Name = p.Type, p.Name
			re.Entity = append(re.Entity, rp)
		}
		resp.Entries = append(resp.Entries, re)
	}
	return resp, nil
}

// alteredQuota checks an entry and returns the command that does what it says.
func alteredQuota(e *kmsg.AlterClientQuotasRequestEntry) (*metadata.AlterQuota, error) {
	c := &metadata.AlterQuota{Set: make(map[string]float64)}
	for _, p := range e.Entity {
		n := part(&c.Entity, p.Type)
		switch {
		case n == nil:
			return nil, refuse(kerr.InvalidRequest, "unknown entity type "+p.Type+": must be user, client-id or ip")
		case n.Given:
			return nil, refuse(kerr.InvalidRequest, "entity type "+p.Type+" is given more than once")
		case p.Name != nil && *p.Name == "":
			return nil, refuse(kerr.InvalidRequest, "name of "+p.Type+" is empty: leave it out for the default")
		}
		n.Given, n.Default, n.Name = true, p.Name == nil, deref(p.Name)
	}
	if err := c.Entity.Check(); err != nil {
		return nil, err
	}
	if ip := &c.Entity.IP; ip.Given && !ip.Default {
		addr, err := netip.ParseAddr(ip.Name)
		if err != nil {
			return nil, refuse(kerr.InvalidRequest, "ip "+ip.Name+" is not an address")
		}
		ip.Name = addr.Unmap().String()
	}
	seen := make(map[string]bool)
	for _, op := range e.Ops {
		if seen[op.Key] {
			return nil, refuse(kerr.InvalidRequest, op.Key+" is altered more than once")
		}
		seen[op.Key] = true
		value := op.Value
		if op.Remove {
			value = 1 // any that is valid: the name is checked all the same
		}
		if err := metadata.CheckQuota(c.Entity, op.Key, value); err != nil {
			return nil, err
		}
		if op.Remove {
			c.Remove = append(c.Remove, op.Key)
		} else {
			c.Set[op.Key] = op.Value
		}
	}
	return c, nil
}
