package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/brokertest"
	"github.com/millrace/millrace/broker/recordbatch"
)

func start(t *testing.T, opts ...brokertest.Option) *peer {
	t.Helper()
	return dial(t, brokertest.Start(t, opts...))
}

func TestApiVersionsOfTheFuture(t *testing.T) {
	p := start(t)
	req := as(kmsg.NewPtrApiVersionsRequest(), 9)
	p.send(req)
	resp := kmsg.NewPtrApiVersionsResponse() // version 0, whatever was asked in
	if err := resp.ReadFrom(p.body(1, false)); err != nil {
		t.Fatal(err)
	}
	wantCode(t, "version 9", resp.ErrorCode, kerr.UnsupportedVersion)
	found := false
	for _, k := range resp.ApiKeys {
		found = found || k.ApiKey == 18 && k.MaxVersion == 4
	}
	if !found {
		t.Errorf("the answer does not name ApiVersions: %+v", resp.ApiKeys)
	}
	advertised(p, 4) // the connection goes on

	req = as(kmsg.NewPtrApiVersionsRequest(), 3)
	req.ClientSoftwareName, req.ClientSoftwareVersion = "-", "1"
	wantCode(t, "bad software name", p.ask(req).(*kmsg.ApiVersionsResponse).ErrorCode, kerr.InvalidRequest)
}

func TestUnservedRequestsClose(t *testing.T) {
	c := brokertest.Start(t)
	for _, req := range []kmsg.Request{
		as(kmsg.NewPtrControlledShutdownRequest(), 1),
		as(kmsg.NewPtrSASLHandshakeRequest(), 1),
		as(kmsg.NewPtrFetchRequest(), 3),
		as(kmsg.NewPtrFetchRequest(), 19),
		as(kmsg.NewPtrProduceRequest(), 14),
	} {
		p := dial(t, c)
		p.send(req)
		p.wantClosed()
	}
	advertised(dial(t, c), 4) // nobody else suffers
	if got := c.Broker().Stats().ConnectionsBroken; got != 5 {
		t.Errorf("%d broken connections counted, want 5", got)
	}
}

func TestProduceRefusals(t *testing.T) {
	p := start(t, brokertest.With("auto.create.topics.enable", "false"))
	p.create("t", 1)
	p.create("small", 1)
	big := records(t, -1, 0, strings.Repeat("v", 2<<20))
	torn := records(t, -1, 0, "v")
	torn[len(torn)-1]++
	zstd := records(t, -1, 0, "v")
	zstd[22] |= byte(recordbatch.Zstd)
	zstd.SetCRC()
	shifted := records(t, -1, 0, "v")
	shifted.SetBaseOffset(4)
	for _, tt := range []struct {
		name string
		req  *kmsg.ProduceRequest
		want *kerr.Error
	}{
		{"acks 2", produceTo(9, "t", 2, records(t, -1, 0, "v")), kerr.InvalidRequiredAcks},
		{"unknown topic", produceTo(9, "none", 1, records(t, -1, 0, "v")), kerr.UnknownTopicOrPartition},
		{"internal topic", produceTo(9, "__consumer_offsets", 1, records(t, -1, 0, "v")), kerr.InvalidTopicException},
		{"nothing", produceTo(9, "t", 1, nil), kerr.CorruptMessage},
		{"half a batch", produceTo(9, "t", 1, records(t, -1, 0, "v")[:70]), kerr.CorruptMessage},
		{"two batches", produceTo(9, "t", 1, append(records(t, -1, 0, "v"), records(t, -1, 0, "v")...)), kerr.InvalidRecord},
		{"bad checksum", produceTo(9, "t", 1, torn), kerr.CorruptMessage},
		{"base offset", produceTo(9, "t", 1, shifted), kerr.InvalidRecord},
		{"too large", produceTo(9, "t", 1, big), kerr.MessageTooLarge},
		{"zstd before v7", produceTo(6, "t", 1, zstd), kerr.UnsupportedCompressionType},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := p.produced(tt.req)
			wantCode(t, "produce", got.ErrorCode, tt.want)
			if got.BaseOffset != -1 || tt.req.Version >= 8 && tt.want != kerr.UnknownTopicOrPartition && got.ErrorMessage == nil {
				t.Errorf("answer is %+v", got)
			}
		})
	}
	missing := produceTo(9, "t", 1, records(t, -1, 0, "v"))
	missing.Topics[0].Partitions[0].Partition = 7
	wantCode(t, "unknown partition", p.produced(missing).ErrorCode, kerr.UnknownTopicOrPartition)
	if end := p.end("t"); end != 0 {
		t.Errorf("refused batches were appended: the log ends at %d", end)
	}
}

func TestRefusedRecordIsNamed(t *testing.T) {
	c := brokertest.Start(t)
	c.CreateTopic(t, "keys", 1, "cleanup.policy", "compact")
	var b recordbatch.Builder
	b.Add(time.Now().UnixMilli(), []byte("k"), nil)
	b.Add(time.Now().UnixMilli(), nil, []byte("v"))
	got := dial(t, c).produced(produceTo(8, "keys", -1, b.Batch(recordbatch.NoProducer)))
	wantCode(t, "record without key", got.ErrorCode, kerr.InvalidRecord)
	if len(got.ErrorRecords) != 1 || got.ErrorRecords[0].RelativeOffset != 1 {
		t.Errorf("error records are %+v", got.ErrorRecords)
	}
}

// acks=0 has no response; an error closes the connection.
func TestAcksZero(t *testing.T) {
	c := brokertest.Start(t)
	c.CreateTopic(t, "t", 1)
	p := dial(t, c)
	p.send(produceTo(9, "t", 0, records(t, -1, 0, "quiet")))
	got := p.fetched(fetchFrom(11, "t", [16]byte{}, 0))
	if vs := values(t, got.RecordBatches); len(vs) != 1 || vs[0] != "quiet" {
		t.Errorf("fetched %v", vs)
	}
	p.send(produceTo(9, "none", 0, records(t, -1, 0, "lost")))
	p.wantClosed()
}

// Requests that are sent without waiting are appended and answered in order.
func TestPipelinedProduce(t *testing.T) {
	c := brokertest.Start(t)
	c.CreateTopic(t, "t", 1)
	p := dial(t, c)
	const n = 100
	for i := range n {
		p.send(produceTo(9, "t", -1, records(t, -1, 0, fmt.Sprint(i))))
	}
	for i := range n {
		resp := as(kmsg.NewPtrProduceResponse(), 9)
		if err := resp.ReadFrom(p.body(int32(i+1), true)); err != nil {
			t.Fatal(err)
		}
		if got := resp.Topics[0].Partitions[0]; got.ErrorCode != 0 || got.BaseOffset != int64(i) {
			t.Fatalf("request %d was answered %+v", i, got)
		}
	}
}

func TestIdempotence(t *testing.T) {
	c := brokertest.Start(t)
	c.CreateTopic(t, "t", 1)
	p := dial(t, c)
	id := p.ask(as(kmsg.NewPtrInitProducerIDRequest(), 4)).(*kmsg.InitProducerIDResponse).ProducerID
	send := func(sequence int32, value string) kmsg.ProduceResponseTopicPartition {
		return p.produced(produceTo(9, "t", -1, records(t, id, sequence, value)))
	}
	for i := range 6 {
		if got := send(int32(i), fmt.Sprint(i)); got.ErrorCode != 0 || got.BaseOffset != int64(i) {
			t.Fatalf("batch %d: %+v", i, got)
		}
	}
	if got := send(5, "5"); got.ErrorCode != 0 || got.BaseOffset != 5 {
		t.Errorf("a duplicate got %+v, want the offset of the original, 5", got)
	}
	if got := send(1, "1"); got.ErrorCode != 0 || got.BaseOffset != 1 {
		t.Errorf("the fifth last batch again got %+v", got)
	}
	wantCode(t, "a gap", send(9, "9").ErrorCode, kerr.OutOfOrderSequenceNumber)
	wantCode(t, "long ago", send(0, "0").ErrorCode, kerr.OutOfOrderSequenceNumber)

	// A producer that did not hear the answer tries again after a restart.
	for name, restart := range map[string]func(testing.TB){
		"stop": c.Restart,
		"crash": func(t testing.TB) {
			c.Kill(t)
			c.Resume(t)
		},
	} {
		restart(t)
		p = dial(t, c)
		if got := send(5, "5"); got.ErrorCode != 0 || got.BaseOffset != 5 {
			t.Errorf("a retry after a %s got %+v", name, got)
		}
	}
	if got := send(6, "6"); got.ErrorCode != 0 || got.BaseOffset != 6 {
		t.Errorf("the next batch got %+v", got)
	}
	if end := p.end("t"); end != 7 {
		t.Errorf("the log ends at %d after 7 batches", end)
	}
}

func TestFetchRefusals(t *testing.T) {
	p := start(t)
	p.create("t", 1)
	p.produced(produceTo(9, "t", -1, records(t, -1, 0, "a")))
	id := p.topicID("t")
	edit := func(version int16, f func(*kmsg.FetchRequest)) *kmsg.FetchRequest {
		req := fetchFrom(version, "t", id, 0)
		f(req)
		return req
	}
	part := func(req *kmsg.FetchRequest) *kmsg.FetchRequestTopicPartition { return &req.Topics[0].Partitions[0] }
	for _, tt := range []struct {
		name string
		req  *kmsg.FetchRequest
		want *kerr.Error
	}{
		{"unknown topic", edit(11, func(r *kmsg.FetchRequest) { r.Topics[0].Topic = "none" }), kerr.UnknownTopicOrPartition},
		{"unknown id", edit(13, func(r *kmsg.FetchRequest) { r.Topics[0].TopicID[3]++ }), kerr.UnknownTopicID},
		{"unknown partition", edit(13, func(r *kmsg.FetchRequest) { part(r).Partition = 5 }), kerr.UnknownTopicOrPartition},
		{"above the end", edit(13, func(r *kmsg.FetchRequest) { part(r).FetchOffset = 2 }), kerr.OffsetOutOfRange},
		{"below the start", edit(13, func(r *kmsg.FetchRequest) { part(r).FetchOffset = -1 }), kerr.OffsetOutOfRange},
		{"epoch of the future", edit(13, func(r *kmsg.FetchRequest) { part(r).CurrentLeaderEpoch = 3 }), kerr.UnknownLeaderEpoch},
		{"follower", edit(13, func(r *kmsg.FetchRequest) { r.ReplicaID = 2 }), kerr.ReplicaNotAvailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			began := time.Now()
			got := p.fetched(tt.req)
			wantCode(t, "fetch", got.ErrorCode, tt.want)
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("the error took %v: it must not wait", took)
			}
		})
	}
	session := fetchFrom(12, "t", id, 0)
	session.SessionID, session.SessionEpoch = 77, 1
	wantCode(t, "session", p.ask(session).(*kmsg.FetchResponse).ErrorCode, kerr.FetchSessionIDNotFound)
}

// A crash begins a leader epoch, and a reader that saw more of the one before
// than this log has is told where they part.
func TestDivergence(t *testing.T) {
	c := brokertest.Start(t)
	c.CreateTopic(t, "t", 1)
	p := dial(t, c)
	p.produced(produceTo(9, "t", -1, records(t, -1, 0, "a")))
	c.Kill(t)
	c.Resume(t)
	p = dial(t, c)
	p.produced(produceTo(9, "t", -1, records(t, -1, 0, "b")))
	id := p.topicID("t")
	ask := func(offset int64, current, last int32) kmsg.FetchResponseTopicPartition {
		req := fetchFrom(13, "t", id, offset)
		rp := &req.Topics[0].Partitions[0]
		rp.CurrentLeaderEpoch, rp.LastFetchedEpoch = current, last
		return p.fetched(req)
	}
	if got := ask(2, 1, 0).DivergingEpoch; got.Epoch != 0 || got.EndOffset != 1 {
		t.Errorf("diverging epoch is %+v, want 0 and 1", got)
	}
	if got := ask(1, 1, 0); got.DivergingEpoch.Epoch != -1 || len(values(t, got.RecordBatches)) != 1 {
		t.Errorf("a reader that agrees got %+v", got)
	}
	wantCode(t, "unknown last epoch", ask(1, 1, 7).ErrorCode, kerr.OffsetOutOfRange)
	fenced := ask(1, 0, -1)
	wantCode(t, "old epoch", fenced.ErrorCode, kerr.FencedLeaderEpoch)
	if fenced.CurrentLeader.LeaderID != 1 || fenced.CurrentLeader.LeaderEpoch != 1 {
		t.Errorf("the fenced reader is told of leader %+v", fenced.CurrentLeader)
	}
}

// zstd must not reach consumers that cannot know it.
func TestFetchOfZstd(t *testing.T) {
	p := start(t)
	p.create("t", 1)
	batch := records(t, -1, 0, "v")
	batch[22] |= byte(recordbatch.Zstd) // its records are not looked at
	batch.SetCRC()
	wantCode(t, "produce", p.produced(produceTo(7, "t", 1, batch)).ErrorCode, nil)
	wantCode(t, "v9", p.fetched(fetchFrom(9, "t", [16]byte{}, 0)).ErrorCode, kerr.UnsupportedCompressionType)
	wantCode(t, "v10", p.fetched(fetchFrom(10, "t", [16]byte{}, 0)).ErrorCode, nil)
}

func TestLongPoll(t *testing.T) {
	c := brokertest.Start(t)
	c.CreateTopic(t, "t", 1)
	p, producer := dial(t, c), dial(t, c)

	quick := fetchFrom(12, "t", [16]byte{}, 0)
	quick.MaxWaitMillis = 50
	began := time.Now()
	if got := p.fetched(quick); len(got.RecordBatches) != 0 || got.ErrorCode != 0 {
		t.Errorf("fetch at the end is %+v", got)
	}
	if took := time.Since(began); took < 50*time.Millisecond {
		t.Errorf("an empty fetch came after %v, before max_wait_ms", took)
	}

	p.send(fetchFrom(12, "t", [16]byte{}, 0)) // waits up to 10 s
	began = time.Now()
	producer.produced(produceTo(9, "t", -1, records(t, -1, 0, "a")))
	resp := as(kmsg.NewPtrFetchResponse(), 12)
	if err := resp.ReadFrom(p.body(p.next, true)); err != nil {
		t.Fatal(err)
	}
	if vs := values(t, resp.Topics[0].Partitions[0].RecordBatches); len(vs) != 1 || time.Since(began) > 5*time.Second {
		t.Errorf("woken with %v after %v", vs, time.Since(began))
	}

	// min_bytes counts what several batches add up to.
	more := fetchFrom(12, "t", [16]byte{}, 0)
	more.MinBytes = int32(3 * len(records(t, -1, 0, "a")))
	p.send(more)
	producer.produced(produceTo(9, "t", -1, records(t, -1, 0, "b")))
	producer.produced(produceTo(9, "t", -1, records(t, -1, 0, "c")))
	if err := resp.ReadFrom(p.body(p.next, true)); err != nil {
		t.Fatal(err)
	}
	if vs := values(t, resp.Topics[0].Partitions[0].RecordBatches); len(vs) != 3 {
		t.Errorf("min_bytes of three batches gave %v", vs)
	}

	// A stop answers those who wait.
	p.send(fetchFrom(12, "t", [16]byte{}, 3))
	began = time.Now()
	c.Restart(t)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the stop waited %v for a long poll", took)
	}
}

// KIP-74: the first batch comes whole whatever the limits, and no second one
// beyond them.
func TestFetchLimits(t *testing.T) {
	p := start(t)
	p.create("t", 2)
	value := strings.Repeat("v", 1000)
	for id := range int32(2) {
		for range 3 {
			req := produceTo(9, "t", -1, records(t, -1, 0, value))
			req.Topics[0].Partitions[0].Partition = id
			p.produced(req)
		}
	}
	both := func(max, partitionMax int32) (n [2]int) {
		req := fetchFrom(12, "t", [16]byte{}, 0)
		req.MaxBytes = max
		req.Topics[0].Partitions[0].PartitionMaxBytes = partitionMax
		second := req.Topics[0].Partitions[0]
		second.Partition = 1
		req.Topics[0].Partitions = append(req.Topics[0].Partitions, second)
		for i, rp := range p.ask(req).(*kmsg.FetchResponse).Topics[0].Partitions {
			wantCode(t, "fetch", rp.ErrorCode, nil)
			n[i] = len(values(t, rp.RecordBatches))
		}
		return n
	}
	for _, tt := range []struct {
		max, partitionMax int32
		want              [2]int
	}{
		{1 << 20, 1 << 20, [2]int{3, 3}},
		{10, 10, [2]int{1, 0}},
		{0, 0, [2]int{1, 0}},
		{1 << 20, 10, [2]int{1, 0}},
		{1 << 20, 2500, [2]int{2, 2}},
		{4500, 1 << 20, [2]int{3, 1}},
	} {
		if got := both(tt.max, tt.partitionMax); got != tt.want {
			t.Errorf("max_bytes %d, partition_max_bytes %d: %v records, want %v", tt.max, tt.partitionMax, got, tt.want)
		}
	}
}

// Large chunks take the way from file to socket without this process.
func TestLargeFetch(t *testing.T) {
	p := start(t)
	p.create("t", 1)
	want := strings.Repeat("0123456789", 50000)
	for range 10 {
		p.produced(produceTo(9, "t", -1, records(t, -1, 0, want)))
	}
	req := fetchFrom(12, "t", [16]byte{}, 0)
	req.MaxBytes, req.Topics[0].Partitions[0].PartitionMaxBytes = 10<<20, 10<<20
	vs := values(t, p.fetched(req).RecordBatches)
	if len(vs) != 10 || vs[9] != want {
		t.Errorf("%d records, want 10 of %d bytes", len(vs), len(want))
	}
}

func TestListOffsetsByTime(t *testing.T) {
	p := start(t)
	p.create("t", 1)
	base := time.Now().Add(-time.Hour).UnixMilli()
	for i, ms := range []int64{100, 300, 200, 300} {
		var b recordbatch.Builder
		b.Add(base+ms, nil, fmt.Append(nil, i))
		p.produced(produceTo(9, "t", -1, b.Batch(recordbatch.NoProducer)))
	}
	for _, tt := range []struct {
		name                 string
		version              int16
		ts, offset, returned int64
		err                  *kerr.Error
	}{
		{"before all", 7, base, 0, base + 100, nil},
		{"between", 7, base + 150, 1, base + 300, nil},
		{"exactly", 7, base + 300, 1, base + 300, nil},
		{"after all", 7, base + 301, -1, -1, nil},
		{"largest", 7, -3, 1, base + 300, nil},
		{"largest before v7", 6, -3, -1, -1, kerr.UnsupportedVersion},
		{"local start", 8, -4, 0, -1, nil},
		{"tiered", 9, -5, -1, -1, nil},
		{"nonsense", 10, -99, -1, -1, kerr.UnsupportedVersion},
	} {
		got := p.offset(tt.version, tt.ts)
		wantCode(t, tt.name, got.ErrorCode, tt.err)
		if got.Offset != tt.offset || got.Timestamp != tt.returned {
			t.Errorf("%s: offset %d at %d, want %d at %d", tt.name, got.Offset, got.Timestamp, tt.offset, tt.returned)
		}
	}
	req := as(kmsg.NewPtrListOffsetsRequest(), 7)
	rt := kmsg.NewListOffsetsRequestTopic()
	rt.Topic, rt.Partitions = "t", make([]kmsg.ListOffsetsRequestTopicPartition, 2)
	req.Topics = append(req.Topics, rt)
	wantCode(t, "named twice", p.ask(req).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[1].ErrorCode, kerr.InvalidRequest)
}

func TestMetadataSelections(t *testing.T) {
	p := start(t)
	p.create("a", 1)
	p.create("b", 1)
	ask := func(version int16, names ...string) *kmsg.MetadataResponse {
		req := as(kmsg.NewPtrMetadataRequest(), version)
		req.AllowAutoTopicCreation = version < 8
		if names != nil {
			req.Topics = []kmsg.MetadataRequestTopic{}
		}
		for _, n := range names {
			rt := kmsg.NewMetadataRequestTopic()
			rt.Topic = &n
			req.Topics = append(req.Topics, rt)
		}
		return p.ask(req).(*kmsg.MetadataResponse)
	}
	if n := len(ask(0).Topics); n != 2 {
		t.Errorf("v0 with an empty list names %d topics, want all 2", n)
	}
	if n := len(ask(1).Topics); n != 2 {
		t.Errorf("v1 with null names %d topics, want all 2", n)
	}
	empty := as(kmsg.NewPtrMetadataRequest(), 1)
	empty.Topics = []kmsg.MetadataRequestTopic{}
	if n := len(p.ask(empty).(*kmsg.MetadataResponse).Topics); n != 0 {
		t.Errorf("v1 with an empty list names %d topics", n)
	}
	if got := ask(9, "a", "a", "b").Topics; len(got) != 2 {
		t.Errorf("a topic named twice is answered %d times", len(got)-1)
	}
	wantCode(t, "no creation", ask(9, "missing").Topics[0].ErrorCode, kerr.UnknownTopicOrPartition)
	wantCode(t, "bad name", ask(9, "a/b").Topics[0].ErrorCode, kerr.InvalidTopicException)
	created := ask(7, "auto").Topics[0]
	wantCode(t, "created", created.ErrorCode, nil)
	if len(created.Partitions) != 1 {
		t.Errorf("the created topic has partitions %+v", created.Partitions)
	}
	byID := as(kmsg.NewPtrMetadataRequest(), 12)
	known, unknown := kmsg.NewMetadataRequestTopic(), kmsg.NewMetadataRequestTopic()
	known.TopicID, unknown.TopicID = p.topicID("a"), [16]byte{1}
	byID.Topics = append(byID.Topics, known, unknown)
	got := p.ask(byID).(*kmsg.MetadataResponse).Topics
	if got[0].Topic == nil || *got[0].Topic != "a" {
		t.Errorf("topic by id is %+v", got[0])
	}
	wantCode(t, "unknown id", got[1].ErrorCode, kerr.UnknownTopicID)
}

func TestCreateTopicsRefusals(t *testing.T) {
	p := start(t)
	p.create("has.dot", 1)
	topic := func(name string, edit func(*kmsg.CreateTopicsRequestTopic)) kmsg.CreateTopicsRequestTopic {
		rt := kmsg.NewCreateTopicsRequestTopic()
		rt.Topic, rt.NumPartitions, rt.ReplicationFactor = name, 1, 1
		if edit != nil {
			edit(&rt)
		}
		return rt
	}
	config := func(name, value string) func(*kmsg.CreateTopicsRequestTopic) {
		return func(rt *kmsg.CreateTopicsRequestTopic) {
			rc := kmsg.NewCreateTopicsRequestTopicConfig()
			rc.Name, rc.Value = name, &value
			rt.Configs = append(rt.Configs, rc)
		}
	}
	assign := func(replicas ...int32) func(*kmsg.CreateTopicsRequestTopic) {
		return func(rt *kmsg.CreateTopicsRequestTopic) {
			rt.NumPartitions, rt.ReplicationFactor = -1, -1
			ra := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
			ra.Replicas = replicas
			rt.ReplicaAssignment = append(rt.ReplicaAssignment, ra)
		}
	}
	req := as(kmsg.NewPtrCreateTopicsRequest(), 6)
	var want []*kerr.Error
	add := func(rt kmsg.CreateTopicsRequestTopic, e *kerr.Error) {
		req.Topics, want = append(req.Topics, rt), append(want, e)
	}
	add(topic("has.dot", nil), kerr.TopicAlreadyExists)
	add(topic("has_dot", nil), kerr.InvalidTopicException)
	add(topic("bad name", nil), kerr.InvalidTopicException)
	add(topic("__consumer_offsets", nil), kerr.InvalidTopicException)
	add(topic("zero", func(rt *kmsg.CreateTopicsRequestTopic) { rt.NumPartitions = 0 }), kerr.InvalidPartitions)
	add(topic("many", func(rt *kmsg.CreateTopicsRequestTopic) { rt.NumPartitions = 1 << 30 }), kerr.InvalidPartitions)
	add(topic("replicated", func(rt *kmsg.CreateTopicsRequestTopic) { rt.ReplicationFactor = 3 }), kerr.InvalidReplicationFactor)
	add(topic("assigned-elsewhere", assign(2)), kerr.InvalidReplicaAssignment)
	add(topic("assigned", assign(1)), nil)
	add(topic("unknown-config", config("no.such", "1")), kerr.InvalidConfig)
	add(topic("bad-config", config("retention.ms", "soon")), kerr.InvalidConfig)
	add(topic("defaults", func(rt *kmsg.CreateTopicsRequestTopic) { rt.NumPartitions, rt.ReplicationFactor = -1, -1 }), nil)
	add(topic("twice", nil), kerr.InvalidRequest)
	req.Topics = append(req.Topics, topic("twice", nil))
	got := p.ask(req).(*kmsg.CreateTopicsResponse).Topics
	if len(got) != len(want) {
		t.Fatalf("%d answers, want %d", len(got), len(want))
	}
	for i, rt := range got {
		wantCode(t, rt.Topic, rt.ErrorCode, want[i])
		if want[i] != nil && (rt.ErrorMessage == nil || *rt.ErrorMessage == "") {
			t.Errorf("%s: the error has no message", rt.Topic)
		}
	}
	dry := as(kmsg.NewPtrCreateTopicsRequest(), 7)
	dry.ValidateOnly, dry.Topics = true, append(dry.Topics, topic("dry", nil))
	wantCode(t, "validate only", p.ask(dry).(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode, nil)
	if id := p.topicID("dry"); id != [16]byte{} {
		t.Error("validate_only created a topic")
	}
}

func TestDeleteTopicsRefusals(t *testing.T) {
	p := start(t)
	p.create("t", 1)
	p.coordinator(4, "g") // creates __consumer_offsets
	del := func(names ...string) []kmsg.DeleteTopicsResponseTopic {
		req := as(kmsg.NewPtrDeleteTopicsRequest(), 6)
		for _, n := range names {
			rt := kmsg.NewDeleteTopicsRequestTopic()
			rt.Topic = &n
			req.Topics = append(req.Topics, rt)
		}
		return p.ask(req).(*kmsg.DeleteTopicsResponse).Topics
	}
	wantCode(t, "unknown", del("none")[0].ErrorCode, kerr.UnknownTopicOrPartition)
	wantCode(t, "internal", del("__consumer_offsets")[0].ErrorCode, kerr.InvalidTopicException)
	for _, r := range del("t", "t") {
		wantCode(t, "twice", r.ErrorCode, kerr.InvalidRequest)
	}
	wantCode(t, "once", del("t")[0].ErrorCode, nil)
	wantCode(t, "gone", p.produced(produceTo(9, "t", 1, records(t, -1, 0, "v"))).ErrorCode, kerr.UnknownTopicOrPartition)

	off := start(t, brokertest.With("delete.topic.enable", "false"))
	off.create("t", 1)
	req := as(kmsg.NewPtrDeleteTopicsRequest(), 5)
	req.TopicNames = []string{"t"}
	wantCode(t, "disabled", off.ask(req).(*kmsg.DeleteTopicsResponse).Topics[0].ErrorCode, kerr.TopicDeletionDisabled)
}

// Deleted records cannot be read, and the log start offset says so.
func TestDeleteRecords(t *testing.T) {
	c := brokertest.Start(t)
	c.CreateTopic(t, "t", 1)
	c.CreateTopic(t, "compact", 1, "cleanup.policy", "compact")
	p := dial(t, c)
	for i := range 5 {
		p.produced(produceTo(9, "t", -1, records(t, -1, 0, fmt.Sprint(i))))
	}
	del := func(topic string, offset int64) kmsg.DeleteRecordsResponseTopicPartition {
		req := as(kmsg.NewPtrDeleteRecordsRequest(), 2)
		rp := kmsg.NewDeleteRecordsRequestTopicPartition()
		rp.Offset = offset
		rt := kmsg.NewDeleteRecordsRequestTopic()
		rt.Topic, rt.Partitions = topic, []kmsg.DeleteRecordsRequestTopicPartition{rp}
		req.Topics = append(req.Topics, rt)
		return p.ask(req).(*kmsg.DeleteRecordsResponse).Topics[0].Partitions[0]
	}
	if got := del("t", 3); got.ErrorCode != 0 || got.LowWatermark != 3 {
		t.Errorf("delete before 3: %+v", got)
	}
	wantCode(t, "above the end", del("t", 6).ErrorCode, kerr.OffsetOutOfRange)
	wantCode(t, "negative", del("t", -2).ErrorCode, kerr.OffsetOutOfRange)
	wantCode(t, "compacted", del("compact", 0).ErrorCode, kerr.PolicyViolation)
	c.Restart(t)
	p = dial(t, c)
	wantCode(t, "fetch below", p.fetched(fetchFrom(12, "t", [16]byte{}, 2)).ErrorCode, kerr.OffsetOutOfRange)
	if got := p.fetched(fetchFrom(12, "t", [16]byte{}, 3)); got.LogStartOffset != 3 || len(values(t, got.RecordBatches)) != 2 {
		t.Errorf("after a restart the log starts at %d", got.LogStartOffset)
	}
}
