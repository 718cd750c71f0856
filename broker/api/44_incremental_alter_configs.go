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
// configs of a topic, of this broker, of all brokers or of a group are set,
// reset, or, where they are lists, extended and shortened. v1 is flexible.
func (a *API) incrementalAlterConfigs(ctx context.Context, _ *wire.Conn, req *kmsg.IncrementalAlterConfigsRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
	ctx, cancel := context.WithTimeout(ctx, adminTimeout(0))
	defer cancel()
	for i := range req.Resources {
		r := &req.Resources[i]
		rr := kmsg.NewIncrementalAlterConfigsResponseResource()
		rr.ResourceType, rr.ResourceName = r.ResourceType, r.ResourceName
		c, err := a.configured(r.ResourceType, r.ResourceName)
		if err == nil {
			var cmd metadata.Command
			if cmd, err = incrementalConfigs(c, a.cfg.Broker, r.Configs); err == nil {
				err = a.change(ctx, cmd, req.ValidateOnly)
			}
		}
		rr.ErrorCode, rr.ErrorMessage = a.code(req.Key(), err), message(err)
		resp.Resources = append(resp.Resources, rr)
	}
	return resp, nil
}

// incrementalConfigs is the command that does a list of operations. Only what
// changes is committed.
func incrementalConfigs(c *configured, broker *metadata.BrokerConfig, ops []kmsg.IncrementalAlterConfigsRequestResourceConfig) (metadata.Command, error) {
	after := maps.Clone(c.set)
	if after == nil {
		after = make(map[string]string)
	}
	set := make(map[string]string)
	var remove []string
	seen := make(map[string]bool, len(ops))
	for _, op := range ops {
		if seen[op.Name] {
			return nil, refuse(kerr.InvalidRequest, op.Name+" is altered more than once")
		}
		seen[op.Name] = true
		if op.Op == kmsg.IncrementalAlterConfigOpDelete {
			remove = append(remove, op.Name)
			delete(after, op.Name)
			continue
		}
		v, err := alteredValue(c, broker, op)
		if err != nil {
			return nil, err
		}
		set[op.Name], after[op.Name] = v, v
	}
	if err := c.check(after); err != nil {
		return nil, err
	}
	return c.alter(false, set, remove), nil
}

// alteredValue is what a config becomes by one operation.
func alteredValue(c *configured, broker *metadata.BrokerConfig, op kmsg.IncrementalAlterConfigsRequestResourceConfig) (string, error) {
	if op.Value == nil {
		return "", refuse(kerr.InvalidRequest, op.Name+" has no value")
	}
	if op.Op == kmsg.IncrementalAlterConfigOpSet {
		return *op.Value, nil
	}
	k := c.key(op.Name)
	if k == nil || k.Type != metadata.List {
		return "", refuse(kerr.InvalidConfig, op.Name+" is not a list: it can be set, not appended to or subtracted from")
	}
	var list []string
	if s := c.settings(k, broker); len(s) > 0 {
		list = metadata.Split(s[0].Value)
	}
	change := metadata.Split(*op.Value)
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
		return "", refuse(kerr.InvalidRequest, "unknown operation on "+op.Name)
	}
	return strings.Join(list, ","), nil
}
