package logtail

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/millrace/millrace/connectors/logtail/line"
	"github.com/millrace/millrace/connectors/logtail/parse"
	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

// batchBytes ends a batch. It is small enough for the batch to cross the
// plugin boundary in one piece, so that its positions cover all of it.
const batchBytes = 160 << 10

// maxPositions bounds the offsets of a batch.
const maxPositions = 1000

// The pace of a task that has nothing to send: how often it looks after files
// that grew lately and those that were rotated, and after such as wait for
// others; and how long a file counts as one that grew.
const (
	idlePoll = 250 * time.Millisecond
	busyPoll = 5 * time.Millisecond
	warmTime = 10 * time.Second
)

// A scan of the directories takes at most one part in so many of the task's
// time: by the clock, and when the kernel tells of new names.
const (
	scanShare  = 200
	eventShare = 10
)

// task follows the files of one configuration. Polling owns all of it.
type task struct {
	sdk.UnimplementedTask
	settings
	log   *slog.Logger
	count counts
	now   func() time.Time

	files  []*file // in the order they were found
	nodes  map[inode]*file
	twins  map[inode][]*file // files of which one at most has the inode
	paths  map[string]*file
	heads  heads
	ready  []*file // files to read, whose turn it is first
	opened []*file
	packed *file // the one compressed file that is open
	shards []*shard
	window window
	stamp  int64 // milliseconds since the epoch, of the turn at hand

	originals map[*file]bool           // files that others seem to be copies of
	listed    map[string][]os.DirEntry // directories, during one scan

	atEnd   bool // files of the first scan are read from their end
	scanned time.Time
	cost    time.Duration // of the last scan
	wanted  bool          // the kernel tells of new names
	watcher *fsnotify.Watcher
	watched map[string]bool
	failed  map[string]bool // paths that could not be read, and were logged
	fatal   error           // what ends the task when the batch at hand is delivered

	batch              *data.Batch
	size               int // of the batch, as it crosses the plugin boundary
	arena              []byte
	headers            []data.Header
	textRow, numberRow *data.RowWriter
	parser             parse.Parser
	durable            durable
	dirty              []*file // whose offsets moved without a record
	gone               []*file // whose offsets are to be removed
}

// settings are the checked configuration.
type settings struct {
	topic, keyMode     string
	host               string
	include, exclude   []glob
	every              time.Duration
	maxRead, maxOpen   int
	rotateWait         time.Duration
	forgetAfter        time.Duration
	ignoreOlder        time.Duration // 0 for never
	flushPartial       time.Duration // below 0 for never
	deleteAfter        time.Duration // below 0 for never
	fingerprint        int
	byInode            bool
	decompress         map[compression]bool
	cutter             line.Cutter
	delimiter          string
	trim               bool // a carriage return at the end of lines
	encoding           line.Encoding
	grouping           *line.Grouping
	onError, deadTopic string
}

// counts are the task's figures.
type counts struct {
	lines, bytes                           *sdk.Counter
	truncated, dropped, invalid, oversized *sdk.Counter
	unparsed, discarded                    *sdk.Counter
	rewritten, errors, deleted             *sdk.Counter
	watched, open, behind                  *sdk.Gauge
}

func newCounts(ctx context.Context) counts {
	return counts{
		lines: sdk.NewCounter(ctx, "records"), bytes: sdk.NewCounter(ctx, "read_bytes"),
		truncated: sdk.NewCounter(ctx, "lines_truncated"), dropped: sdk.NewCounter(ctx, "lines_too_long_skipped"),
		oversized: sdk.NewCounter(ctx, "bytes_too_long_skipped"), invalid: sdk.NewCounter(ctx, "lines_invalid_text"),
		unparsed: sdk.NewCounter(ctx, "parse_failures"), discarded: sdk.NewCounter(ctx, "parse_dropped"),
		rewritten: sdk.NewCounter(ctx, "files_rewritten"), errors: sdk.NewCounter(ctx, "file_errors"), deleted: sdk.NewCounter(ctx, "files_deleted"),
		watched: sdk.NewGauge(ctx, "files_watched"), open: sdk.NewGauge(ctx, "files_open"), behind: sdk.NewGauge(ctx, "behind_bytes"),
	}
}

// PollBatch appends the next lines, and waits for some.
func (t *task) PollBatch(ctx context.Context, b *data.Batch) error {
	t.batch, t.arena, t.headers, t.size = b, t.arena[:0], t.headers[:0], 0
	if t.fatal != nil {
		return t.fatal
	}
	for {
		t.events()
		if t.scanDue() {
			if err := t.scan(); err != nil {
				return sdk.Retry(fmt.Errorf("look for files: %w", err), 0)
			}
		}
		// Offsets that came without a record go first: no file's own may be
		// stored before the list that has it.
		if err := t.positions(); err != nil || len(b.Positions) > 0 {
			return err
		}
		if err := t.readAll(); err != nil {
			return err
		}
		t.count.open.Set(int64(len(t.opened)))
		if len(b.Records)+len(b.Positions) > 0 {
			return nil
		}
		if t.fatal != nil {
			return t.fatal
		}
		if err := t.wait(ctx); err != nil {
			return err
		}
	}
}

// scanDue says whether it is time to look for files: not so often that it would
// take much of the time.
func (t *task) scanDue() bool {
	since := t.now().Sub(t.scanned)
	return since >= max(t.every, scanShare*t.cost) || t.wanted && since >= eventShare*t.cost
}

// wait waits for something to happen, at most until it is time to look.
func (t *task) wait(ctx context.Context) error {
	pause := min(idlePoll, t.every)
	if len(t.ready) > 0 { // files that wait for others, or are on the way to their position
		pause = min(pause, busyPoll)
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	var events <-chan fsnotify.Event
	var errs <-chan error
	if t.watcher != nil {
		events, errs = t.watcher.Events, t.watcher.Errors
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		t.warm()
	case e := <-events:
		t.event(e)
	case err := <-errs:
		t.overflow(err)
	}
	return nil
}

// warm looks again at files that grew lately or were rotated away, that have an
// unfinished group or line, or failed.
func (t *task) warm() {
	now := t.now()
	for _, f := range t.opened {
		if !f.found || now.Sub(f.read) < warmTime || f.group.Lines > 0 || t.flushPartial >= 0 && !f.partial.IsZero() {
			t.enqueue(f)
		}
	}
}

// enqueue has a file read when its turn comes.
func (t *task) enqueue(f *file) {
	if !f.queued && f.original == nil {
		f.queued = true
		t.ready = append(t.ready, f)
	}
}

// readAll gives files their turns until the batch is full or all are at their
// ends.
func (t *task) readAll() error {
	for n := len(t.ready); n > 0 && !t.full(); n-- {
		f := t.ready[0]
		t.ready = t.ready[1:]
		f.queued = false
		if f.original != nil {
			continue
		}
		if f.after != nil {
			if !f.after.ended {
				t.enqueue(f)
				continue
			}
			f.after = nil
		}
		more, err := t.turn(f)
		if err != nil {
			t.fail(f, err)
		}
		if err := t.checkpoint(f); err != nil {
			return err
		}
		if t.fatal != nil {
			return nil
		}
		if more {
			t.enqueue(f)
			n++
		}
	}
	if len(t.ready) == 0 {
		t.ready = nil // the array behind it has moved on
	}
	return nil
}

func (t *task) full() bool { return t.size >= batchBytes || len(t.batch.Positions) >= maxPositions }

// The waits until a file that could not be read is tried again.
const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// fail logs what is wrong with one file, once; the others go on.
func (t *task) fail(f *file, err error) {
	t.count.errors.Add(1)
	if !t.failed[f.path] {
		t.failed[f.path] = true
		t.log.Warn("file cannot be read, trying again", "path", f.path, "err", err)
	}
	f.ended = true // the files behind it need not wait
	f.retry = t.now().Add(min(firstRetry<<min(f.failures, 10), lastRetry))
	f.failures++
	t.closeFile(f)
}

// Close closes all files.
func (t *task) Close() error {
	for len(t.opened) > 0 {
		t.closeFile(t.opened[0])
	}
	if t.watcher != nil {
		return t.watcher.Close()
	}
	return nil
}
