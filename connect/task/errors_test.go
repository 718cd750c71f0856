package task

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/connect/converter"
)

func passing(err error) error { return &converter.TransientError{Err: err} }

func TestRetry(t *testing.T) {
	for _, tt := range []struct {
		name     string
		policy   Policy
		failures int // before success
		err      error
		tries    int
		ok       bool
		took     time.Duration
	}{
		{"off by default", Policy{}, 1, passing(errors.New("down")), 1, false, 0},
		{"until it passes", Policy{RetryTimeout: time.Minute, RetryDelayMax: time.Minute}, 3, passing(errors.New("down")), 4, true, 2100 * time.Millisecond},
		{"until time is up", Policy{RetryTimeout: time.Second, RetryDelayMax: time.Minute}, 100, passing(errors.New("down")), 4, false, time.Second},
		{"a lasting error is not retried", Policy{RetryTimeout: time.Minute, RetryDelayMax: time.Minute}, 1, errors.New("bad"), 1, false, 0},
		{"without end", Policy{RetryTimeout: -1, RetryDelayMax: 400 * time.Millisecond}, 50, passing(errors.New("down")), 51, true, -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start, tries := time.Now(), 0
				err := tt.policy.retry(t.Context(), &Stats{}, func() error {
					if tries++; tries <= tt.failures {
						return tt.err
					}
					return nil
				})
				if (err == nil) != tt.ok || tries != tt.tries {
					t.Errorf("err %v after %d tries; want ok=%v after %d", err, tries, tt.ok, tt.tries)
				}
				if took := time.Since(start); tt.took >= 0 && took != tt.took {
					t.Errorf("took %v, want %v", took, tt.took)
				}
			})
		})
	}
}

func TestRetryEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			p := Policy{RetryTimeout: -1, RetryDelayMax: time.Hour}
			done <- p.retry(ctx, &Stats{}, func() error { return passing(errors.New("down")) })
		}()
		synctest.Wait()
		stop()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("retry = %v, want the context's error", err)
		}
	})
}
