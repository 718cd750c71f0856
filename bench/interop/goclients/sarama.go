package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

func saramaConfig() *sarama.Config {
	c := sarama.NewConfig()
	c.Version = sarama.V3_6_0_0
	c.Producer.Return.Successes = true
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Group.Rebalance.Timeout = 10 * time.Second
	return c
}

func checkSarama(addr string) {
	addrs := []string{addr}
	admin, err := sarama.NewClusterAdmin(addrs, saramaConfig())
	if err != nil {
		check("connect", func() error { return err })
		return
	}
	defer admin.Close()
	topic := func(name string, partitions int32) (string, error) {
		name = "sarama-" + name + "-" + run
		return name, admin.CreateTopic(name, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1}, false)
	}
	for _, codec := range []sarama.CompressionCodec{sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy, sarama.CompressionLZ4, sarama.CompressionZSTD} {
		check("produce and consume, "+codec.String(), func() error {
			name, err := topic(codec.String(), 1)
			if err != nil {
				return err
			}
			c := saramaConfig()
			c.Producer.Compression = codec
			c.Producer.Idempotent = true
			c.Producer.RequiredAcks = sarama.WaitForAll
			c.Net.MaxOpenRequests = 1
			if err := saramaProduce(addrs, c, name, 200); err != nil {
				return err
			}
			got, err := saramaRead(addrs, saramaConfig(), name, 200)
			if err == nil && len(got) != 200 {
				err = fmt.Errorf("%d records", len(got))
			}
			return err
		})
	}
	for _, strategy := range []sarama.BalanceStrategy{sarama.NewBalanceStrategyRange(), sarama.NewBalanceStrategySticky()} {
		check("group of two, rebalance, resume ("+strategy.Name()+")", func() error {
			name, err := topic("group-"+strategy.Name(), 4)
			if err != nil {
				return err
			}
			return saramaGroup(addrs, name, strategy)
		})
	}
	check("transactions: commit, abort, offsets", func() error {
		name, err := topic("txn", 1)
		if err != nil {
			return err
		}
		return saramaTransactions(addrs, admin, name)
	})
	check("admin: configs, partitions, records, groups, topics", func() error {
		name, err := topic("admin", 1)
		if err != nil {
			return err
		}
		return saramaAdmin(addrs, admin, name)
	})
}

func saramaProduce(addrs []string, c *sarama.Config, topic string, n int) error {
	p, err := sarama.NewSyncProducer(addrs, c)
	if err != nil {
		return err
	}
	var all []*sarama.ProducerMessage
	for i := range n {
		all = append(all, &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(fmt.Sprint("v", i)),
			Headers: []sarama.RecordHeader{{Key: []byte("h"), Value: []byte("x")}}})
	}
	return first(p.SendMessages(all), p.Close())
}

func saramaRead(addrs []string, c *sarama.Config, topic string, n int) (out []string, err error) {
	consumer, err := sarama.NewConsumer(addrs, c)
	if err != nil {
		return nil, err
	}
	defer consumer.Close()
	p, err := consumer.ConsumePartition(topic, 0, sarama.OffsetOldest)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	for len(out) < n {
		select {
		case m := <-p.Messages():
			out = append(out, string(m.Value))
		case <-time.After(5 * time.Second):
			return out, nil
		}
	}
	return out, nil
}

// member is one consumer of a group.
type member struct {
	mu     sync.Mutex // guards below
	claims int
	values []string
}

func (m *member) Setup(s sarama.ConsumerGroupSession) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.claims = 0
	for _, p := range s.Claims() {
		m.claims += len(p)
	}
	return nil
}

func (m *member) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (m *member) ConsumeClaim(s sarama.ConsumerGroupSession, c sarama.ConsumerGroupClaim) error {
	for {
		select {
		case r, ok := <-c.Messages():
			if !ok {
				return nil
			}
			m.mu.Lock()
			m.values = append(m.values, string(r.Value))
			m.mu.Unlock()
			s.MarkMessage(r, "")
		case <-s.Context().Done():
			return nil
		}
	}
}

func (m *member) has(claims int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.claims == claims
}

func (m *member) got(n int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.values) >= n
}

func (m *member) start(addrs []string, group, topic string, strategy sarama.BalanceStrategy) (stop func() error, err error) {
	c := saramaConfig()
	c.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{strategy}
	g, err := sarama.NewConsumerGroup(addrs, group, c)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			if err := g.Consume(ctx, []string{topic}, m); err != nil && !errors.Is(err, context.Canceled) {
				done <- err
				return
			}
		}
		done <- nil
	}()
	return func() error { cancel(); return first(<-done, g.Close()) }, nil
}

func saramaGroup(addrs []string, topic string, strategy sarama.BalanceStrategy) error {
	if err := saramaProduce(addrs, saramaConfig(), topic, 100); err != nil {
		return err
	}
	group := "g-" + topic
	var one, two member
	stopOne, err := one.start(addrs, group, topic, strategy)
	if err != nil {
		return err
	}
	if err := until("all records", func() bool { return one.got(100) }); err != nil {
		return err
	}
	stopTwo, err := two.start(addrs, group, topic, strategy)
	if err != nil {
		return err
	}
	if err := first(until("balance", func() bool { return one.has(2) && two.has(2) }), stopOne(),
		until("takeover", func() bool { return two.has(4) }),
		saramaProduce(addrs, saramaConfig(), topic, 5),
		until("the records after", func() bool { return two.got(5) }), stopTwo()); err != nil {
		return err
	}
	if len(two.values) != 5 {
		return fmt.Errorf("%d records after the group had committed, want 5", len(two.values))
	}
	return nil
}

func saramaTransactions(addrs []string, admin sarama.ClusterAdmin, topic string) error {
	c := saramaConfig()
	c.Producer.Idempotent, c.Producer.RequiredAcks, c.Net.MaxOpenRequests = true, sarama.WaitForAll, 1
	c.Producer.Transaction.ID = "sarama-" + run
	p, err := sarama.NewSyncProducer(addrs, c)
	if err != nil {
		return err
	}
	send := func(v string) error {
		_, _, err := p.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(v)})
		return err
	}
	group := "sarama-eos-" + run
	offsets := map[string][]*sarama.PartitionOffsetMetadata{topic: {{Partition: 0, Offset: 7}}}
	if err := first(p.BeginTxn(), send("drop"), p.AbortTxn(),
		p.BeginTxn(), send("keep"), p.AddOffsetsToTxn(offsets, group), p.CommitTxn(), p.Close()); err != nil {
		return err
	}
	c = saramaConfig()
	c.Consumer.IsolationLevel = sarama.ReadCommitted
	got, err := saramaRead(addrs, c, topic, 2)
	if err == nil && !slices.Equal(got, []string{"keep"}) {
		err = fmt.Errorf("read %q", got)
	}
	if err != nil {
		return err
	}
	resp, err := admin.ListConsumerGroupOffsets(group, map[string][]int32{topic: {0}})
	if err == nil && resp.GetBlock(topic, 0).Offset != 7 {
		err = fmt.Errorf("committed offset %d, want 7", resp.GetBlock(topic, 0).Offset)
	}
	return err
}

func saramaAdmin(addrs []string, admin sarama.ClusterAdmin, topic string) error {
	value := "55555555"
	if err := first(saramaProduce(addrs, saramaConfig(), topic, 10),
		admin.AlterConfig(sarama.TopicResource, topic, map[string]*string{"retention.ms": &value}, false),
		admin.CreatePartitions(topic, 3, nil, false),
		admin.DeleteRecords(topic, map[int32]int64{0: 1})); err != nil {
		return err
	}
	entries, err := admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic, ConfigNames: []string{"retention.ms"}})
	if err == nil && (len(entries) != 1 || entries[0].Value != value) {
		err = fmt.Errorf("described %+v", entries)
	}
	_, groupsErr := admin.ListConsumerGroups()
	_, _, clusterErr := admin.DescribeCluster()
	_, logsErr := admin.DescribeLogDirs([]int32{1})
	return first(err, groupsErr, clusterErr, logsErr, admin.DeleteTopic(topic))
}
