package api_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/brokertest"
)

// quota sets a quota of an entity, given as types and names in turn; 0 removes
// it, and an empty name is the default.
func (p *peer) quota(version int16, key string, value float64, entity ...string) int16 {
	p.t.Helper()
	req := as(kmsg.NewPtrAlterClientQuotasRequest(), version)
	re := kmsg.NewAlterClientQuotasRequestEntry()
	for i := 0; i < len(entity); i += 2 {
		rp := kmsg.NewAlterClientQuotasRequestEntryEntity()
		if rp.Type = entity[i]; entity[i+1] != "" {
			rp.Name = &entity[i+1]
		}
		re.Entity = append(re.Entity, rp)
	}
	op := kmsg.NewAlterClientQuotasRequestEntryOp()
	op.Key, op.Value, op.Remove = key, value, value == 0
	re.Ops = append(re.Ops, op)
	req.Entries = append(req.Entries, re)
	return p.ask(req).(*kmsg.AlterClientQuotasResponse).Entries[0].ErrorCode
}

// muted measures how long the broker takes to answer the next request.
func (p *peer) muted() time.Duration {
	p.t.Helper()
	began := time.Now()
	p.ask(as(kmsg.NewPtrApiVersionsRequest(), 0))
	return time.Since(began)
}

// wantMuted checks that a response came with a throttle time and that the
// connection, which began to wait at some time, is muted for as long.
func (p *peer) wantMuted(what string, began time.Time, ms int32) {
	p.t.Helper()
	if took := time.Since(began); ms <= 0 || took > time.Duration(ms)*time.Millisecond/2+50*time.Millisecond {
		p.t.Errorf("%s: answered after %v with throttle time %d ms, want an answer at once", what, took, ms)
	}
	p.muted()
	if took := time.Since(began); took < time.Duration(ms-50)*time.Millisecond {
		p.t.Errorf("%s: the next answer came %v later, the throttle time is %d ms", what, took, ms)
	}
}

func TestProduceQuota(t *testing.T) {
	c := brokertest.Start(t)
	c.CreateTopic(t, "t", 1)
	p, other := dial(t, c), dial(t, c)
	wantCode(t, "set", other.quota(1, "producer_byte_rate", 1000, "client-id", "peer"), nil)
	big := produceTo(9, "t", -1, records(t, -1, 0, string(make([]byte, 10100))))
	began := time.Now()
	resp := p.ask(big).(*kmsg.ProduceResponse)
	wantCode(t, "produce", resp.Topics[0].Partitions[0].ErrorCode, nil)
	if resp.ThrottleMillis < 100 || resp.ThrottleMillis > 1000 {
		t.Errorf("throttle time of 10.2 KB where 10 KB may pass at once is %d ms", resp.ThrottleMillis)
	}
	p.wantMuted("produce", began, resp.ThrottleMillis)
	wantCode(t, "remove", other.quota(1, "producer_byte_rate", 0, "client-id", "peer"), nil)
	if resp := p.ask(big).(*kmsg.ProduceResponse); resp.ThrottleMillis != 0 {
		t.Errorf("throttle time without a quota is %d ms", resp.ThrottleMillis)
	}
}

// A fetch above the quota is answered with nothing but the throttle time, and
// gets its records later; in a session as well.
func TestFetchQuota(t *testing.T) {
	for _, session := range []bool{false, true} {
		t.Run(fmt.Sprint("session=", session), func(t *testing.T) {
			c := brokertest.Start(t)
			c.CreateTopic(t, "t", 1)
			p := dial(t, c)
			for range 10 {
				wantCode(t, "produce", p.produced(produceTo(9, "t", -1, records(t, -1, 0, string(make([]byte, 1000))))).ErrorCode, nil)
			}
			other := dial(t, c)
			wantCode(t, "set", other.quota(1, "consumer_byte_rate", 1000, "user", "ANONYMOUS"), nil)
			req := fetchFrom(12, "t", p.topicID("t"), 0)
			if session {
				req.SessionEpoch = 0
			}
			fetch := func() *kmsg.FetchResponse {
				t.Helper()
				resp := p.ask(req).(*kmsg.FetchResponse)
				wantCode(t, "fetch", resp.ErrorCode, nil)
				if session && resp.SessionID == 0 {
					t.Error("no session")
				}
				if session {
					req.SessionID, req.SessionEpoch = resp.SessionID, req.SessionEpoch+1
				}
				return resp
			}
			got := len(values(t, fetch().Topics[0].Partitions[0].RecordBatches))
			if got != 9 {
				t.Fatalf("%d records where 10 KB may pass at once, want 9", got)
			}
			req.Topics[0].Partitions[0].FetchOffset = 9
			began := time.Now()
			resp := fetch()
			if len(resp.Topics) != 0 {
				t.Errorf("throttled response has %+v", resp.Topics)
			}
			p.wantMuted("fetch", began, resp.ThrottleMillis)
			wantCode(t, "remove", other.quota(1, "consumer_byte_rate", 0, "user", "ANONYMOUS"), nil)
			if resp = fetch(); len(resp.Topics) != 1 || len(values(t, resp.Topics[0].Partitions[0].RecordBatches)) != 1 {
				t.Errorf("without the quota the fetch returns %+v", resp)
			}
		})
	}
}

func TestMutationQuota(t *testing.T) {
	c := brokertest.Start(t)
	p := dial(t, c)
	wantCode(t, "set", p.quota(1, "controller_mutation_rate", 1, "user", ""), nil)
	create := func(version int16, name string, partitions int32) (*kmsg.CreateTopicsResponse, time.Time) {
		t.Helper()
		req := as(kmsg.NewPtrCreateTopicsRequest(), version)
		rt := kmsg.NewCreateTopicsRequestTopic()
		rt.Topic, rt.NumPartitions, rt.ReplicationFactor = name, partitions, 1
		req.Topics = append(req.Topics, rt)
		began := time.Now()
		return p.ask(req).(*kmsg.CreateTopicsResponse), began
	}
	resp, began := create(7, "burst", 12)
	wantCode(t, "the burst of 11 and one more", resp.Topics[0].ErrorCode, nil)
	p.wantMuted("create", began, resp.ThrottleMillis)
	resp, _ = create(5, "old", 2)
	wantCode(t, "an old client's topic", resp.Topics[0].ErrorCode, nil)
	q := dial(t, c) // is not muted
	req := as(kmsg.NewPtrDeleteTopicsRequest(), 6)
	rt := kmsg.NewDeleteTopicsRequestTopic()
	rt.Topic = kmsg.StringPtr("burst")
	req.Topics = append(req.Topics, rt)
	deleted := q.ask(req).(*kmsg.DeleteTopicsResponse)
	wantCode(t, "delete", deleted.Topics[0].ErrorCode, kerr.ThrottlingQuotaExceeded)
	if deleted.ThrottleMillis <= 0 {
		t.Errorf("refused without a throttle time")
	}
}

func TestRequestQuota(t *testing.T) {
	c := brokertest.Start(t)
	c.CreateTopic(t, "t", 1)
	p := dial(t, c)
	wantCode(t, "set", p.quota(1, "request_percentage", 0.0001, "client-id", "peer"), nil)
	for range 20 {
		began := time.Now()
		resp := p.ask(as(kmsg.NewPtrMetadataRequest(), 9)).(*kmsg.MetadataResponse)
		if resp.ThrottleMillis > 0 {
			if resp.ThrottleMillis > 1000 {
				t.Errorf("throttle time is %d ms, more than a second", resp.ThrottleMillis)
			}
			p.wantMuted("metadata", began, resp.ThrottleMillis)
			return
		}
	}
	t.Error("never throttled")
}

func TestDescribeQuotas(t *testing.T) {
	c := brokertest.Start(t)
	p := dial(t, c)
	for _, e := range [][]string{
		{"user", "u"}, {"user", ""}, {"client-id", "c"}, {"user", "u", "client-id", "c"}, {"user", "u", "client-id", ""},
	} {
		wantCode(t, fmt.Sprint(e), p.quota(1, "producer_byte_rate", 5, e...), nil)
	}
	wantCode(t, "address", p.quota(1, "connection_creation_rate", 5, "ip", "::ffff:10.0.0.1"), nil)
	for _, tt := range []struct {
		name   string
		key    string
		entity []string
	}{
		{"nobody", "producer_byte_rate", nil},
		{"address with bytes", "producer_byte_rate", []string{"ip", "::1"}},
		{"user with connections", "connection_creation_rate", []string{"user", "u"}},
		{"no address", "connection_creation_rate", []string{"ip", "localhost"}},
		{"address and user", "producer_byte_rate", []string{"ip", "::1", "user", "u"}},
		{"unknown type", "producer_byte_rate", []string{"group", "g"}},
		{"the same type twice", "producer_byte_rate", []string{"user", "u", "user", "v"}},
	} {
		wantCode(t, tt.name, p.quota(1, tt.key, 1, tt.entity...), kerr.InvalidRequest)
	}
	describe := func(strict bool, components ...kmsg.DescribeClientQuotasRequestComponent) []string {
		t.Helper()
		req := as(kmsg.NewPtrDescribeClientQuotasRequest(), 1)
		req.Components, req.Strict = components, strict
		resp := p.ask(req).(*kmsg.DescribeClientQuotasResponse)
		wantCode(t, "describe", resp.ErrorCode, nil)
		var out []string
		for _, e := range resp.Entries {
			s := ""
			for _, part := range e.Entity {
				name := "default"
				if part.Name != nil {
					name = *part.Name
				}
				s += part.Type + "=" + name + " "
			}
			out = append(out, s)
		}
		slices.Sort(out)
		return out
	}
	match := func(kind string, how kmsg.QuotasMatchType, name string) kmsg.DescribeClientQuotasRequestComponent {
		rc := kmsg.NewDescribeClientQuotasRequestComponent()
		if rc.EntityType, rc.MatchType = kind, how; how == kmsg.QuotasMatchTypeExact {
			rc.Match = &name
		}
		return rc
	}
	const exact, byDefault, any = kmsg.QuotasMatchTypeExact, kmsg.QuotasMatchTypeDefault, kmsg.QuotasMatchTypeAny
	for _, tt := range []struct {
		name   string
		strict bool
		parts  []kmsg.DescribeClientQuotasRequestComponent
		want   string
	}{
		{"all", false, nil, "[client-id=c  ip=10.0.0.1  user=default  user=u  user=u client-id=c  user=u client-id=default ]"},
		{"a user and what goes with it", false, []kmsg.DescribeClientQuotasRequestComponent{match("user", exact, "u")}, "[user=u  user=u client-id=c  user=u client-id=default ]"},
		{"a user alone", true, []kmsg.DescribeClientQuotasRequestComponent{match("user", exact, "u")}, "[user=u ]"},
		{"default users", false, []kmsg.DescribeClientQuotasRequestComponent{match("user", byDefault, "")}, "[user=default ]"},
		{"any user's default clients", true, []kmsg.DescribeClientQuotasRequestComponent{match("user", any, ""), match("client-id", byDefault, "")}, "[user=u client-id=default ]"},
	} {
		if got := fmt.Sprint(describe(tt.strict, tt.parts...)); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	c.Restart(t)
	p = dial(t, c)
	if got := describe(false); len(got) != 6 {
		t.Errorf("after a restart there are %v", got)
	}
}
