package s3

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// Source is Confluent's S3 source connector: it reads what the S3 sink wrote, or
// objects of any name.
type Source struct {
	now  func() time.Time                          // tests have clocks of their own
	wrap func(http.RoundTripper) http.RoundTripper // and faults
}

// ConfigDef defines the keys of Confluent's connector.
func (Source) ConfigDef() sdk.ConfigDef {
	def := append(sourceKeys(), layoutKeys()...)
	return slices.Concat(def, storeKeys(), checksumKeys())
}

// Validate checks keys against each other.
func (Source) Validate(_ context.Context, cfg sdk.Config) []sdk.Problem {
	_, problems := newSourceConfig(cfg)
	return problems
}

// ExactlyOnce says that a task continues right after the record it starts from:
// the sink's objects do not change, and of others one version is read.
func (Source) ExactlyOnce(sdk.Config) bool { return true }

// Plan divides the partitions that were backed up among tasks, by a hash.
func (Source) Plan(_ context.Context, cfg sdk.Config, maxTasks int) ([]map[string]string, error) {
	out := make([]map[string]string, maxTasks)
	for i := range out {
		out[i] = maps.Clone(cfg.Originals())
		out[i][taskKey] = fmt.Sprintf("%d/%d", i, maxTasks)
	}
	return out, nil
}

// AlterOffsets checks offsets that somebody wants to store.
func (Source) AlterOffsets(_ context.Context, _ sdk.Config, changes []sdk.Position) (bool, error) {
	for _, c := range changes {
		if _, slot := c.Partition["slot"]; slot {
			if err := checkSlotOffset(c); err != nil {
				return false, err
			}
			continue
		}
		if _, object := c.Partition["objectKey"].(string); object {
			if err := checkObjectOffset(c); err != nil {
				return false, err
			}
			continue
		}
		for _, name := range []string{"bucket", "folder", "file"} {
			if _, ok := c.Partition[name].(string); !ok || len(c.Partition) != 3 {
				return false, fmt.Errorf("a source partition must have the texts bucket, folder and file, and nothing else: %q is missing or there is more", name)
			}
		}
		if c.Offset == nil {
			continue
		}
		n, ok := c.Offset["recordCount"].(int64)
		if _, text := c.Offset["objectKey"].(string); !text || !ok || n < 0 {
			return false, errors.New("an offset must have objectKey, a text, and recordCount, a whole number that is not negative")
		}
	}
	return true, nil
}

// checkSlotOffset checks an offset that says which objects need no offsets.
func checkSlotOffset(c sdk.Position) error {
	for _, name := range []string{"bucket", "prefix"} {
		if _, ok := c.Partition[name].(string); !ok || len(c.Partition) != 3 {
			return fmt.Errorf("a source partition of a slot must have the texts bucket and prefix and the number slot, and nothing else: %q is missing or there is more", name)
		}
	}
	if n, ok := c.Partition["slot"].(int64); !ok || n < 0 || n >= slots {
		return fmt.Errorf("slot must be a whole number below %d", slots)
	}
	if c.Offset == nil {
		return nil
	}
	pruned, ok := c.Offset["pruned"].(int64)
	done, all := c.Offset["done"].(int64)
	if !ok || !all || pruned < 0 || done < pruned {
		return errors.New("an offset of a slot must have pruned and done, times in milliseconds, the second not before the first")
	}
	return nil
}

// checkObjectOffset checks an offset of the mode GENERIC.
func checkObjectOffset(c sdk.Position) error {
	if _, ok := c.Partition["bucket"].(string); !ok || len(c.Partition) != 2 {
		return errors.New("a source partition of an object must have the texts bucket and objectKey, and nothing else")
	}
	if c.Offset == nil {
		return nil
	}
	n, ok := c.Offset["recordCount"].(int64)
	if _, text := c.Offset["etag"].(string); !text || !ok || n < 0 {
		return errors.New("an offset of an object must have etag, a text, and recordCount, a whole number that is not negative")
	}
	return nil
}

// Open starts a task. The bucket must exist.
func (s Source) Open(ctx context.Context, cfg sdk.Config, offsets sdk.OffsetReader) (sdk.Task, error) {
	c, problems := newSourceConfig(cfg)
	if len(problems) > 0 {
		return nil, sdk.Fatal(problems[0])
	}
	log := sdk.Logger(ctx)
	st, err := openStore(ctx, c.store, s.wrap, log)
	if err != nil {
		return nil, err
	}
	if c.generic {
		now := s.now
		if now == nil {
			now = time.Now
		}
		return &genericTask{cfg: c, store: st, log: log, offsets: offsets, finished: make(map[uint64]finished), horizons: horizons{retention: c.retention}, now: now}, nil
	}
	return &sourceTask{cfg: c, store: st, log: log, offsets: offsets, cursors: make(map[stream]*cursor)}, nil
}

// cursor is where a stream stands: after a number of records of the object that
// begins with an offset, or after all of them.
type cursor struct {
	offset, records int64
	done            bool
}

// sourceTask is a running source task.
type sourceTask struct {
	sdk.UnimplementedTask
	cfg     *sourceConfig
	store   *store
	log     *slog.Logger
	offsets sdk.OffsetReader
	cursors map[stream]*cursor
	queue   []*backup
	current *restore // nil between two objects
	listed  time.Time
}

// cursor returns where a stream stands, which is asked for once.
func (t *sourceTask) cursor(ctx context.Context, s stream) (*cursor, error) {
	if c := t.cursors[s]; c != nil {
		return c, nil
	}
	c := &cursor{offset: -1, done: true}
	stored, err := t.offsets.Offset(ctx, s.source(t.cfg.store.bucket))
	if err != nil {
		return nil, fmt.Errorf("read the stored offset of %s: %w", s.folder, err)
	}
	if key := stored.String("objectKey"); key != "" {
		_, offset, _, which, err := t.cfg.parse(key)
		if err != nil || which == noPart {
			return nil, fatal(fmt.Sprintf("the stored offset names object %s, which is none of this configuration: %v", key, err))
		}
		*c = cursor{offset: offset, records: stored.Int64("recordCount")}
	}
	t.cursors[s] = c
	return c, nil
}

// PollBatch appends records of one object, and waits for some.
func (t *sourceTask) PollBatch(ctx context.Context, b *data.Batch) error {
	for {
		if t.current == nil {
			if err := t.advance(ctx); err != nil {
				return err
			}
			continue
		}
		stop := context.AfterFunc(ctx, t.current.end) // a body that does not come holds nobody up
		err := t.current.fill(b, t.cfg.most)
		stop()
		if cause := context.Cause(ctx); cause != nil && len(b.Records) == 0 {
			return cause
		}
		if err != nil {
			err = t.ended(err)
		}
		if err != nil || len(b.Records) > 0 {
			return err
		}
	}
}

// advance opens the next object, after a listing where none is known.
func (t *sourceTask) advance(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if len(t.queue) == 0 {
		if err := pause(ctx, time.Until(t.listed.Add(t.cfg.interval))); err != nil {
			return err
		}
		var err error
		if t.queue, err = t.list(ctx); err != nil {
			return err
		}
		t.listed = time.Now()
		return nil
	}
	r, err := t.restore(ctx, t.queue[0])
	if err != nil {
		return t.ended(err)
	}
	t.current = r
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(max(0, d))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// Close ends the requests of the current object.
func (t *sourceTask) Close() error {
	defer t.store.release()
	if t.current == nil {
		return nil
	}
	return t.current.close()
}
