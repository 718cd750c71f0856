package chaos

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/bench/harness"
)

// Files kills workers, their connectors and the broker while a log is written,
// rotated by renaming, by copying and truncating, and compressed; the log tail
// reads it into a topic, and the directory sink writes that into files. Each
// line must be in one file in the end. It returns what was broken.
func Files(ctx context.Context, cfg Config) (err error) {
	c := &connectCluster{dir: cfg.Dir, setup: filepath.Join(cfg.Dir, "millrace.yaml"), done: map[string]int{}}
	setup := connectSetup + "  offset.flush.interval.ms: 300\n"
	if err := os.WriteFile(c.setup, []byte(setup), 0o600); err != nil {
		return err
	}
	if c.broker, err = newMortal(cfg, "--config", c.setup, "--roles", "broker"); err != nil {
		return err
	}
	if err := c.start(ctx); err != nil {
		return errors.Join(err, c.stop(true))
	}
	defer func() { err = errors.Join(err, c.stop(err != nil)) }()
	log := &rotatedLog{dir: filepath.Join(cfg.Dir, "logs"), rng: rand.New(rand.NewPCG(cfg.Seed, 2)), done: map[string]int{}}
	out := filepath.Join(cfg.Dir, "out")
	if err := errors.Join(os.Mkdir(log.dir, 0o755), os.Mkdir(out, 0o755)); err != nil {
		return err
	}
	if err := c.createFiles(ctx, log.dir, out); err != nil {
		return err
	}
	stop := make(chan struct{})
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return log.grow(gctx, stop) })
	killed := c.killingFiles(gctx)
	close(stop)
	if err := errors.Join(killed, g.Wait()); err != nil {
		return err
	}
	c.broker.cfg.Logf("%d lines; rotated %v; killed %v", log.lines, log.done, c.done)
	return c.verifyFiles(ctx, out, log.lines)
}

// createFiles creates the topic and the connectors on both sides of it.
func (c *connectCluster) createFiles(ctx context.Context, logs, out string) error {
	client, err := kgo.NewClient(clientOptions(c.broker.addr)...)
	if err != nil {
		return err
	}
	defer client.Close()
	created, err := kadm.NewClient(client).CreateTopic(ctx, 1, 1, nil, "lines")
	if err = errors.Join(err, created.Err); err != nil {
		return err
	}
	text := "org.apache.kafka.connect.storage.StringConverter"
	err = c.workers[0].node.CreateConnector(ctx, "tail", map[string]string{
		"connector.class": "LogTailSource", "include": logs + "/app.log*", "start.at": "beginning", "host.id": "chaos", "topic": "lines", "value.converter": text,
		"exactly.once.support": "required", "errors.restart.delay.max.ms": "200", "discovery.interval.ms": "50", "rotate.wait.ms": "1000", "fingerprint.bytes": "64",
	})
	return errors.Join(err, c.workers[0].node.CreateConnector(ctx, "archive", map[string]string{
		"connector.class": "DirectorySink", "directory": out, "topics": "lines", "format": "string", "value.converter": text, "rotate.interval.ms": "300",
		"consumer.override.isolation.level": "read_committed", "consumer.override.auto.offset.reset": "earliest",
		"consumer.override.session.timeout.ms": "2000", "consumer.override.heartbeat.interval.ms": "300", "errors.restart.delay.max.ms": "200",
	}))
}

// killingFiles ends or freezes what chance picks, as often as wanted, and leaves
// everything running.
func (c *connectCluster) killingFiles(ctx context.Context) error {
	rng := c.broker.rng
	for n := range c.broker.cfg.Kills {
		if err := wait(ctx, minLife+time.Duration(rng.Int64N(int64(maxWorkerLife-minLife)))); err != nil {
			return err
		}
		what, err := c.strikeFiles(ctx, rng)
		if err != nil {
			return fmt.Errorf("kill %d, of %s: %w", n+1, what, err)
		}
		c.done[what]++
		if (n+1)%20 == 0 {
			c.broker.cfg.Logf("%d of %d kills: %v", n+1, c.broker.cfg.Kills, c.done)
		}
	}
	return nil
}

func (c *connectCluster) strikeFiles(ctx context.Context, rng *rand.Rand) (what string, err error) {
	w := c.workers[rng.IntN(chaosWorkers)]
	switch rng.IntN(12) {
	case 0, 1:
		c.broker.node.Kill()
		return "broker", c.broker.start(ctx)
	case 2, 3, 4:
		w.node.Kill()
		return "worker", w.start(ctx, c.broker.cfg.Bin)
	case 5:
		return "worker frozen", w.freeze(ctx)
	case 6, 7:
		return "worker and plugins frozen", w.freezeAll(ctx)
	}
	return "plugins", c.killPlugins(rng)
}

// freezeAll stops the processes of the worker's connectors as well. They wake
// first: what they were about to do they do, when it is another's.
func (w *worker) freezeAll(ctx context.Context) error {
	plugins, err := harness.Children(w.node.PID())
	if err != nil {
		return err
	}
	err = signal(syscall.SIGSTOP, plugins...)
	return errors.Join(err, w.freezeUntil(ctx, func() error {
		if err := signal(syscall.SIGCONT, plugins...); err != nil {
			return err
		}
		return wait(ctx, headStart)
	}))
}

// headStart is how much earlier than its worker a connector's process wakes.
const headStart = 50 * time.Millisecond

// signal sends a signal to processes, of which some may have ended.
func signal(s syscall.Signal, pids ...int) error {
	for _, pid := range pids {
		if err := syscall.Kill(pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}

// rotatedLog is a log of numbered lines that rotates in every way.
type rotatedLog struct {
	dir   string
	rng   *rand.Rand
	lines int
	done  map[string]int // rotations by how
}

func (l *rotatedLog) path(generation int, extension string) string {
	name := "app.log"
	if generation > 0 {
		name += "." + strconv.Itoa(generation) + extension
	}
	return filepath.Join(l.dir, name)
}

func (l *rotatedLog) grow(ctx context.Context, stop <-chan struct{}) error {
	for n := 1; !stopped(stop) && ctx.Err() == nil; n++ {
		if err := l.write(20); err != nil {
			return err
		}
		if n%40 == 0 {
			if err := l.rotate(); err != nil {
				return err
			}
		}
		time.Sleep(10 * time.Millisecond) // the load's own clock
	}
	return ctx.Err()
}

func (l *rotatedLog) write(n int) error {
	out, err := os.OpenFile(l.path(0, ""), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	buf := bufio.NewWriter(out)
	for range n {
		fmt.Fprintf(buf, "line %09d of a log that is rotated all the time\n", l.lines) // Flush has the error
		l.lines++
	}
	return errors.Join(buf.Flush(), out.Close())
}

// rotate moves the generations on, the oldest of which stays as it is: nothing
// says that it was read.
func (l *rotatedLog) rotate() error {
	for g := l.done["rename"] + l.done["copy and truncate"]; g > 0; g-- {
		for _, ext := range []string{"", ".gz", ".zst"} {
			err := os.Rename(l.path(g, ext), l.path(g+1, ext))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	if l.rng.IntN(2) == 0 {
		l.done["rename"]++
		if err := os.Rename(l.path(0, ""), l.path(1, "")); err != nil {
			return err
		}
	} else {
		l.done["copy and truncate"]++
		b, err := os.ReadFile(l.path(0, ""))
		if err == nil {
			err = os.WriteFile(l.path(1, ""), b, 0o600)
		}
		if err = errors.Join(err, os.Truncate(l.path(0, ""), 0)); err != nil {
			return err
		}
	}
	if l.rng.IntN(2) > 0 {
		return nil
	}
	err := l.compress(2)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it is compressed already, or there is none
	}
	l.done["compress"]++
	return err
}

func (l *rotatedLog) compress(generation int) error {
	b, err := os.ReadFile(l.path(generation, ""))
	if err != nil {
		return err
	}
	ext := []string{".gz", ".zst"}[l.rng.IntN(2)]
	out, err := os.Create(l.path(generation, ext))
	if err != nil {
		return err
	}
	if ext == ".gz" {
		z := gzip.NewWriter(out)
		_, err = z.Write(b)
		err = errors.Join(err, z.Close())
	} else {
		var z *zstd.Encoder
		if z, err = zstd.NewWriter(out); err == nil {
			_, err = z.Write(b)
			err = errors.Join(err, z.Close())
		}
	}
	return errors.Join(err, out.Close(), os.Remove(l.path(generation, "")))
}

// verifyFiles waits until all lines are in files, as long as there come more,
// and holds that each is there once.
func (c *connectCluster) verifyFiles(ctx context.Context, dir string, lines int) error {
	for had, since := -1, time.Now(); ; {
		places, err := linesIn(dir, lines)
		if err != nil {
			return err
		}
		found, doubled := 0, false
		for _, files := range places {
			found += min(1, len(files))
			doubled = doubled || len(files) > 1
		}
		switch {
		case doubled || time.Since(since) > settleTimeout:
			node := c.workers[0].node
			return errors.Join(c.explain(ctx, places), fmt.Errorf("%d of %d lines are in files; tail %s; archive %s", found, lines, node.Status(ctx, "tail"), node.Status(ctx, "archive")))
		case found == lines:
			return nil
		case found != had:
			had, since = found, time.Now()
			c.broker.cfg.Logf("%d of %d lines are in files", found, lines)
		}
		if err := wait(ctx, time.Second); err != nil { // before they are read anew
			return err
		}
	}
}

// linesIn returns in which complete files each line is.
func linesIn(dir string, lines int) ([][]string, error) {
	places := make([][]string, lines)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // an unfinished one
		case err != nil:
			return err
		case d.Name()[0] == '.' && d.IsDir():
			return fs.SkipDir
		case d.Name()[0] == '.' || d.IsDir():
			return nil
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		for line := range strings.Lines(string(b)) {
			n, err := numberOf(line)
			if err != nil || n < 0 || n >= lines {
				return fmt.Errorf("%s has a line %.80q: %v", path, line, err)
			}
			places[n] = append(places[n], filepath.Base(path))
		}
		return err
	})
	return places, err
}

func numberOf(line string) (n int, err error) {
	_, err = fmt.Sscanf(line, "line %d of a log that is rotated all the time", &n)
	return n, err
}

// explain says of lines that are not in one file each where they are in the
// topic, and where they came from.
func (c *connectCluster) explain(ctx context.Context, places [][]string) error {
	records := make([][]string, len(places))
	err := eachRecord(ctx, c.broker.addr, "lines", kgo.ReadCommitted(), func(r *kgo.Record) {
		n, err := numberOf(string(r.Value))
		if err != nil || n < 0 || n >= len(places) {
			return
		}
		from := fmt.Sprintf("offset %d, written %s", r.Offset, r.Timestamp.Format(time.TimeOnly+".000"))
		for _, h := range r.Headers {
			from += fmt.Sprintf(", %s %s", h.Key, h.Value)
		}
		records[n] = append(records[n], from)
	})
	errs := []error{err}
	for n, files := range places {
		if len(files) == 1 {
			continue
		}
		if n > 0 && len(places[n-1]) == len(files) && (n+1 == len(places) || len(places[n+1]) == len(files)) {
			continue // in the middle of a row of such
		}
		errs = append(errs, fmt.Errorf("line %d is in the files %q and in the topic at %q", n, files, records[n]))
		if len(errs) > 20 {
			break
		}
	}
	return errors.Join(errs...)
}
