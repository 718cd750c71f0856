package logtail

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// generations is a log whose rotation gives each of its many files the name of
// the next, all the time. All generations are of one size, and inodes are used
// again, so that only what is in a file tells which it is.
type generations struct {
	w     *worker
	rnd   *rand.Rand
	lines int
	files int
}

func (g *generations) rotate() error {
	text, _ := numbered(g.lines, g.lines+50)
	g.lines += 50
	log := g.w.path("app.log")
	f, err := os.OpenFile(log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	for n := g.files; n > 0; n-- {
		for _, ext := range []string{"", ".gz"} {
			if err := os.Rename(fmt.Sprint(log, ".", n, ext), fmt.Sprint(log, ".", n+1, ext)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	g.files++
	if g.rnd.IntN(2) == 0 {
		err = os.Rename(log, log+".1")
	} else {
		err = os.WriteFile(log+".1", []byte(text), 0o600)
		err = errors.Join(err, os.Truncate(log, 0))
	}
	if err != nil || g.rnd.IntN(2) == 0 {
		return err
	}
	b, err := os.ReadFile(log + ".2")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = os.WriteFile(log+".2.gz", packed(g.w.t, ".gz", b), 0o600)
	}
	return errors.Join(err, os.Remove(log+".2"))
}

// TestManyGenerations rotates while it reads, and has the task crash. Each line
// comes once.
func TestManyGenerations(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	w := newWorker(t, map[string]string{"include": "DIR/app.log*", "fingerprint.bytes": "64", "rotate.wait.ms": "200"})
	g := &generations{w: w, rnd: rand.New(rand.NewPCG(seed, 0))}
	done, stop := make(chan error, 1), make(chan struct{})
	var writing sync.WaitGroup
	defer writing.Wait()
	defer close(stop)
	writing.Go(func() {
		pace := time.NewTicker(5 * time.Millisecond) // the load's own clock
		defer pace.Stop()
		for range 400 {
			select {
			case <-pace.C:
			case <-stop:
				return
			}
			if err := g.rotate(); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	})
	seen, total := make(map[string]int), -1
	rnd := rand.New(rand.NewPCG(seed, 1))
	for last := time.Now(); total < 0 || len(seen) < total && time.Since(last) < 30*time.Second; {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			total = g.lines
		default:
		}
		lines, _ := w.poll(100*time.Millisecond, true)
		for _, l := range lines {
			if seen[l]++; seen[l] > 1 {
				t.Fatalf("seed %d: %q comes again", seed, l)
			}
			last = time.Now()
		}
		if rnd.IntN(60) == 0 {
			w.stop()
		}
	}
	_, all := numbered(0, total)
	missing := slices.DeleteFunc(all, func(l string) bool { return seen[l] > 0 })
	if len(missing) > 0 {
		t.Fatalf("seed %d: %d of %d lines are missing, from %s to %s", seed, len(missing), total, missing[0], missing[len(missing)-1])
	}
	for range 20 {
		if lines, _ := w.poll(20*time.Millisecond, true); len(lines) > 0 {
			t.Fatalf("seed %d: %s come again", seed, strings.Join(lines[:1], ""))
		}
	}
}
