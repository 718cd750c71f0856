package postgres

import (
	"errors"
	"strings"
	"testing"

	"github.com/millrace/millrace/plugins/sdk"
)

func TestRetriesAreBounded(t *testing.T) {
	lost := func() error { return sdk.Retry(errors.New("connection lost"), 0) }
	retried := func(err error) bool {
		var e *sdk.Error
		return errors.As(err, &e) && e.SafeToRetry()
	}
	endless := &task{cfg: &config{maxRetries: -1}}
	for range 100 {
		if err := endless.bounded(lost()); !retried(err) {
			t.Fatalf("-1 gives %v, want retries without end", err)
		}
	}
	two := &task{cfg: &config{maxRetries: 2}}
	for i := range 2 {
		if err := two.bounded(lost()); !retried(err) {
			t.Fatalf("failure %d gives %v, want a retry", i+1, err)
		}
	}
	if err := two.bounded(lost()); retried(err) || !strings.Contains(err.Error(), "errors.max.retries is 2") {
		t.Errorf("the third failure gives %v, want a fatal one that names the key", err)
	}
	if err := two.bounded(sdk.Fatal(errors.New("no such slot"))); retried(err) || strings.Contains(err.Error(), "max.retries") {
		t.Errorf("a fatal error became %v", err)
	}
}
