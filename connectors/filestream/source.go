package filestream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"time"

	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

const (
	// idleWait is how long a file without news is left alone, as in Kafka.
	idleWait = time.Second
	// readBytes is how much is read at once.
	readBytes = 256 << 10
	// batchBytes ends a batch. It is small enough for the batch to cross the
	// plugin boundary in one piece, so that its one position covers it.
	batchBytes = 128 << 10
	// maxLine bounds one line, which must fit a record.
	maxLine = 32 << 20
)

// Source reads the lines of one file and follows it as it grows.
type Source struct{}

// ConfigDef defines the keys of Kafka's FileStreamSourceConnector.
func (Source) ConfigDef() sdk.ConfigDef {
	return sdk.ConfigDef{
		{Name: "file", Type: sdk.String, Required: true, Check: checkFile("read from", "standard input"),
			Importance: configdef.High, Doc: "File to read lines from. It may appear later."},
		{Name: "topic", Type: sdk.String, Required: true, Rules: []configdef.Rule{configdef.NonEmpty()},
			Importance: configdef.High, Doc: "Topic to write lines to."},
		{Name: "batch.size", Type: sdk.Int, Default: 2000, Rules: []configdef.Rule{configdef.AtLeast(1)},
			Importance: configdef.Low, Doc: "The most lines to hand over at once."},
	}
}

// ExactlyOnce says that a task continues right after the offset it starts
// from.
func (Source) ExactlyOnce(sdk.Config) bool { return true }

// AlterOffsets checks offsets that somebody wants to store, by the rules of
// Kafka's connector.
func (Source) AlterOffsets(_ context.Context, _ sdk.Config, changes []sdk.Position) (bool, error) {
	for _, c := range changes {
		if c.Offset == nil {
			continue
		}
		if _, ok := c.Partition["filename"]; !ok {
			return false, errors.New(`a source partition must have "filename"`)
		}
		p, ok := c.Offset["position"]
		if !ok {
			return false, errors.New(`an offset must have "position"`)
		}
		n, ok := p.(int64)
		if !ok || n < 0 {
			return false, fmt.Errorf(`"position" is %v: it must be a whole number that is not negative`, p)
		}
	}
	return true, nil
}

// Open finds out where the file was left. The file need not exist yet.
func (Source) Open(ctx context.Context, cfg sdk.Config, offsets sdk.OffsetReader) (sdk.Task, error) {
	t := &sourceTask{
		path: cfg.String("file"), topic: cfg.String("topic"), most: cfg.Int("batch.size"),
		row: data.NewRowWriter(data.StringSchema),
	}
	partition := map[string]any{"filename": t.path}
	stored, err := offsets.Offset(ctx, partition)
	if err != nil {
		return nil, fmt.Errorf("read the stored offset of %s: %w", t.path, err)
	}
	if t.pos = stored.Int64("position"); t.pos < 0 {
		return nil, sdk.Fatal(fmt.Errorf("stored offset of %s: position %d is negative", t.path, t.pos))
	}
	if t.partition, err = sdk.EncodeMap(partition); err != nil {
		return nil, err
	}
	return t, nil
}

// sourceTask holds the open file and what was read of it beyond the last
// complete line.
type sourceTask struct {
	sdk.UnimplementedTask
	path, topic string
	most        int
	partition   []byte
	row         *data.RowWriter

	file    *os.File
	pos     int64  // of the first byte of buf[next:] in the file
	buf     []byte // what was read and
	next    int    // how much of it was handed over
	scanned int    // bytes of buf[next:] without a terminator
	arena   []byte
	offset  []byte
}

// PollBatch appends the next lines, and waits for some.
func (t *sourceTask) PollBatch(ctx context.Context, b *data.Batch) error {
	t.arena = t.arena[:0]
	for {
		if t.take(b); len(b.Records) > 0 {
			t.close(b)
			return nil
		}
		n, err := t.read()
		if err != nil {
			return err
		}
		if n == 0 {
			if err := wait(ctx, idleWait); err != nil {
				return err
			}
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
	}
}

// take appends the complete lines of the buffer.
func (t *sourceTask) take(b *data.Batch) {
	now := time.Now().UnixMilli()
	for len(b.Records) < t.most && len(t.arena) < batchBytes && t.next < len(t.buf) {
		rest := t.buf[t.next:]
		line, size := cutLine(rest, t.scanned)
		if size == 0 {
			if t.scanned = len(rest); rest[t.scanned-1] == '\r' {
				t.scanned--
			}
			return
		}
		start := len(t.arena)
		t.row.Reset(t.arena)
		t.row.TextBytes(bytes.ToValidUTF8(line, []byte("\uFFFD")))
		t.arena, _, _ = t.row.Finish() // one text in a text schema cannot fail
		b.Records = append(b.Records, data.Record{
			Topic: t.topic, Partition: data.NoPartition, Timestamp: now, Position: data.NoPosition,
			Value: data.Datum{Schema: data.StringSchema, State: data.Present, Row: t.arena[start:len(t.arena):len(t.arena)]},
		})
		t.next += size
		t.pos += int64(size)
		t.scanned = 0
	}
}

// close gives the last record of a batch the position after it.
func (t *sourceTask) close(b *data.Batch) {
	t.offset = append(t.offset[:0], `{"position":`...)
	t.offset = append(strconv.AppendInt(t.offset, t.pos, 10), '}')
	b.Positions = append(b.Positions, data.Position{Partition: t.partition, Offset: t.offset})
	b.Records[len(b.Records)-1].Position = int32(len(b.Positions) - 1)
}

// read appends to the buffer what the file has, and returns how much: 0 at its
// end, or while it does not exist.
func (t *sourceTask) read() (int, error) {
	if t.file == nil {
		f, err := os.Open(t.path)
		if errors.Is(err, fs.ErrNotExist) {
			return 0, nil
		}
		if err != nil {
			return 0, sdk.Fatal(err)
		}
		t.file = f
	}
	t.buf = append(t.buf[:0], t.buf[t.next:]...)
	t.next = 0
	if len(t.buf) >= maxLine {
		return 0, sdk.Fatal(fmt.Errorf("%s has a line of more than %d bytes at position %d", t.path, maxLine, t.pos))
	}
	have := len(t.buf)
	if need := have + readBytes; cap(t.buf) < need {
		t.buf = append(make([]byte, 0, max(need, 2*cap(t.buf))), t.buf...)
	}
	n, err := t.file.ReadAt(t.buf[have:have+readBytes], t.pos+int64(have))
	t.buf = t.buf[:have+n]
	if err != nil && !errors.Is(err, io.EOF) {
		return n, sdk.Retry(fmt.Errorf("read %s at %d: %w", t.path, t.pos, err), 0)
	}
	return n, nil
}

// Close closes the file.
func (t *sourceTask) Close() error {
	if t.file == nil {
		return nil
	}
	return t.file.Close()
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
