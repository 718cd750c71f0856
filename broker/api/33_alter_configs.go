package api

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/wire"
)

// alterConfigs answers API 33, versions 0 to 2: the configs of a topic, of
// this broker, of all brokers or of a group are replaced, and those that are
// not named go back to their defaults. v2 is flexible.
func (a *API) alterConfigs(ctx context.Context, _ *wire.Conn, req *kmsg.AlterConfigsRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.AlterConfigsResponse)
	ctx, cancel := context.WithTimeout(ctx, adminTimeout(0))
	defer cancel()
	for i := range req.Resources {
		r := &req.Resources[i]
		rr := kmsg.NewAlterConfigsResponseResource()
		rr.ResourceType, rr.ResourceName = r.ResourceType, r.ResourceName
		err := a.replaceConfigs(ctx, r, req.ValidateOnly)
		rr.ErrorCode, rr.ErrorMessage = a.code(req.Key(), err), message(err)
		resp.Resources = append(resp.Resources, rr)
	}
	return resp, nil
}

func (a *API) replaceConfigs(ctx context.Context, r *kmsg.AlterConfigsRequestResource, validateOnly bool) error {
	c, err := a.configured(r.ResourceType, r.ResourceName)
	if err != nil {
		return err
	}
	set := make(map[string]string, len(r.Configs))
	for _, cfg := range r.Configs {
		if cfg.Value == nil {
			return refuse(kerr.InvalidRequest, fmt.Sprintf("%s has no value: leave it out to reset it", cfg.Name))
		}
		set[cfg.Name] = *cfg.Value
	}
	if err := c.check(set); err != nil {
		return err
	}
	return a.change(ctx, c.alter(true, set, nil), validateOnly)
}
