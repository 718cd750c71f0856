package api

import (
	"context"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/metadata"
	"github.com/millrace/millrace/broker/wire"
)

// describeConfigs answers API 32, versions 0 to 4, for topics, for this
// broker, for what was altered of all brokers (an empty broker name), and for
// groups. v1 adds sources and synonyms; v3 types and documentation; v4 is
// flexible.
//
// Differs from Kafka: loggers are not described.
func (a *API) describeConfigs(_ context.Context, _ *wire.Conn, req *kmsg.DescribeConfigsRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.DescribeConfigsResponse)
	for i := range req.Resources {
		r := &req.Resources[i]
		rr := kmsg.NewDescribeConfigsResponseResource()
		rr.ResourceType, rr.ResourceName = r.ResourceType, r.ResourceName
		c, err := a.configured(r.ResourceType, r.ResourceName)
		if err == nil {
			rr.Configs = a.describeAll(req, r, c)
		}
		rr.ErrorCode, rr.ErrorMessage = a.code(req.Key(), err), message(err)
		resp.Resources = append(resp.Resources, rr)
	}
	return resp, nil
}

func (a *API) describeAll(req *kmsg.DescribeConfigsRequest, r *kmsg.DescribeConfigsRequestResource, c *configured) []kmsg.DescribeConfigsResponseResourceConfig {
	var out []kmsg.DescribeConfigsResponseResourceConfig
	broker := r.ResourceType == kmsg.ConfigResourceTypeBroker
	for i := range c.keys {
		k := &c.keys[i]
		settings := c.settings(k, a.cfg.Broker)
		if !wanted(r, k.Name) || len(settings) == 0 {
			continue
		}
		rc := describeConfig(req, k, settings[0].Value, settings[0].Source)
		rc.ReadOnly = broker && !k.Dynamic()
		for j := range settings {
			if !req.IncludeSynonyms {
				break
			}
			s := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
			s.Name, s.Value, s.Source = settings[j].Name, &settings[j].Value, kmsg.ConfigSource(settings[j].Source)
			rc.ConfigSynonyms = append(rc.ConfigSynonyms, s)
		}
		out = append(out, rc)
	}
	if broker && r.ResourceName != "" {
		out = append(out, a.identityConfigs(req, r)...)
	}
	return out
}

func wanted(r *kmsg.DescribeConfigsRequestResource, name string) bool {
	return len(r.ConfigNames) == 0 || slices.Contains(r.ConfigNames, name)
}

// protocolVersion is the version of Kafka that tools may take the broker for.
const protocolVersion = "4.0-IV3"

// advertised is the broker's endpoints in the form of advertised.listeners,
// without those that cannot be reached from outside.
func (a *API) advertised() string {
	b := a.cfg.Controller.Image().Broker(a.cfg.NodeID)
	if b == nil {
		return ""
	}
	var out []string
	for _, e := range b.Endpoints {
		if e.Listener != a.cfg.MemoryListener {
			out = append(out, e.Listener+"://"+net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port))))
		}
	}
	return strings.Join(out, ",")
}

// identityConfigs are broker configs that are not settings of the broker's own
// but that tools read.
func (a *API) identityConfigs(req *kmsg.DescribeConfigsRequest, r *kmsg.DescribeConfigsRequestResource) []kmsg.DescribeConfigsResponseResourceConfig {
	var out []kmsg.DescribeConfigsResponseResourceConfig
	for _, k := range []struct {
		key   metadata.ConfigKey
		value string
	}{
		{metadata.ConfigKey{Name: "node.id", Type: metadata.Int, Doc: "The broker's id."}, strconv.Itoa(int(a.cfg.NodeID))},
		{metadata.ConfigKey{Name: "broker.id", Type: metadata.Int, Doc: "The broker's id, under its old name."}, strconv.Itoa(int(a.cfg.NodeID))},
		{metadata.ConfigKey{Name: "advertised.listeners", Type: metadata.List, Doc: "Where clients reach the broker."}, a.advertised()},
		{metadata.ConfigKey{Name: "inter.broker.protocol.version", Type: metadata.String, Doc: "The version of Kafka whose protocol the broker speaks."}, protocolVersion},
		{metadata.ConfigKey{Name: "log.dirs", Type: metadata.String, Doc: "Where the logs are."}, a.cfg.LogDir},
	} {
		if wanted(r, k.key.Name) {
			c := describeConfig(req, &k.key, k.value, metadata.FromBroker)
			c.ReadOnly = true
			out = append(out, c)
		}
	}
	return out
}

func describeConfig(req *kmsg.DescribeConfigsRequest, k *metadata.ConfigKey, value string, source metadata.Source) kmsg.DescribeConfigsResponseResourceConfig {
	c := kmsg.NewDescribeConfigsResponseResourceConfig()
	c.Name, c.Value, c.Source = k.Name, &value, kmsg.ConfigSource(source)
	c.IsDefault = source == metadata.FromDefault
	c.ConfigType = kmsg.ConfigType(k.Type)
	if req.IncludeDocumentation {
		c.Documentation = &k.Doc
	}
	return c
}
