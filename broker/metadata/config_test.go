package metadata

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// Every key's default is a value it accepts, and no name appears twice.
func TestConfigTables(t *testing.T) {
	for _, table := range [][]ConfigKey{TopicKeys(), BrokerKeys(), GroupKeys()} {
		seen := map[string]bool{}
		for _, k := range table {
			if err := k.Check(k.Default); err != nil {
				t.Errorf("default of %s: %v", k.Name, err)
			}
			if seen[k.Name] || k.Doc == "" {
				t.Errorf("%s: listed twice (%v) or without doc %q", k.Name, seen[k.Name], k.Doc)
			}
			seen[k.Name] = true
		}
	}
}

func TestCheckTopicConfigs(t *testing.T) {
	for _, tt := range []struct{ key, value, want string }{
		{"retention.ms", "1000", ""},
		{"retention.ms", "-1", ""},
		{"retention.ms", "-2", "from -1 to"},
		{"retention.ms", "1d", "whole number"},
		{"cleanup.policy", "compact", ""},
		{"cleanup.policy", "compact, delete", ""},
		{"cleanup.policy", "shred", "must be one of delete, compact"},
		{"message.timestamp.type", "LogAppendTime", ""},
		{"message.timestamp.type", "logappendtime", "must be one of"},
		{"min.cleanable.dirty.ratio", "0.5", ""},
		{"min.cleanable.dirty.ratio", "0.1", ""},
		{"min.cleanable.dirty.ratio", "1.1", "from 0 to 1"},
		{"min.cleanable.dirty.ratio", "NaN", "from 0 to 1"},
		{"min.cleanable.dirty.ratio", "half", "must be a number"},
		{"delete.retention.ms", "0", ""},
		{"max.compaction.lag.ms", "0", "from 1 to"},
		{"compression.type", "lz4", "as the producer compressed them"},
		{"flush.before.ack", "sometimes", "must be one of auto, always, never"},
		{"no.such.key", "1", "unknown topic config no.such.key"},
	} {
		err := CheckTopicConfigs(map[string]string{tt.key: tt.value})
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s=%s: %v", tt.key, tt.value, err)
		case tt.want != "" && (!errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s=%s: error is %v, want ErrConfig with %q", tt.key, tt.value, err, tt.want)
		}
	}
}

func TestCompactionConfigs(t *testing.T) {
	crossed := map[string]string{"min.compaction.lag.ms": "20", "max.compaction.lag.ms": "10"}
	if err := CheckTopicConfigs(crossed); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "min.compaction.lag.ms is 20") {
		t.Errorf("crossed lags: %v", err)
	}
	if _, err := NewBrokerConfig(map[string]string{"log.cleaner.min.compaction.lag.ms": "20", "log.cleaner.max.compaction.lag.ms": "10"}); !errors.Is(err, ErrConfig) {
		t.Errorf("crossed lags of the broker: %v", err)
	}
	if _, err := NewBrokerConfig(map[string]string{"log.cleaner.threads": "2"}); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "one after the other") {
		t.Errorf("two cleaners: %v", err)
	}
	b, err := NewBrokerConfig(map[string]string{
		"log.cleaner.min.cleanable.ratio": "0.25", "log.cleaner.min.compaction.lag.ms": "5000",
		"log.cleaner.delete.retention.ms": "7000", "log.cleaner.io.max.bytes.per.second": "1e6",
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := b.Float("log.cleaner.io.max.bytes.per.second"); got != 1e6 {
		t.Errorf("I/O limit is %v", got)
	}
	c, err := ResolveTopic(map[string]string{"max.compaction.lag.ms": "3000"}, b)
	if err != nil {
		t.Fatal(err)
	}
	if c.MinDirtyRatio != 0.25 || c.MaxCompactionLag != 3*time.Second || c.MinCompactionLag != 3*time.Second || c.TombstoneRetention != 7*time.Second {
		t.Errorf("resolved to %+v", c)
	}
	if c, err = ResolveTopic(nil, b); err != nil || c.MaxCompactionLag != -1 || c.MinCompactionLag != 5*time.Second {
		t.Errorf("resolved to %+v, %v", c, err)
	}
}

func TestResolveTopic(t *testing.T) {
	b, err := NewBrokerConfig(map[string]string{"log.retention.hours": "2", "log.segment.bytes": "4096", "message.max.bytes": "500"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := ResolveTopic(map[string]string{"max.message.bytes": "700", "cleanup.policy": "compact,delete"}, b)
	if err != nil {
		t.Fatal(err)
	}
	if c.RetentionAge != 2*time.Hour || c.SegmentBytes != 4096 || c.MaxMessageBytes != 700 || !c.Compact || !c.Delete {
		t.Errorf("resolved to %+v", c)
	}
	if c.FlushAge != -1 || c.FlushMessages != -1 || c.TimestampBefore != -1 || c.TimestampAfter != time.Hour || c.Flush != FlushAuto {
		t.Errorf("defaults are %+v", c)
	}
	k := TopicKey("max.message.bytes")
	for _, tt := range []struct {
		set  map[string]string
		want Source
	}{{map[string]string{"max.message.bytes": "1"}, FromTopic}, {nil, FromBroker}} {
		if _, got := TopicValue(k, tt.set, b); got != tt.want {
			t.Errorf("source with %v is %d, want %d", tt.set, got, tt.want)
		}
	}
}

func TestNewBrokerConfig(t *testing.T) {
	_, err := NewBrokerConfig(map[string]string{"num.partitions": "0", "log.retention.hours": "x", "no.such": "1"})
	for _, want := range []string{"num.partitions", "log.retention.hours", "no.such"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, should name %s", err, want)
		}
	}
	if _, err := NewBrokerConfig(map[string]string{"group.min.session.timeout.ms": "9", "group.max.session.timeout.ms": "8"}); !errors.Is(err, ErrConfig) {
		t.Errorf("crossed session timeouts: %v", err)
	}
	b, err := NewBrokerConfig(map[string]string{"log.retention.minutes": "3", "log.retention.hours": "9", "auto.create.topics.enable": "false"})
	if err != nil {
		t.Fatal(err)
	}
	if got := b.Int("log.retention.ms"); got != 180000 {
		t.Errorf("log.retention.ms is %d, minutes should win over hours", got)
	}
	if b.Bool("auto.create.topics.enable") || b.Milliseconds("connections.max.idle.ms") != 10*time.Minute {
		t.Error("a set flag or a default is not returned")
	}
	if !slices.IsSortedFunc(BrokerKeys(), func(a, b ConfigKey) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("BrokerKeys is not sorted")
	}
}
