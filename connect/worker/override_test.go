package worker

import (
	"strings"
	"testing"
)

func TestOverridePolicies(t *testing.T) {
	for _, tt := range []struct {
		policy, key string
		want        bool
	}{
		{"All", "linger.ms", true},
		{"none", "linger.ms", false},
		{"Principal", "sasl.jaas.config", true},
		{"Principal", "linger.ms", false},
		{"org.apache.kafka.connect.connector.policy.NoneConnectorClientConfigOverridePolicy", "sasl.jaas.config", false},
		{"org.apache.kafka.connect.connector.policy.AllConnectorClientConfigOverridePolicy", "linger.ms", true},
		{"Allowlist", "linger.ms", true},
		{"Allowlist", "acks", false},
	} {
		p, ok := ParsePolicy(tt.policy, []string{"linger.ms"})
		if !ok || p.Allows(tt.key) != tt.want {
			t.Errorf("%s (known: %v) allows %s: %v, want %v", tt.policy, ok, tt.key, p.Allows(tt.key), tt.want)
		}
	}
	if _, ok := ParsePolicy("com.example.Mine", nil); ok {
		t.Error("a policy that does not exist is known")
	}
}

func TestCheckClients(t *testing.T) {
	problems, warnings := CheckClients(map[string]string{
		"producer.linger.ms": "5", "producer.lingerms": "5", "consumer.max.poll.records": "none", "producer.sasl.mechanism": "PLAIN",
		"consumer.interceptor.classes": "x.Y", "producer.confluent.monitoring.interceptor.sasl.mechanism": "PLAIN", "admin.client.id": "a",
	})
	var text []string
	for _, p := range problems {
		text = append(text, p.Error())
	}
	all := strings.Join(text, "\n")
	if len(problems) != 2 || !strings.Contains(all, "Configuration producer.lingerms is not one") || !strings.Contains(all, "configuration consumer.max.poll.records") {
		t.Errorf("problems:\n%s", all)
	}
	if len(warnings) != 2 || warnings[0].Key != "consumer.interceptor.classes" || !strings.Contains(warnings[1].Text, "Confluent's interceptors") {
		t.Errorf("warnings %v", warnings)
	}
}
