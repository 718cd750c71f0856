package chaos

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/bench/harness"
)

const (
	chaosWorkers = 3
	// Workers' settings: short, so that work moves often.
	workerSession = 2 * time.Second
	connectSetup  = `broker:
  group.min.session.timeout.ms: 1000
connect:
  session.timeout.ms: 2000
  heartbeat.interval.ms: 300
  rebalance.timeout.ms: 10000
  scheduled.rebalance.max.delay.ms: 500
`
	// A worker is frozen for longer than its session and the delay after it, so
	// that another has its tasks when it wakes.
	freezeTime = 2*workerSession + time.Second
	// maxWorkerLife is the longest time between two kills.
	maxWorkerLife = 2 * time.Second
)

// sources are the connectors that read the numbered file, each to the topic of
// its name. The last is told to deliver at least once.
var sources = map[string]struct {
	config map[string]string
	once   bool
}{
	"filestream": {map[string]string{"connector.class": "FileStreamSource", "exactly.once.support": "required"}, true},
	"logtail": {map[string]string{
		"connector.class": "LogTailSource", "start.at": "beginning", "host.id": "chaos", "exactly.once.support": "required",
	}, true},
	"each-poll": {map[string]string{
		"connector.class": "FileStreamSource", "batch.size": "20", "exactly.once.support": "required", "transaction.boundary": "poll",
	}, true},
	"at-least": {map[string]string{"connector.class": "FileStreamSource", "producer.override.enable.idempotence": "false"}, false},
}

// Connect kills a broker, three workers and the processes of their connectors,
// and freezes workers until others have their work, while sources read a file
// of numbered lines that grows. Whoever reads what is committed must see each
// line once and in order; of the source without transactions, each line. It
// returns what was broken.
func Connect(ctx context.Context, cfg Config) (err error) {
	c := &connectCluster{dir: cfg.Dir, setup: filepath.Join(cfg.Dir, "millrace.yaml"), done: map[string]int{}}
	if err := os.WriteFile(c.setup, []byte(connectSetup), 0o600); err != nil {
		return err
	}
	if c.broker, err = newMortal(cfg, "--config", c.setup, "--roles", "broker"); err != nil {
		return err
	}
	if err := c.start(ctx); err != nil {
		return errors.Join(err, c.stop(true))
	}
	defer func() { err = errors.Join(err, c.stop(err != nil)) }()
	file := &numberedFile{path: filepath.Join(cfg.Dir, "lines.txt")}
	if err := c.createSources(ctx, file.path); err != nil {
		return err
	}
	stop := make(chan struct{})
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return file.grow(gctx, stop) })
	killed := c.killing(gctx)
	close(stop)
	if err := errors.Join(killed, g.Wait()); err != nil {
		return err
	}
	c.broker.cfg.Logf("%d lines; killed %v", file.lines, c.done)
	return c.verify(ctx, file.lines)
}

// connectCluster is a broker and the workers that use it.
type connectCluster struct {
	dir     string
	setup   string // file of settings
	broker  *mortal
	workers [chaosWorkers]*worker
	done    map[string]int // kills by what was killed
}

// worker is one of them, always on the same address.
type worker struct {
	dir  string
	args []string
	node *harness.Node
}

func (c *connectCluster) start(ctx context.Context) error {
	if err := c.broker.start(ctx); err != nil {
		return err
	}
	for i := range c.workers {
		addr, err := freeAddr()
		if err != nil {
			return err
		}
		c.workers[i] = &worker{dir: filepath.Join(c.dir, fmt.Sprint("worker-", i)), args: []string{
			"--config", c.setup, "--roles", "connect", "--bootstrap-servers", c.broker.addr, "--connect-addr", addr, "--log-level", "info",
		}}
		if err := c.workers[i].start(ctx, c.broker.cfg.Bin); err != nil {
			return err
		}
	}
	return nil
}

func (w *worker) start(ctx context.Context, bin string) (err error) {
	if err := os.Remove(filepath.Join(w.dir, "addresses.json")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	w.node, err = harness.StartNode(ctx, bin, w.dir, w.args...)
	return err
}

// stop ends all processes, in order unless that no longer matters.
func (c *connectCluster) stop(kill bool) error {
	var errs []error
	end := func(n *harness.Node) {
		switch {
		case n == nil:
		case kill:
			n.Kill()
		default:
			errs = append(errs, n.Stop())
		}
	}
	for _, w := range c.workers {
		if w != nil {
			end(w.node)
		}
	}
	end(c.broker.node)
	return errors.Join(errs...)
}

func (c *connectCluster) createSources(ctx context.Context, path string) error {
	client, err := kgo.NewClient(clientOptions(c.broker.addr)...)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err
	}
	for name, s := range sources {
		created, err := kadm.NewClient(client).CreateTopic(ctx, 1, 1, nil, name)
		if err = errors.Join(err, created.Err); err != nil {
			return err
		}
		config := map[string]string{
			"topic": name, "errors.restart.delay.max.ms": "200",
			"value.converter": "org.apache.kafka.connect.storage.StringConverter",
		}
		maps.Copy(config, s.config)
		file := "file"
		if name == "logtail" {
			file = "include"
		}
		config[file] = path
		if err := c.workers[0].node.CreateConnector(ctx, name, config); err != nil {
			return err
		}
	}
	return nil
}

// killing ends or freezes what chance picks, as often as wanted, and leaves
// everything running.
func (c *connectCluster) killing(ctx context.Context) error {
	rng := c.broker.rng
	for n := range c.broker.cfg.Kills {
		life := minLife + time.Duration(rng.Int64N(int64(maxWorkerLife-minLife)))
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(life):
		}
		what, err := c.strike(ctx, rng)
		if err != nil {
			return fmt.Errorf("kill %d, of %s: %w", n+1, what, err)
		}
		c.done[what]++
	}
	return nil
}

// strike ends or freezes something and starts or wakes it.
func (c *connectCluster) strike(ctx context.Context, rng *rand.Rand) (what string, err error) {
	w := c.workers[rng.IntN(chaosWorkers)]
	switch rng.IntN(8) {
	case 0, 1:
		c.broker.node.Kill()
		return "broker", c.broker.start(ctx)
	case 2, 3:
		w.node.Kill()
		return "worker", w.start(ctx, c.broker.cfg.Bin)
	case 4:
		w.node.Kill()
		c.broker.node.Kill()
		if err := c.broker.start(ctx); err != nil {
			return "broker and worker", err
		}
		return "broker and worker", w.start(ctx, c.broker.cfg.Bin)
	case 5:
		return "worker frozen", w.freeze(ctx)
	}
	return "plugins", c.killPlugins(rng)
}

// freeze stops the worker's process, not those of its connectors, and wakes it
// when its work is another's.
func (w *worker) freeze(ctx context.Context) error {
	return w.freezeUntil(ctx, func() error { return nil })
}

// freezeUntil stops the worker's process, and calls before when its work is
// another's and it is about to wake.
func (w *worker) freezeUntil(ctx context.Context, before func() error) error {
	pid := w.node.PID()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return err
	}
	err := wait(ctx, freezeTime)
	return errors.Join(err, before(), syscall.Kill(pid, syscall.SIGCONT))
}

// killPlugins ends half of the connectors' processes, of all workers.
func (c *connectCluster) killPlugins(rng *rand.Rand) error {
	for _, w := range c.workers {
		children, err := harness.Children(w.node.PID())
		if err != nil {
			return err
		}
		for _, pid := range children {
			if rng.IntN(2) > 0 {
				continue
			}
			if err := signal(syscall.SIGKILL, pid); err != nil {
				return err
			}
		}
	}
	return nil
}

// numberedFile grows by lines that each hold their number.
type numberedFile struct {
	path  string
	lines int
}

func (f *numberedFile) grow(ctx context.Context, stop <-chan struct{}) error {
	out, err := os.OpenFile(f.path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	buf := bufio.NewWriter(out)
	for !stopped(stop) && ctx.Err() == nil {
		for range 20 {
			buf.WriteString(strconv.Itoa(f.lines)) // Flush has the error
			buf.WriteByte('\n')
			f.lines++
		}
		if err := buf.Flush(); err != nil {
			return err
		}
		time.Sleep(10 * time.Millisecond) // the load's own clock
	}
	return errors.Join(ctx.Err(), out.Close())
}

// verify waits until all lines are in the log, and checks each topic.
func (c *connectCluster) verify(ctx context.Context, lines int) error {
	ctx, stop := context.WithTimeoutCause(ctx, settleTimeout, errors.New("the sources did not come to the end of the file"))
	defer stop()
	var errs []error
	for name, s := range sources {
		check := eachLine
		if s.once {
			check = eachLineOnce
		}
		if err := c.verifyTopic(ctx, name, lines, s.once, check); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w; status %s", name, err, c.workers[0].node.Status(context.WithoutCancel(ctx), name)))
		}
	}
	return errors.Join(errs...)
}

// verifyTopic reads a topic until check finds it whole or broken.
func (c *connectCluster) verifyTopic(ctx context.Context, topic string, lines int, once bool, check func([]string, int) (whole bool, err error)) error {
	for {
		records, err := readAll(ctx, c.broker.addr, topic, kgo.ReadCommitted())
		if err != nil {
			return err
		}
		whole, err := check(records[0], lines)
		if err != nil {
			return err
		}
		if whole {
			return c.transactions(ctx, topic, once)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d records of %d lines: %w", len(records[0]), lines, context.Cause(ctx))
		case <-time.After(200 * time.Millisecond): // before it is read anew
		}
	}
}

// transactions holds that a topic was written in transactions, or without: a
// check of the wrong thing would pass.
func (c *connectCluster) transactions(ctx context.Context, topic string, want bool) error {
	client, err := kgo.NewClient(clientOptions(c.broker.addr)...)
	if err != nil {
		return err
	}
	defer client.Close()
	all, err := readAll(ctx, c.broker.addr, topic, kgo.ReadUncommitted())
	if err != nil {
		return err
	}
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, topic)
	if err = errors.Join(err, ends.Error()); err != nil {
		return err
	}
	end, _ := ends.Lookup(topic, 0)
	if markers := end.Offset - int64(len(all[0])); (markers > 0) != want {
		return fmt.Errorf("the topic has %d markers of transactions", markers)
	}
	return nil
}

// eachLineOnce holds that a topic is a beginning of the file, and whole when it
// is all of it.
func eachLineOnce(records []string, lines int) (whole bool, err error) {
	for i, v := range records {
		if v != strconv.Itoa(i) {
			return false, fmt.Errorf("record %d is line %s", i, v)
		}
	}
	if len(records) > lines {
		return false, fmt.Errorf("%d records of %d lines", len(records), lines)
	}
	return len(records) == lines, nil
}

// eachLine holds that no line is passed over: each record is at most one line
// further than any before.
func eachLine(records []string, lines int) (whole bool, err error) {
	next := 0
	for i, v := range records {
		n, err := strconv.Atoi(v)
		if err != nil {
			return false, err
		}
		if n > next {
			return false, fmt.Errorf("record %d is line %d, and line %d is lost", i, n, next)
		}
		next = max(next, n+1)
	}
	return next == lines, nil
}
