package api

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/broker/metadata"
	"github.com/millrace/millrace/broker/wire"
)

// proposals is how many commands of one request are on their way to the
// quorum at a time; the quorum writes them to disk together.
const proposals = 64

// createTopics answers API 19, versions 0 to 7. v1 adds error messages and
// validate_only; v4 lets counts be -1 for the broker's defaults; v5 is
// flexible and returns what was created; v6 may be refused for a quota
// (KIP-599); v7 returns topic ids.
//
// Differs from Kafka: internal topics cannot be created, and the answer comes
// when the partitions can be used.
func (a *API) createTopics(ctx context.Context, c *wire.Conn, req *kmsg.CreateTopicsRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
	ctx, cancel := context.WithTimeout(ctx, adminTimeout(req.TimeoutMillis))
	defer cancel()
	named := make(map[string]int, len(req.Topics))
	for i := range req.Topics {
		named[req.Topics[i].Topic]++
	}
	resp.Topics = make([]kmsg.CreateTopicsResponseTopic, 0, len(named))
	spent := a.mutations(c, req.Version >= 6)
	var g errgroup.Group
	g.SetLimit(proposals)
	for i := range req.Topics {
		t := &req.Topics[i]
		n := named[t.Topic]
		if n == 0 {
			continue // answered with its first mention
		}
		named[t.Topic] = 0
		resp.Topics = append(resp.Topics, kmsg.NewCreateTopicsResponseTopic())
		out := &resp.Topics[len(resp.Topics)-1]
		out.Topic, out.NumPartitions, out.ReplicationFactor = t.Topic, -1, -1
		if n > 1 {
			a.failCreate(out, refuse(kerr.InvalidRequest, "topic named more than once"))
			continue
		}
		g.Go(func() error {
			a.createOne(ctx, req, t, out, spent)
			return nil
		})
	}
	err := g.Wait()
	resp.ThrottleMillis = spent.millis()
	return resp, err
}

// adminTimeout is how long a request that changes metadata may take. Clients
// that send nothing useful get Kafka's default.
func adminTimeout(ms int32) time.Duration {
	if ms <= 0 {
		ms = 30000
	}
	return time.Duration(ms) * time.Millisecond
}

func (a *API) failCreate(out *kmsg.CreateTopicsResponseTopic, err error) {
	out.ErrorCode = a.code(19, err)
	out.ErrorMessage = message(err)
}

func (a *API) createOne(ctx context.Context, req *kmsg.CreateTopicsRequest, t *kmsg.CreateTopicsRequestTopic, out *kmsg.CreateTopicsResponseTopic, spent *mutations) {
	c, err := a.newTopic(t, req.Version)
	if err == nil && !req.ValidateOnly {
		if err = spent.spend(len(c.Replicas)); err == nil {
			err = a.createTopic(ctx, c)
		}
	}
	if err != nil {
		a.failCreate(out, err)
		return
	}
	if !req.ValidateOnly {
		out.TopicID = c.ID
	}
	out.NumPartitions, out.ReplicationFactor = int32(len(c.Replicas)), int16(len(c.Replicas[0]))
	for i := range metadata.TopicKeys() {
		k := &metadata.TopicKeys()[i]
		value, source := metadata.TopicValue(k, c.Configs, a.cfg.Broker)
		rc := kmsg.NewCreateTopicsResponseTopicConfig()
		rc.Name, rc.Value, rc.Source = k.Name, &value, int8(source)
		out.Configs = append(out.Configs, rc)
	}
}

// newTopic checks a topic and returns the command that creates it.
func (a *API) newTopic(t *kmsg.CreateTopicsRequestTopic, version int16) (*metadata.CreateTopic, error) {
	if err := a.cfg.Controller.Image().CheckNewTopic(t.Topic); err != nil {
		return nil, err
	}
	if internal(t.Topic) {
		return nil, refuse(kerr.InvalidTopicException, t.Topic+" is created by the broker when it is needed")
	}
	c := &metadata.CreateTopic{ID: metadata.NewID(), Name: t.Topic, Configs: make(map[string]string, len(t.Configs))}
	for _, cfg := range t.Configs {
		if cfg.Value != nil { // null is the default
			c.Configs[cfg.Name] = *cfg.Value
		}
	}
	if err := metadata.CheckTopicConfigs(c.Configs); err != nil {
		return nil, err
	}
	var err error
	if len(t.ReplicaAssignment) > 0 {
		c.Replicas, err = assignment(t)
	} else {
		c.Replicas, err = a.placeNew(t, version)
	}
	return c, err
}

func (a *API) placeNew(t *kmsg.CreateTopicsRequestTopic, version int16) ([][]int32, error) {
	n, factor := int(t.NumPartitions), int(t.ReplicationFactor)
	if version >= 4 && n == -1 {
		n = a.cfg.Broker.Int("num.partitions")
	}
	if version >= 4 && factor == -1 {
		factor = a.cfg.Broker.Int("default.replication.factor")
	}
	return a.place(n, factor, 0)
}

// assignment reads replicas that the client chose: partitions from 0 without
// gaps. The quorum checks the brokers.
func assignment(t *kmsg.CreateTopicsRequestTopic) ([][]int32, error) {
	if t.NumPartitions != -1 || t.ReplicationFactor != -1 {
		return nil, refuse(kerr.InvalidRequest, "num_partitions and replication_factor must be -1 beside a replica assignment")
	}
	by := make(map[int32][]int32, len(t.ReplicaAssignment))
	for _, p := range t.ReplicaAssignment {
		if _, twice := by[p.Partition]; twice {
			return nil, fmt.Errorf("partition %d is assigned twice: %w", p.Partition, metadata.ErrAssignment)
		}
		by[p.Partition] = p.Replicas
	}
	out := make([][]int32, len(by))
	for _, p := range slices.Sorted(maps.Keys(by)) {
		if p < 0 || int(p) >= len(out) {
			return nil, fmt.Errorf("partition %d of %d: ids must be consecutive from 0: %w", p, len(out), metadata.ErrAssignment)
		}
		out[p] = by[p]
	}
	return out, nil
}
