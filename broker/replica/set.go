package replica

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/broker/commitlog"
	"github.com/millrace/millrace/broker/metadata"
)

// cleanMarker exists while no process uses a log directory that was shut down
// in order. Kafka's file of that name means the same.
const cleanMarker = ".kafka_cleanshutdown"

// Open takes a log directory into use. It opens no partition; Apply does.
func Open(cfg Config) (*Set, error) {
	if cfg.Syncs <= 0 {
		cfg.Syncs = 8
	}
	if cfg.FS == nil {
		cfg.FS = commitlog.OSFS{}
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if err := cfg.FS.MkdirAll(cfg.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("create log directory: %w", err)
	}
	s := &Set{
		cfg: cfg, syncer: commitlog.NewSyncer(cfg.Syncs), watch: noWatch{},
		changed: make(chan struct{}, 1), topics: make(map[metadata.ID][]*Partition),
	}
	s.cleaner = newCleaner(s)
	err := cfg.FS.Remove(filepath.Join(cfg.Dir, cleanMarker))
	switch {
	case err == nil:
		s.clean = true
		err = cfg.FS.SyncDir(cfg.Dir)
	case errors.Is(err, fs.ErrNotExist):
		s.clean, err = s.empty()
	}
	if err != nil {
		return nil, fmt.Errorf("open log directory %s: %w", cfg.Dir, err)
	}
	return s, nil
}

type noWatch struct{}

func (noWatch) Lead(*Partition) {}
func (noWatch) Drop(*Partition) {}

// Watch has w told of partitions. It is called once, before the first Apply.
func (s *Set) Watch(w Watcher) { s.watch = w }

// empty reports whether the directory holds no log that could have lost
// anything.
func (s *Set) empty() (bool, error) {
	entries, err := s.cfg.FS.ReadDir(s.cfg.Dir)
	return len(entries) == 0, err
}

// Clean reports whether the logs were closed in order when the directory was
// last in use. Otherwise the ends of logs may be lost, and the partitions that
// this broker leads need a new leader epoch.
func (s *Set) Clean() bool { return s.clean }

// Apply brings the partitions from one metadata image to the next. It is
// called by one goroutine, with every image following the one before. A
// partition whose log cannot be opened is kept with its error and reported.
func (s *Set) Apply(ctx context.Context, before, after *metadata.Image) {
	if before.Index == 0 {
		s.removeStrays(after)
	}
	var g errgroup.Group
	g.SetLimit(2 * runtime.GOMAXPROCS(0))
	changes := metadata.Diff(before, after)
	if s.cfg.Broker.Follow(after, s.cfg.NodeID) {
		changes = everyTopic(before, after) // their defaults are others
	}
	for _, c := range changes {
		if c.After == nil {
			s.drop(c.Before) // first: a new topic may have its name
		}
	}
	for _, c := range changes {
		if c.After != nil {
			s.adopt(&g, c.After)
		}
	}
	g.Wait() // the functions return none
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// everyTopic is what Diff would return if all topics had changed.
func everyTopic(before, after *metadata.Image) []metadata.Change {
	var out []metadata.Change
	for t := range before.Topics() {
		if after.TopicByID(t.ID) == nil {
			out = append(out, metadata.Change{Before: t})
		}
	}
	for t := range after.Topics() {
		out = append(out, metadata.Change{Before: before.TopicByID(t.ID), After: t})
	}
	return out
}

// drop deletes the partitions of a deleted topic.
func (s *Set) drop(t *metadata.Topic) {
	s.mu.Lock()
	ps := s.topics[t.ID]
	delete(s.topics, t.ID)
	s.mu.Unlock()
	for _, p := range ps {
		if p == nil {
			continue
		}
		if p.leads.Swap(false) {
			s.watch.Drop(p)
		}
		if p.log == nil {
			continue
		}
		if err := p.log.Delete(); err != nil {
			s.cfg.Logger.Error("deleted partition left files behind", "topic", p.Topic, "partition", p.ID, "err", err)
		}
	}
}

// adopt updates the partitions of a changed topic and has its new ones opened.
func (s *Set) adopt(g *errgroup.Group, t *metadata.Topic) {
	cfg, err := metadata.ResolveTopic(t.Configs, s.cfg.Broker)
	if err != nil {
		// The quorum holds only configs that were checked, by this table or a
		// newer one.
		s.cfg.Logger.Error("topic has configs this version does not know; its defaults apply", "topic", t.Name, "err", err)
		cfg, _ = metadata.ResolveTopic(nil, s.cfg.Broker)
	}
	s.mu.RLock()
	ps := slices.Clone(s.topics[t.ID])
	s.mu.RUnlock()
	known := len(ps)
	ps = append(ps, make([]*Partition, len(t.Partitions)-known)...)
	for i := range t.Partitions {
		state := &t.Partitions[i]
		switch {
		case i < known && ps[i] != nil:
			s.update(ps[i], state, &cfg)
		case i >= known && slices.Contains(state.Replicas, s.cfg.NodeID):
			g.Go(func() error {
				s.place(t, int32(i), s.open(t, int32(i), &cfg))
				return nil
			})
		}
	}
}

// place makes an opened partition visible and announces it.
func (s *Set) place(t *metadata.Topic, id int32, p *Partition) {
	s.mu.Lock()
	ps := s.topics[t.ID]
	if len(ps) < len(t.Partitions) {
		ps = append(slices.Clone(ps), make([]*Partition, len(t.Partitions)-len(ps))...)
	}
	ps[id] = p
	s.topics[t.ID] = ps
	s.mu.Unlock()
	if p.leads.Load() {
		s.watch.Lead(p)
	}
}

func dirName(topic string, id int32) string { return topic + "-" + strconv.Itoa(int(id)) }

// open opens a partition's log and takes up its role.
func (s *Set) open(t *metadata.Topic, id int32, cfg *metadata.TopicConfig) *Partition {
	p := &Partition{Topic: t.Name, TopicID: t.ID, ID: id, now: s.cfg.Clock}
	p.cfg.Store(cfg)
	state := &t.Partitions[id]
	p.state.Store(state)
	dir := filepath.Join(s.cfg.Dir, dirName(t.Name, id))
	p.log, p.err = commitlog.Open(dir, s.logConfig(t.ID, cfg))
	if p.err == nil {
		p.err = s.lead(p, state, cfg)
	}
	if p.err != nil {
		s.cfg.Logger.Error("partition is offline", "topic", t.Name, "partition", id, "err", p.err)
	}
	return p
}

// lead takes up, or goes on with, the role that state gives this broker.
func (s *Set) lead(p *Partition, state *metadata.Partition, cfg *metadata.TopicConfig) error {
	if state.Leader != s.cfg.NodeID {
		return nil
	}
	// An empty log needs no note of the epoch: its first batch brings it.
	if p.log.EndOffset() > 0 && p.log.LatestEpoch() < state.LeaderEpoch {
		if err := p.log.StartEpoch(state.LeaderEpoch); err != nil {
			return err
		}
	}
	p.strict.Store(cfg.Flush == metadata.FlushAlways || cfg.Flush == metadata.FlushAuto && len(state.Replicas) == 1)
	p.state.Store(state)
	p.leads.Store(true)
	// What recovery found is on disk, and there is no other replica to wait
	// for.
	p.commit()
	return nil
}

// update carries changed configs and partition state over to an open
// partition.
func (s *Set) update(p *Partition, state *metadata.Partition, cfg *metadata.TopicConfig) {
	p.cfg.Store(cfg)
	if p.err != nil {
		return
	}
	if err := p.log.SetConfig(s.logConfig(p.TopicID, cfg)); err != nil {
		s.cfg.Logger.Error("topic configs not applied", "topic", p.Topic, "partition", p.ID, "err", err)
	}
	fresh := state.LeaderEpoch != p.LeaderEpoch() || !p.leads.Load()
	if err := s.lead(p, state, cfg); err != nil {
		s.cfg.Logger.Error("partition is offline", "topic", p.Topic, "partition", p.ID, "err", err)
		return
	}
	if fresh && p.leads.Load() {
		s.watch.Lead(p)
	}
}

// least returns the smallest value instead of zero, which stands for the
// default in a log's config.
func least[T ~int64](x T) T {
	if x == 0 {
		return 1
	}
	return x
}

func (s *Set) logConfig(id metadata.ID, c *metadata.TopicConfig) commitlog.Config {
	out := commitlog.Config{
		SegmentBytes:       c.SegmentBytes,
		SegmentAge:         c.SegmentAge,
		SegmentIndexBytes:  c.SegmentIndexBytes,
		IndexIntervalBytes: c.IndexIntervalBytes,
		MaxMessageBytes:    c.MaxMessageBytes,
		RetentionAge:       least(c.RetentionAge),
		RetentionBytes:     least(c.RetentionBytes),
		Compact:            c.Compact,
		Delete:             c.Delete,
		MinCompactionLag:   c.MinCompactionLag,
		MaxCompactionLag:   c.MaxCompactionLag,
		TombstoneRetention: least(c.TombstoneRetention),
		FlushMessages:      c.FlushMessages,
		FlushAge:           least(c.FlushAge),
		ProducerExpiration: s.cfg.Broker.Milliseconds("producer.id.expiration.ms"),
		TopicID:            id,
		FS:                 s.cfg.FS,
		Syncer:             s.syncer,
		Clock:              s.cfg.Clock,
		Logger:             s.cfg.Logger,
	}
	if c.LogAppendTime {
		out.TimestampType = commitlog.LogAppendTime
	}
	return out
}

// removeStrays deletes the directories of partitions that the metadata does
// not know, at start: of topics whose deletion a crash interrupted. Anything
// that is not a partition's directory is left alone.
func (s *Set) removeStrays(image *metadata.Image) {
	entries, err := s.cfg.FS.ReadDir(s.cfg.Dir)
	if err != nil {
		s.cfg.Logger.Error("log directory not searched for deleted partitions", "err", err)
		return
	}
	known := make(map[string]metadata.ID)
	for t := range image.Topics() {
		for i := range t.Partitions {
			known[dirName(t.Name, int32(i))] = t.ID
		}
	}
	for _, e := range entries {
		if !e.IsDir() || !s.stray(e.Name(), known) {
			continue
		}
		s.cfg.Logger.Warn("removing the directory of a deleted partition", "dir", e.Name())
		if err := s.cfg.FS.RemoveAll(filepath.Join(s.cfg.Dir, e.Name())); err != nil {
			s.cfg.Logger.Error("directory of a deleted partition not removed", "dir", e.Name(), "err", err)
		}
	}
}

// stray reports whether a directory is a partition's, and of no topic in the
// image.
func (s *Set) stray(name string, known map[string]metadata.ID) bool {
	if base, ok := strings.CutSuffix(name, "-delete"); ok {
		name = base
	} else if want, ok := known[name]; ok {
		text, err := os.ReadFile(filepath.Join(s.cfg.Dir, name, "partition.metadata"))
		return err == nil && !strings.Contains(string(text), "topic_id: "+want.String()+"\n")
	}
	at := strings.LastIndexByte(name, '-')
	if at <= 0 {
		return false
	}
	_, err := strconv.ParseUint(name[at+1:], 10, 31)
	return err == nil
}

// Close closes all logs and, if that went well, leaves the marker that lets
// the next start trust them. Run must have returned.
func (s *Set) Close() error {
	var g errgroup.Group
	g.SetLimit(2 * runtime.GOMAXPROCS(0))
	for _, p := range s.all() {
		if p.log != nil {
			g.Go(p.log.Close)
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	f, err := s.cfg.FS.OpenFile(filepath.Join(s.cfg.Dir, cleanMarker), os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return fmt.Errorf("mark the log directory as clean: %w", err)
	}
	return errors.Join(f.Datasync(), f.Close(), s.cfg.FS.SyncDir(s.cfg.Dir))
}
