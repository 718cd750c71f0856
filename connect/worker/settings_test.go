package worker

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/plugins/configdef"
)

func TestFrameworkKeysAreSound(t *testing.T) {
	for _, kind := range []connector.Kind{connector.Source, connector.Sink} {
		if err := frameworkKeys(kind).Check(); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// problemsText joins problems so that a test can look for words.
func problemsText(ps []configdef.Problem) string {
	var out []string
	for _, p := range ps {
		out = append(out, p.Key+": "+p.Text)
	}
	return strings.Join(out, "\n")
}

func TestClientKeys(t *testing.T) {
	good := map[string]string{
		"linger.ms": "5", "batch.size": "65536", "acks": "all", "compression.type": "zstd", "max.request.size": "2000000",
		"buffer.memory": "67108864", "delivery.timeout.ms": "120000",
	}
	s, problems := producerKeys.apply(good)
	if len(problems) > 0 {
		t.Fatalf("problems %s", problemsText(problems))
	}
	client, err := kgo.NewClient(s.opts...)
	if err != nil {
		t.Fatalf("the options do not make a client: %v", err)
	}
	defer client.Close()
	if got := client.OptValue(kgo.ProducerBatchMaxBytes); got != int32(2000000) {
		t.Errorf("largest batch %v, want that of max.request.size", got)
	}
	for key, tt := range map[string]struct {
		keys  clientKeys
		value string
		want  string
	}{
		"wings":             {producerKeys, "2", "not one that Millrace's clients have"},
		"linger.ms":         {producerKeys, "soon", "not a whole number"},
		"acks":              {producerKeys, "most", "must be one of"},
		"max.poll.records":  {consumerKeys, "0", "must be from 1"},
		"auto.offset.reset": {consumerKeys, "middle", "earliest, latest, none"},
	} {
		if _, problems := tt.keys.apply(map[string]string{key: tt.value}); !strings.Contains(problemsText(problems), tt.want) {
			t.Errorf("%s=%s: %q does not say %q", key, tt.value, problemsText(problems), tt.want)
		}
	}
}

func TestTopicRules(t *testing.T) {
	rules, problems := parseTopicRules(connector.Config{
		"topic.creation.groups":                     "big, small",
		"topic.creation.default.partitions":         "2",
		"topic.creation.default.replication.factor": "-1",
		"topic.creation.big.include":                `orders\..*,audit`,
		"topic.creation.big.exclude":                `orders\.test`,
		"topic.creation.big.partitions":             "12",
		"topic.creation.big.retention.ms":           "1000",
		"topic.creation.small.include":              `.*small`,
	})
	if len(problems) > 0 {
		t.Fatalf("problems %s", problemsText(problems))
	}
	for topic, want := range map[string]int32{
		"orders.eu": 12, "audit": 12, "orders.test": 2, "xorders.eu": 2, "very-small": 2, "else": 2,
	} {
		if got := rules.group(topic).partitions; got != want {
			t.Errorf("%s gets %d partitions, want %d", topic, got, want)
		}
	}
	if got := rules.group("audit").configs["retention.ms"]; got == nil || *got != "1000" {
		t.Errorf("retention.ms of audit is %v", got)
	}
	if got := rules.group("else").configs["retention.ms"]; got != nil {
		t.Errorf("retention.ms of another topic is %v: settings are not inherited", *got)
	}
}

func TestTopicRulesProblems(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg  connector.Config
		want string
	}{
		"no default":   {connector.Config{"topic.creation.groups": ""}, `Missing required configuration "topic.creation.default.partitions"`},
		"zero":         {connector.Config{"topic.creation.default.partitions": "0", "topic.creation.default.replication.factor": "1"}, "at least 1"},
		"look-ahead":   {connector.Config{"topic.creation.groups": "g", "topic.creation.g.include": "(?=x)", "topic.creation.default.partitions": "1", "topic.creation.default.replication.factor": "1"}, "not a regular expression that Millrace understands"},
		"unnamed":      {connector.Config{"topic.creation.g.partitions": "1", "topic.creation.default.partitions": "1", "topic.creation.default.replication.factor": "1"}, "does not name g"},
		"nothing set":  {connector.Config{}, ""},
		"complete set": {connector.Config{"topic.creation.default.partitions": "1", "topic.creation.default.replication.factor": "1"}, ""},
	} {
		_, problems := parseTopicRules(tt.cfg)
		if got := problemsText(problems); tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
			t.Errorf("%s: problems %q, want %q", name, got, tt.want)
		}
	}
}

func TestPartitionerKeepsTheConnectorsChoice(t *testing.T) {
	p := newPartitioner().ForTopic("t")
	if got := p.Partition(&kgo.Record{Partition: 7, Key: []byte("k")}, 12); got != 7 {
		t.Errorf("partition %d, want 7", got)
	}
	// murmur2("orders") as Kafka's default partitioner has it, over 12 partitions
	kafka := kgo.StickyKeyPartitioner(nil).ForTopic("t")
	for _, key := range []string{"orders", "a", "", "é"} {
		r := &kgo.Record{Partition: -1, Key: []byte(key)}
		if got, want := p.Partition(r, 12), kafka.Partition(r, 12); got != want {
			t.Errorf("key %q goes to %d, want %d", key, got, want)
		}
	}
}

func TestInfosMergeInPlace(t *testing.T) {
	b := &infoBuilder{byName: map[string]int{}}
	b.add(frameworkKeys(connector.Source).Validate(map[string]string{"name": "x"})...)
	n := len(b.infos)
	own := configdef.Def{{Name: "tasks.max", Type: configdef.Int, Default: 7, Doc: "own"}, {Name: "file", Type: configdef.String, Required: true}}
	b.add(own.Validate(nil)...)
	b.problem(map[string]string{"odd": "1"}, configdef.Problem{Key: "odd", Text: "odd is wrong"})
	infos := b.build("X")
	if len(infos.Configs) != n+2 {
		t.Errorf("%d entries, want %d: tasks.max is replaced in place", len(infos.Configs), n+2)
	}
	if first := infos.Configs[0]; first.Definition != nil || first.Value.Name != "odd" {
		t.Errorf("first entry is %s; those without a definition come first", first.Value.Name)
	}
	// connector.class and file are missing, odd is wrong
	if infos.ErrorCount != 3 {
		t.Errorf("%d errors: %v", infos.ErrorCount, infos.Errors())
	}
}
