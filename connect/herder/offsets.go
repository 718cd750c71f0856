package herder

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/connect/store"
)

// SinkGroups reads and changes the committed offsets of sinks' consumer groups.
type SinkGroups interface {
	// SinkOffsets returns what a sink's group has committed.
	SinkOffsets(ctx context.Context, name string, cfg connector.Config) ([]connector.OffsetEntry, error)
	// PutSinkOffsets changes some of it; a null offset removes.
	PutSinkOffsets(ctx context.Context, name string, cfg connector.Config, entries []connector.OffsetEntry) error
	// ResetSinkOffsets removes all of it.
	ResetSinkOffsets(ctx context.Context, name string, cfg connector.Config) error
	// VouchForOffsets asks the connector about a change; known is false when it
	// has no say in it.
	VouchForOffsets(ctx context.Context, cfg connector.Config, entries []connector.OffsetEntry) (known bool, err error)
}

// ConnectorOffsets returns how far a connector came, in any state.
func (h *Herder) ConnectorOffsets(ctx context.Context, name string) (connector.Offsets, error) {
	cfg, ok := h.configs.Snapshot().Connector(name)
	if !ok {
		return connector.Offsets{}, connector.NotFoundError(name)
	}
	out := connector.Offsets{Offsets: []connector.OffsetEntry{}}
	if h.cfg.Worker.Kind(cfg) == connector.Sink {
		entries, err := h.cfg.Worker.SinkOffsets(ctx, name, cfg)
		out.Offsets = append(out.Offsets, entries...)
		return out, err
	}
	entries, err := h.offsets.List(ctx, name)
	for _, e := range entries {
		out.Offsets = append(out.Offsets, connector.OffsetEntry{Partition: e.Partition, Offset: e.Offset})
	}
	return out, err
}

// AlterOffsets changes offsets of a connector that is stopped.
func (h *Herder) AlterOffsets(ctx context.Context, name string, entries []connector.OffsetEntry) (connector.Message, error) {
	if len(entries) == 0 {
		return connector.Message{}, connector.Errorf(connector.BadRequest, "Partitions / offsets need to be provided for an alter offsets request")
	}
	for _, e := range entries {
		if err := checkEntry(e); err != nil {
			return connector.Message{}, err
		}
	}
	return h.changeOffsets(ctx, name, "altered", func(cfg connector.Config) ([]connector.OffsetEntry, error) { return entries, nil },
		func(cfg connector.Config) error { return h.cfg.Worker.PutSinkOffsets(ctx, name, cfg, entries) })
}

// ResetOffsets removes all offsets of a connector that is stopped.
func (h *Herder) ResetOffsets(ctx context.Context, name string) (connector.Message, error) {
	return h.changeOffsets(ctx, name, "reset", func(cfg connector.Config) ([]connector.OffsetEntry, error) {
		all, err := h.ConnectorOffsets(ctx, name)
		for i := range all.Offsets {
			all.Offsets[i].Offset = nil
		}
		return all.Offsets, err
	}, func(cfg connector.Config) error { return h.cfg.Worker.ResetSinkOffsets(ctx, name, cfg) })
}

// changeOffsets asks the connector about a change and makes it: in the offset
// topic for a source, by sink for a sink.
func (h *Herder) changeOffsets(ctx context.Context, name, done string,
	entries func(connector.Config) ([]connector.OffsetEntry, error), sink func(connector.Config) error,
) (connector.Message, error) {
	if err := h.leading(ctx); err != nil {
		return connector.Message{}, err
	}
	if err := h.fenceFormer(ctx, name); err != nil {
		return connector.Message{}, err
	}
	h.writing.Lock()
	defer h.writing.Unlock()
	cfg, err := h.stopped(ctx, name)
	if err != nil {
		return connector.Message{}, err
	}
	change, err := entries(cfg)
	if err != nil {
		return connector.Message{}, err
	}
	known, err := h.cfg.Worker.VouchForOffsets(ctx, cfg, change)
	if err != nil {
		return connector.Message{}, err
	}
	if h.cfg.Worker.Kind(cfg) == connector.Sink {
		err = sink(cfg)
	} else {
		err = h.putSourceOffsets(ctx, name, change)
	}
	if err != nil {
		return connector.Message{}, err
	}
	if known {
		return connector.Message{Message: fmt.Sprintf("The offsets for this connector have been %s successfully", done)}, nil
	}
	return connector.Message{Message: fmt.Sprintf("The Connect framework-managed offsets for this connector have been %s successfully. "+
		"However, if this connector manages offsets externally, they will need to be manually %s in the system that the connector uses.", done, done)}, nil
}

// fenceFormer fences the tasks that wrote in transactions before the connector
// was stopped: one that a lost worker still runs would commit its offsets over
// what is changed.
func (h *Herder) fenceFormer(ctx context.Context, name string) error {
	if _, err := h.stopped(ctx, name); err != nil {
		return err
	}
	if _, recorded, _ := h.configs.Snapshot().Fencing(name); !recorded {
		return nil
	}
	return h.fenceOnce(ctx, name)
}

// stopped returns the config of a connector that is stopped, and refuses any
// other: tasks that run would overwrite what is changed.
func (h *Herder) stopped(ctx context.Context, name string) (connector.Config, error) {
	if err := h.configs.ReadToEnd(ctx); err != nil {
		return nil, err
	}
	snap := h.configs.Snapshot()
	cfg, ok := snap.Connector(name)
	if !ok {
		return nil, connector.NotFoundError(name)
	}
	if snap.Target(name) != connector.TargetStopped || len(snap.Tasks(name)) > 0 {
		return nil, connector.Errorf(connector.BadRequest, "Connectors must be in the STOPPED state before their offsets can be modified. "+
			"This can be done for the specified connector by issuing a 'PUT' request to the '/connectors/%s/stop' endpoint", name)
	}
	return cfg, h.quiet(ctx, name)
}

// quietTimeout is how long a change of offsets waits for tasks that are just
// stopping.
const quietTimeout = 15 * time.Second

// quiet waits until nothing of a connector runs on any worker.
func (h *Herder) quiet(ctx context.Context, name string) error {
	timer := time.NewTimer(quietTimeout)
	defer timer.Stop()
	for {
		s, moved := h.here()
		var halted <-chan struct{}
		k := h.keeper(name)
		if k != nil {
			k.mu.Lock()
			halted = k.moved
			k.mu.Unlock()
		}
		if s.joined && !s.runs(name) && h.configs.Snapshot().Structure <= s.Offset && (k == nil || !k.busy.Load()) {
			return nil
		}
		select {
		case <-moved:
		case <-halted:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
			return connector.Errorf(connector.Conflict, "the tasks of connector %s haven't stopped completely yet; try again in a while", name)
		}
	}
}

func (h *Herder) putSourceOffsets(ctx context.Context, name string, entries []connector.OffsetEntry) error {
	out := make([]store.Entry, 0, len(entries))
	for _, e := range entries {
		partition, err := compact(e.Partition)
		if err != nil {
			return err
		}
		offset, err := compact(e.Offset)
		if err != nil {
			return err
		}
		out = append(out, store.Entry{Partition: partition, Offset: offset})
	}
	if err := h.offsets.Put(ctx, name, out); err != nil {
		return connector.Errorf(connector.BadRequest, "%v", err)
	}
	return nil
}

// compact removes white space; a JSON null is nil.
func compact(raw json.RawMessage) ([]byte, error) {
	if isNull(raw) {
		return nil, nil
	}
	var b bytes.Buffer
	err := json.Compact(&b, raw)
	return b.Bytes(), err
}

func isNull(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }

// checkEntry holds that a partition is an object and an offset one or null.
func checkEntry(e connector.OffsetEntry) error {
	var m map[string]json.RawMessage
	if isNull(e.Partition) || json.Unmarshal(e.Partition, &m) != nil {
		return connector.Errorf(connector.BadRequest, "The partition %s is not a JSON object", e.Partition)
	}
	if !isNull(e.Offset) && json.Unmarshal(e.Offset, &m) != nil {
		return connector.Errorf(connector.BadRequest, "The offset %s is neither a JSON object nor null", e.Offset)
	}
	return nil
}
