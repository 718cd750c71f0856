package herder

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/connect/rebalance"
	"github.com/millrace/millrace/connect/signature"
)

// remoteTimeout bounds a request to another worker.
const remoteTimeout = 90 * time.Second

// maxAnswer bounds what of another worker's answer is read, in bytes.
const maxAnswer = 64 << 10

// publish has the task configs that a connector asked for stored, made from the
// connector config cfg, unless they stand already. Only the leader stores: any
// other worker sends them to it. An error that is no *connector.Error may pass:
// the caller tries again.
func (h *Herder) publish(ctx context.Context, name string, cfg connector.Config, tasks []connector.Config) error {
	s, err := h.settled(ctx)
	if err != nil {
		return errors.New(err.Error())
	}
	snap := h.configs.Snapshot()
	now, ok := snap.Connector(name)
	if !ok || !now.Equal(cfg) || snap.Target(name) != connector.TargetStarted {
		return nil // overtaken: the connector was changed, stopped or deleted meanwhile
	}
	if sameTasks(snap.Tasks(name), tasks) && snap.Applied(name).Equal(cfg) && !snap.Inconsistent(name) {
		return nil
	}
	if !s.Leader {
		return h.sendTasks(ctx, s, name, tasks)
	}
	h.writing.Lock()
	defer h.writing.Unlock()
	snap = h.configs.Snapshot()
	if now, ok := snap.Connector(name); !ok || !now.Equal(cfg) || snap.Target(name) != connector.TargetStarted {
		return nil
	}
	return h.configs.PutTasks(ctx, name, tasks)
}

// sendTasks hands task configs to the leader.
func (h *Herder) sendTasks(ctx context.Context, s seat, name string, tasks []connector.Config) error {
	if tasks == nil {
		tasks = []connector.Config{}
	}
	body, err := json.Marshal(tasks)
	if err != nil {
		return err
	}
	return h.send(ctx, s, http.MethodPost, "connectors/"+url.PathEscape(name)+"/tasks", body)
}

// send sends an internal request to the leader, signed if the group signs.
func (h *Herder) send(ctx context.Context, s seat, method, path string, body []byte) error {
	target := strings.TrimSuffix(s.LeaderURL, "/") + "/" + path + "?forward=false"
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("leader's URL %q: %w", s.LeaderURL, err)
	}
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	if s.Protocol == rebalance.Sessioned {
		key := h.configs.Snapshot().Session
		if key == nil {
			return errors.New("the group's leader has not made a session key yet")
		}
		mac, err := signature.Sign(h.cfg.Signing.Algorithm, key.Key, body)
		if err != nil {
			return err
		}
		req.Header.Set(signature.Header, mac)
		req.Header.Set(signature.AlgorithmHeader, h.cfg.Signing.Algorithm)
	}
	resp, err := h.cfg.HTTP.Do(req)
	if err != nil {
		return fmt.Errorf("ask the group's leader: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode < 300 {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("group's leader %s answered HTTP %d: %w", s.LeaderURL, resp.StatusCode, err)
	}
	var e struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(text, &e) != nil || e.Message == "" {
		e.Message = string(text)
	}
	return fmt.Errorf("group's leader %s answered HTTP %d: %s", s.LeaderURL, resp.StatusCode, e.Message)
}

// StoreTasks stores the task configs that the worker of a connector sends to
// the leader (POST /connectors/NAME/tasks).
func (h *Herder) StoreTasks(ctx context.Context, name string, tasks []connector.Config, r signature.Request) error {
	if err := h.internal(ctx, r); err != nil {
		return err
	}
	h.writing.Lock()
	defer h.writing.Unlock()
	snap := h.configs.Snapshot()
	if _, ok := snap.Connector(name); !ok {
		return connector.NotFoundError(name)
	}
	if snap.Target(name) != connector.TargetStarted {
		return connector.Errorf(connector.Conflict, "Connector %s is not wanted started; its tasks stay as they are", name)
	}
	return h.configs.PutTasks(context.WithoutCancel(ctx), name, tasks)
}

// internal admits a signed request to the leader. It is not sent on: its sender
// asks again, once it knows the leader.
func (h *Herder) internal(ctx context.Context, r signature.Request) error {
	if err := h.verify(ctx, r); err != nil {
		return err
	}
	err := h.leading(ctx)
	var other *connector.Elsewhere
	if errors.As(err, &other) {
		return connector.Errorf(connector.Conflict, "Cannot complete request because of a conflicting operation (e.g. worker rebalance)")
	}
	return err
}
