package s3

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/plugins/sdk"
	"github.com/millrace/millrace/plugins/sdktest"
)

var (
	oneObject = regexp.MustCompile(`<Contents>.*?</Contents>`)
	modified  = regexp.MustCompile(`<LastModified>[^<]*`)
)

// ageing makes a source whose store says that objects named old were last
// modified years ago.
func ageing() sdk.Connector {
	c := Connectors()[1]
	c.Source = Source{wrap: func(next http.RoundTripper) http.RoundTripper {
		return transport(func(r *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(r)
			if err != nil || r.URL.Query().Get("list-type") == "" {
				return resp, err
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				return nil, err
			}
			if err := resp.Body.Close(); err != nil {
				return nil, err
			}
			body = oneObject.ReplaceAllFunc(body, func(object []byte) []byte {
				if !bytes.Contains(object, []byte("/old")) {
					return object
				}
				return modified.ReplaceAll(object, []byte("<LastModified>2020-01-02T03:04:05.000Z"))
			})
			resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
			return resp, nil
		})
	}}
	return c
}

// TestGenericForgetsOffsets has objects that are years old and objects of now.
// The offsets of the first go, nothing comes again after a restart, and what is
// new is read.
func TestGenericForgetsOffsets(t *testing.T) {
	s, bucket := shared(t)
	for i := range 3 {
		put(t, s, bucket, fmt.Sprintf("in/orders/old%d.json", i), jsonLines(i, i+1))
	}
	config := genericConfig(s, bucket, "rescan.listings", "1")
	run := sdktest.StartSource(t, ageing(), config, nil)
	offsets := sdktest.Offsets{}
	offsets.Apply(run.Take(3))
	stored := func() (n int) {
		for partition := range offsets {
			if strings.Contains(partition, "/old") {
				n++
			}
		}
		return n
	}
	if stored() != 3 {
		t.Fatalf("%d of 3 offsets are stored", stored())
	}
	last := 3
	for ; stored() > 0 && last < 200; last++ { // what is stored comes with the next record
		put(t, s, bucket, fmt.Sprintf("in/orders/new%d.json", last), jsonLines(last, last+1))
		offsets.Apply(run.Take(1))
	}
	if stored() > 0 {
		t.Fatalf("%d offsets of old objects are left", stored())
	}
	if n := len(offsets) - (last - 3); n < 1 || n > slots {
		t.Errorf("%d offsets are left beside those of %d new objects", n, last-3)
	}
	run.Close()

	again := sdktest.StartSource(t, ageing(), config, offsets)
	put(t, s, bucket, "in/orders/old7.json", jsonLines(7, 8))
	put(t, s, bucket, "in/orders/newest.json", jsonLines(1000, 1001))
	if r := again.Take(1)[0]; r.Text() != "orders null {n=1000}" {
		t.Errorf("after a restart %s is read", r.Text())
	}
	if more := again.TakeFor(200 * time.Millisecond); len(more) > 0 {
		t.Errorf("after a restart %d records come again, such as %s", len(more), more[0].Text())
	}
	again.Close()
	// Tasks may share the slots in another way.
	for i := range 3 {
		run := sdktest.StartSource(t, ageing(), genericConfig(s, bucket, taskKey, fmt.Sprintf("%d/3", i)), offsets)
		for _, r := range run.TakeFor(200 * time.Millisecond) {
			if r.Text() != "orders null {n=1000}" { // of which the offset is not among those
				t.Errorf("task %d of 3 reads %s", i, r.Text())
			}
		}
	}
	// For ever means for ever.
	kept := sdktest.StartSource(t, ageing(), genericConfig(s, bucket, "rescan.listings", "1", retentionKey, "-1"), nil)
	all := kept.Take(3 + last - 3 + 2)
	if loose := kept.TakeFor(100 * time.Millisecond); len(loose) > 0 || strings.Contains(fmt.Sprint(all[len(all)-1].Before), "slot") {
		t.Errorf("with %s=-1 there are %d further records, and horizons", retentionKey, len(loose))
	}
}

func TestSlotOffsetsAreChecked(t *testing.T) {
	partition := map[string]any{"bucket": "b", "prefix": "in/", "slot": int64(3)}
	good := sdk.Offset{"pruned": int64(1), "done": int64(2)}
	for _, tt := range []struct {
		change sdk.Position
		ok     bool
	}{
		{sdk.Position{Partition: partition, Offset: good}, true},
		{sdk.Position{Partition: partition}, true},
		{sdk.Position{Partition: map[string]any{"bucket": "b", "slot": int64(3)}, Offset: good}, false},
		{sdk.Position{Partition: map[string]any{"bucket": "b", "prefix": "in/", "slot": int64(slots)}, Offset: good}, false},
		{sdk.Position{Partition: partition, Offset: sdk.Offset{"pruned": int64(3), "done": int64(2)}}, false},
		{sdk.Position{Partition: partition, Offset: sdk.Offset{"done": int64(2)}}, false},
	} {
		if ok, err := (Source{}).AlterOffsets(t.Context(), sdk.Config{}, []sdk.Position{tt.change}); ok != tt.ok || (err == nil) != tt.ok {
			t.Errorf("%v: %v, %v", tt.change, ok, err)
		}
	}
}
