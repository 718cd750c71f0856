package client

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/plugins/configdef"
)

// Reasons why a key of Kafka's clients is refused here.
const (
	noJavaSecurity = "it names something of Java's, which does not exist here; remove the key"
	noKerberos     = "Millrace's clients speak SASL PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512, not Kerberos; remove the key"
	noOAuth        = "Millrace's clients speak SASL PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512, not OAUTHBEARER; remove the key"
)

// keys are the connection settings of Kafka's clients, with Kafka's defaults.
var keys = configdef.Def{
	{Name: "security.protocol", Type: configdef.String, Default: "PLAINTEXT", Rules: []configdef.Rule{configdef.OneOfFold("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")},
		Importance: configdef.Medium, Doc: "What is spoken to brokers: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL."},
	{Name: "sasl.mechanism", Type: configdef.String, Default: "GSSAPI", Importance: configdef.Medium,
		Doc: "How the client says who it is: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512. The default, Kafka's, does not exist here: name one."},
	{Name: "sasl.jaas.config", Type: configdef.Password, Importance: configdef.Medium,
		Doc: "Who it is, in Java's form: org.apache.kafka.common.security.plain.PlainLoginModule required username=\"...\" password=\"...\"; with the module of the mechanism."},
	{Name: "ssl.truststore.location", Type: configdef.String, Importance: configdef.High, Doc: "File of the certificates that brokers are trusted by: PEM, PKCS12 or JKS. Without one, those of the machine."},
	{Name: "ssl.truststore.password", Type: configdef.Password, Importance: configdef.High, Doc: "Password of that file."},
	{Name: "ssl.truststore.type", Type: configdef.String, Default: "JKS", Rules: []configdef.Rule{configdef.OneOfFold("JKS", "PKCS12", "PEM")}, Importance: configdef.Medium,
		Doc: "Form of that file: JKS, PKCS12 or PEM. What the file is decides."},
	{Name: "ssl.truststore.certificates", Type: configdef.Password, Importance: configdef.High, Doc: "Such certificates themselves, in PEM, instead of a file."},
	{Name: "ssl.keystore.location", Type: configdef.String, Importance: configdef.High, Doc: "File of the client's key and certificates: PEM, PKCS12 or JKS."},
	{Name: "ssl.keystore.password", Type: configdef.Password, Importance: configdef.High, Doc: "Password of that file."},
	{Name: "ssl.keystore.type", Type: configdef.String, Default: "JKS", Rules: []configdef.Rule{configdef.OneOfFold("JKS", "PKCS12", "PEM")}, Importance: configdef.Medium,
		Doc: "Form of that file: JKS, PKCS12 or PEM. What the file is decides."},
	{Name: "ssl.keystore.key", Type: configdef.Password, Importance: configdef.High, Doc: "The key itself, in PEM (PKCS #8), instead of a file."},
	{Name: "ssl.keystore.certificate.chain", Type: configdef.Password, Importance: configdef.High, Doc: "The certificates of ssl.keystore.key, in PEM."},
	{Name: "ssl.key.password", Type: configdef.Password, Importance: configdef.High, Doc: "Password of the key within its file, if it is another than the file's."},
	{Name: "ssl.endpoint.identification.algorithm", Type: configdef.String, Default: "https", Rules: []configdef.Rule{configdef.OneOfFold("https", "")}, Importance: configdef.Low,
		Doc: "https holds a broker's certificate against its name; empty does not."},
	{Name: "ssl.protocol", Type: configdef.String, Default: "TLSv1.3", Rules: []configdef.Rule{configdef.OneOf("TLS", "TLSv1.2", "TLSv1.3")}, Importance: configdef.Medium,
		Doc: "Newest TLS version to speak. TLS is any."},
	{Name: "ssl.enabled.protocols", Type: configdef.List, Default: "TLSv1.2,TLSv1.3", Importance: configdef.Medium, Check: checkVersions, Doc: "TLS versions to speak: TLSv1.2, TLSv1.3."},
	{Name: "ssl.cipher.suites", Type: configdef.List, Importance: configdef.Low, Check: checkSuites, Doc: "Cipher suites of TLS 1.2. Those of TLS 1.3 are not chosen."},
	{Name: "ssl.provider", Type: configdef.String, Unsupported: noJavaSecurity, Importance: configdef.Medium, Doc: "Java security provider."},
	{Name: "ssl.keymanager.algorithm", Type: configdef.String, Unsupported: noJavaSecurity, Importance: configdef.Low, Doc: "Java key manager."},
	{Name: "ssl.trustmanager.algorithm", Type: configdef.String, Unsupported: noJavaSecurity, Importance: configdef.Low, Doc: "Java trust manager."},
	{Name: "ssl.secure.random.implementation", Type: configdef.String, Unsupported: noJavaSecurity, Importance: configdef.Low, Doc: "Java random generator."},
	{Name: "ssl.engine.factory.class", Type: configdef.String, Unsupported: noJavaSecurity, Importance: configdef.Low, Doc: "Java TLS engine."},
	{Name: "security.providers", Type: configdef.String, Unsupported: noJavaSecurity, Importance: configdef.Low, Doc: "Java security providers."},
	{Name: "sasl.client.callback.handler.class", Type: configdef.String, Unsupported: noJavaSecurity, Importance: configdef.Medium, Doc: "Java callback handler."},
	{Name: "sasl.login.class", Type: configdef.String, Unsupported: noJavaSecurity, Importance: configdef.Medium, Doc: "Java login class."},
	{Name: "sasl.login.callback.handler.class", Type: configdef.String, Unsupported: noOAuth, Importance: configdef.Medium, Doc: "Java login callback handler, as OAUTHBEARER uses one."},
}

// sockets are the settings of connections, with Kafka's defaults.
var sockets = configdef.Def{
	{Name: "socket.connection.setup.timeout.ms", Type: configdef.Long, Default: 10000, Rules: []configdef.Rule{configdef.AtLeast(1)}, Importance: configdef.Low,
		Doc: "How long the opening of a connection may take, in milliseconds."},
	{Name: "receive.buffer.bytes", Type: configdef.Int, Default: -1, Rules: []configdef.Rule{configdef.AtLeast(-1)}, Importance: configdef.Medium,
		Doc: "Size of a connection's receive buffer, in bytes. -1 leaves it to the system; Kafka Connect's default is 32768."},
	{Name: "send.buffer.bytes", Type: configdef.Int, Default: -1, Rules: []configdef.Rule{configdef.AtLeast(-1)}, Importance: configdef.Medium,
		Doc: "Size of a connection's send buffer, in bytes. -1 leaves it to the system; Kafka Connect's default is 131072."},
	{Name: "request.timeout.ms", Type: configdef.Int, Rules: []configdef.Rule{configdef.AtLeast(100), configdef.AtMost(900000)}, Importance: configdef.Medium,
		Doc: "How long a client waits for an answer, in milliseconds, beyond what the request itself may take. The client's own 10 s if not given."},
	{Name: "retry.backoff.ms", Type: configdef.Long, Rules: []configdef.Rule{configdef.AtLeast(0)}, Importance: configdef.Low,
		Doc: "Pause before a request is tried again, in milliseconds. It grows from 250 ms if not given."},
	{Name: "connections.max.idle.ms", Type: configdef.Long, Rules: []configdef.Rule{configdef.AtLeast(1000)}, Importance: configdef.Medium,
		Doc: "After what time of silence a connection is closed, in milliseconds."},
	{Name: "metadata.max.age.ms", Type: configdef.Long, Rules: []configdef.Rule{configdef.AtLeast(1000)}, Importance: configdef.Low,
		Doc: "After what time topics and brokers are asked for anew, in milliseconds."},
}

// options are the settings of sockets that the client has options for.
var options = map[string]func(time.Duration) []kgo.Opt{
	"request.timeout.ms": func(d time.Duration) []kgo.Opt {
		return []kgo.Opt{kgo.RequestTimeoutOverhead(d), kgo.ProduceRequestTimeout(max(d, time.Second))}
	},
	"retry.backoff.ms": func(d time.Duration) []kgo.Opt {
		return []kgo.Opt{kgo.RetryBackoffFn(func(int) time.Duration { return d })}
	},
	"connections.max.idle.ms": func(d time.Duration) []kgo.Opt { return []kgo.Opt{kgo.ConnIdleTimeout(d)} },
	"metadata.max.age.ms": func(d time.Duration) []kgo.Opt {
		return []kgo.Opt{kgo.MetadataMaxAge(d), kgo.MetadataMinAge(min(d, 250*time.Millisecond))}
	},
}

// refusedPrefixes lead to keys of mechanisms that do not exist here.
var refusedPrefixes = map[string]string{"sasl.kerberos.": noKerberos, "sasl.oauthbearer.": noOAuth, "sasl.login.refresh.": noOAuth}

// Keys returns the definition of the connection settings, for documentation.
// The caller must not change it.
func Keys() configdef.Def { return slices.Concat(keys, sockets) }

// Is reports whether a key is one of the connection settings, those that are
// refused and bootstrap.servers included.
func Is(name string) bool {
	_, key := keys.Key(name)
	_, socket := sockets.Key(name)
	if key || socket || name == "bootstrap.servers" {
		return true
	}
	for p := range refusedPrefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// Only returns the connection settings among properties.
func Only(props map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range props {
		if Is(k) {
			out[k] = v
		}
	}
	return out
}

// pick returns the properties that def has.
func pick(props map[string]string, def configdef.Def) map[string]string {
	out := map[string]string{}
	for k, v := range props {
		if _, ok := def.Key(k); ok {
			out[k] = v
		}
	}
	return out
}

// Parse checks the settings of security among properties and reads the stores
// that they name.
func Parse(props map[string]string) (Security, []configdef.Problem) {
	props = Only(props)
	var problems []configdef.Problem
	for _, name := range slices.Sorted(maps.Keys(props)) {
		for p, why := range refusedPrefixes {
			if strings.HasPrefix(name, p) {
				problems = append(problems, problem(name, "%s", why))
			}
		}
	}
	cfg, more := keys.Parse(pick(props, keys))
	if problems = append(problems, more...); len(problems) > 0 {
		return Security{}, problems
	}
	protocol := strings.ToUpper(cfg.String("security.protocol"))
	var s Security
	if strings.HasSuffix(protocol, "SSL") {
		if s.TLS, more = tlsOf(cfg); len(more) > 0 {
			return Security{}, more
		}
	}
	if strings.HasPrefix(protocol, "SASL_") {
		mechanism, p := saslOf(cfg)
		if p != nil {
			return Security{}, []configdef.Problem{*p}
		}
		s.SASL = append(s.SASL, mechanism)
	}
	return s, nil
}

func problem(key, format string, args ...any) configdef.Problem {
	return configdef.Problem{Key: key, Text: fmt.Sprintf("Configuration %s: %s", key, fmt.Sprintf(format, args...))}
}
