package api

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/broker/metadata"
	"github.com/millrace/millrace/broker/wire"
)

// deleteTopics answers API 20, versions 0 to 6. v4 is flexible; v5 adds error
// messages and may be refused for a quota (KIP-599); v6 names topics by id as well.
//
// Differs from Kafka: __consumer_offsets cannot be deleted.
func (a *API) deleteTopics(ctx context.Context, c *wire.Conn, req *kmsg.DeleteTopicsRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.DeleteTopicsResponse)
	ctx, cancel := context.WithTimeout(ctx, adminTimeout(req.TimeoutMillis))
	defer cancel()
	topics := req.Topics
	for i := range req.TopicNames {
		t := kmsg.NewDeleteTopicsRequestTopic()
		t.Topic = &req.TopicNames[i]
		topics = append(topics, t)
	}
	found, errs := a.resolveDeletions(topics)
	resp.Topics = make([]kmsg.DeleteTopicsResponseTopic, len(topics))
	spent := a.mutations(c, req.Version >= 5)
	var g errgroup.Group
	g.SetLimit(proposals)
	for i := range topics {
		g.Go(func() error {
			out := &resp.Topics[i]
			*out = kmsg.NewDeleteTopicsResponseTopic()
			out.Topic, out.TopicID = topics[i].Topic, topics[i].TopicID
			err := errs[i]
			if err == nil {
				out.Topic, out.TopicID = &found[i].Name, found[i].ID
				err = a.deleteTopic(ctx, found[i], spent)
			}
			out.ErrorCode, out.ErrorMessage = a.code(req.Key(), err), message(err)
			return nil
		})
	}
	err := g.Wait()
	resp.ThrottleMillis = spent.millis()
	return resp, err
}

// resolveDeletions finds the topics, each of which may be named once.
func (a *API) resolveDeletions(topics []kmsg.DeleteTopicsRequestTopic) ([]*metadata.Topic, []error) {
	image := a.cfg.Controller.Image()
	found, errs := make([]*metadata.Topic, len(topics)), make([]error, len(topics))
	first := make(map[*metadata.Topic]int)
	for i, t := range topics {
		switch {
		case t.Topic != nil && t.TopicID != [16]byte{}:
			errs[i] = refuse(kerr.InvalidRequest, "topic named by name and by id")
			continue
		case t.Topic != nil:
			if found[i] = image.Topic(*t.Topic); found[i] == nil {
				errs[i] = kerr.UnknownTopicOrPartition
			}
		default:
			if found[i] = image.TopicByID(t.TopicID); found[i] == nil {
				errs[i] = kerr.UnknownTopicID
			}
		}
		if found[i] == nil {
			continue
		}
		if other, twice := first[found[i]]; twice {
			errs[i] = refuse(kerr.InvalidRequest, "topic named more than once")
			errs[other] = errs[i]
		}
		first[found[i]] = i
	}
	return found, errs
}

func (a *API) deleteTopic(ctx context.Context, t *metadata.Topic, spent *mutations) error {
	if !a.cfg.Broker.Bool("delete.topic.enable") {
		return kerr.TopicDeletionDisabled
	}
	if internal(t.Name) {
		return refuse(kerr.InvalidTopicException, t.Name+" cannot be deleted: it holds the state of all groups or transactions")
	}
	if err := spent.spend(len(t.Partitions)); err != nil {
		return err
	}
	_, index, err := a.cfg.Controller.Propose(ctx, &metadata.DeleteTopic{ID: t.ID})
	if err != nil {
		return err
	}
	a.cfg.Controller.WaitPublished(ctx, index) // the topic is gone either way
	return nil
}
