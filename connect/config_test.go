package connect

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/connect/client"
)

// remote is a cluster in other processes, embedded one in this.
var (
	remote   = client.Target{Seeds: []string{"kafka:9092"}}
	embedded = client.Target{Seeds: []string{"memory"}, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no broker") }}
)

func TestSettingsThatAreRefused(t *testing.T) {
	for _, tt := range []struct {
		name    string
		brokers client.Target
		props   map[string]string
		key     string
		want    string
	}{
		{"misspelt", remote, map[string]string{"grop.id": "x"}, "grop.id", "did you mean group.id?"},
		{"heartbeats too far apart", remote, map[string]string{"heartbeat.interval.ms": "5000"}, "heartbeat.interval.ms", "at most a third"},
		{"signature that nobody accepts", remote, map[string]string{"inter.worker.signature.algorithm": "HmacSHA512"}, "inter.worker.signature.algorithm", "could not verify each other"},
		{"unknown algorithm", remote, map[string]string{"inter.worker.key.generation.algorithm": "HmacMD4"}, "inter.worker.key.generation.algorithm", "HmacMD4"},
		{"one topic for two", remote, map[string]string{"config.storage.topic": "t", "status.storage.topic": "t"}, "status.storage.topic", "a topic of its own"},
		{"unknown policy", remote, map[string]string{"connector.client.config.override.policy": "x.Mine"}, "connector.client.config.override.policy", "must be one of All"},
		{"client key", remote, map[string]string{"producer.lingerms": "1"}, "producer.lingerms", "not one that Millrace's clients have"},
		{"brokers", remote, map[string]string{"bootstrap.servers": "kafka"}, "bootstrap.servers", "HOST:PORT"},
		{"TLS to a broker of this process", embedded, map[string]string{"security.protocol": "SSL"}, "security.protocol", "the broker is in this process"},
		{"HTTPS without a key", remote, map[string]string{"listeners": "https://0.0.0.0:8443"}, "ssl.keystore.location", "needs a key and a certificate"},
		{"HTTPS by its own settings alone", remote, map[string]string{"listeners": "https://0.0.0.0:8443", "ssl.keystore.location": "client/testdata/key.p12",
			"ssl.keystore.password": "storepass", "listeners.https.ssl.client.auth": "none"}, "listeners.https.ssl.keystore.location", "needs a key and a certificate"},
		{"a listener that speaks something else", remote, map[string]string{"listeners": "ftp://0.0.0.0:8443"}, "listeners", "is not of the form"},
		{"an extension in Java", remote, map[string]string{"rest.extension.classes": "com.example.Mine"}, "rest.extension.classes", "is a Java class"},
		{"users from nowhere", remote, map[string]string{"rest.extension.classes": basicAuthExtension}, "rest.extension.classes", "needs a file of users"},
		{"no users", remote, map[string]string{"rest.extension.classes": basicAuthExtension, "rest.basic.auth.file": "/dev/null"}, "rest.extension.classes", "holds no users"},
		{"too little memory", remote, map[string]string{"task.memory.max.bytes": "1000"}, "task.memory.max.bytes", "at least 33554432"},
		{"settings of MirrorMaker", remote, map[string]string{"clusters": "A, B", "A->B.enabled": "true"}, "clusters", "MirrorMaker"},
		{"a standalone worker's file", remote, map[string]string{"offset.storage.file.filename": "x"}, "offset.storage.file.filename", "standalone"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := New(Config{Properties: tt.props, Brokers: tt.brokers})
			var key *KeyError
			if !errors.As(err, &key) || key.Key != tt.key || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want an error at %s with %q", err, tt.key, tt.want)
			}
		})
	}
	if _, err := New(Config{Properties: map[string]string{"security.protocol": "SSL", "bootstrap.servers": "SSL://kafka:9093"}, Brokers: embedded}); err != nil {
		t.Errorf("TLS to another cluster: %v", err)
	}
}

func TestAdvertisedAddress(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		address string
		props   map[string]string
		want    string
	}{
		{"10.0.0.1:8083", nil, "http://10.0.0.1:8083/"},
		{"0.0.0.0:8083", nil, "http://" + host + ":8083/"},
		{"[::]:8083", nil, "http://" + host + ":8083/"},
		{"0.0.0.0:8083", map[string]string{"rest.advertised.host.name": "connect-1", "rest.advertised.port": "443", "rest.advertised.listener": "HTTPS"}, "https://connect-1:443/"},
		{"[::1]:8083", nil, "http://[::1]:8083/"},
	} {
		c, err := New(Config{Properties: tt.props, Brokers: remote, Address: tt.address})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.url(); got != tt.want {
			t.Errorf("%s with %v is advertised as %s, want %s", tt.address, tt.props, got, tt.want)
		}
	}
}

func TestMemberIsRemembered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "member.json")
	c, err := New(Config{Brokers: remote, Address: "a:1", MemberFile: path})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.formerMember("g"); got != "" {
		t.Errorf("former member %q before any", got)
	}
	c.rememberMember("g", "m-1")
	c.rememberMember("g", "m-2")
	if got := c.formerMember("g"); got != "m-2" {
		t.Errorf("former member %q, want m-2", got)
	}
	if got := c.formerMember("other"); got != "" {
		t.Errorf("former member %q of another group", got)
	}
}
