package connect

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/millrace/millrace/connect/connector"
)

// Bounds of the question to another worker for the figures of its processes.
const (
	processTimeout = time.Second
	maxProcesses   = 4 << 20 // bytes
)

// Processes returns the figures of the processes of a connector's tasks, by the
// number of the task. With everywhere set, other workers that run some are
// asked for theirs; those that do not answer in a second, as workers of Kafka
// Connect have nothing to answer, are left out.
func (c *Connect) Processes(ctx context.Context, name string, everywhere bool) (map[int]connector.Process, error) {
	p, err := c.running()
	if err != nil {
		return nil, err
	}
	out := map[int]connector.Process{}
	for _, t := range p.worker.Stats().Tasks {
		if t.ID.Connector == name && t.PID != 0 {
			out[t.ID.Task] = connector.Process{
				PID: t.PID, Version: t.Version, MemoryBytes: t.MemoryBytes, MemoryLimitBytes: t.MemoryLimit,
				CPUSeconds: t.CPU.Seconds(), UptimeSeconds: t.Uptime.Seconds(), Restarts: t.Restarts,
			}
		}
	}
	if !everywhere {
		return out, nil
	}
	others := map[string]bool{}
	st, err := p.Herder.Status(ctx, name)
	if err != nil {
		return nil, err
	}
	for _, t := range st.Tasks {
		if t.WorkerID != c.workerID() && (t.State == connector.Running || t.State == connector.Paused) {
			others[t.WorkerID] = true
		}
	}
	ctx, stop := context.WithTimeout(ctx, processTimeout)
	defer stop()
	var mu sync.Mutex
	var asking sync.WaitGroup
	for id := range others {
		asking.Go(func() {
			theirs, err := c.processesAt(ctx, id, name)
			if err != nil {
				c.cfg.Logger.Debug("figures of tasks not known", "worker", id, "connector", name, "err", err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			for n, f := range theirs {
				out[n] = f
			}
		})
	}
	asking.Wait()
	return out, nil
}

// processesAt asks the worker of an id, which is its host:port.
func (c *Connect) processesAt(ctx context.Context, id, name string) (map[int]connector.Process, error) {
	at := c.api.scheme + "://" + id + "/connectors/" + url.PathEscape(name) + "/status?forward=false"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.api.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("HTTP %d", resp.StatusCode)
	}
	var st connector.StateInfo
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxProcesses)).Decode(&st); err != nil {
		return nil, err
	}
	out := map[int]connector.Process{}
	for _, t := range st.Tasks {
		if t.Process != nil && t.WorkerID == id {
			out[t.ID] = *t.Process
		}
	}
	return out, nil
}
