package sdktest

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/proto"
	"github.com/millrace/millrace/plugins/sdk"
)

// manyTopics is a source of one poll: each record to a topic of its own, more of
// them than the table of a stream holds, and one offset for all.
type manyTopics struct{ lines }

const topicsOfPoll = 10_000

func (manyTopics) Open(context.Context, sdk.Config, sdk.OffsetReader) (sdk.Task, error) {
	return &topicsTask{}, nil
}

type topicsTask struct {
	sdk.UnimplementedTask
	polled bool
}

func (t *topicsTask) PollBatch(ctx context.Context, b *data.Batch) error {
	if t.polled {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	t.polled = true
	for n := range topicsOfPoll {
		b.Records = append(b.Records, data.Record{
			Topic: fmt.Sprintf("file-%d.log", n), Partition: data.NoPartition, Position: data.NoPosition, Timestamp: 1,
			Value: data.Datum{Schema: data.BytesSchema, State: data.Present, Row: []byte{2, 'x'}},
		})
	}
	partition, err := sdk.EncodeMap(map[string]any{"dir": "d"})
	if err != nil {
		return err
	}
	offset, err := sdk.EncodeMap(map[string]any{"n": topicsOfPoll})
	b.Positions = append(b.Positions, data.Position{Partition: partition, Offset: offset})
	b.Records[topicsOfPoll-1].Position = 0
	return err
}

// TestPollInPiecesEndsOnce holds that a poll which does not cross as one batch,
// whatever divides it, says so of all pieces but the last, which alone has the
// offset: a worker that writes in transactions commits all or nothing of it.
func TestPollInPiecesEndsOnce(t *testing.T) {
	conn, end := connect(t, source(manyTopics{}))
	t.Cleanup(end)
	ctx, cancel := patiently(t)
	defer cancel()
	s, err := proto.OpenSource(ctx, conn, proto.SourceSpec{Class: "test.Lines", Config: map[string]string{"topic": "x"}, Connector: "c"})
	if err != nil {
		t.Fatal(err)
	}
	records, pieces := 0, 0
	for records < topicsOfPoll {
		b, err := s.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		records += len(b.Records)
		pieces++
		last := records == topicsOfPoll
		if b.More == last || len(b.Positions) > 0 != last {
			t.Errorf("after %d of %d records more is %v, with %d offsets", records, topicsOfPoll, b.More, len(b.Positions))
		}
		if last && !bytes.Contains(b.Positions[0].Offset, []byte("10000")) {
			t.Errorf("the offset is %s", b.Positions[0].Offset)
		}
		s.Ack(b.Sequence)
		s.OffsetsStored(b.Sequence)
		b.Release()
	}
	if pieces < 2 {
		t.Errorf("the poll crossed in %d piece", pieces)
	}
	if err := s.Stop(ctx); err != nil {
		t.Error(err)
	}
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
}
