package sdk

import (
	"context"
	"time"
)

// The waits between tries of a task that fails for a while, and between polls
// of one that has nothing.
const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 30 * time.Second
	idleWait   = 10 * time.Millisecond
)

// retryWait returns the wait before the next try after so many failures in a
// row: what the error asks for, else doubling.
func retryWait(failures int, asked time.Duration) time.Duration {
	if asked > 0 {
		return asked
	}
	return min(firstRetry<<min(max(failures-1, 0), 20), lastRetry)
}

// sleep waits for d or until ctx ends, and reports which.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
