package api

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/metadata"
	"github.com/millrace/millrace/broker/wire"
)

// alterConfigs answers API 33, versions 0 to 2: the configs of a topic are
// replaced, and those that are not named go back to their defaults. v2 is
// flexible.
//
// Differs from Kafka: brokers have no dynamic configs, so altering theirs is
// refused.
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
	t, err := a.configured(r.ResourceType, r.ResourceName)
	if err != nil {
		return err
	}
	c := &metadata.AlterTopicConfigs{ID: t.ID, Replace: true, Set: make(map[string]string, len(r.Configs))}
	for _, cfg := range r.Configs {
		if cfg.Value == nil {
			return refuse(kerr.InvalidRequest, fmt.Sprintf("%s has no value: leave it out to reset it", cfg.Name))
		}
		c.Set[cfg.Name] = *cfg.Value
	}
	if err := metadata.CheckTopicConfigs(c.Set); err != nil {
		return err
	}
	return a.change(ctx, c, validateOnly)
}

// configured returns the topic whose configs are to be altered.
func (a *API) configured(kind kmsg.ConfigResourceType, name string) (*metadata.Topic, error) {
	switch kind {
	case kmsg.ConfigResourceTypeTopic:
	case kmsg.ConfigResourceTypeBroker:
		return nil, refuse(kerr.InvalidRequest, "broker configs cannot be changed while the broker runs: set them in its configuration")
	default:
		return nil, refuse(kerr.InvalidRequest, "only topics have configs that can be altered")
	}
	t := a.cfg.Controller.Image().Topic(name)
	if t == nil {
		return nil, kerr.UnknownTopicOrPartition
	}
	return t, nil
}
