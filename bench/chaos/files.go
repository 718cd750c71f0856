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

// killingFiles ends what chance picks, as often as wanted, and leaves everything
// running. No worker is frozen: one that wakes after another has its work could
// still rename a file, which no file system prevents.
func (c *connectCluster) killingFiles(ctx context.Context) error {
	rng := c.broker.rng
	for n := range c.broker.cfg.Kills {
		life := minLife + time.Duration(rng.Int64N(int64(maxWorkerLife-minLife)))
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(life):
		}
		what, err := "plugins", error(nil)
		switch w := c.workers[rng.IntN(chaosWorkers)]; rng.IntN(6) {
		case 0:
			what = "broker"
			c.broker.node.Kill()
			err = c.broker.start(ctx)
		case 1, 2:
			what = "worker"
			w.node.Kill()
			err = w.start(ctx, c.broker.cfg.Bin)
		default:
			err = c.killPlugins(rng)
		}
		if err != nil {
			return fmt.Errorf("kill %d, of %s: %w", n+1, what, err)
		}
		c.done[what]++
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

// verifyFiles waits until all lines are in files, and holds that each is there
// once.
func (c *connectCluster) verifyFiles(ctx context.Context, dir string, lines int) error {
	ctx, stop := context.WithTimeoutCause(ctx, settleTimeout, errors.New("the lines did not arrive"))
	defer stop()
	for {
		found, err := linesIn(dir, lines)
		if err != nil {
			return err
		}
		if found == lines {
			return nil
		}
		select {
		case <-ctx.Done():
			node := c.workers[0].node
			return fmt.Errorf("%d of %d lines: %w; tail %s; archive %s", found, lines, context.Cause(ctx), node.Status(context.WithoutCancel(ctx), "tail"), node.Status(context.WithoutCancel(ctx), "archive"))
		case <-time.After(200 * time.Millisecond): // before they are read anew
		}
	}
}

// linesIn counts the lines in complete files, none of which may be there twice.
func linesIn(dir string, lines int) (found int, err error) {
	seen := make([]string, lines)
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // an unfinished one
		}
		if err != nil || d.IsDir() || d.Name()[0] == '.' {
			return err
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, syscall.ENOENT) {
			return nil
		}
		for line := range strings.Lines(string(b)) {
			var n int
			if _, err := fmt.Sscanf(line, "line %d of a log that is rotated all the time\n", &n); err != nil || n < 0 || n >= lines {
				return fmt.Errorf("%s has a line %.80q: %v", path, line, err)
			}
			if seen[n] != "" {
				return fmt.Errorf("line %d is in %s and in %s", n, seen[n], path)
			}
			seen[n] = path
			found++
		}
		return err
	})
	return found, err
}
