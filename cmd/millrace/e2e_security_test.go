package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/millrace/millrace/broker/brokertest"
	"github.com/millrace/millrace/connect/client"
)

// startWorkerOf starts a worker of a cluster in other processes, with more
// settings in the form of the config file.
func startWorkerOf(t *testing.T, brokers, settings string) *server {
	t.Helper()
	path := filepath.Join(t.TempDir(), "millrace.yaml")
	if err := os.WriteFile(path, []byte("connect:\n"+settings), 0o600); err != nil {
		t.Fatal(err)
	}
	return startServer(t, "--config", path, "--roles", "connect", "--bootstrap-servers", brokers)
}

// TestWorkerOverTLS runs a worker, its group, its topics and a task over TLS.
// The task's clients take the worker's settings.
func TestWorkerOverTLS(t *testing.T) {
	stores, err := filepath.Abs(filepath.Join("..", "..", "connect", "client", "testdata"))
	if err != nil {
		t.Fatal(err)
	}
	cert, err := tls.LoadX509KeyPair(filepath.Join(stores, "cert.pem"), filepath.Join(stores, "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	b := brokertest.Start(t, brokertest.TLS(&tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}))
	w := startWorkerOf(t, b.Addr(), fmt.Sprintf("  security.protocol: SSL\n  ssl.truststore.location: %s/trust.jks\n  ssl.truststore.password: storepass\n", stores))
	s := newSource(t, w, "s")
	places(t, w, []*source{s})
	security, problems := client.Parse(map[string]string{"security.protocol": "SSL", "ssl.truststore.location": stores + "/cert.pem"})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	c, err := kgo.NewClient(append(client.Target{Seeds: []string{b.Addr()}, Security: security}.Opts(nil), kgo.ConsumeTopics(s.topic()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	awaitRecords(t, c, s.lines)
}

// TestWorkerOverSASL runs the same with a name and a password.
func TestWorkerOverSASL(t *testing.T) {
	k, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.AllowAutoTopicCreation(), kfake.Superuser("PLAIN", "alice", "secret"))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	w := startWorkerOf(t, k.ListenAddrs()[0], "  security.protocol: SASL_PLAINTEXT\n  sasl.mechanism: PLAIN\n"+
		"  sasl.jaas.config: 'org.apache.kafka.common.security.plain.PlainLoginModule required username=\"alice\" password=\"secret\";'\n"+
		"  config.storage.replication.factor: 1\n  offset.storage.replication.factor: 1\n  status.storage.replication.factor: 1\n")
	s := newSource(t, w, "s")
	places(t, w, []*source{s})
	c, err := kgo.NewClient(kgo.SeedBrokers(k.ListenAddrs()...), kgo.SASL(plain.Auth{User: "alice", Pass: "secret"}.AsMechanism()), kgo.ConsumeTopics(s.topic()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	awaitRecords(t, c, s.lines)
}

// awaitRecords reads n records.
func awaitRecords(t *testing.T, c *kgo.Client, n int) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	for got := 0; got < n; {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		got += fetches.NumRecords()
	}
}
