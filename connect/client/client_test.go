package client

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/broker/brokertest"
)

// The stores in testdata were made by Java's keytool, with the passwords
// storepass, and keypass for the key in key.jks.
func stored(name string) string { return filepath.Join("testdata", name) }

// secureBroker runs a broker that speaks TLS with the key in testdata, and asks
// clients for a certificate if verify is set.
func secureBroker(t *testing.T, verify bool) string {
	t.Helper()
	raw, err := os.ReadFile(stored("key.p12"))
	if err != nil {
		t.Fatal(err)
	}
	cert, err := keyPair(raw, "storepass", "")
	if err != nil {
		t.Fatal(err)
	}
	cfg := &tls.Config{Certificates: []tls.Certificate{*cert}, MinVersion: tls.VersionTLS12}
	if verify {
		s, problems := Parse(map[string]string{"security.protocol": "SSL", "ssl.truststore.location": stored("cert.pem")})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		cfg.ClientCAs, cfg.ClientAuth = s.TLS.RootCAs, tls.RequireAndVerifyClientCert
	}
	return brokertest.Start(t, brokertest.TLS(cfg)).Addr()
}

// ping asks a broker for its metadata.
func ping(t *testing.T, target Target, open func() bool) error {
	t.Helper()
	client, err := kgo.NewClient(append(target.Opts(open), kgo.RequestRetries(1), kgo.RetryTimeout(2*time.Second))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	return client.Ping(ctx)
}

func TestTLS(t *testing.T) {
	plain, mutual := secureBroker(t, false), secureBroker(t, true)
	pem, err := os.ReadFile(stored("cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(plain)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, addr string
		props      map[string]string
		wrong      string // part of the error, "" if it works
	}{
		{"PEM file", plain, map[string]string{"ssl.truststore.location": stored("cert.pem")}, ""},
		{"PEM text", plain, map[string]string{"ssl.truststore.certificates": string(pem), "ssl.truststore.type": "PEM"}, ""},
		{"JKS", plain, map[string]string{"ssl.truststore.location": stored("trust.jks"), "ssl.truststore.password": "storepass"}, ""},
		{"PKCS12", plain, map[string]string{"ssl.truststore.location": stored("trust.p12"), "ssl.truststore.password": "storepass"}, ""},
		{"TLS 1.2", plain, map[string]string{"ssl.truststore.location": stored("cert.pem"), "ssl.protocol": "TLSv1.2",
			"ssl.cipher.suites": "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"}, ""},
		{"untrusted", plain, nil, "certificate"},
		{"another name", "localhost.localdomain:" + port, map[string]string{"ssl.truststore.location": stored("cert.pem")}, "localhost.localdomain"},
		{"another name, not checked", "localhost.localdomain:" + port, map[string]string{"ssl.truststore.location": stored("cert.pem"), "ssl.endpoint.identification.algorithm": ""}, ""},
		{"no name checked, untrusted", plain, map[string]string{"ssl.endpoint.identification.algorithm": ""}, "certificate"},
		{"mutual, JKS", mutual, map[string]string{"ssl.truststore.location": stored("cert.pem"), "ssl.keystore.location": stored("key.jks"),
			"ssl.keystore.password": "storepass", "ssl.key.password": "keypass"}, ""},
		{"mutual, PKCS12", mutual, map[string]string{"ssl.truststore.location": stored("cert.pem"), "ssl.keystore.location": stored("key.p12"), "ssl.keystore.password": "storepass"}, ""},
		{"mutual, PEM", mutual, map[string]string{"ssl.truststore.location": stored("cert.pem"), "ssl.keystore.location": stored("key.pem")}, ""},
		{"mutual, no key", mutual, map[string]string{"ssl.truststore.location": stored("cert.pem")}, " "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			props := map[string]string{"security.protocol": "SSL"}
			for k, v := range tt.props {
				props[k] = v
			}
			s, problems := Parse(props)
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			dial := func(ctx context.Context, network, addr string) (net.Conn, error) { // no resolver in between
				_, port, err := net.SplitHostPort(addr)
				if err != nil {
					return nil, err
				}
				return (&net.Dialer{}).DialContext(ctx, network, "127.0.0.1:"+port)
			}
			err := ping(t, Target{Seeds: []string{tt.addr}, Dial: dial, Security: s}, nil)
			if tt.wrong == "" && err != nil || tt.wrong != "" && (err == nil || !strings.Contains(err.Error(), tt.wrong)) {
				t.Errorf("ping: %v, want an error with %q", err, tt.wrong)
			}
		})
	}
}

func TestSASL(t *testing.T) {
	for mechanism, module := range map[string]string{
		"PLAIN": "plain.PlainLoginModule", "SCRAM-SHA-256": "scram.ScramLoginModule", "SCRAM-SHA-512": "scram.ScramLoginModule",
	} {
		t.Run(mechanism, func(t *testing.T) {
			c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser(mechanism, "alice", `se"cret;`))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			for pass, ok := range map[string]bool{`se\"cret;`: true, "guess": false} {
				s, problems := Parse(map[string]string{
					"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": mechanism,
					"sasl.jaas.config": "org.apache.kafka.common.security." + module + "  required\n username='alice' password=\"" + pass + "\" ;",
				})
				if len(problems) > 0 {
					t.Fatal(problems)
				}
				if err := ping(t, Target{Seeds: c.ListenAddrs(), Security: s}, nil); (err == nil) != ok {
					t.Errorf("password right: %v; ping: %v", ok, err)
				}
			}
		})
	}
}

// Nothing passes a gate that is shut, over connections that are open too.
func TestGate(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var open atomic.Bool
	open.Store(true)
	client, err := kgo.NewClient(append(Target{Seeds: c.ListenAddrs()}.Opts(open.Load), kgo.RequestRetries(0))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	if err := client.Ping(ctx); err != nil {
		t.Fatal(err)
	}
	open.Store(false)
	if err := client.Ping(ctx); err == nil || !errors.Is(err, ErrShut) && !strings.Contains(err.Error(), ErrShut.Error()) {
		t.Errorf("ping through a shut gate: %v", err)
	}
}

func TestParseRefusals(t *testing.T) {
	const jaas = `org.apache.kafka.common.security.plain.PlainLoginModule required username="u" password="hunter2";`
	for _, tt := range []struct {
		name  string
		props map[string]string
		want  string
	}{
		{"unknown protocol", map[string]string{"security.protocol": "TLS"}, "security.protocol"},
		{"Kerberos by default", map[string]string{"security.protocol": "SASL_SSL", "sasl.jaas.config": jaas}, "GSSAPI is not spoken"},
		{"OAUTHBEARER", map[string]string{"security.protocol": "SASL_SSL", "sasl.mechanism": "OAUTHBEARER"}, "OAUTHBEARER is not spoken"},
		{"OAUTHBEARER's handler", map[string]string{"sasl.login.callback.handler.class": "x.Y"}, "not OAUTHBEARER"},
		{"OAUTHBEARER's key", map[string]string{"sasl.oauthbearer.token.endpoint.url": "http://x"}, "not OAUTHBEARER"},
		{"Kerberos's key", map[string]string{"sasl.kerberos.service.name": "kafka"}, "not Kerberos"},
		{"no JAAS", map[string]string{"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN"}, "MODULE required"},
		{"another module", map[string]string{"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "SCRAM-SHA-256", "sasl.jaas.config": jaas}, "is not that of SCRAM-SHA-256"},
		{"no password", map[string]string{"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.jaas.config": "org.apache.kafka.common.security.plain.PlainLoginModule required username=u;"}, "no password"},
		{"open quote", map[string]string{"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.jaas.config": `m required password="hunter2`}, "quote is not closed"},
		{"no such file", map[string]string{"security.protocol": "SSL", "ssl.truststore.location": "nowhere.pem"}, "nowhere.pem"},
		{"wrong store password", map[string]string{"security.protocol": "SSL", "ssl.truststore.location": stored("trust.jks"), "ssl.truststore.password": "hunter2"}, "ssl.truststore.location"},
		{"no key in it", map[string]string{"security.protocol": "SSL", "ssl.keystore.location": stored("trust.jks"), "ssl.keystore.password": "storepass"}, "no private key"},
		{"old TLS", map[string]string{"ssl.enabled.protocols": "TLSv1"}, "nothing older is spoken"},
		{"Java's engine", map[string]string{"ssl.engine.factory.class": "x.Y"}, "Java"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, problems := Parse(tt.props)
			text := ""
			for _, p := range problems {
				text += p.Error() + "\n"
			}
			if !strings.Contains(text, tt.want) {
				t.Errorf("problems %q, want one with %q", text, tt.want)
			}
			if strings.Contains(text, "hunter2") {
				t.Errorf("a secret is told: %q", text)
			}
		})
	}
}

func FuzzJAAS(f *testing.F) {
	f.Add(`a required b="c\"d" e='f';`)
	f.Fuzz(func(t *testing.T, s string) {
		if module, options, err := parseJAAS(s); err == nil && (module == "" && options == nil) {
			t.Errorf("%q reads as nothing", s)
		}
	})
}

func TestLoginSection(t *testing.T) {
	text := "// of others { }\nClient { a.Module required x=\"1\"; };\n/* more\n { */\nKafkaConnect {\n  b.Module required\n    file=\"/a b/{c};.properties\" debug=true;\n  c.Module optional;\n};"
	module, options, err := LoginSection(text, "KafkaConnect")
	if err != nil || module != "b.Module" || options["file"] != "/a b/{c};.properties" || options["debug"] != "true" {
		t.Errorf("%q, %v, %v", module, options, err)
	}
	for _, bad := range []string{"", "Client { a.Module required; };", "KafkaConnect { };", "KafkaConnect { a.Module required x; };", "KafkaConnect { a.Module \"", "KafkaConnect"} {
		if _, _, err := LoginSection(bad, "KafkaConnect"); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
