package api

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/metadata"
	"github.com/millrace/millrace/broker/recordbatch"
)

// nothing is a quorum without topics.
type nothing struct {
	Controller
	image metadata.Image
}

func (n *nothing) Image() *metadata.Image { return &n.image }

// A topic that is not there when the coordinator would be asked about a
// transaction, and is when the batch is appended, is refused as one that is not
// there: the producer tries again. Any other answer would end it.
func TestBatchForATopicThatIsBeingMadeIsTriedAgain(t *testing.T) {
	var b recordbatch.Builder
	if err := b.Add(0, nil, []byte("v")); err != nil {
		t.Fatal(err)
	}
	batch := b.Batch(recordbatch.Producer{ID: 1, Epoch: 0, Transactional: true})
	id := "tx"
	for version, want := range map[int16]error{9: kerr.UnknownTopicOrPartition, 13: kerr.UnknownTopicID} {
		req := kmsg.NewPtrProduceRequest()
		req.Version, req.TransactionID = version, &id
		rt := kmsg.NewProduceRequestTopic()
		rt.Topic = "t"
		rp := kmsg.NewProduceRequestTopicPartition()
		rp.Records = batch
		rt.Partitions = append(rt.Partitions, rp)
		req.Topics = append(req.Topics, rt)
		a := &API{cfg: Config{Controller: &nothing{}}}
		admitted, err := a.admit(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := admitted.appendTransactional(nil, &req.Topics[0].Partitions[0], batch, true); !errors.Is(err, want) {
			t.Errorf("version %d: %v, want %v", version, err, want)
		}
	}
}
