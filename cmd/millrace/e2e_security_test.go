package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
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

// A worker sends the headers that its settings ask for, and lets pages of other
// origins in where they say so.
func TestHeadersOfTheRESTAPI(t *testing.T) {
	b := startServer(t, "--roles", "broker")
	w := startWorkerOf(t, b.addrs.Kafka, "  access.control.allow.origin: http://ui.example\n  access.control.allow.methods: GET,PUT\n"+
		"  response.http.headers.config: 'add X-Frame-Options: DENY, \"set Cache-Control: no-cache, no-store\"'\n")
	for _, method := range []string{http.MethodGet, http.MethodOptions} {
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+w.addrs.Connect+"/connectors", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Origin", "http://ui.example")
		req.Header.Set("Access-Control-Request-Method", "PUT")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Fatal(err)
		}
		h := resp.Header
		if resp.StatusCode/100 != 2 || h.Get("Access-Control-Allow-Origin") != "http://ui.example" || h.Get("X-Frame-Options") != "DENY" || h.Get("Cache-Control") != "no-cache, no-store" {
			t.Errorf("%s: HTTP %d, %v", method, resp.StatusCode, h)
		}
		if got := h.Get("Access-Control-Allow-Methods"); method == http.MethodOptions && got != "GET,PUT" {
			t.Errorf("methods allowed are %q", got)
		}
	}
}

// httpsClient trusts the certificate of the test stores and shows it.
func httpsClient(t *testing.T, stores string, shows bool) *http.Client {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(stores, "cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(raw)
	cfg := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	if shows {
		cert, err := tls.LoadX509KeyPair(filepath.Join(stores, "cert.pem"), filepath.Join(stores, "key.pem"))
		if err != nil {
			t.Fatal(err)
		}
		cfg.Certificates = []tls.Certificate{cert}
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: cfg}}
}

// askAs sends a request as a user, or as nobody.
func askAs(t *testing.T, c *http.Client, user, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if name, password, ok := strings.Cut(user, ":"); ok {
		req.SetBasicAuth(name, password)
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(raw)
}

// Two workers speak HTTPS with everybody and with each other, show each other
// certificates, and let only known users in, as the settings say that published
// configs of Kafka Connect have.
func TestHTTPSAndUsers(t *testing.T) {
	stores, err := filepath.Abs(filepath.Join("..", "..", "connect", "client", "testdata"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	login := filepath.Join(dir, "jaas.conf")
	for path, text := range map[string]string{
		filepath.Join(dir, "users.properties"): "# those who may\nalice=secret\nbob=s3cr3t\n",
		login: "Client { other.Module required; };\n// the section of Connect\nKafkaConnect {\n  org.apache.kafka.connect.rest.basic.auth.extension.PropertyFileLoginModule required\n" +
			"  file=\"" + filepath.Join(dir, "users.properties") + "\";\n};\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("KAFKA_OPTS", "-Xmx1G -Djava.security.auth.login.config="+login)
	settings := fmt.Sprintf(`  listeners: https://127.0.0.1:0
  rest.advertised.host.name: localhost
  listeners.https.ssl.keystore.location: %[1]s/key.p12
  listeners.https.ssl.keystore.password: storepass
  listeners.https.ssl.truststore.location: %[1]s/trust.p12
  listeners.https.ssl.truststore.password: storepass
  listeners.https.ssl.client.auth: required
  rest.extension.classes: org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension
`, stores)
	b := startServer(t, "--roles", "broker")
	var workers []*server
	for range 2 {
		workers = append(workers, startWorkerOf(t, b.addrs.Kafka, settings))
	}
	c := httpsClient(t, stores, true)
	base := func(n int) string { return "https://" + workers[n].addrs.Connect }
	if code, text := askAs(t, httpsClient(t, stores, false), "alice:secret", "GET", base(0)+"/connectors", ""); code != 0 {
		t.Errorf("without a certificate: HTTP %d %s, want a refusal", code, text)
	}
	for user, want := range map[string]int{"": 401, "alice:wrong": 401, "eve:secret": 401, "alice:secret": 200, "bob:s3cr3t": 200} {
		if code, text := askAs(t, c, user, "GET", base(0)+"/connectors", ""); code != want {
			t.Errorf("as %q: HTTP %d %s, want %d", user, code, text, want)
		}
	}
	if code, _ := askAs(t, c, "", "GET", base(0)+"/health", ""); code != 200 {
		t.Errorf("health for probes: HTTP %d", code)
	}
	// Whichever worker leads, a request to the other is sent on, and so are the
	// task configs of a connector to the leader.
	in := filepath.Join(dir, "in.txt")
	if err := os.WriteFile(in, []byte("line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		config := fmt.Sprintf(`{"connector.class":"FileStreamSource","file":%q,"topic":"t"}`, in)
		eventually(t, "a connector through worker "+fmt.Sprint(n), func() error {
			if code, text := askAs(t, c, "alice:secret", "PUT", fmt.Sprintf("%s/connectors/c%d/config", base(n), n), config); code/100 != 2 {
				return fmt.Errorf("HTTP %d %s", code, text)
			}
			return nil
		})
	}
	for n := range 2 {
		for w := range 2 {
			eventually(t, fmt.Sprintf("task c%d-0 with its figures, asked of worker %d", n, w), func() error {
				code, text := askAs(t, c, "bob:s3cr3t", "GET", fmt.Sprintf("%s/connectors/c%d/status", base(w), n), "")
				if code != 200 || strings.Count(text, "RUNNING") != 2 || !strings.Contains(text, `"memory_bytes"`) {
					return fmt.Errorf("HTTP %d %s", code, text)
				}
				return nil
			})
		}
	}
}
