package httpsink

import (
	"errors"
	"strings"
	"time"

	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/sdk"
)

// aiven is the configuration of Aiven's connector.
var aiven = dialect{aivenKeys, aivenSettings}

func aivenKeys() sdk.ConfigDef {
	const request, batch, who, tls, errs = "Request", "Batch", "Authentication", "TLS", "Errors"
	def := sdk.ConfigDef{
		{Name: "http.url", Type: sdk.String, Required: true, Check: checkURL, Importance: configdef.High, Group: request, Doc: "Address that records are sent to, by POST."},
		{Name: "http.authorization.type", Type: sdk.String, Required: true, Rules: oneOf("none", "static", "oauth2"), Importance: configdef.High, Group: who, Doc: "How requests prove who sends them."},
		{Name: "http.headers.authorization", Type: sdk.Password, Default: "", Group: who, Doc: "The header Authorization of static."},
		{Name: "http.headers.content.type", Type: sdk.String, Default: "", Group: request, Doc: "The header Content-Type."},
		{Name: "http.headers.additional", Type: sdk.List, Default: []string{}, Group: request, Doc: "Further headers, name:value."},
		{Name: "http.timeout", Type: sdk.Int, Default: 30, Rules: []configdef.Rule{configdef.AtLeast(1), configdef.AtMost(maxTimeout)}, Group: request, Doc: "Longest time of a request in seconds."},
		{Name: "http.ssl.trust.all.certs", Type: sdk.Boolean, Default: false, Group: tls, Doc: "Whether to accept any certificate of the service, which lets anybody read and change what is sent."},
		{Name: "http.ssl.truststore.location", Type: sdk.String, Default: "", Group: tls, Doc: "File of PEM certificates that the service's is checked against; those of the system without it. Java's stores are refused."},
		{Name: "http.ssl.truststore.password", Type: sdk.Password, Default: "", Group: tls, Doc: "PEM files need none."},
		{Name: "batching.enabled", Type: sdk.Boolean, Default: false, Importance: configdef.High, Group: batch, Doc: "Whether a request may have several records."},
		{Name: "batch.max.size", Type: sdk.Int, Default: 500, Rules: []configdef.Rule{configdef.AtLeast(1), configdef.AtMost(1000000)}, Group: batch, Doc: "The most records of one request."},
		{Name: "batch.prefix", Type: sdk.String, Default: "", Group: batch, Doc: "What begins a batch."},
		{Name: "batch.suffix", Type: sdk.String, Group: batch, Doc: "What ends a batch; a line feed by default."},
		{Name: "batch.separator", Type: sdk.String, Group: batch, Doc: "What parts the records of a batch; a line feed by default."},
		{Name: "decimal.format", Type: sdk.String, Default: "BASE64", Rules: oneOf("BASE64", "NUMERIC"), Group: request, Doc: "Form of decimals in JSON."},
		{Name: "max.retries", Type: sdk.Int, Default: 1, Rules: atLeast(-1), Group: errs, Doc: "Retries of a request until the task fails, or what kafka.retry.backoff.ms says; -1 without end."},
		{Name: "retry.backoff.ms", Type: sdk.Int, Default: 3000, Rules: atLeast(0), Group: errs, Doc: "Wait before the first retry, which doubles with each, unless the service says how long."},
		{Name: "kafka.retry.backoff.ms", Type: sdk.Long, Rules: []configdef.Rule{configdef.AtLeast(0), configdef.AtMost(24 * 3600 * 1000)}, Group: errs,
			Doc: "Wait after the retries before all begins again, without end. Without it the task fails then."},
	}
	def = append(def, tokenKeys("oauth2.access.token.url", "oauth2.client.authorization.mode", "oauth2.response.token.property")...)
	for _, k := range [][2]string{{"oauth2.grant.type", "client_credentials"}, {"oauth2.request.grant.type.property", "grant_type"}, {"oauth2.request.client.id.property", "client_id"}, {"oauth2.request.client.secret.property", "client_secret"}} {
		def = append(def, sdk.Key{Name: k[0], Type: sdk.String, Default: k[1], Importance: configdef.Low, Group: who, Doc: "What the request for a token has in its place."})
	}
	return append(def, idempotencyKey)
}

func aivenSettings(p *parser) *settings {
	cfg := p.cfg
	s := &settings{
		url: cfg.String("http.url"), urlKey: "http.url", method: "POST", idempotency: cfg.String("idempotency.header"),
		aivenText: true, numeric: strings.EqualFold(cfg.String("decimal.format"), "NUMERIC"), batch: 1,
		authorization: cfg.String("http.headers.authorization"), token: newTokenSettings(cfg, "oauth2.access.token.url", "oauth2.client.authorization.mode", "oauth2.response.token.property"),
		timeout: time.Duration(cfg.Int("http.timeout")) * time.Second, trustAll: cfg.Bool("http.ssl.trust.all.certs"), trustAllKey: "http.ssl.trust.all.certs",
		trust:   store{"http.ssl.truststore.location", cfg.String("http.ssl.truststore.location"), ""},
		retries: cfg.Int("max.retries"), backoff: cfg.Millis("retry.backoff.ms"), retryOn: passing,
		auth: map[string]auth{"static": staticAuth, "oauth2": oauth2Auth}[strings.ToLower(cfg.String("http.authorization.type"))],
	}
	s.connectTimeout = s.timeout
	if !cfg.IsNull("kafka.retry.backoff.ms") {
		s.outageBackoff = max(cfg.Millis("kafka.retry.backoff.ms"), time.Millisecond)
	}
	if cfg.Bool("batching.enabled") {
		s.batch, s.prefix, s.suffix, s.separator = cfg.Int("batch.max.size"), p.raw("batch.prefix", ""), p.raw("batch.suffix", "\n"), p.raw("batch.separator", "\n")
	}
	t := &s.token
	t.grant, t.grantName = cfg.String("oauth2.grant.type"), cfg.String("oauth2.request.grant.type.property")
	t.idName, t.secretName = cfg.String("oauth2.request.client.id.property"), cfg.String("oauth2.request.client.secret.property")
	var err error
	s.headers, err = parseHeaders(cfg.List("http.headers.additional"))
	p.bad("http.headers.additional", err)
	if kind := cfg.String("http.headers.content.type"); kind != "" {
		more, err := parseHeaders([]string{"Content-Type:" + kind})
		p.bad("http.headers.content.type", err)
		s.headers = append(s.headers, more...)
	}
	if s.auth == staticAuth && s.authorization == "" {
		p.bad("http.headers.authorization", errors.New("http.authorization.type=static needs it"))
	}
	if strings.ContainsAny(s.authorization, "\r\n\x00") {
		p.bad("http.headers.authorization", errors.New("a header is one line"))
	}
	s.token.check(p, s.auth)
	return s
}
