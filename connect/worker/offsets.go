package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/plugins/catalog"
	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/host"
)

// admin returns an admin client with the connector's own settings.
func (w *Worker) admin(name string, cfg connector.Config) (*kadm.Client, error) {
	client, err := w.adminClient(name, cfg)
	if err != nil {
		return nil, err
	}
	return kadm.NewClient(client), nil
}

func (w *Worker) adminClient(name string, cfg connector.Config) (*kgo.Client, error) {
	s, problems := w.client(admins, cfg)
	if len(problems) > 0 {
		return nil, problems[0]
	}
	opts := append([]kgo.Opt{kgo.ClientID("connector-adminclient-" + name)}, s.target.Opts(nil)...)
	return kgo.NewClient(append(opts, s.opts...)...)
}

// SinkOffsets returns what a sink's group has committed, in order.
func (w *Worker) SinkOffsets(ctx context.Context, name string, cfg connector.Config) ([]connector.OffsetEntry, error) {
	a, err := w.admin(name, cfg)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	committed, err := a.FetchOffsets(ctx, sinkGroup(cfg, name))
	if err != nil {
		return nil, fmt.Errorf("offsets of group %s: %w", sinkGroup(cfg, name), err)
	}
	var out []connector.OffsetEntry
	for _, o := range committed.Sorted() {
		if o.Err != nil || o.At < 0 {
			continue
		}
		topic, err := json.Marshal(o.Topic)
		if err != nil {
			return nil, err
		}
		out = append(out, connector.OffsetEntry{
			Partition: fmt.Appendf(nil, `{"kafka_partition":%d,"kafka_topic":%s}`, o.Partition, topic),
			Offset:    fmt.Appendf(nil, `{"kafka_offset":%d}`, o.At),
		})
	}
	return out, nil
}

// sinkOffset is one entry of a sink, checked. offset is -1 to remove.
type sinkOffset struct {
	host.TopicPartition
	offset int64
}

// parseSinkOffset reads an entry in Kafka Connect's form, in which numbers may
// be strings.
func parseSinkOffset(e connector.OffsetEntry) (sinkOffset, error) {
	var p struct {
		Topic     string          `json:"kafka_topic"`
		Partition json.RawMessage `json:"kafka_partition"`
	}
	if err := json.Unmarshal(e.Partition, &p); err != nil || p.Topic == "" || p.Partition == nil {
		return sinkOffset{}, connector.Errorf(connector.BadRequest,
			`The partition for a sink connector offset must be {"kafka_topic": TOPIC, "kafka_partition": NUMBER}, not %s`, e.Partition)
	}
	n, err := strconv.ParseInt(strings.Trim(string(p.Partition), `"`), 10, 32)
	if err != nil || n < 0 {
		return sinkOffset{}, connector.Errorf(connector.BadRequest, "kafka_partition %s is not a partition number", p.Partition)
	}
	out := sinkOffset{host.TopicPartition{Topic: p.Topic, Partition: int32(n)}, -1}
	if len(e.Offset) == 0 || string(e.Offset) == "null" {
		return out, nil
	}
	var o struct {
		Offset json.RawMessage `json:"kafka_offset"`
	}
	if err := json.Unmarshal(e.Offset, &o); err != nil || o.Offset == nil {
		return sinkOffset{}, connector.Errorf(connector.BadRequest, `The offset for a sink connector must be {"kafka_offset": NUMBER} or null, not %s`, e.Offset)
	}
	out.offset, err = strconv.ParseInt(strings.Trim(string(o.Offset), `"`), 10, 64)
	if err != nil || out.offset < 0 {
		return sinkOffset{}, connector.Errorf(connector.BadRequest, "kafka_offset %s is not an offset", o.Offset)
	}
	return out, nil
}

// PutSinkOffsets changes the committed offsets of a sink's group.
func (w *Worker) PutSinkOffsets(ctx context.Context, name string, cfg connector.Config, entries []connector.OffsetEntry) error {
	set, remove := kadm.Offsets{}, kadm.TopicsSet{}
	for _, e := range entries {
		o, err := parseSinkOffset(e)
		if err != nil {
			return err
		}
		if o.offset < 0 {
			remove.Add(o.Topic, o.Partition)
		} else {
			set.AddOffset(o.Topic, o.Partition, o.offset, -1)
		}
	}
	a, err := w.admin(name, cfg)
	if err != nil {
		return err
	}
	defer a.Close()
	group := sinkGroup(cfg, name)
	if len(set) > 0 {
		resp, err := a.CommitOffsets(ctx, group, set)
		if err = errors.Join(err, resp.Error()); err != nil {
			return fmt.Errorf("alter offsets of group %s: %w%s", group, err, stillThere(err))
		}
	}
	if len(remove) > 0 {
		resp, err := a.DeleteOffsets(ctx, group, remove)
		if err = errors.Join(err, resp.Error()); err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
			return fmt.Errorf("remove offsets of group %s: %w%s", group, err, stillThere(err))
		}
	}
	return nil
}

// ResetSinkOffsets removes a sink's group with all that it committed.
func (w *Worker) ResetSinkOffsets(ctx context.Context, name string, cfg connector.Config) error {
	a, err := w.admin(name, cfg)
	if err != nil {
		return err
	}
	defer a.Close()
	group := sinkGroup(cfg, name)
	resp, err := a.DeleteGroup(ctx, group)
	if err == nil {
		err = resp.Err
	}
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return fmt.Errorf("remove group %s: %w%s", group, err, stillThere(err))
	}
	return nil
}

// stillThere explains the refusal of a group that has members.
func stillThere(err error) string {
	if errors.Is(err, kerr.NonEmptyGroup) || errors.Is(err, kerr.UnknownMemberID) {
		return "; the connector's tasks haven't stopped completely yet, or something else is a member of the group: try again in a while"
	}
	return ""
}

// VouchForOffsets asks a connector whether offsets may be changed. known is
// false when it has no say in it.
func (w *Worker) VouchForOffsets(ctx context.Context, cfg connector.Config, entries []connector.OffsetEntry) (known bool, err error) {
	t, err := w.resolve(cfg)
	if err != nil {
		return false, err
	}
	resolved, err := w.cfg.Providers.Resolve(cfg)
	if err != nil {
		return false, connector.Errorf(connector.BadRequest, "%v", err)
	}
	if t.Plugin.Kind == catalog.Sink {
		sink := host.Offsets{}
		for _, e := range entries {
			o, err := parseSinkOffset(e)
			if err != nil {
				return false, err
			}
			sink[o.TopicPartition] = o.offset
		}
		return w.vouched(w.cfg.Host.AlterOffsets(ctx, t, resolved, nil, sink))
	}
	source := make([]data.Position, 0, len(entries))
	for _, e := range entries {
		p := data.Position{Partition: slices.Clone(e.Partition)}
		if string(e.Offset) != "null" {
			p.Offset = slices.Clone(e.Offset)
		}
		source = append(source, p)
	}
	return w.vouched(w.cfg.Host.AlterOffsets(ctx, t, resolved, source, nil))
}

// vouched turns a connector's own refusal into one that the user reads.
func (w *Worker) vouched(known bool, err error) (bool, error) {
	var refusal *host.Error
	if errors.As(err, &refusal) {
		return false, connector.Errorf(connector.BadRequest, "%v", refusal)
	}
	return known, err
}
