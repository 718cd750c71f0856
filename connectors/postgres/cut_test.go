package postgres

import (
	"context"
	"strings"
	"testing"

	"github.com/millrace/millrace/plugins/data"
)

// looked is a context that ends after it was looked at so often, between two
// queries or in one.
type looked struct {
	context.Context
	end  context.CancelFunc
	left int
}

func (e *looked) Done() <-chan struct{} {
	if e.left--; e.left == 0 {
		e.end()
	}
	return e.Context.Done()
}

// TestPollEndsAnywhere ends a poll at each step of connecting and of beginning
// to read. What comes with the next one is whole: once events had no key,
// because the types were not known.
func TestPollEndsAnywhere(t *testing.T) {
	w := newWorker(t, shared(t), map[string]string{"snapshot.mode": "initial_only"}, "CREATE TABLE t (id int PRIMARY KEY, v text)", "INSERT INTO t VALUES (1, 'x'), (2, 'y')")
	for looks := 1; ; looks++ {
		w.stop()
		w.stored, w.lists = nil, nil
		w.run().disconnect()
		inner, cancel := context.WithCancel(t.Context())
		var b data.Batch
		err := w.task.PollBatch(&looked{inner, cancel, looks}, &b)
		cancel()
		if err == nil {
			if looks < 10 {
				t.Errorf("a poll looked at its context %d times", looks)
			}
			return
		}
		var got []string
		pollUntil(t, w, func() bool { return len(got) >= 2 }, func(e event) { got = append(got, summary(t, e)) })
		if strings.Join(got, ", ") != `shop.public.t {"id":1} r null {"id":1,"v":"x"} first, shop.public.t {"id":2} r null {"id":2,"v":"y"} last` {
			t.Fatalf("after %d looks at the context and %v: %q", looks, err, got)
		}
	}
}
