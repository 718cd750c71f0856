package main

import (
	"context"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
)

func checkKafkaGo(addr string) {
	client := &kafka.Client{Addr: kafka.TCP(addr), Timeout: 30 * time.Second}
	topic := func(name string, partitions int) (string, error) {
		name = "kafkago-" + name + "-" + run
		conn, err := kafka.Dial("tcp", addr) // the old connection API, with old versions
		if err != nil {
			return "", err
		}
		defer conn.Close()
		return name, conn.CreateTopics(kafka.TopicConfig{Topic: name, NumPartitions: partitions, ReplicationFactor: 1})
	}
	for _, codec := range []kafka.Compression{0, kafka.Gzip, kafka.Snappy, kafka.Lz4, kafka.Zstd} {
		check(fmt.Sprintf("produce and consume, %s", codec), func() error {
			name, err := topic(fmt.Sprintf("codec-%d", codec), 1)
			if err != nil {
				return err
			}
			if err := kafkaGoProduce(addr, name, 100, codec); err != nil {
				return err
			}
			r := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{addr}, Topic: name, MaxWait: 100 * time.Millisecond})
			return first(kafkaGoRead(r, 100), r.Close())
		})
	}
	check("group of two, rebalance, resume", func() error {
		name, err := topic("group", 4)
		if err != nil {
			return err
		}
		return kafkaGoGroup(addr, name)
	})
	check("connection API: write, read, offsets", func() error {
		name, err := topic("conn", 1)
		if err != nil {
			return err
		}
		return kafkaGoConn(addr, name)
	})
	check("transactions: producer id, offsets, end", func() error { return kafkaGoTransactions(client, topic) })
	check("admin: configs, partitions, groups, topics", func() error {
		name, err := topic("admin", 1)
		if err != nil {
			return err
		}
		return kafkaGoAdmin(client, name)
	})
}

func timeout() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), time.Minute)
}

func kafkaGoProduce(addr, topic string, n int, codec kafka.Compression) error {
	ctx, stop := timeout()
	defer stop()
	// The transport that writers share would not hear of a new topic for a while.
	transport := &kafka.Transport{MetadataTTL: 100 * time.Millisecond}
	defer transport.CloseIdleConnections()
	w := &kafka.Writer{Addr: kafka.TCP(addr), Topic: topic, Transport: transport, RequiredAcks: kafka.RequireAll, Compression: codec,
		BatchTimeout: 5 * time.Millisecond, Balancer: &kafka.RoundRobin{}}
	var all []kafka.Message
	for i := range n {
		all = append(all, kafka.Message{Key: fmt.Append(nil, i), Value: fmt.Append(nil, "v", i), Headers: []kafka.Header{{Key: "h", Value: []byte("x")}}})
	}
	return first(w.WriteMessages(ctx, all...), w.Close())
}

func kafkaGoRead(r *kafka.Reader, n int) error {
	ctx, stop := timeout()
	defer stop()
	for i := range n {
		if _, err := r.ReadMessage(ctx); err != nil {
			return fmt.Errorf("record %d of %d: %w", i, n, err)
		}
	}
	return nil
}

func kafkaGoGroup(addr, topic string) error {
	if err := kafkaGoProduce(addr, topic, 100, 0); err != nil {
		return err
	}
	config := kafka.ReaderConfig{Brokers: []string{addr}, GroupTopics: []string{topic}, GroupID: "g-" + topic,
		MaxWait: 100 * time.Millisecond, StartOffset: kafka.FirstOffset, HeartbeatInterval: 500 * time.Millisecond}
	one := kafka.NewReader(config)
	if err := kafkaGoRead(one, 100); err != nil {
		return err
	}
	two := kafka.NewReader(config)
	members := func(want int) func() bool {
		return func() bool {
			ctx, stop := timeout()
			defer stop()
			c := &kafka.Client{Addr: kafka.TCP(addr)}
			d, err := c.DescribeGroups(ctx, &kafka.DescribeGroupsRequest{GroupIDs: []string{config.GroupID}})
			return err == nil && len(d.Groups) == 1 && d.Groups[0].GroupState == "Stable" && len(d.Groups[0].Members) == want
		}
	}
	return first(until("two members", members(2)), one.Close(), until("one member", members(1)),
		kafkaGoProduce(addr, topic, 20, 0), kafkaGoRead(two, 20), two.Close())
}

func kafkaGoConn(addr, topic string) error {
	ctx, stop := timeout()
	defer stop()
	conn, err := kafka.DialLeader(ctx, "tcp", addr, topic, 0)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.WriteMessages(kafka.Message{Value: []byte("a")}, kafka.Message{Value: []byte("b")}); err != nil {
		return err
	}
	if first, last, err := conn.ReadOffsets(); err != nil || first != 0 || last != 2 {
		return fmt.Errorf("offsets %d to %d, want 0 to 2: %v", first, last, err)
	}
	m, err := conn.ReadMessage(1 << 20)
	if err == nil && string(m.Value) != "a" {
		err = fmt.Errorf("read %q", m.Value)
	}
	return err
}

func kafkaGoTransactions(client *kafka.Client, topic func(string, int) (string, error)) error {
	ctx, stop := timeout()
	defer stop()
	name, err := topic("txn", 1)
	if err != nil {
		return err
	}
	id, group := "kafkago-"+run, "kafkago-eos-"+run
	// A coordinator that is still being made is asked for again.
	err = until("a coordinator", func() bool {
		resp, err := client.FindCoordinator(ctx, &kafka.FindCoordinatorRequest{Key: id, KeyType: kafka.CoordinatorKeyTypeTransaction})
		return err == nil && resp.Error == nil
	})
	if err != nil {
		return err
	}
	init, err := client.InitProducerID(ctx, &kafka.InitProducerIDRequest{TransactionalID: id, TransactionTimeoutMs: 30000})
	if err := first(err, initError(init)); err != nil {
		return err
	}
	pid, epoch := init.Producer.ProducerID, init.Producer.ProducerEpoch
	added, err := client.AddOffsetsToTxn(ctx, &kafka.AddOffsetsToTxnRequest{TransactionalID: id, ProducerID: pid, ProducerEpoch: epoch, GroupID: group})
	if err == nil {
		err = added.Error
	}
	if err != nil {
		return err
	}
	committed, err := client.TxnOffsetCommit(ctx, &kafka.TxnOffsetCommitRequest{TransactionalID: id, GroupID: group, ProducerID: pid, ProducerEpoch: epoch,
		GenerationID: -1, Topics: map[string][]kafka.TxnOffsetCommit{name: {{Partition: 0, Offset: 10}}}})
	if err == nil {
		err = committed.Topics[name][0].Error
	}
	if err != nil {
		return err
	}
	ended, err := client.EndTxn(ctx, &kafka.EndTxnRequest{TransactionalID: id, ProducerID: pid, ProducerEpoch: epoch, Committed: true})
	if err == nil {
		err = ended.Error
	}
	if err != nil {
		return err
	}
	return until("the committed offset", func() bool {
		got, err := client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{name: {0}}})
		return err == nil && got.Topics[name][0].CommittedOffset == 10
	})
}

func initError(r *kafka.InitProducerIDResponse) error {
	if r == nil {
		return nil
	}
	return r.Error
}

func kafkaGoAdmin(client *kafka.Client, topic string) error {
	ctx, stop := timeout()
	defer stop()
	if _, err := client.IncrementalAlterConfigs(ctx, &kafka.IncrementalAlterConfigsRequest{Resources: []kafka.IncrementalAlterConfigsRequestResource{{
		ResourceType: kafka.ResourceTypeTopic, ResourceName: topic,
		Configs: []kafka.IncrementalAlterConfigsRequestConfig{{Name: "retention.ms", Value: "424242", ConfigOperation: kafka.ConfigOperationSet}}}}}); err != nil {
		return err
	}
	described, err := client.DescribeConfigs(ctx, &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{{
		ResourceType: kafka.ResourceTypeTopic, ResourceName: topic, ConfigNames: []string{"retention.ms"}}}})
	if err == nil && described.Resources[0].ConfigEntries[0].ConfigValue != "424242" {
		err = fmt.Errorf("described %+v", described.Resources[0].ConfigEntries)
	}
	if err != nil {
		return err
	}
	_, partitionsErr := client.CreatePartitions(ctx, &kafka.CreatePartitionsRequest{Topics: []kafka.TopicPartitionsConfig{{Name: topic, Count: 3}}})
	_, groupsErr := client.ListGroups(ctx, &kafka.ListGroupsRequest{})
	deleted, err := client.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{topic}})
	if err == nil {
		err = deleted.Errors[topic]
	}
	return first(partitionsErr, groupsErr, err)
}
