package httpsink

import (
	"errors"
	"net"
	"net/url"
	"strings"

	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/sdk"
)

// confluent is the configuration of Confluent's connector.
var confluent = dialect{confluentKeys, confluentSettings}

func atLeast(n float64) []configdef.Rule { return []configdef.Rule{configdef.AtLeast(n)} }

func oneOf(choices ...string) []configdef.Rule {
	return []configdef.Rule{configdef.OneOfFold(choices...)}
}

func confluentKeys() sdk.ConfigDef {
	const request, batch, who, tls, errs = "Request", "Batch", "Authentication", "TLS", "Errors"
	def := sdk.ConfigDef{
		{Name: "http.api.url", Type: sdk.String, Required: true, Check: checkURL, Importance: configdef.High, Group: request,
			Doc: "Address that records are sent to. ${topic} and ${key} stand for those of the record."},
		{Name: "request.method", Type: sdk.String, Default: "POST", Rules: oneOf("POST", "PUT", "PATCH", "DELETE"), Importance: configdef.High, Group: request, Doc: "Method of the requests."},
		{Name: "headers", Type: sdk.String, Default: "", Importance: configdef.High, Group: request, Doc: "Headers of the requests, name:value, parted by header.separator."},
		{Name: "header.separator", Type: sdk.String, Default: "|", Group: request, Doc: "What parts headers."},
		{Name: "request.body.format", Type: sdk.String, Default: "string", Rules: oneOf("string", "json"), Group: request, Doc: "Form of values: as text, or as JSON."},
		{Name: "regex.patterns", Type: sdk.String, Default: "", Group: request, Doc: "Patterns, parted by regex.separator, whose matches in a record's text are replaced."},
		{Name: "regex.replacements", Type: sdk.String, Default: "", Group: request, Doc: "What replaces the matches, pattern by pattern; ${topic}, ${key} and $1 stand for what they do elsewhere."},
		{Name: "regex.separator", Type: sdk.String, Default: "~", Group: request, Doc: "What parts patterns and replacements."},
		{Name: "batch.max.size", Type: sdk.Int, Default: 1, Rules: atLeast(1), Importance: configdef.High, Group: batch, Doc: "The most records of one request."},
		{Name: "batch.key.pattern", Type: sdk.String, Default: "${key}-${topic}", Group: batch, Doc: "Records go into one request only if this is the same of them."},
		{Name: "batch.prefix", Type: sdk.String, Default: "", Group: batch, Doc: "What begins a batch."},
		{Name: "batch.suffix", Type: sdk.String, Default: "", Group: batch, Doc: "What ends a batch."},
		{Name: "batch.separator", Type: sdk.String, Default: ",", Group: batch, Doc: "What parts the records of a batch."},
		{Name: "batch.json.as.array", Type: sdk.Boolean, Default: false, Group: batch, Doc: "With request.body.format=json, a request's records are a JSON array."},
		{Name: "auth.type", Type: sdk.String, Default: "NONE", Rules: oneOf("NONE", "BASIC", "OAUTH2", "SSL"), Importance: configdef.High, Group: who, Doc: "How requests prove who sends them. SSL is a certificate, from https.ssl.keystore.location."},
		{Name: "connection.user", Type: sdk.String, Default: "", Group: who, Doc: "User of BASIC."},
		{Name: "connection.password", Type: sdk.Password, Default: "", Group: who, Doc: "Password of BASIC."},
		{Name: "https.ssl.truststore.location", Type: sdk.String, Default: "", Group: tls, Doc: "File of PEM certificates that the service's is checked against; those of the system without it."},
		{Name: "https.ssl.truststore.type", Type: sdk.String, Default: "", Rules: oneOf("", "PEM", "JKS", "PKCS12"), Group: tls, Doc: "PEM. Java's stores are refused."},
		{Name: "https.ssl.truststore.password", Type: sdk.Password, Default: "", Group: tls, Doc: "PEM files need none."},
		{Name: "https.ssl.keystore.location", Type: sdk.String, Default: "", Group: tls, Doc: "PEM file of the certificate, and its key, that requests are sent with."},
		{Name: "https.ssl.keystore.type", Type: sdk.String, Default: "", Rules: oneOf("", "PEM", "JKS", "PKCS12"), Group: tls, Doc: "PEM. Java's stores are refused."},
		{Name: "https.ssl.keystore.password", Type: sdk.Password, Default: "", Group: tls, Doc: "PEM files need none."},
		{Name: "https.ssl.key.password", Type: sdk.Password, Default: "", Group: tls, Doc: "Keys must not be encrypted."},
		{Name: "https.host.verifier.enabled", Type: sdk.Boolean, Default: true, Group: tls, Unsupported: "a certificate is always checked with its host's name: give the service one that has it", Doc: "Whether the service's certificate must be of its host."},
		{Name: "http.connect.timeout.ms", Type: sdk.Int, Default: 30000, Rules: []configdef.Rule{configdef.AtLeast(1), configdef.AtMost(1000 * maxTimeout)}, Group: request, Doc: "Longest time to connect."},
		{Name: "http.request.timeout.ms", Type: sdk.Int, Default: 30000, Rules: []configdef.Rule{configdef.AtLeast(1), configdef.AtMost(1000 * maxTimeout)}, Group: request, Doc: "Longest time of a request."},
		{Name: "http.proxy.host", Type: sdk.String, Default: "", Group: request, Doc: "Proxy."},
		{Name: "http.proxy.port", Type: sdk.Int, Default: 8080, Rules: []configdef.Rule{configdef.AtLeast(1), configdef.AtMost(65535)}, Group: request, Doc: "Port of the proxy."},
		{Name: "http.proxy.user", Type: sdk.String, Default: "", Group: request, Doc: "User of the proxy."},
		{Name: "http.proxy.password", Type: sdk.Password, Default: "", Group: request, Doc: "Password of the proxy."},
		{Name: "max.retries", Type: sdk.Int, Default: 10, Rules: atLeast(-1), Group: errs, Doc: "Retries of a request until the task fails; -1 without end."},
		{Name: "retry.backoff.ms", Type: sdk.Int, Default: 3000, Rules: atLeast(0), Group: errs, Doc: "Wait before the first retry, which doubles with each, unless the service says how long."},
		{Name: "retry.on.status.codes", Type: sdk.String, Default: "", Check: checkCodes, Group: errs, Doc: "Status codes of what is retried, such as 408,429,500-; 408, 425, 429 and 5xx without it."},
		{Name: "behavior.on.null.values", Type: sdk.String, Default: "ignore", Rules: oneOf("ignore", "fail", "delete", "log"), Group: errs, Doc: "What becomes of records without a value: delete sends a DELETE."},
		{Name: "behavior.on.error", Type: sdk.String, Default: "fail", Rules: oneOf("fail", "log", "ignore"), Group: errs, Doc: "What becomes of records that the service refuses: fail does as errors.tolerance says."},
	}
	def = append(def, tokenKeys("oauth2.token.url", "oauth2.client.auth.mode", "oauth2.token.property")...)
	return append(def, idempotencyKey, sdk.Key{Name: "oauth2.jwt.enabled", Type: sdk.Boolean, Default: false, Group: who, Unsupported: "tokens are got by client id and secret here, not by a signed JWT", Doc: "Whether tokens are got by a JWT."})
}

// idempotencyKey is of both dialects, and ours.
var idempotencyKey = sdk.Key{Name: "idempotency.header", Type: sdk.String, Default: "Idempotency-Key", Check: checkHeaderName, Importance: configdef.Low, Group: "Request",
	Doc: "Header that names a request by topic, partition and offsets, the same each time it is sent; empty for none."}

func checkHeaderName(v any) error {
	if s, _ := v.(string); s != "" && !headerName.MatchString(s) {
		return errors.New("it is not the name of a header")
	}
	return nil
}

func checkCodes(v any) error {
	s, _ := v.(string)
	_, err := parseCodes(s)
	return err
}

func split(text, separator string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, separator)
}

func confluentSettings(p *parser) *settings {
	cfg := p.cfg
	s := &settings{
		url: cfg.String("http.api.url"), urlKey: "http.api.url", method: strings.ToUpper(cfg.String("request.method")), idempotency: cfg.String("idempotency.header"),
		json: strings.EqualFold(cfg.String("request.body.format"), "json"), batch: cfg.Int("batch.max.size"), batchKey: cfg.String("batch.key.pattern"),
		prefix: p.raw("batch.prefix", ""), suffix: p.raw("batch.suffix", ""), separator: p.raw("batch.separator", ","),
		user: cfg.String("connection.user"), password: cfg.String("connection.password"), token: newTokenSettings(cfg, "oauth2.token.url", "oauth2.client.auth.mode", "oauth2.token.property"),
		timeout: cfg.Millis("http.request.timeout.ms"), connectTimeout: cfg.Millis("http.connect.timeout.ms"),
		trust:   store{"https.ssl.truststore.location", cfg.String("https.ssl.truststore.location"), cfg.String("https.ssl.truststore.type")},
		keys:    store{"https.ssl.keystore.location", cfg.String("https.ssl.keystore.location"), cfg.String("https.ssl.keystore.type")},
		retries: cfg.Int("max.retries"), backoff: cfg.Millis("retry.backoff.ms"), retryOn: passing,
		nulls: map[string]on{"ignore": ignore, "log": logIt, "delete": remove}[strings.ToLower(cfg.String("behavior.on.null.values"))],
		errs:  map[string]on{"ignore": ignore, "log": logIt}[strings.ToLower(cfg.String("behavior.on.error"))],
		auth:  map[string]auth{"BASIC": basicAuth, "OAUTH2": oauth2Auth}[strings.ToUpper(cfg.String("auth.type"))],
	}
	if cfg.Bool("batch.json.as.array") && s.json {
		s.prefix, s.suffix, s.separator = "[", "]", ","
	}
	var err error
	s.headers, err = parseHeaders(split(cfg.String("headers"), p.raw("header.separator", "|")))
	p.bad("headers", err)
	between := p.raw("regex.separator", "~")
	s.rewrites, err = parseRewrites(split(cfg.String("regex.patterns"), between), split(p.raw("regex.replacements", ""), between))
	p.bad("regex.patterns", err)
	if codes := cfg.String("retry.on.status.codes"); codes != "" {
		s.retryOn, err = parseCodes(codes)
		p.bad("retry.on.status.codes", err)
	}
	if host := cfg.String("http.proxy.host"); host != "" {
		s.proxy = &url.URL{Scheme: "http", Host: net.JoinHostPort(host, p.raw("http.proxy.port", "8080"))}
		if user := cfg.String("http.proxy.user"); user != "" {
			s.proxy.User = url.UserPassword(user, cfg.String("http.proxy.password"))
		}
	}
	switch {
	case s.auth == basicAuth && s.user == "":
		p.bad("connection.user", errors.New("auth.type=BASIC needs it"))
	case strings.EqualFold(cfg.String("auth.type"), "SSL") && s.keys.path == "":
		p.bad("https.ssl.keystore.location", errors.New("auth.type=SSL needs a PEM file of a certificate and its key"))
	}
	s.token.check(p, s.auth)
	return s
}
