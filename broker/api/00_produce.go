package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/recordbatch"
	"github.com/millrace/millrace/broker/replica"
	"github.com/millrace/millrace/broker/wire"
)

const keyProduce = 0

// adminClient is the client id that may write to internal topics.
const adminClient = "__admin_client"

// errNoResponse closes the connection of a producer that wants no response,
// which is the only way to tell it of an error.
var errNoResponse = errors.New("produce with acks=0 failed")

// ack is a partition whose append must be committed before it is answered.
type ack struct {
	p    *replica.Partition
	next int64 // offset after the batch
	resp *kmsg.ProduceResponseTopicPartition
}

// produce answers API 0, versions 3 to 13, and 0 to 2, which held older
// message formats, with error 35. v7 is the first that may bring zstd; v8
// adds the records that were refused; v9 is flexible; v10 adds the leader to
// NOT_LEADER_OR_FOLLOWER; v11 knows TRANSACTION_ABORTABLE; v12 adds partitions
// to the transaction by itself (KIP-890); v13 names topics by id (KIP-516).
//
// Batches are appended here, in the order of the connection's requests; the
// reply waits for them to be committed, on disk if flush.before.ack says so.
//
// Differs from Kafka: with one replica acks=1 and acks=all wait for
// fdatasync, and the records of a batch are looked at only if a config of the
// topic concerns single records.
func (a *API) produce(ctx context.Context, _ *wire.Conn, r *wire.Request, req *kmsg.ProduceRequest) (wire.Reply, error) {
	resp := req.ResponseKind().(*kmsg.ProduceResponse)
	fail := refuseProduce(req)
	var admitted admissions
	if fail == nil && req.TransactionID != nil {
		admitted, fail = a.admit(ctx, req)
	}
	var acks []ack
	failed := error(nil)
	resp.Topics = make([]kmsg.ProduceResponseTopic, len(req.Topics))
	for i := range req.Topics {
		t, rt := &req.Topics[i], &resp.Topics[i]
		*rt = kmsg.NewProduceResponseTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		name, unknown := a.named(t.Topic, t.TopicID, req.Version >= 13)
		rt.Partitions = make([]kmsg.ProduceResponseTopicPartition, len(t.Partitions))
		for j := range t.Partitions {
			rp := &rt.Partitions[j]
			*rp = kmsg.NewProduceResponseTopicPartition()
			rp.Partition, rp.BaseOffset = t.Partitions[j].Partition, -1
			p, end, err := a.appendProduced(r, req, cmp.Or(fail, unknown), admitted, name, &t.Partitions[j], rp)
			if err != nil {
				failed = err
				a.refusePartition(req.Version, name, rp, err)
				continue
			}
			acks = append(acks, ack{p, end, rp})
		}
	}
	r.Release()
	if req.Acks == 0 {
		if failed != nil {
			return nil, fmt.Errorf("%w: %w", errNoResponse, failed)
		}
		return nil, nil
	}
	timeout := time.Duration(req.TimeoutMillis) * time.Millisecond
	if req.Acks == 1 {
		timeout = diskPatience // timeout_ms is about other replicas
	}
	return func(ctx context.Context) (wire.Response, error) {
		return wire.Response{Message: resp}, a.awaitAcks(ctx, timeout, acks)
	}, nil
}

// refuseProduce returns what is wrong with a request as a whole.
func refuseProduce(req *kmsg.ProduceRequest) error {
	switch {
	case req.Version < 3:
		return kerr.UnsupportedVersion
	case req.Acks < -1 || req.Acks > 1:
		return kerr.InvalidRequiredAcks
	}
	return nil
}

// appendProduced appends the one batch of a partition and returns the offset
// after it.
func (a *API) appendProduced(r *wire.Request, req *kmsg.ProduceRequest, fail error, admitted admissions, topic string, rp *kmsg.ProduceRequestTopicPartition, out *kmsg.ProduceResponseTopicPartition) (*replica.Partition, int64, error) {
	if fail != nil {
		return nil, 0, fail
	}
	if internal(topic) && r.ClientID != adminClient {
		return nil, 0, kerr.InvalidTopicException
	}
	p, err := a.partition(topic, rp.Partition)
	if err != nil {
		return nil, 0, err
	}
	batch, rest, err := recordbatch.Parse(rp.Records)
	switch {
	case err != nil:
		return nil, 0, err
	case len(rest) > 0:
		return nil, 0, refuse(kerr.InvalidRecord, "more than one batch for a partition")
	case batch.Codec() == recordbatch.Zstd && req.Version < 7:
		return nil, 0, kerr.UnsupportedCompressionType
	}
	var done replica.Appended
	if batch.Transactional() {
		done, err = admitted.appendTransactional(p, rp, batch, req.Acks == -1)
	} else {
		done, err = p.Append(batch, req.Acks == -1)
	}
	if err != nil {
		return nil, 0, err
	}
	out.BaseOffset, out.LogAppendTime, out.LogStartOffset = done.BaseOffset, done.LogAppendTime, done.StartOffset
	return p, done.LastOffset + 1, nil
}

// refusePartition puts an error into a partition's response.
func (a *API) refusePartition(version int16, topic string, rp *kmsg.ProduceResponseTopicPartition, err error) {
	rp.ErrorCode = a.code(keyProduce, err)
	rp.BaseOffset, rp.LogAppendTime, rp.LogStartOffset = -1, -1, -1
	rp.ErrorMessage = message(err)
	var re *replica.RecordError
	if errors.As(err, &re) {
		er := kmsg.NewProduceResponseTopicPartitionErrorRecord()
		er.RelativeOffset, er.ErrorMessage = re.Index, message(re.Err)
		rp.ErrorRecords = append(rp.ErrorRecords, er)
	}
	if version >= 10 && rp.ErrorCode == kerr.NotLeaderForPartition.Code {
		rp.CurrentLeader.LeaderID, rp.CurrentLeader.LeaderEpoch = a.leader(topic, rp.Partition)
	}
}

// leader returns a partition's leader and leader epoch, -1 if not known.
func (a *API) leader(topic string, id int32) (leader, epoch int32) {
	t := a.cfg.Controller.Image().Topic(topic)
	if t == nil || id < 0 || int(id) >= len(t.Partitions) {
		return -1, -1
	}
	return t.Partitions[id].Leader, t.Partitions[id].LeaderEpoch
}

// diskPatience is how long a producer with acks=1 waits for the disk.
const diskPatience = 30 * time.Second

// awaitAcks waits until every append is committed, all within one timeout. A
// timeout does not undo an append. The error is that of the connection.
func (a *API) awaitAcks(conn context.Context, timeout time.Duration, acks []ack) error {
	ctx, cancel := context.WithTimeout(conn, max(timeout, 0))
	defer cancel()
	for _, k := range acks {
		err := k.p.WaitCommitted(ctx, k.next)
		if conn.Err() != nil {
			return context.Cause(conn)
		}
		if err != nil {
			k.resp.ErrorCode = a.code(keyProduce, err)
			k.resp.ErrorMessage = message(err)
			k.resp.BaseOffset, k.resp.LogAppendTime = -1, -1
		}
	}
	return nil
}
