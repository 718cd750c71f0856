package api

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/metadata"
	"github.com/millrace/millrace/broker/wire"
)

// incrementalAlterConfigs answers API 44, versions 0 to 1 (KIP-339): single
// configs of a topic are set, reset, or, where they are lists, extended and
// shortened. v1 is flexible.
func (a *API) incrementalAlterConfigs(ctx context.Context, _ *wire.Conn, req *kmsg.IncrementalAlterConfigsRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
	ctx, cancel := context.WithTimeout(ctx, adminTimeout(0))
	defer cancel()
	for i := range req.Resources {
		r := &req.Resources[i]
		rr := kmsg.NewIncrementalAlterConfigsResponseResource()
		rr.ResourceType, rr.ResourceName = r.ResourceType, r.ResourceName
		t, err := a.configured(r.ResourceType, r.ResourceName)
		if err == nil {
			var c *metadata.AlterTopicConfigs
			if c, err = incrementalConfigs(t, a.cfg.Broker, r.Configs); err == nil {
				err = a.change(ctx, c, req.ValidateOnly)
			}
		}
		rr.ErrorCode, rr.ErrorMessage = a.code(req.Key(), err), message(err)
		resp.Resources = append(resp.Resources, rr)
	}
	return resp, nil
}

// incrementalConfigs is what a topic's configs become by a list of
// operations. Only what changes is committed.
func incrementalConfigs(t *metadata.Topic, broker *metadata.BrokerConfig, ops []kmsg.IncrementalAlterConfigsRequestResourceConfig) (*metadata.AlterTopicConfigs, error) {
	c := &metadata.AlterTopicConfigs{ID: t.ID, Set: make(map[string]string)}
	seen := make(map[string]bool, len(ops))
	for _, op := range ops {
		if seen[op.Name] {
			return nil, refuse(kerr.InvalidRequest, op.Name+" is altered more than once")
		}
		seen[op.Name] = true
		if err := alterOne(c, t, broker, op); err != nil {
			return nil, err
		}
	}
	after := maps.Clone(t.Configs)
	if after == nil {
		after = make(map[string]string)
	}
	for _, k := range c.Remove {
		delete(after, k)
	}
	maps.Copy(after, c.Set)
	return c, metadata.CheckTopicConfigs(after)
}

// alterOne adds one operation to a command.
func alterOne(c *metadata.AlterTopicConfigs, t *metadata.Topic, broker *metadata.BrokerConfig, op kmsg.IncrementalAlterConfigsRequestResourceConfig) error {
	if op.Op == kmsg.IncrementalAlterConfigOpDelete {
		c.Remove = append(c.Remove, op.Name)
		return nil
	}
	if op.Value == nil {
		return refuse(kerr.InvalidRequest, op.Name+" has no value")
	}
	if op.Op == kmsg.IncrementalAlterConfigOpSet {
		c.Set[op.Name] = *op.Value
		return nil
	}
	k := metadata.TopicKey(op.Name)
	if k == nil || k.Type != metadata.List {
		return refuse(kerr.InvalidConfig, op.Name+" is not a list: it can be set, not appended to or subtracted from")
	}
	value, _ := metadata.TopicValue(k, t.Configs, broker)
	list, change := metadata.Split(value), metadata.Split(*op.Value)
	switch op.Op {
	case kmsg.IncrementalAlterConfigOpAppend:
		for _, v := range change {
			if !slices.Contains(list, v) {
				list = append(list, v)
			}
		}
	case kmsg.IncrementalAlterConfigOpSubtract:
		list = slices.DeleteFunc(list, func(v string) bool { return slices.Contains(change, v) })
	default:
		return refuse(kerr.InvalidRequest, "unknown operation on "+op.Name)
	}
	c.Set[op.Name] = strings.Join(list, ",")
	return nil
}
