package api

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/metadata"
	"github.com/millrace/millrace/broker/wire"
)

// createPartitions answers API 37, versions 0 to 3: topics get more
// partitions. v2 is flexible; v3 may be refused for a quota (KIP-599).
//
// Differs from Kafka: __consumer_offsets and __transaction_state cannot grow,
// because groups and transactional ids would lose their partition.
func (a *API) createPartitions(ctx context.Context, c *wire.Conn, req *kmsg.CreatePartitionsRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.CreatePartitionsResponse)
	ctx, cancel := context.WithTimeout(ctx, adminTimeout(req.TimeoutMillis))
	defer cancel()
	named := make(map[string]int, len(req.Topics))
	for i := range req.Topics {
		named[req.Topics[i].Topic]++
	}
	spent := a.mutations(c, req.Version >= 3)
	for i := range req.Topics {
		t := &req.Topics[i]
		rt := kmsg.NewCreatePartitionsResponseTopic()
		rt.Topic = t.Topic
		err := error(nil)
		if named[t.Topic] > 1 {
			err = refuse(kerr.InvalidRequest, "topic named more than once")
		} else {
			err = a.growTopic(ctx, t, req.ValidateOnly, spent)
		}
		rt.ErrorCode, rt.ErrorMessage = a.code(req.Key(), err), message(err)
		resp.Topics = append(resp.Topics, rt)
	}
	resp.ThrottleMillis = spent.millis()
	return resp, nil
}

func (a *API) growTopic(ctx context.Context, rt *kmsg.CreatePartitionsRequestTopic, validateOnly bool, spent *mutations) error {
	if internal(rt.Topic) {
		return refuse(kerr.InvalidTopicException, rt.Topic+" cannot get more partitions: groups or transactional ids would lose theirs")
	}
	t := a.cfg.Controller.Image().Topic(rt.Topic)
	if t == nil {
		return kerr.UnknownTopicOrPartition
	}
	have := len(t.Partitions)
	more := int(rt.Count) - have
	if more <= 0 {
		return fmt.Errorf("topic %s has %d partitions, %d asked for: %w", t.Name, have, rt.Count, metadata.ErrPartitions)
	}
	c := &metadata.CreatePartitions{ID: t.ID, From: int32(have)}
	var err error
	if rt.Assignment == nil {
		c.Replicas, err = a.place(more, len(t.Partitions[0].Replicas), have)
	} else {
		for i := range rt.Assignment {
			c.Replicas = append(c.Replicas, rt.Assignment[i].Replicas)
		}
		if len(c.Replicas) != more {
			err = fmt.Errorf("%d assignments for %d new partitions: %w", len(c.Replicas), more, metadata.ErrAssignment)
		}
	}
	if err == nil && !validateOnly {
		err = spent.spend(more)
	}
	if err != nil {
		return err
	}
	return a.change(ctx, c, validateOnly)
}

// change commits a command that changes a topic, or, with validateOnly, only
// tries it on the present image, and waits until this broker follows.
func (a *API) change(ctx context.Context, c metadata.Command, validateOnly bool) error {
	if validateOnly {
		image := a.cfg.Controller.Image()
		_, _, err := image.Apply(image.Index+1, c)
		return err
	}
	_, index, err := a.cfg.Controller.Propose(ctx, c)
	if err != nil {
		return err
	}
	a.cfg.Controller.WaitPublished(ctx, index) // the change is made either way
	return nil
}
