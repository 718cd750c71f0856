package api

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/metadata"
	"github.com/millrace/millrace/broker/wire"
)

// describeConfigs answers API 32, versions 0 to 4, for topics and for this
// broker. v1 adds sources and synonyms; v3 types and documentation; v4 is
// flexible.
//
// Differs from Kafka: brokers have no dynamic configs, so the cluster-wide
// default (an empty broker name) has none, and loggers are not described.
func (a *API) describeConfigs(_ context.Context, _ *wire.Conn, req *kmsg.DescribeConfigsRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.DescribeConfigsResponse)
	for i := range req.Resources {
		r := &req.Resources[i]
		rr := kmsg.NewDescribeConfigsResponseResource()
		rr.ResourceType, rr.ResourceName = r.ResourceType, r.ResourceName
		var err error
		switch r.ResourceType {
		case kmsg.ConfigResourceTypeTopic:
			rr.Configs, err = a.topicConfigs(req, r)
		case kmsg.ConfigResourceTypeBroker:
			rr.Configs, err = a.brokerConfigs(req, r)
		default:
			err = refuse(kerr.InvalidRequest, "only topics and brokers have configs")
		}
		rr.ErrorCode, rr.ErrorMessage = a.code(req.Key(), err), message(err)
		resp.Resources = append(resp.Resources, rr)
	}
	return resp, nil
}

func wanted(r *kmsg.DescribeConfigsRequestResource, name string) bool {
	return len(r.ConfigNames) == 0 || slices.Contains(r.ConfigNames, name)
}

func (a *API) topicConfigs(req *kmsg.DescribeConfigsRequest, r *kmsg.DescribeConfigsRequestResource) ([]kmsg.DescribeConfigsResponseResourceConfig, error) {
	t := a.cfg.Controller.Image().Topic(r.ResourceName)
	if t == nil {
		if err := metadata.CheckTopicName(r.ResourceName); err != nil {
			return nil, err
		}
		return nil, kerr.UnknownTopicOrPartition
	}
	var out []kmsg.DescribeConfigsResponseResourceConfig
	for i := range metadata.TopicKeys() {
		k := &metadata.TopicKeys()[i]
		if !wanted(r, k.Name) {
			continue
		}
		value, source := metadata.TopicValue(k, t.Configs, a.cfg.Broker)
		c := describeConfig(req, k, value, source)
		if req.IncludeSynonyms {
			c.ConfigSynonyms = a.synonyms(k, t.Configs)
		}
		out = append(out, c)
	}
	return out, nil
}

// synonyms lists where a topic config's value could come from, what counts
// first.
func (a *API) synonyms(k *metadata.ConfigKey, set map[string]string) []kmsg.DescribeConfigsResponseResourceConfigConfigSynonym {
	var out []kmsg.DescribeConfigsResponseResourceConfigConfigSynonym
	add := func(name, value string, source metadata.Source) {
		s := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
		s.Name, s.Value, s.Source = name, &value, kmsg.ConfigSource(source)
		out = append(out, s)
	}
	if v, ok := set[k.Name]; ok {
		add(k.Name, v, metadata.FromTopic)
	}
	if k.Broker == "" {
		add(k.Name, k.Default, metadata.FromDefault)
		return out
	}
	if v, source := a.cfg.Broker.Value(k.Broker); source == metadata.FromBroker {
		add(k.Broker, v, source)
	}
	add(k.Broker, k.Default, metadata.FromDefault)
	return out
}

func (a *API) brokerConfigs(req *kmsg.DescribeConfigsRequest, r *kmsg.DescribeConfigsRequestResource) ([]kmsg.DescribeConfigsResponseResourceConfig, error) {
	if r.ResourceName == "" {
		return nil, nil
	}
	id, err := strconv.ParseInt(r.ResourceName, 10, 32)
	if err != nil || int32(id) != a.cfg.NodeID {
		return nil, refuse(kerr.InvalidRequest, fmt.Sprintf("this is broker %d: ask broker %q itself", a.cfg.NodeID, r.ResourceName))
	}
	var out []kmsg.DescribeConfigsResponseResourceConfig
	for i := range metadata.BrokerKeys() {
		k := &metadata.BrokerKeys()[i]
		if !wanted(r, k.Name) {
			continue
		}
		value, source := a.cfg.Broker.Value(k.Name)
		c := describeConfig(req, k, value, source)
		c.ReadOnly = true
		if req.IncludeSynonyms {
			s := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
			s.Name, s.Value, s.Source = k.Name, &value, kmsg.ConfigSource(source)
			c.ConfigSynonyms = append(c.ConfigSynonyms, s)
		}
		out = append(out, c)
	}
	return append(out, a.identityConfigs(req, r)...), nil
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
