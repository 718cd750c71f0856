package api

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// sessionRequest asks for partitions of topic t, or forgets those that are
// negative: -1 is partition 0.
func sessionRequest(version int16, id, epoch int32, partitions ...int32) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.SessionID, req.SessionEpoch = version, id, epoch
	t := kmsg.NewFetchRequestTopic()
	t.Topic = "t"
	gone := kmsg.NewFetchRequestForgottenTopic()
	gone.Topic = "t"
	for _, p := range partitions {
		if p < 0 {
			gone.Partitions = append(gone.Partitions, -p-1)
			continue
		}
		rp := kmsg.NewFetchRequestTopicPartition()
		rp.Partition = p
		t.Partitions = append(t.Partitions, rp)
	}
	req.Topics, req.ForgottenTopics = []kmsg.FetchRequestTopic{t}, []kmsg.FetchRequestForgottenTopic{gone}
	return req
}

// open begins a session of so many partitions and returns its id, 0 for none.
func (s *sessions) open(t *testing.T, now time.Time, partitions int) int32 {
	t.Helper()
	var ps []int32
	for i := range partitions {
		ps = append(ps, int32(i))
	}
	c, err := s.begin(now, sessionRequest(12, 0, sessionInitial, ps...))
	if err != nil || c.incremental || len(c.topics[0].Partitions) != partitions {
		t.Fatalf("full fetch of %d partitions: %+v, %v", partitions, c, err)
	}
	id, _ := s.finish(&c, make([][]fetched, 1))
	return id
}

func wanted12(c fetchContext) []int32 {
	var out []int32
	for _, t := range c.topics {
		for _, p := range t.Partitions {
			out = append(out, p.Partition)
		}
	}
	return out
}

func TestFetchSessionProtocol(t *testing.T) {
	s, now := newSessions(10), time.UnixMilli(0)
	id := s.open(t, now, 3)
	for _, tt := range []struct {
		name string
		req  *kmsg.FetchRequest
		want error
	}{
		{"unknown session", sessionRequest(12, id+1, 1), kerr.FetchSessionIDNotFound},
		{"epoch to come", sessionRequest(12, id, 2), kerr.InvalidFetchSessionEpoch},
		{"names became ids", sessionRequest(13, id, 1), kerr.FetchSessionTopicIDError},
	} {
		if _, err := s.begin(now, tt.req); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	c, err := s.begin(now, sessionRequest(12, id, 1, 7, -2))
	if got := wanted12(c); err != nil || !c.incremental || !slices.Equal(got, []int32{0, 2, 7}) {
		t.Errorf("incremental fetch is of %v, %v", got, err)
	}
	if _, err := s.begin(now, sessionRequest(12, id, 1)); !errors.Is(err, kerr.InvalidFetchSessionEpoch) {
		t.Errorf("the same epoch again: %v", err)
	}
	if c, err = s.begin(now, sessionRequest(12, id, 2, -1, -3, -8)); err != nil || c.session != nil || len(c.topics) != 0 {
		t.Errorf("all forgotten: %+v, %v", c, err)
	}
	if _, err := s.begin(now, sessionRequest(12, id, 3)); !errors.Is(err, kerr.FetchSessionIDNotFound) {
		t.Errorf("session without partitions is kept: %v", err)
	}
	id = s.open(t, now, 1)
	if c, err := s.begin(now, sessionRequest(12, id, sessionFinal, 0)); err != nil || c.session != nil {
		t.Errorf("final fetch: %+v, %v", c, err)
	}
	if n, _, _ := s.stats(); n != 0 {
		t.Errorf("%d sessions after the final fetch", n)
	}
	if c, err := s.begin(now, sessionRequest(4, 0, sessionFinal, 0)); err != nil || c.session != nil || len(c.topics) != 1 {
		t.Errorf("fetch that knows of no sessions: %+v, %v", c, err)
	}
}

func TestFetchSessionEviction(t *testing.T) {
	now := time.UnixMilli(0)
	s := newSessions(2)
	a, b := s.open(t, now, 5), s.open(t, now, 3)
	if a == 0 || b == 0 || a == b {
		t.Fatalf("sessions %d and %d", a, b)
	}
	now = now.Add(sessionProtection)
	if id := s.open(t, now, 9); id != 0 {
		t.Error("a session that is used and young was evicted")
	}
	now = now.Add(1)
	for epoch, id := range []int32{a, b} { // both are in use
		if _, err := s.begin(now, sessionRequest(12, id, 1)); err != nil {
			t.Fatal(epoch, err)
		}
	}
	if id := s.open(t, now, 3); id != 0 {
		t.Error("a session of the same size took the place of another")
	}
	c := s.open(t, now, 4)
	if c == 0 || s.byID[b] != nil || s.byID[a] == nil {
		t.Errorf("a larger session did not get the place of the smallest: %d, %v", c, s.byID)
	}
	now = now.Add(sessionProtection + 1)
	if _, err := s.begin(now, sessionRequest(12, c, 1)); err != nil {
		t.Fatal(err)
	}
	if id := s.open(t, now, 1); id == 0 || s.byID[a] != nil {
		t.Errorf("a session that was not used for long kept its place: %v", s.byID)
	}
	if n, partitions, evicted := s.stats(); n != 2 || partitions != 5 || evicted != 2 {
		t.Errorf("stats are %d, %d, %d", n, partitions, evicted)
	}
	if id := newSessions(0).open(t, now, 1); id != 0 {
		t.Error("no slots, yet a session")
	}
}

// An incremental response has what is news to the client, and those that had
// records come last the next time.
func TestFetchSessionTellsNews(t *testing.T) {
	s, now := newSessions(1), time.UnixMilli(0)
	c, err := s.begin(now, sessionRequest(12, 0, sessionInitial, 0, 1, 2))
	if err != nil {
		t.Fatal(err)
	}
	state := []fetched{{id: 0, hw: 5}, {id: 1, hw: 5}, {id: 2, code: 3, hw: -1}}
	id, parts := s.finish(&c, [][]fetched{slices.Clone(state)})
	if len(parts[0]) != 3 {
		t.Fatalf("full response has %d partitions", len(parts[0]))
	}
	tell := func(epoch int32, state []fetched) string {
		t.Helper()
		c, err := s.begin(now, sessionRequest(12, id, epoch))
		if err != nil {
			t.Fatal(err)
		}
		_, parts := s.finish(&c, [][]fetched{slices.Clone(state)})
		var ids []int32
		for _, p := range parts[0] {
			ids = append(ids, p.id)
		}
		return fmt.Sprint(ids)
	}
	if got := tell(1, state); got != "[2]" {
		t.Errorf("an error goes on: told %s", got)
	}
	state[1].hw, state[2] = 6, fetched{id: 2, hw: 0}
	if got := tell(2, state); got != "[1 2]" {
		t.Errorf("a high watermark moved and an error ended: told %s", got)
	}
	if got := tell(3, state); got != "[]" {
		t.Errorf("nothing happened: told %s", got)
	}
	state[0].start = 4
	if got := tell(4, state); got != "[0]" {
		t.Errorf("a log's start moved: told %s", got)
	}
}
