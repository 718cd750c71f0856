package filesink

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// member is a task of a group, on a disk where it goes on one step at a time
// when it is let.
type member struct {
	disk
	t          testing.TB
	group      *group
	rnd        *rand.Rand
	config     map[string]string
	generation int
	rewind     int64      // -1 for none
	goOn       chan bool  // false: it is killed
	arrived    chan error // at its next step, or errEnded
	clock      time.Time
}

// group is what the members share: the offset that the one of the latest
// generation has committed.
type group struct {
	dir        string
	records    []data.Record
	generation int
	committed  int64
}

var errEnded = errors.New("the member has ended")

func (m *member) step() {
	m.arrived <- nil
	if !<-m.goOn {
		runtime.Goexit()
	}
}

func (m *member) create(path string) (file, error) { m.step(); return m.disk.create(path) }
func (m *member) rename(from, to string) error     { m.step(); return m.disk.rename(from, to) }
func (m *member) remove(path string) error         { m.step(); return m.disk.remove(path) }
func (m *member) makeDir(path string) error        { m.step(); return m.disk.makeDir(path) }
func (m *member) mkdir(path string) error          { m.step(); return m.disk.mkdir(path) }

func (m *member) readDir(path string) ([]os.DirEntry, error) { m.step(); return m.disk.readDir(path) }
func (m *member) walk(root string, visit fs.WalkDirFunc) error {
	m.step()
	return m.disk.walk(root, func(path string, d fs.DirEntry, err error) error { m.step(); return visit(path, d, err) })
}

func (m *member) Report(r *data.Record, err error) {
	m.t.Errorf("record %d is refused: %v", r.OriginalOffset, err)
}
func (m *member) Rewind(o sdk.Offsets)         { m.rewind = o[tp(0)] }
func (m *member) Pause(...sdk.TopicPartition)  {}
func (m *member) Resume(...sdk.TopicPartition) {}
func (m *member) Timeout(time.Duration)        {}
func (m *member) RequestCommit()               {}

// run is the life of a task, up to the end of the records or to an error. It may
// be killed or left behind at any step.
func (m *member) run() (err error) {
	ctx := context.Background()
	from := m.group.committed
	m.step()
	cfg, problems := Sink{}.ConfigDef().Parse(m.config)
	if len(problems) > 0 {
		m.t.Errorf("%v", problems)
	}
	opened, err := Sink{fs: m}.Open(ctx, cfg, m)
	if err != nil {
		return err
	}
	task := opened.(*task)
	task.now = func() time.Time {
		m.clock = m.clock.Add(time.Duration(m.rnd.IntN(8)) * time.Millisecond)
		return m.clock
	}
	if err := task.OpenPartitions(ctx, sdk.Offsets{tp(0): from}); err != nil {
		return err
	}
	total := int64(len(m.group.records))
	for next := from; next < total; {
		to := min(total, next+1+m.rnd.Int64N(9))
		// What fails for a while is put again, and only then read from further back.
		for err = errors.New("not put"); err != nil; {
			e := (*sdk.Error)(nil)
			if err = task.Put(ctx, &data.Batch{Records: m.group.records[next:to]}); err != nil && !(errors.As(err, &e) && e.SafeToRetry()) {
				return err
			}
		}
		if next = to; m.rewind >= 0 {
			next, m.rewind = m.rewind, -1
		}
		if m.rnd.IntN(2) == 0 || next == total {
			committed, err := task.PreCommit(ctx, sdk.Offsets{tp(0): next})
			if err != nil {
				return err
			}
			m.step()
			if m.generation == m.group.generation {
				m.group.committed = committed[tp(0)]
			}
		}
	}
	return task.Close()
}

// join starts a task, which then is the only one that may commit.
func (g *group) join(t testing.TB, rnd *rand.Rand, config map[string]string) *member {
	g.generation++
	m := &member{
		t: t, group: g, rnd: rnd, config: config, generation: g.generation, rewind: -1,
		goOn: make(chan bool), arrived: make(chan error), clock: time.Unix(1_700_000_000, 0),
	}
	go func() {
		err := error(errEnded)
		defer func() { m.arrived <- err }() // of one that was killed as well
		if failed := m.run(); failed != nil {
			err = failed
		}
	}()
	<-m.arrived
	return m
}

// TestFrozenTasks gives a partition to one task after the other while those
// that had it go on, are left where they are and go on later, or are killed, at
// every step on the disk that chance picks. Each record is in one file in the
// end, whoever was the last to wake.
func TestFrozenTasks(t *testing.T) {
	base, taken := uint64(time.Now().UnixNano()), 0
	for i := range uint64(60) {
		seed := base + i
		if taken += frozenTasks(t, seed); t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if taken == 0 {
		t.Error("no task found that another had its files")
	}
}

// frozenTasks returns how many tasks found that another had their files.
func frozenTasks(t *testing.T, seed uint64) (taken int) {
	rnd := rand.New(rand.NewPCG(seed, 0))
	g := &group{dir: t.TempDir()}
	for n := range int64(60) {
		g.records = append(g.records, record(t, 0, n, fmt.Sprint(n*7%3)))
	}
	place := []map[string]string{{}, {"partitioner.class": "FieldPartitioner", "partition.field.name": "who"}}[rnd.IntN(2)]
	settings := func(bounds string) map[string]string {
		out := config(g.dir, map[string]string{"rotate.max.records": bounds, "fsync": "never", "rotate.interval.ms": "20"})
		maps.Copy(out, place)
		return out
	}
	var awake []*member
	// goOn lets a task take some steps.
	goOn := func(i, steps int) {
		m := awake[i]
		for range steps {
			m.goOn <- true
			if err := <-m.arrived; err != nil {
				if !errors.Is(err, errEnded) && !errors.Is(err, errTakenOver) {
					t.Errorf("a task ends with %v", err)
				}
				if errors.Is(err, errTakenOver) {
					taken++
				}
				awake = slices.Delete(awake, i, i+1)
				return
			}
		}
	}
	kill := func(i int) {
		m := awake[i]
		m.goOn <- false
		<-m.arrived
		awake = slices.Delete(awake, i, i+1)
	}
	for range 4 + rnd.IntN(6) {
		awake = append(awake, g.join(t, rnd, settings([]string{"3", "5", "7", "100"}[rnd.IntN(4)])))
		for range rnd.IntN(12) {
			if len(awake) == 0 {
				break
			}
			if i := rnd.IntN(len(awake)); rnd.IntN(10) == 0 {
				kill(i)
			} else {
				goOn(i, 1+rnd.IntN(1<<rnd.IntN(7)))
			}
		}
	}
	// Whoever is taken over by one that woke up is started again. The last one has
	// all records end their file.
	for g.committed < int64(len(g.records)) {
		awake = append(awake, g.join(t, rnd, settings("1")))
		for last := g.generation; slices.ContainsFunc(awake, func(m *member) bool { return m.generation == last }); {
			goOn(rnd.IntN(len(awake)), 1+rnd.IntN(1<<rnd.IntN(6)))
		}
	}
	for len(awake) > 0 {
		if i := rnd.IntN(len(awake)); rnd.IntN(20) == 0 {
			kill(i)
		} else {
			goOn(i, 1+rnd.IntN(20))
		}
	}
	once(t, g.dir, len(g.records))
	return taken
}

// once holds that each record is in one line of one complete file.
func once(t testing.TB, dir string, n int) {
	t.Helper()
	seen := make(map[string][]string)
	for name, content := range lines(t, dir, true) {
		if strings.HasPrefix(name, ".") {
			continue // in the making
		}
		for line := range strings.Lines(content) {
			id, _, _ := strings.Cut(strings.TrimPrefix(line, `{"id":`), ",")
			seen[id] = append(seen[id], name)
		}
	}
	for i := range n {
		if places := seen[fmt.Sprint(i)]; len(places) != 1 {
			t.Errorf("record %d is in the files %q", i, places)
		}
	}
}
