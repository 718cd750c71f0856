package datagen

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// Source makes up records.
type Source struct{}

// ConfigDef defines the keys of Confluent's connector, and on.complete.
func (Source) ConfigDef() sdk.ConfigDef { return keys() }

// Validate checks keys against each other.
func (Source) Validate(_ context.Context, cfg sdk.Config) []sdk.Problem {
	_, problems := newConfig(cfg)
	return problems
}

// ExactlyOnce says that a task goes on with the record after the one it stands
// at: a record is a function of the seed, which is in the offset, and of its
// number.
func (Source) ExactlyOnce(sdk.Config) bool { return true }

// Plan makes as many tasks as are wanted, each with data of its own.
func (Source) Plan(_ context.Context, cfg sdk.Config, maxTasks int) ([]map[string]string, error) {
	out := make([]map[string]string, maxTasks)
	for i := range out {
		out[i] = maps.Clone(cfg.Originals())
		out[i][taskKey] = strconv.Itoa(i)
	}
	return out, nil
}

// AlterOffsets checks offsets that somebody wants to store.
func (Source) AlterOffsets(_ context.Context, _ sdk.Config, changes []sdk.Position) (bool, error) {
	for _, c := range changes {
		if n, ok := c.Partition["task.id"].(int64); !ok || n < 0 || len(c.Partition) != 1 {
			return false, errors.New("a source partition must have task.id, a whole number that is not negative, and nothing else")
		}
		if c.Offset == nil {
			continue
		}
		for _, name := range []string{"task.generation", "current.iteration", "random.seed"} {
			if n, ok := c.Offset[name].(int64); !ok || n < 0 && name != "random.seed" {
				return false, fmt.Errorf("an offset must have task.generation, current.iteration and random.seed, whole numbers: %s is missing, or negative", name)
			}
		}
	}
	return true, nil
}

// Open starts a task after the record that its stored offset says.
func (Source) Open(ctx context.Context, cfg sdk.Config, offsets sdk.OffsetReader) (sdk.Task, error) {
	c, problems := newConfig(cfg)
	if len(problems) > 0 {
		return nil, sdk.Fatal(problems[0])
	}
	partition := map[string]any{"task.id": c.task}
	stored, err := offsets.Offset(ctx, partition)
	if err != nil {
		return nil, fmt.Errorf("read the stored offset: %w", err)
	}
	t := &task{
		config: c, generation: stored.Int64("task.generation"), next: stored.Int64("current.iteration"),
		moved: make(chan struct{}, 1),
	}
	switch {
	case stored != nil:
		t.seed = stored.Int64("random.seed")
	case c.seeded:
		t.seed = int64(uint64(c.seed) + uint64(c.task)*0x9e3779b97f4a7c15)
	default:
		t.seed = int64(rand.Uint64())
	}
	if t.partition, err = sdk.EncodeMap(partition); err != nil {
		return nil, err
	}
	return t, t.fixedHeaders()
}

// The bounds of a batch, and how many of its records share an offset: a batch
// may be cut after any that has one.
const (
	batchRecords  = 1000
	batchBytes    = 256 << 10
	positionEvery = 25
)

// fixedHeaders makes the headers that all records of the task have.
func (t *task) fixedHeaders() (err error) {
	for i, v := range []int64{t.generation, t.task} {
		t.headers[i].Name = [...]string{"task.generation", "task.id"}[i]
		if t.headers[i].Value, err = data.NewDatum(data.Int64Schema, v); err != nil {
			return err
		}
	}
	t.headers[2].Name = "current.iteration"
	t.headers[2].Value = data.Datum{Schema: data.Int64Schema, State: data.Present}
	return nil
}

// pause waits a random part of the longest interval.
func (t *task) pause(ctx context.Context) error {
	timer := time.NewTimer(time.Duration(rand.Int64N(int64(t.interval))))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
