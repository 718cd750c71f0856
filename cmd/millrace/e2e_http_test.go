package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// inbox is an HTTP service that remembers idempotency keys, refuses some
// records, and is often unwell.
type inbox struct {
	mu    sync.Mutex // guards below
	calls int
	seen  map[string]string // body by key
	twice int
}

func (in *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.calls++
	switch key := r.Header.Get("Idempotency-Key"); {
	case r.Header.Get("Authorization") != "Basic bWlsbHJhY2U6aHVzaC1odXNo":
		w.WriteHeader(http.StatusUnauthorized)
	case in.calls%7 == 3:
		w.WriteHeader(http.StatusServiceUnavailable)
	case in.calls%7 == 5:
		in.seen[key] = string(body) // taken, and the answer is lost
		panic(http.ErrAbortHandler)
	case strings.HasSuffix(string(body), `"who":"w0"}`):
		w.WriteHeader(http.StatusUnprocessableEntity)
	default:
		if old, ok := in.seen[key]; ok {
			in.twice++
			if old != string(body) {
				panic("one key, two records")
			}
		}
		in.seen[key] = string(body)
	}
}

// TestHTTPSinkEndToEnd sends records to a service that fails again and again,
// while the server is killed. By its idempotency keys the service has each
// record once; those that it refuses are in the dead letter queue.
func TestHTTPSinkEndToEnd(t *testing.T) {
	in := &inbox{seen: map[string]string{}}
	service := httptest.NewServer(in)
	defer service.Close()
	s := startServer(t)
	const records = 300
	s.produceOrders("orders", 0, records)
	s.create("http", map[string]string{
		"connector.class": "io.confluent.connect.http.HttpSinkConnector", "topics": "orders", "http.api.url": service.URL + "/orders",
		"auth.type": "BASIC", "connection.user": "millrace", "connection.password": "hush-hush", "retry.backoff.ms": "1",
		"errors.tolerance": "all", "errors.deadletterqueue.topic.name": "refused", "errors.deadletterqueue.topic.replication.factor": "1",
		"errors.restart.delay.max.ms": "300", "consumer.override.session.timeout.ms": "6000",
		"key.converter": "org.apache.kafka.connect.storage.StringConverter", "value.converter": "org.apache.kafka.connect.storage.StringConverter",
		"reporter.bootstrap.servers": "localhost:9092", "confluent.topic.bootstrap.servers": "localhost:9092",
	})
	taken := func() (n int) {
		in.mu.Lock()
		defer in.mu.Unlock()
		for _, body := range in.seen {
			if !strings.HasSuffix(body, `"who":"w0"}`) {
				n++
			}
		}
		return n
	}
	eventually(t, "the first records", func() error {
		if n := taken(); n < 20 {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
	s.kill()
	s.restart()
	eventually(t, "all records", func() error {
		if n := taken(); n < records*2/3 {
			_, status := s.rest("GET", "/connectors/http/status", "")
			return fmt.Errorf("%d, %s", n, status)
		}
		return nil
	})
	refused := map[string]bool{}
	c := s.client(kgo.ConsumeTopics("refused"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	for len(refused) < records/3 {
		fetches := c.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) { refused[string(r.Value)] = true })
	}
	for body := range refused {
		if !strings.HasSuffix(body, `"who":"w0"}`) {
			t.Errorf("%s is set aside", body)
		}
	}
	if strings.Contains(s.log.String(), "hush-hush") {
		t.Error("the password is in the server's log")
	}
}
