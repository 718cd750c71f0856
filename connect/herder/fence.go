package herder

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/connect/signature"
)

// fenceTimeout bounds one round of fencing.
const fenceTimeout = 90 * time.Second

// FenceZombies ends what earlier tasks of a connector may still be writing, so
// that the present ones can begin (KIP-618). Workers call it before they start
// a task that writes in transactions; the leader carries it out.
func (h *Herder) FenceZombies(ctx context.Context, name string) error {
	s, err := h.settled(ctx)
	if err != nil {
		return err
	}
	if s.Leader {
		return h.fenceOnce(ctx, name)
	}
	return h.send(ctx, s, http.MethodPut, "connectors/"+url.PathEscape(name)+"/fence", nil)
}

// ServeFence is FenceZombies for another worker (PUT /connectors/NAME/fence).
func (h *Herder) ServeFence(ctx context.Context, name string, r signature.Request) error {
	if err := h.internal(ctx, r); err != nil {
		return err
	}
	return h.fenceOnce(ctx, name)
}

// fenceOnce fences unless that is under way: then it waits for that round.
func (h *Herder) fenceOnce(ctx context.Context, name string) error {
	ch := h.fences.DoChan(name, func() (any, error) {
		fctx, stop := context.WithTimeout(context.WithoutCancel(ctx), fenceTimeout)
		defer stop()
		return nil, h.fenceRound(fctx, name)
	})
	select {
	case r := <-ch:
		return r.Err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// fenceRound fences the producers of the tasks that the last record counts, and
// then counts those of now. A connector that had one task and has one needs no
// fencing: the new task's producer does it.
func (h *Herder) fenceRound(ctx context.Context, name string) error {
	if err := h.configs.ReadToEnd(ctx); err != nil {
		return err
	}
	before := h.configs.Snapshot()
	cfg, ok := before.Connector(name)
	if !ok {
		return connector.NotFoundError(name)
	}
	count, recorded, pending := before.Fencing(name)
	if !pending {
		return nil
	}
	tasks := len(before.Tasks(name))
	if recorded && !(count == 1 && tasks == 1) {
		if err := h.cfg.Worker.FenceProducers(ctx, name, cfg, count); err != nil {
			return err
		}
	}
	h.writing.Lock()
	defer h.writing.Unlock()
	if err := h.configs.ReadToEnd(ctx); err != nil {
		return err
	}
	if h.configs.Snapshot().Generation(name) != before.Generation(name) {
		return connector.Errorf(connector.Conflict, "Failed to complete zombie fencing because a new set of task configs was generated")
	}
	return h.configs.PutFencing(ctx, name, tasks)
}

// ConfirmTask holds that a task with this config is still this worker's to run:
// the config topic, read to its end, says nothing else, and the group has given
// it to nobody else. It is asked once the task's producer has taken its
// transactional id, and before it writes (KIP-618).
func (h *Herder) ConfirmTask(ctx context.Context, id connector.TaskID, cfg connector.Config) error {
	s, err := h.settled(ctx)
	if err != nil {
		return err
	}
	if err := h.configs.ReadToEnd(ctx); err != nil {
		return err
	}
	tasks := h.configs.Snapshot().Tasks(id.Connector)
	if !h.Open() || !s.has(id) || id.Task >= len(tasks) || !tasks[id.Task].Equal(cfg) {
		return connector.Errorf(connector.Conflict, "task %s was given another config or another worker while it started", id)
	}
	return nil
}
