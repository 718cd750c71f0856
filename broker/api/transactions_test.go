package api_test

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/brokertest"
	"github.com/millrace/millrace/broker/recordbatch"
)

// producer is a transactional producer, as a test plays it.
type producer struct {
	p     *peer
	id    string
	pid   int64
	epoch int16
}

// initProducer asks for the producer id of a transactional id until its last
// transaction has ended.
func (p *peer) initProducer(v int16, id string) *kmsg.InitProducerIDResponse {
	p.t.Helper()
	req := as(kmsg.NewPtrInitProducerIDRequest(), v)
	req.TransactionalID, req.TransactionTimeoutMillis = &id, 60000
	for limit := time.Now().Add(20 * time.Second); time.Now().Before(limit); {
		resp := p.ask(req).(*kmsg.InitProducerIDResponse)
		if resp.ErrorCode != kerr.ConcurrentTransactions.Code {
			wantCode(p.t, "init producer id", resp.ErrorCode, nil)
			return resp
		}
	}
	p.t.Fatalf("last transaction of %s never ends", id)
	return nil
}

// beginProducer makes a transactional producer.
func (p *peer) beginProducer(v int16, id string) *producer {
	p.t.Helper()
	req := as(kmsg.NewPtrFindCoordinatorRequest(), 5)
	req.CoordinatorType, req.CoordinatorKeys = 1, []string{id}
	wantCode(p.t, "find coordinator", p.ask(req).(*kmsg.FindCoordinatorResponse).Coordinators[0].ErrorCode, nil)
	resp := p.initProducer(v, id)
	return &producer{p, id, resp.ProducerID, resp.ProducerEpoch}
}

// add adds partition 0 of a topic to the transaction.
func (x *producer) add(v int16, topic string) int16 {
	x.p.t.Helper()
	req := as(kmsg.NewPtrAddPartitionsToTxnRequest(), v)
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = x.id, x.pid, x.epoch
	rt := kmsg.NewAddPartitionsToTxnRequestTopic()
	rt.Topic, rt.Partitions = topic, []int32{0}
	req.Topics = append(req.Topics, rt)
	bt := kmsg.NewAddPartitionsToTxnRequestTransactionTopic()
	bt.Topic, bt.Partitions = topic, []int32{0}
	tx := kmsg.NewAddPartitionsToTxnRequestTransaction()
	tx.TransactionalID, tx.ProducerID, tx.ProducerEpoch = x.id, x.pid, x.epoch
	tx.Topics = append(tx.Topics, bt)
	req.Transactions = append(req.Transactions, tx)
	for limit := time.Now().Add(20 * time.Second); time.Now().Before(limit); {
		resp := x.p.ask(req).(*kmsg.AddPartitionsToTxnResponse)
		var code int16
		if v >= 4 {
			code = resp.Transactions[0].Topics[0].Partitions[0].ErrorCode
		} else {
			code = resp.Topics[0].Partitions[0].ErrorCode
		}
		if code != kerr.ConcurrentTransactions.Code {
			return code
		}
	}
	x.p.t.Fatalf("last transaction of %s never ends", x.id)
	return 0
}

// batch makes a batch of one record for each value.
func (x *producer) batch(sequence int32, values ...string) recordbatch.View {
	x.p.t.Helper()
	var b recordbatch.Builder
	for _, v := range values {
		if err := b.Add(1, nil, []byte(v)); err != nil {
			x.p.t.Fatal(err)
		}
	}
	return b.Batch(recordbatch.Producer{ID: x.pid, Epoch: x.epoch, BaseSequence: sequence, Transactional: true})
}

// produce sends a batch to partition 0 of a topic.
func (x *producer) produce(v int16, topic string, sequence int32, values ...string) int16 {
	x.p.t.Helper()
	req := produceTo(v, topic, -1, x.batch(sequence, values...))
	req.TransactionID = &x.id
	return x.p.produced(req).ErrorCode
}

// end ends the transaction, and takes the producer to its next epoch.
func (x *producer) end(v int16, commit bool) int16 {
	x.p.t.Helper()
	req := as(kmsg.NewPtrEndTxnRequest(), v)
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = x.id, x.pid, x.epoch, commit
	resp := x.p.ask(req).(*kmsg.EndTxnResponse)
	if v >= 5 && resp.ErrorCode == 0 {
		x.pid, x.epoch = resp.ProducerID, resp.ProducerEpoch
	}
	return resp.ErrorCode
}

// settled waits until the transaction has ended.
func (x *producer) settled() {
	x.p.t.Helper()
	for limit := time.Now().Add(20 * time.Second); time.Now().Before(limit); {
		if s := x.p.transactionState(x.id); s.State == "CompleteCommit" || s.State == "CompleteAbort" {
			return
		}
	}
	x.p.t.Fatalf("transaction of %s never ends", x.id)
}

func (p *peer) transactionState(id string) kmsg.DescribeTransactionsResponseTransactionState {
	p.t.Helper()
	req := as(kmsg.NewPtrDescribeTransactionsRequest(), 0)
	req.TransactionalIDs = []string{id}
	return p.ask(req).(*kmsg.DescribeTransactionsResponse).TransactionStates[0]
}

// readCommitted returns the values of partition 0 of a topic that a
// read_committed consumer sees, and the last stable offset.
func (p *peer) readCommitted(topic string) (vs []string, lso int64) {
	p.t.Helper()
	id := p.topicID(topic)
	for at := int64(0); ; {
		req := fetchFrom(16, topic, id, at)
		req.IsolationLevel, req.MaxWaitMillis = 1, 0
		got := p.fetched(req)
		wantCode(p.t, "fetch", got.ErrorCode, nil)
		if len(got.RecordBatches) == 0 {
			return vs, got.LastStableOffset
		}
		aborted := map[int64]bool{} // up to the producer's next marker
		left := got.AbortedTransactions
		slices.SortFunc(left, func(a, b kmsg.FetchResponseTopicPartitionAbortedTransaction) int {
			return cmp.Compare(a.FirstOffset, b.FirstOffset)
		})
		for b := got.RecordBatches; len(b) > 0; {
			v, rest, err := recordbatch.Parse(b)
			if err != nil {
				p.t.Fatal(err)
			}
			b, at = rest, v.NextOffset()
			for len(left) > 0 && left[0].FirstOffset <= v.LastOffset() {
				aborted[left[0].ProducerID] = true
				left = left[1:]
			}
			switch {
			case v.Control():
				delete(aborted, v.ProducerID())
			case v.Transactional() && aborted[v.ProducerID()]:
			default:
				vs = append(vs, values(p.t, v)...)
			}
		}
	}
}

func addPartitionsToTxn(p *peer, v int16) {
	x := p.beginProducer(5, fmt.Sprint("add-", v))
	wantCode(p.t, "add partitions", x.add(v, "t"), nil)
	if s := p.transactionState(x.id); s.State != "Ongoing" || len(s.Topics) != 1 || s.Topics[0].Topic != "t" {
		p.t.Errorf("transaction is %+v", s)
	}
	wantCode(p.t, "produce", x.produce(11, "t", 0, "a"), nil)
	if v < 4 {
		wantCode(p.t, "add an unknown topic", x.add(v, "no-such-topic"), kerr.UnknownTopicOrPartition)
		x.epoch--
		want := kerr.ProducerFenced
		if v < 2 {
			want = kerr.InvalidProducerEpoch
		}
		wantCode(p.t, "add with an old epoch", x.add(v, "t"), want)
		x.epoch++
	}
	wantCode(p.t, "abort", x.end(4, false), nil)
	x.settled()
}

func addOffsetsToTxn(p *peer, v int16) {
	x := p.beginProducer(5, fmt.Sprint("offsets-", v))
	req := as(kmsg.NewPtrAddOffsetsToTxnRequest(), v)
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = x.id, x.pid, x.epoch, "g"
	wantCode(p.t, "add offsets", p.ask(req).(*kmsg.AddOffsetsToTxnResponse).ErrorCode, nil)
	if s := p.transactionState(x.id); len(s.Topics) != 1 || s.Topics[0].Topic != "__consumer_offsets" {
		p.t.Errorf("transaction is %+v", s)
	}
	req.ProducerID++
	wantCode(p.t, "another producer", p.ask(req).(*kmsg.AddOffsetsToTxnResponse).ErrorCode, kerr.InvalidProducerIDMapping)
	wantCode(p.t, "abort", x.end(4, false), nil)
	x.settled()
}

func endTxn(p *peer, v int16) {
	x := p.beginProducer(5, fmt.Sprint("end-", v))
	before := *x
	wantCode(p.t, "add", x.add(3, "t"), nil)
	wantCode(p.t, "commit", x.end(v, true), nil)
	x.settled()
	if raised := x.epoch != before.epoch; raised != (v >= 5) {
		p.t.Errorf("epoch was %d and is %d", before.epoch, x.epoch)
	}
	again := before
	wantCode(p.t, "commit sent again", again.end(v, true), nil)
	if again != *x {
		p.t.Errorf("answer to a commit sent again is %+v, was %+v", again, *x)
	}
	wantCode(p.t, "abort after the commit", before.end(v, false), kerr.InvalidTxnState)
}

func writeTxnMarkers(p *peer, v int16) {
	x := p.beginProducer(5, fmt.Sprint("markers-", v))
	wantCode(p.t, "add", x.add(3, "t"), nil)
	wantCode(p.t, "produce", x.produce(11, "t", 0, "a"), nil)
	req := as(kmsg.NewPtrWriteTxnMarkersRequest(), v)
	rt := kmsg.NewWriteTxnMarkersRequestMarkerTopic()
	rt.Topic, rt.Partitions = "t", []int32{0, 9}
	rm := kmsg.NewWriteTxnMarkersRequestMarker()
	rm.ProducerID, rm.ProducerEpoch, rm.CoordinatorEpoch, rm.Topics = x.pid, x.epoch, 5, []kmsg.WriteTxnMarkersRequestMarkerTopic{rt}
	req.Markers = append(req.Markers, rm)
	ps := p.ask(req).(*kmsg.WriteTxnMarkersResponse).Markers[0].Topics[0].Partitions
	wantCode(p.t, "write marker", ps[0].ErrorCode, nil)
	wantCode(p.t, "unknown partition", ps[1].ErrorCode, kerr.UnknownTopicOrPartition)
	req.Markers[0].CoordinatorEpoch = 4
	ps = p.ask(req).(*kmsg.WriteTxnMarkersResponse).Markers[0].Topics[0].Partitions
	wantCode(p.t, "marker of an old coordinator", ps[0].ErrorCode, kerr.TransactionCoordinatorFenced)
	req.Markers[0].CoordinatorEpoch, req.Markers[0].ProducerEpoch = 5, -1
	ps = p.ask(req).(*kmsg.WriteTxnMarkersResponse).Markers[0].Topics[0].Partitions
	wantCode(p.t, "marker of an old epoch", ps[0].ErrorCode, kerr.InvalidProducerEpoch)
}

// commitInTxn is TxnOffsetCommit of an offset of partition 0 of topic t, and of
// one that does not exist.
func (x *producer) commitInTxn(v int16, group string, offset int64) int16 {
	x.p.t.Helper()
	req := as(kmsg.NewPtrTxnOffsetCommitRequest(), v)
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = x.id, x.pid, x.epoch, group
	rt := kmsg.NewTxnOffsetCommitRequestTopic()
	rt.Topic = "t"
	for _, id := range []int32{0, 99} {
		rp := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		rp.Partition, rp.Offset = id, offset
		rt.Partitions = append(rt.Partitions, rp)
	}
	req.Topics = append(req.Topics, rt)
	ps := x.p.ask(req).(*kmsg.TxnOffsetCommitResponse).Topics[0].Partitions
	wantCode(x.p.t, "unknown partition", ps[1].ErrorCode, kerr.UnknownTopicOrPartition)
	return ps[0].ErrorCode
}

// stable is OffsetFetch of partition 0 of topic t with require_stable.
func (p *peer) stable(group string) (int64, int16) {
	p.t.Helper()
	req := as(kmsg.NewPtrOffsetFetchRequest(), 7)
	rt := kmsg.NewOffsetFetchRequestTopic()
	rt.Topic, rt.Partitions = "t", []int32{0}
	req.Group, req.RequireStable, req.Topics = group, true, []kmsg.OffsetFetchRequestTopic{rt}
	got := p.ask(req).(*kmsg.OffsetFetchResponse).Topics[0].Partitions[0]
	return got.Offset, got.ErrorCode
}

func txnOffsetCommit(p *peer, v int16) {
	x := p.beginProducer(5, fmt.Sprint("txn-offset-", v))
	group := fmt.Sprint("txn-offset-", v)
	p.coordinator(5, group)
	endVersion := int16(5)
	if v < 5 {
		endVersion = 4
		want := kerr.TransactionAbortable
		if v < 4 {
			want = kerr.InvalidTxnState
		}
		wantCode(p.t, "offset without AddOffsetsToTxn", x.commitInTxn(v, group, 1), want)
	}
	for i, commit := range []bool{true, false} {
		if v < 5 {
			req := as(kmsg.NewPtrAddOffsetsToTxnRequest(), 3)
			req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = x.id, x.pid, x.epoch, group
			wantCode(p.t, "add offsets", p.ask(req).(*kmsg.AddOffsetsToTxnResponse).ErrorCode, nil)
		}
		wantCode(p.t, "commit in transaction", x.commitInTxn(v, group, int64(10+i)), nil)
		if _, code := p.stable(group); code != kerr.UnstableOffsetCommit.Code {
			p.t.Errorf("offset in a transaction: error %v", kerr.ErrorForCode(code))
		}
		wantCode(p.t, "end", x.end(endVersion, commit), nil)
		x.settled()
		if offset, code := p.stable(group); offset != 10 || code != 0 {
			p.t.Errorf("offset after transaction %d is %d, %v", i, offset, kerr.ErrorForCode(code))
		}
	}
}

func describeProducers(p *peer, v int16) {
	x := p.beginProducer(5, "described-producer")
	end := p.end("t")
	wantCode(p.t, "produce", x.produce(12, "t", 0, "a"), nil)
	req := as(kmsg.NewPtrDescribeProducersRequest(), v)
	rt := kmsg.NewDescribeProducersRequestTopic()
	rt.Topic, rt.Partitions = "t", []int32{0, 9}
	req.Topics = append(req.Topics, rt)
	ps := p.ask(req).(*kmsg.DescribeProducersResponse).Topics[0].Partitions
	wantCode(p.t, "unknown partition", ps[1].ErrorCode, kerr.UnknownTopicOrPartition)
	i := slices.IndexFunc(ps[0].ActiveProducers, func(a kmsg.DescribeProducersResponseTopicPartitionActiveProducer) bool {
		return a.ProducerID == x.pid
	})
	if i < 0 {
		p.t.Fatalf("producer %d is not among %+v", x.pid, ps[0].ActiveProducers)
	}
	if a := ps[0].ActiveProducers[i]; a.ProducerEpoch != 0 || a.LastSequence != 0 || a.CurrentTxnStartOffset != end || a.CoordinatorEpoch != -1 {
		p.t.Errorf("producer is %+v, transaction began at %d", a, end)
	}
	wantCode(p.t, "abort", x.end(5, false), nil)
	x.settled()
}

func describeTransactions(p *peer, v int16) {
	x := p.beginProducer(5, "described")
	wantCode(p.t, "produce", x.produce(12, "t", 0, "a"), nil)
	s := p.transactionState("described")
	if s.State != "Ongoing" || s.ProducerID != x.pid || s.TimeoutMillis != 60000 || s.StartTimestamp <= 0 || len(s.Topics) != 1 {
		p.t.Errorf("transaction is %+v", s)
	}
	wantCode(p.t, "unknown id", p.transactionState("no-such-id").ErrorCode, kerr.TransactionalIDNotFound)
	wantCode(p.t, "abort", x.end(5, false), nil)
	x.settled()
}

func listTransactions(p *peer, v int16) {
	x := p.beginProducer(5, fmt.Sprint("listed-", v))
	wantCode(p.t, "produce", x.produce(12, "t", 0, "a"), nil)
	list := func(edit func(*kmsg.ListTransactionsRequest)) *kmsg.ListTransactionsResponse {
		req := as(kmsg.NewPtrListTransactionsRequest(), v)
		edit(req)
		resp := p.ask(req).(*kmsg.ListTransactionsResponse)
		wantCode(p.t, "list", resp.ErrorCode, nil)
		return resp
	}
	has := func(r *kmsg.ListTransactionsResponse) bool {
		return slices.ContainsFunc(r.TransactionStates, func(s kmsg.ListTransactionsResponseTransactionState) bool {
			return s.TransactionalID == x.id && s.ProducerID == x.pid && s.TransactionState == "Ongoing"
		})
	}
	if r := list(func(*kmsg.ListTransactionsRequest) {}); !has(r) {
		p.t.Errorf("transactions are %+v", r)
	}
	if r := list(func(r *kmsg.ListTransactionsRequest) { r.StateFilters = []string{"CompleteCommit", "Nonsense"} }); has(r) || !slices.Equal(r.UnknownStateFilters, []string{"Nonsense"}) {
		p.t.Errorf("complete transactions are %+v", r)
	}
	if r := list(func(r *kmsg.ListTransactionsRequest) { r.ProducerIDFilters = []int64{x.pid} }); !has(r) || len(r.TransactionStates) != 1 {
		p.t.Errorf("transactions of a producer are %+v", r)
	}
	if r := list(func(r *kmsg.ListTransactionsRequest) { r.DurationFilterMillis = 3600000 }); has(r) != (v < 1) {
		p.t.Errorf("transactions of more than an hour are %+v", r)
	}
	wantCode(p.t, "abort", x.end(5, false), nil)
	x.settled()
}

// What read_committed consumers see of two producers, one of whose
// transactions is aborted.
func TestReadCommitted(t *testing.T) {
	c := brokertest.Start(t)
	c.CreateTopic(t, "t", 1)
	p := dial(t, c)
	one, two := p.beginProducer(5, "one"), p.beginProducer(5, "two")
	wantCode(t, "produce", one.produce(12, "t", 0, "a1", "a2"), nil)
	wantCode(t, "produce", two.produce(12, "t", 0, "b1"), nil)
	if vs, lso := p.readCommitted("t"); len(vs) != 0 || lso != 0 {
		t.Errorf("while both are open: %v, last stable offset %d", vs, lso)
	}
	wantCode(t, "commit", two.end(5, true), nil)
	two.settled()
	if vs, lso := p.readCommitted("t"); len(vs) != 0 || lso != 0 {
		t.Errorf("while the first is open: %v, last stable offset %d", vs, lso)
	}
	wantCode(t, "produce", one.produce(12, "t", 2, "a3"), nil)
	wantCode(t, "abort", one.end(5, false), nil)
	one.settled()
	wantCode(t, "produce", one.produce(12, "t", 0, "a4"), nil)
	wantCode(t, "commit", one.end(5, true), nil)
	one.settled()
	for _, when := range []string{"before", "after a stop", "after a crash"} {
		if vs, lso := p.readCommitted("t"); !slices.Equal(vs, []string{"b1", "a4"}) || lso != 8 {
			t.Errorf("%s: %v, last stable offset %d", when, vs, lso)
		}
		if when == "before" {
			c.Restart(t)
		} else {
			c.Kill(t)
			c.Resume(t)
		}
		p = dial(t, c)
	}
}

// A late batch does not begin a transaction that nobody will end (KIP-890).
func TestLateBatchIsRefused(t *testing.T) {
	c := brokertest.Start(t)
	c.CreateTopic(t, "t", 1)
	p := dial(t, c)
	x := p.beginProducer(5, "x")
	for _, v := range []int16{7, 10, 11} {
		want := kerr.InvalidTxnState
		if v >= 11 {
			want = kerr.TransactionAbortable
		}
		wantCode(t, "batch without AddPartitionsToTxn", x.produce(v, "t", 0, "v"), want)
	}
	wantCode(t, "add", x.add(3, "t"), nil)
	wantCode(t, "batch", x.produce(11, "t", 0, "v"), nil)
	wantCode(t, "abort", x.end(4, false), nil)
	x.settled()
	wantCode(t, "batch after the abort", x.produce(11, "t", 1, "v"), kerr.TransactionAbortable)
	plain := produceTo(11, "t", -1, x.batch(1, "v"))
	wantCode(t, "without a transactional id", p.produced(plain).ErrorCode, kerr.TransactionalIDAuthorizationFailed)
	// With transaction.version 2 the epoch alone tells.
	wantCode(t, "batch", x.produce(12, "t", 1, "v"), nil)
	late := *x
	wantCode(t, "commit", x.end(5, true), nil)
	x.settled()
	wantCode(t, "batch of the last epoch", late.produce(12, "t", 2, "v"), kerr.InvalidProducerEpoch)
	wantCode(t, "first batch is missing", x.produce(12, "t", 1, "v"), kerr.OutOfOrderSequenceNumber)
	if _, lso := p.readCommitted("t"); lso != p.end("t") {
		t.Errorf("last stable offset is %d, the end %d", lso, p.end("t"))
	}
}

// A second producer of a transactional id takes over from the first.
func TestZombieIsFenced(t *testing.T) {
	c := brokertest.Start(t)
	c.CreateTopic(t, "t", 1)
	p := dial(t, c)
	old := p.beginProducer(5, "x")
	wantCode(t, "produce", old.produce(12, "t", 0, "old"), nil)
	fresh := p.beginProducer(5, "x")
	if fresh.pid != old.pid || fresh.epoch <= old.epoch {
		t.Errorf("producer was %+v, is %+v", old, fresh)
	}
	wantCode(t, "produce", old.produce(12, "t", 1, "old"), kerr.InvalidProducerEpoch)
	wantCode(t, "commit", old.end(5, true), kerr.ProducerFenced)
	wantCode(t, "produce", fresh.produce(12, "t", 0, "new"), nil)
	wantCode(t, "commit", fresh.end(5, true), nil)
	fresh.settled()
	if vs, _ := p.readCommitted("t"); !slices.Equal(vs, []string{"new"}) {
		t.Errorf("committed is %v", vs)
	}
}

// No feature has 0 as its lowest version: versions before 4 of ApiVersions
// could not parse it (KAFKA-17492).
func TestFeatures(t *testing.T) {
	c := brokertest.Start(t)
	p := dial(t, c)
	want := map[string]int16{"group.version": 1, "transaction.version": 2}
	for v := int16(3); v <= 4; v++ {
		req := as(kmsg.NewPtrApiVersionsRequest(), v)
		req.ClientSoftwareName, req.ClientSoftwareVersion = "test", "1.0"
		resp := p.ask(req).(*kmsg.ApiVersionsResponse)
		supported, final := map[string]int16{}, map[string]int16{}
		for _, f := range resp.SupportedFeatures {
			if supported[f.Name] = f.MaxVersion; f.MinVersion < 1 {
				t.Errorf("version %d: %s begins at %d", v, f.Name, f.MinVersion)
			}
		}
		for _, f := range resp.FinalizedFeatures {
			final[f.Name] = f.MaxVersionLevel
		}
		if !maps.Equal(supported, want) || !maps.Equal(final, want) || resp.FinalizedFeaturesEpoch < 0 {
			t.Errorf("version %d: supported %v, final %v, epoch %d", v, supported, final, resp.FinalizedFeaturesEpoch)
		}
	}
}

// A transaction that takes too long is aborted by the coordinator, and its
// producer hears of it.
func TestTransactionTimeout(t *testing.T) {
	c := brokertest.Start(t, brokertest.With("transaction.abort.timed.out.transaction.cleanup.interval.ms", "20"),
		brokertest.With("transaction.max.timeout.ms", "60000"))
	c.CreateTopic(t, "t", 1)
	p := dial(t, c)
	x := p.beginProducer(5, "x")
	req := as(kmsg.NewPtrInitProducerIDRequest(), 5)
	req.TransactionalID, req.TransactionTimeoutMillis = &x.id, 60001
	wantCode(t, "timeout above transaction.max.timeout.ms", p.ask(req).(*kmsg.InitProducerIDResponse).ErrorCode, kerr.InvalidTransactionTimeout)
	req.TransactionTimeoutMillis = 50
	x.epoch = p.ask(req).(*kmsg.InitProducerIDResponse).ProducerEpoch
	wantCode(t, "produce", x.produce(12, "t", 0, "late"), nil)
	x.settled()
	wantCode(t, "produce", x.produce(12, "t", 1, "later"), kerr.InvalidProducerEpoch)
	wantCode(t, "commit", x.end(5, true), kerr.ProducerFenced)
	if vs, lso := p.readCommitted("t"); len(vs) != 0 || lso != 2 {
		t.Errorf("committed is %v, last stable offset %d", vs, lso)
	}
}

func TestTransactionalIDExpires(t *testing.T) {
	c := brokertest.Start(t, brokertest.With("transactional.id.expiration.ms", "50"),
		brokertest.With("transaction.remove.expired.transaction.cleanup.interval.ms", "20"))
	p := dial(t, c)
	first := p.beginProducer(5, "x")
	for limit := time.Now().Add(20 * time.Second); p.transactionState("x").ErrorCode != kerr.TransactionalIDNotFound.Code; {
		if time.Now().After(limit) {
			t.Fatal("the id does not expire")
		}
	}
	c.Restart(t)
	p = dial(t, c)
	if next := p.beginProducer(5, "x"); next.pid == first.pid || next.epoch != 0 {
		t.Errorf("producer was %+v, is %+v", first, next)
	}
}

// A topic that is deleted while a transaction has records in it does not keep
// the transaction from ending.
func TestDeletedTopicInTransaction(t *testing.T) {
	c := brokertest.Start(t)
	c.CreateTopic(t, "stays", 1)
	c.CreateTopic(t, "goes", 1)
	p := dial(t, c)
	x := p.beginProducer(5, "x")
	wantCode(t, "produce", x.produce(12, "stays", 0, "a"), nil)
	wantCode(t, "produce", x.produce(12, "goes", 0, "b"), nil)
	req := as(kmsg.NewPtrDeleteTopicsRequest(), 4)
	req.TopicNames = []string{"goes"}
	wantCode(t, "delete topic", p.ask(req).(*kmsg.DeleteTopicsResponse).Topics[0].ErrorCode, nil)
	wantCode(t, "commit", x.end(5, true), nil)
	x.settled()
	if vs, _ := p.readCommitted("stays"); !slices.Equal(vs, []string{"a"}) {
		t.Errorf("committed is %v", vs)
	}
}

// Where a topic does not wait for the disk, the ends of transactions still do:
// or a crash could lose a marker whose transaction is known to be complete,
// and nobody would write it again.
func TestMarkersAreDurable(t *testing.T) {
	c := brokertest.Start(t)
	c.CreateTopic(t, "t", 1, "flush.before.ack", "never")
	p := dial(t, c)
	x := p.beginProducer(5, "x")
	for i := range 5 {
		wantCode(t, "produce", x.produce(12, "t", 0, fmt.Sprint(i)), nil)
		wantCode(t, "commit", x.end(5, i%2 == 0), nil)
		x.settled()
		c.Kill(t)
		c.Resume(t)
		p = dial(t, c)
		x.p = p
		p.beginProducer(5, "other") // once the coordinator is loaded
	}
	if vs, lso := p.readCommitted("t"); !slices.Equal(vs, []string{"0", "2", "4"}) || lso != 10 {
		t.Errorf("committed is %v, last stable offset %d", vs, lso)
	}
}

// The latest offset for read_committed consumers is the last stable one.
func TestListOffsetsReadCommitted(t *testing.T) {
	c := brokertest.Start(t)
	c.CreateTopic(t, "t", 1)
	p := dial(t, c)
	x := p.beginProducer(5, "x")
	wantCode(t, "plain", p.produced(produceTo(9, "t", -1, records(t, -1, 0, "v"))).ErrorCode, nil)
	wantCode(t, "produce", x.produce(12, "t", 0, "a", "b"), nil)
	latest := func(isolation int8) int64 {
		req := as(kmsg.NewPtrListOffsetsRequest(), 7)
		rp := kmsg.NewListOffsetsRequestTopicPartition()
		rp.Timestamp = -1
		rt := kmsg.NewListOffsetsRequestTopic()
		rt.Topic, rt.Partitions = "t", []kmsg.ListOffsetsRequestTopicPartition{rp}
		req.IsolationLevel, req.Topics = isolation, []kmsg.ListOffsetsRequestTopic{rt}
		got := p.ask(req).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
		wantCode(t, "list offsets", got.ErrorCode, nil)
		return got.Offset
	}
	if all, stable := latest(0), latest(1); all != 3 || stable != 1 {
		t.Errorf("latest offsets are %d and %d", all, stable)
	}
	wantCode(t, "commit", x.end(5, true), nil)
	x.settled()
	if all, stable := latest(0), latest(1); all != 4 || stable != 4 {
		t.Errorf("latest offsets are %d and %d after the commit", all, stable)
	}
}

// Without transaction.partition.verification.enable a partition takes whatever
// it is sent, as before KIP-890, and operators end what hangs.
func TestVerificationDisabled(t *testing.T) {
	c := brokertest.Start(t, brokertest.With("transaction.partition.verification.enable", "false"))
	c.CreateTopic(t, "t", 1)
	p := dial(t, c)
	x := p.beginProducer(5, "x")
	wantCode(t, "batch without AddPartitionsToTxn", x.produce(11, "t", 0, "v"), nil)
	if _, lso := p.readCommitted("t"); lso != 0 {
		t.Errorf("last stable offset is %d", lso)
	}
	req := as(kmsg.NewPtrWriteTxnMarkersRequest(), 1)
	rt := kmsg.NewWriteTxnMarkersRequestMarkerTopic()
	rt.Topic, rt.Partitions = "t", []int32{0}
	rm := kmsg.NewWriteTxnMarkersRequestMarker()
	rm.ProducerID, rm.ProducerEpoch, rm.Topics = x.pid, x.epoch, []kmsg.WriteTxnMarkersRequestMarkerTopic{rt}
	req.Markers = append(req.Markers, rm)
	wantCode(t, "abort by hand", p.ask(req).(*kmsg.WriteTxnMarkersResponse).Markers[0].Topics[0].Partitions[0].ErrorCode, nil)
	if vs, lso := p.readCommitted("t"); len(vs) != 0 || lso != 2 {
		t.Errorf("committed is %v, last stable offset %d", vs, lso)
	}
}
