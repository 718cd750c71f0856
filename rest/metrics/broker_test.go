package metrics

import (
	"context"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/broker/brokertest"
)

// scrape returns the lines of samples.
func scrape(t *testing.T, c *brokertest.Cluster) []string {
	t.Helper()
	w := httptest.NewRecorder()
	Handler(Sources{Broker: c.Broker().Stats}, slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	b, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(strings.Split(string(b), "\n"), func(l string) bool { return l == "" || l[0] == '#' })
}

// busy is a broker that has served a producer and a group.
func busy(t *testing.T) *brokertest.Cluster {
	t.Helper()
	c := brokertest.Start(t)
	c.CreateTopic(t, "t", 2)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	p := c.Client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for range 5 {
		if err := p.ProduceSync(ctx, &kgo.Record{Topic: "t", Partition: 1, Value: []byte("v")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	var offsets kadm.Offsets
	offsets.AddOffset("t", 1, 2, -1)
	if err := kadm.NewClient(p).CommitAllOffsets(ctx, "g", offsets); err != nil {
		t.Fatal(err)
	}
	req := kmsg.NewPtrDescribeQuorumRequest() // fails for a topic that is not the quorum's
	rt := kmsg.NewDescribeQuorumRequestTopic()
	rt.Topic, rt.Partitions = "t", []kmsg.DescribeQuorumRequestTopicPartition{kmsg.NewDescribeQuorumRequestTopicPartition()}
	req.Topics = append(req.Topics, rt)
	if _, err := req.RequestWith(ctx, p); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestBrokerMetrics(t *testing.T) {
	c := busy(t)
	// Responses are counted after they were sent.
	want := []string{
		`millrace_broker_request_duration_seconds_count{api="Produce"} 5`,
		`millrace_broker_request_errors_total{api="DescribeQuorum",error="UNKNOWN_TOPIC_OR_PARTITION"} 1`,
		`millrace_log_end_offset{partition="1",topic="t"} 5`,
		`millrace_log_end_offset{partition="0",topic="t"} 0`,
		`millrace_log_high_watermark{partition="1",topic="t"} 5`,
		`millrace_group_state{group="g",state="Empty",type="classic"} 1`,
		`millrace_group_members{group="g"} 0`,
		`millrace_group_committed_offset{group="g",partition="1",topic="t"} 2`,
		`millrace_group_lag_records{group="g",partition="1",topic="t"} 3`,
		`millrace_broker_topics 2`,
		`millrace_broker_throttles_total{quota="producer_byte_rate"} 0`,
		`millrace_log_cleaner_rounds_total 0`,
	}
	for limit := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		lines := scrape(t, c)
		missing := slices.DeleteFunc(slices.Clone(want), func(w string) bool { return slices.Contains(lines, w) })
		if len(missing) == 0 {
			break
		}
		if time.Now().After(limit) {
			t.Fatalf("missing\n%s\nin\n%s", strings.Join(missing, "\n"), strings.Join(lines, "\n"))
		}
	}
}

var (
	documented = regexp.MustCompile("`(millrace_(?:broker|log|group)_[a-z_]+)`")
	suffix     = regexp.MustCompile(`_(bucket|sum|count)$`)
)

// docs/metrics.md lists every metric that there is, and no other.
func TestBrokerMetricsAreDocumented(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, m := range documented.FindAllStringSubmatch(string(text), -1) {
		listed[m[1]] = true
	}
	served := map[string]bool{}
	for _, l := range scrape(t, busy(t)) {
		name, _, _ := strings.Cut(l, " ")
		name, _, _ = strings.Cut(name, "{")
		if strings.HasSuffix(suffix.ReplaceAllString(name, ""), "_seconds") {
			name = suffix.ReplaceAllString(name, "")
		}
		if strings.HasPrefix(name, "millrace_") {
			served[name] = true
		}
	}
	for name := range served {
		if !listed[name] {
			t.Errorf("%s is not in docs/metrics.md", name)
		}
	}
	for name := range listed {
		if !served[name] {
			t.Errorf("docs/metrics.md lists %s, which is not served", name)
		}
	}
}
