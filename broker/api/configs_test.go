package api_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/brokertest"
)

const groupResource = kmsg.ConfigResourceType(32)

// set alters one config of a resource; an empty value resets it.
func (p *peer) set(kind kmsg.ConfigResourceType, resource, name, value string) int16 {
	p.t.Helper()
	req := as(kmsg.NewPtrIncrementalAlterConfigsRequest(), 1)
	rc := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	if rc.Name, rc.Value = name, &value; value == "" {
		rc.Op = kmsg.IncrementalAlterConfigOpDelete
	}
	rr := kmsg.NewIncrementalAlterConfigsRequestResource()
	rr.ResourceType, rr.ResourceName, rr.Configs = kind, resource, []kmsg.IncrementalAlterConfigsRequestResourceConfig{rc}
	req.Resources = append(req.Resources, rr)
	return p.ask(req).(*kmsg.IncrementalAlterConfigsResponse).Resources[0].ErrorCode
}

// described returns the named config of a resource, nil if it has none.
func (p *peer) described(kind kmsg.ConfigResourceType, resource, name string) *kmsg.DescribeConfigsResponseResourceConfig {
	p.t.Helper()
	req := as(kmsg.NewPtrDescribeConfigsRequest(), 4)
	req.IncludeSynonyms = true
	rr := kmsg.NewDescribeConfigsRequestResource()
	rr.ResourceType, rr.ResourceName, rr.ConfigNames = kind, resource, []string{name}
	req.Resources = append(req.Resources, rr)
	got := p.ask(req).(*kmsg.DescribeConfigsResponse).Resources[0]
	wantCode(p.t, "describe "+name, got.ErrorCode, nil)
	if len(got.Configs) == 0 {
		return nil
	}
	return &got.Configs[0]
}

func (p *peer) wantConfig(kind kmsg.ConfigResourceType, resource, name, value string, source kmsg.ConfigSource, synonyms int) {
	p.t.Helper()
	got := p.described(kind, resource, name)
	if got == nil || *got.Value != value || got.Source != source || len(got.ConfigSynonyms) != synonyms {
		p.t.Errorf("%s of %q is %+v, want %s from %v with %d synonyms", name, resource, got, value, source, synonyms)
	}
}

// What is altered of a group counts from its members' next heartbeat on, and
// is kept over a restart.
func TestGroupConfigs(t *testing.T) {
	c := brokertest.Start(t)
	c.CreateTopic(t, "t", 1)
	p := dial(t, c)
	const heartbeat, session = "consumer.heartbeat.interval.ms", "consumer.session.timeout.ms"
	p.wantConfig(groupResource, "g", heartbeat, "5000", kmsg.ConfigSourceDefaultConfig, 1)
	for _, tt := range []struct {
		group, name, value string
		want               *kerr.Error
	}{
		{"g", heartbeat, "7000", nil},
		{"g", session, "44999", kerr.InvalidConfig},
		{"g", heartbeat, "15001", kerr.InvalidConfig},
		{"g", heartbeat, "soon", kerr.InvalidConfig},
		{"g", "share.session.timeout.ms", "50000", kerr.InvalidConfig},
		{"", heartbeat, "7000", kerr.InvalidRequest},
		{"g", session, "60000", nil},
	} {
		wantCode(t, tt.name+"="+tt.value+" of group "+tt.group, p.set(groupResource, tt.group, tt.name, tt.value), tt.want)
	}
	if got := p.beat(1, "g", "me", 0); got.HeartbeatIntervalMillis != 7000 {
		t.Errorf("member is told %d ms", got.HeartbeatIntervalMillis)
	}
	if got := p.beat(1, "other", "me", 0); got.HeartbeatIntervalMillis != 5000 {
		t.Errorf("member of another group is told %d ms", got.HeartbeatIntervalMillis)
	}
	c.Restart(t)
	p = dial(t, c)
	p.wantConfig(groupResource, "g", heartbeat, "7000", 8, 2)
	wantCode(t, "reset", p.set(groupResource, "g", heartbeat, ""), nil)
	if got := p.beat(1, "g", "me", 1); got.HeartbeatIntervalMillis != 5000 {
		t.Errorf("member is told %d ms after the reset", got.HeartbeatIntervalMillis)
	}
}

// Defaults of topics can be altered while the broker runs, for itself and for
// all, and act on topics that leave them alone.
func TestDynamicBrokerConfigs(t *testing.T) {
	c := brokertest.Start(t, brokertest.With("log.retention.ms", "900000"))
	c.CreateTopic(t, "follows", 1)
	c.CreateTopic(t, "own", 1, "retention.ms", "1000")
	p := dial(t, c)
	const topic, broker = kmsg.ConfigResourceTypeTopic, kmsg.ConfigResourceTypeBroker
	p.wantConfig(topic, "follows", "retention.ms", "900000", kmsg.ConfigSourceStaticBrokerConfig, 2)
	wantCode(t, "of all brokers", p.set(broker, "", "log.retention.ms", "800000"), nil)
	p.wantConfig(topic, "follows", "retention.ms", "800000", kmsg.ConfigSourceDynamicDefaultBrokerConfig, 3)
	wantCode(t, "of this broker", p.set(broker, "1", "log.retention.ms", "700000"), nil)
	p.wantConfig(topic, "follows", "retention.ms", "700000", kmsg.ConfigSourceDynamicBrokerConfig, 4)
	p.wantConfig(topic, "own", "retention.ms", "1000", kmsg.ConfigSourceDynamicTopicConfig, 5)
	p.wantConfig(broker, "", "log.retention.ms", "800000", kmsg.ConfigSourceDynamicDefaultBrokerConfig, 1)
	p.wantConfig(broker, "1", "log.retention.ms", "700000", kmsg.ConfigSourceDynamicBrokerConfig, 4)
	if got := p.described(broker, "", "log.segment.bytes"); got != nil {
		t.Errorf("all brokers have %+v, which nobody set", got)
	}
	for name, want := range map[string]*kerr.Error{
		"num.partitions": kerr.InvalidConfig, "no.such.config": kerr.InvalidConfig, "log.preallocate": kerr.InvalidConfig,
	} {
		wantCode(t, name, p.set(broker, "1", name, "2"), want)
	}
	wantCode(t, "another broker", p.set(broker, "2", "log.retention.ms", "1"), kerr.InvalidRequest)

	// A smaller batch size acts on the open log.
	wantCode(t, "message.max.bytes", p.set(broker, "1", "message.max.bytes", "100"), nil)
	got := p.produced(produceTo(9, "follows", -1, records(t, -1, 0, string(make([]byte, 200)))))
	wantCode(t, "produce above message.max.bytes", got.ErrorCode, kerr.MessageTooLarge)
	wantCode(t, "reset", p.set(broker, "1", "message.max.bytes", ""), nil)
	got = p.produced(produceTo(9, "follows", -1, records(t, -1, 0, string(make([]byte, 200)))))
	wantCode(t, "produce after the reset", got.ErrorCode, nil)

	for name, value := range map[string]string{"inter.broker.protocol.version": "4.0-IV3", "advertised.listeners": "PLAINTEXT://" + c.Addr(), "node.id": "1"} {
		if got := p.described(broker, "1", name); got == nil || *got.Value != value || !got.ReadOnly {
			t.Errorf("%s is %+v, want %s", name, got, value)
		}
	}
	for name, readOnly := range map[string]bool{"log.retention.ms": false, "max.connections": false, "num.partitions": true, "log.preallocate": true} {
		if got := p.described(broker, "1", name); got == nil || got.ReadOnly != readOnly {
			t.Errorf("%s is %+v, read-only should be %t", name, got, readOnly)
		}
	}

	c.Restart(t)
	p = dial(t, c)
	p.wantConfig(topic, "follows", "retention.ms", "700000", kmsg.ConfigSourceDynamicBrokerConfig, 4)
}
