package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/connect/connector"
)

// transactionalID is that of a source task's producer, as in Kafka Connect.
func transactionalID(group string, id connector.TaskID) string { return group + "-" + id.String() }

// FenceProducers ends the producers of a connector's first so many tasks
// (KIP-618): it takes the next epoch of each transactional id, which aborts
// what the old one has not committed and refuses its further writes.
func (w *Worker) FenceProducers(ctx context.Context, name string, cfg connector.Config, tasks int) error {
	client, err := w.adminClient(name, cfg)
	if err != nil {
		return err
	}
	defer client.Close()
	var errs []error
	for n := range tasks {
		id := transactionalID(w.cfg.Group, connector.TaskID{Connector: name, Task: n})
		if err := fenceProducer(ctx, client, id); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// fenceTransactionMillis is the transaction timeout of the epoch that fences,
// in which nothing is written.
const fenceTransactionMillis = 60_000

func fenceProducer(ctx context.Context, client *kgo.Client, id string) error {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis = &id, fenceTransactionMillis
	req.ProducerID, req.ProducerEpoch = -1, -1
	resp, err := req.RequestWith(ctx, client)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("fence the producer of transactional id %s: %w", id, err)
	}
	return nil
}
