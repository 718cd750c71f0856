package httpsink

import (
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
	"github.com/millrace/millrace/plugins/sdktest"
)

// call is a request that a receiver was sent.
type call struct {
	method, path, body string
	header             http.Header
}

// receiver is an HTTP service of a test. answer says what it answers to call n,
// from 0; nil is always 200.
type receiver struct {
	*httptest.Server
	answer func(n int, c call, w http.ResponseWriter)

	mu    sync.Mutex // guards below
	calls []call
	taken []call // those answered with 2xx
}

// status is the writer that notes what was answered.
type status struct {
	http.ResponseWriter
	code int
}

func (s *status) WriteHeader(code int) { s.code = code; s.ResponseWriter.WriteHeader(code) }

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // the connector is gone
	}
	c := call{req.Method, req.URL.RequestURI(), string(body), req.Header}
	r.mu.Lock()
	n := len(r.calls)
	r.calls = append(r.calls, c)
	r.mu.Unlock()
	s := &status{w, 200}
	if r.answer != nil {
		r.answer(n, c, s)
	}
	if s.code/100 == 2 {
		r.mu.Lock()
		r.taken = append(r.taken, c)
		r.mu.Unlock()
	}
}

// newReceiver starts a receiver.
func newReceiver(t testing.TB, answer func(n int, c call, w http.ResponseWriter)) *receiver {
	t.Helper()
	r := &receiver{answer: answer}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) all() []call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.calls)
}

// bodies are the bodies of the requests that were taken.
func (r *receiver) bodies() (out []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.taken {
		out = append(out, c.body)
	}
	return out
}

func props(dialect string, url string, extra ...string) map[string]string {
	out := map[string]string{"name": "out", "topics": "t", "retry.backoff.ms": "1"}
	if dialect == "aiven" {
		out["connector.class"], out["http.url"], out["http.authorization.type"] = "io.aiven.kafka.connect.http.HttpSinkConnector", url, "none"
	} else {
		out["connector.class"], out["http.api.url"] = "HttpSink", url
	}
	for i := 0; i+1 < len(extra); i += 2 {
		out[extra[i]] = extra[i+1]
	}
	return out
}

func connectorOf(config map[string]string) sdk.Connector {
	if _, ok := config["http.url"]; ok {
		return Connectors()[1]
	}
	return Connectors()[0]
}

func texts(t testing.TB, n int) (out []data.Record) {
	for i := range n {
		out = append(out, sdktest.LogRecord(t, "t", 0, int64(i), data.StringSchema, fmt.Sprint("v", i)))
	}
	return out
}

// start starts a task and gives it partition 0.
func start(t *testing.T, config map[string]string) *sdktest.SinkRun {
	t.Helper()
	if problems := sdktest.Validate(t, connectorOf(config), config); len(problems) > 0 {
		t.Fatal(problems)
	}
	run := sdktest.StartSink(t, connectorOf(config), config)
	run.Assign(sdk.Offsets{{Topic: "t"}: 0})
	return run
}

// insist puts until all records are taken, as a worker does.
func insist(t *testing.T, run *sdktest.SinkRun, records []data.Record) (errs []error) {
	t.Helper()
	for range 200 {
		n, err := run.Put(records...)
		if err == nil {
			return errs
		}
		errs = append(errs, err)
		if !strings.Contains(fmt.Sprintf("%T", err), "Error") {
			t.Fatalf("error is a %T: %v", err, err)
		}
		records = records[n:]
	}
	t.Fatalf("not taken in 200 tries: %v", errs[len(errs)-1])
	return nil
}

func TestConformance(t *testing.T) {
	for _, dialect := range []string{"confluent", "aiven"} {
		t.Run(dialect, func(t *testing.T) {
			r, runs := newReceiver(t, nil), 0
			var want []string
			for i := range 30 {
				want = append(want, fmt.Sprint("v", i))
			}
			sdktest.TestSink(t, sdktest.Sink{
				Connector: connectorOf(props(dialect, "x")),
				Config: func(testing.TB) map[string]string {
					runs++
					return props(dialect, fmt.Sprint(r.URL, "/", runs))
				},
				Records: texts(t, 30), Want: want,
				Read: func(_ testing.TB, config map[string]string) (out []string) {
					for _, c := range r.all() {
						if r.URL+c.path == config["http.url"]+config["http.api.url"] {
							out = append(out, c.body)
						}
					}
					return out
				},
				BadConfigs: map[string]map[string]string{
					"no address": {"topics": "t"}, "no address but text": props(dialect, "service"),
					"batch of nothing": props(dialect, "http://x", "batch.max.size", "0"),
				},
			})
		})
	}
}

func TestBodies(t *testing.T) {
	point := data.NewStructBuilder().Field("a", data.Int32Schema).Field("b", data.DecimalSchema(2)).MustBuild()
	st := data.NewStruct(point)
	if err := st.Put("a", int32(1)); err != nil {
		t.Fatal(err)
	}
	if err := st.Put("b", data.NewDecimal(150, 2)); err != nil {
		t.Fatal(err)
	}
	structs := []data.Record{sdktest.LogRecord(t, "t", 0, 0, point, st), sdktest.LogRecord(t, "t", 0, 1, point, st)}
	three := texts(t, 3)
	keyed := texts(t, 3)
	for i := range keyed {
		key, err := data.NewDatum(data.StringSchema, []string{"x/y", "x/y", "z"}[i])
		if err != nil {
			t.Fatal(err)
		}
		keyed[i].Key = key
	}
	none := sdktest.LogRecord(t, "t", 0, 0, nil, nil)
	none.Key = keyed[0].Key
	free := sdktest.LogRecord(t, "t", 0, 0, nil, map[string]any{"k": int64(1)})
	for _, tt := range []struct {
		name, dialect string
		extra         []string
		records       []data.Record
		want          []string // method path body
	}{
		{"one by one", "confluent", nil, three, []string{"POST / v0", "POST / v1", "POST / v2"}},
		{"in batches", "confluent", []string{"batch.max.size", "2", "batch.prefix", "<", "batch.suffix", ">", "batch.separator", " | "}, three, []string{"POST / <v0 | v1>", "POST / <v2>"}},
		{"by key", "confluent", []string{"batch.max.size", "9"}, keyed, []string{"POST / v0,v1", "POST / v2"}},
		{"by topic alone", "confluent", []string{"batch.max.size", "9", "batch.key.pattern", "${topic}"}, keyed, []string{"POST / v0,v1,v2"}},
		{"key in the address", "confluent", []string{"http.api.url", "/${topic}/${key}?k=${key}", "request.method", "put"}, keyed, []string{"PUT /t/x%2Fy?k=x%2Fy v0", "PUT /t/x%2Fy?k=x%2Fy v1", "PUT /t/z?k=z v2"}},
		{"struct as text", "confluent", nil, structs[:1], []string{"POST / Struct{a=1,b=1.50}"}},
		{"struct as JSON", "confluent", []string{"request.body.format", "json"}, structs[:1], []string{`POST / {"a":1,"b":"AJY="}`}},
		{"array of JSON", "confluent", []string{"request.body.format", "json", "batch.json.as.array", "true", "batch.max.size", "5"}, structs, []string{`POST / [{"a":1,"b":"AJY="},{"a":1,"b":"AJY="}]`}},
		{"schemaless", "confluent", []string{"request.body.format", "json"}, []data.Record{free}, []string{`POST / {"k":1}`}},
		{"rewritten", "confluent", []string{"regex.patterns", `^v(\d)$~$`, "regex.replacements", `{"n":$1~,"k":"${key}"}`}, keyed[:1], []string{`POST / {"n":0,"k":"x/y"}`}},
		{"null is passed over", "confluent", nil, []data.Record{none}, nil},
		{"null is a deletion", "confluent", []string{"behavior.on.null.values", "delete", "http.api.url", "/${key}"}, []data.Record{none}, []string{"DELETE /x%2Fy "}},
		{"Aiven's, one by one", "aiven", nil, three, []string{"POST / v0", "POST / v1", "POST / v2"}},
		{"Aiven's batch", "aiven", []string{"batching.enabled", "true", "batch.max.size", "2"}, three, []string{"POST / v0\nv1\n", "POST / v2\n"}},
		{"Aiven's batch of JSON", "aiven", []string{"batching.enabled", "true", "batch.prefix", "[", "batch.suffix", "]", "batch.separator", ",", "decimal.format", "numeric"}, structs, []string{`POST / [{"a":1,"b":1.50},{"a":1,"b":1.50}]`}},
		{"Aiven's schemaless", "aiven", nil, []data.Record{free}, []string{`POST / {"k":1}`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newReceiver(t, nil)
			config := props(tt.dialect, r.URL, tt.extra...)
			if path := config["http.api.url"]; strings.HasPrefix(path, "/") {
				config["http.api.url"] = r.URL + path
			}
			start(t, config).MustPut(tt.records...)
			var got []string
			for _, c := range r.all() {
				got = append(got, c.method+" "+c.path+" "+c.body)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("sent\n%q\nwant\n%q", got, tt.want)
			}
		})
	}
}

// TestWhatPassesIsRetried answers with errors that pass, cuts connections, and
// is slow: in the end each record was taken once, in order.
func TestWhatPassesIsRetried(t *testing.T) {
	bad := []func(w http.ResponseWriter){
		func(w http.ResponseWriter) { w.WriteHeader(500) },
		func(w http.ResponseWriter) { w.WriteHeader(503) },
		func(w http.ResponseWriter) { w.WriteHeader(429) },
		func(http.ResponseWriter) { panic(http.ErrAbortHandler) },                               // cuts the connection
		func(w http.ResponseWriter) { time.Sleep(1500 * time.Millisecond); w.WriteHeader(500) }, // slower than http.timeout
		func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "100")
			w.WriteHeader(500)
			panic(http.ErrAbortHandler) // cuts the answer
		},
	}
	r := newReceiver(t, func(n int, _ call, w http.ResponseWriter) {
		if n%2 == 0 && n/2 < len(bad) {
			w.(*status).code = 500
			bad[n/2](w)
		}
	})
	run := start(t, props("aiven", r.URL, "http.timeout", "1", "max.retries", "3"))
	errs := insist(t, run, texts(t, 10))
	// Where a connection is cut Go's client may try again by itself.
	if calls := len(r.all()); len(errs) < 4 || calls != 10+len(bad) {
		t.Errorf("%d requests, %d errors: %v", calls, len(errs), errs)
	}
	want := []string{"v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9"}
	if got := r.bodies(); !slices.Equal(got, want) {
		t.Errorf("taken were %q", got)
	}
	for i, c := range r.taken {
		if id := c.header.Get("Idempotency-Key"); id != fmt.Sprintf("t-0-%d", i) {
			t.Errorf("record %d has the key %q", i, id)
		}
	}
}

func TestRetriesEnd(t *testing.T) {
	for name, tt := range map[string]struct {
		config []string
		calls  int
		fatal  bool
	}{
		"fails":      {[]string{"max.retries", "2"}, 3, true},
		"goes on":    {[]string{"max.retries", "2", "kafka.retry.backoff.ms", "1"}, 20, false},
		"never ends": {[]string{"max.retries", "-1"}, 20, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t, func(_ int, _ call, w http.ResponseWriter) { w.WriteHeader(503) })
			run := start(t, props("aiven", r.URL, tt.config...))
			var err error
			for range 20 {
				if _, err = run.Put(texts(t, 1)...); err == nil {
					t.Fatal("it is taken")
				}
				if strings.Contains(err.Error(), "after 2 retries") {
					break
				}
			}
			if n := len(r.all()); n != tt.calls || strings.Contains(err.Error(), "after 2 retries") != tt.fatal {
				t.Errorf("%d requests, then %v", n, err)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-1": 0, "x": 0, "99999999": maxWait,
		"Sat, 21 Nov 2026 12:00:30 GMT": 30 * time.Second, "Sat, 21 Nov 2026 11:00:00 GMT": 0,
	} {
		if got := retryAfter(http.Header{"Retry-After": {text}}, now); got != want {
			t.Errorf("%q is %s, want %s", text, got, want)
		}
	}
	r := newReceiver(t, func(_ int, _ call, w http.ResponseWriter) {
		w.Header().Set("Retry-After", "4")
		w.WriteHeader(429)
	})
	cfg, _ := Connectors()[0].Sink.ConfigDef().Parse(props("confluent", r.URL))
	opened, err := Connectors()[0].Sink.Open(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	err = opened.Put(t.Context(), &data.Batch{Records: texts(t, 1)})
	if e, ok := err.(*sdk.Error); !ok || e.RetryAfter != 4*time.Second {
		t.Errorf("the error is %v", err)
	}
}

// TestCulpritsAreFound answers 400 to batches with certain records, and 413 to
// those that are too large: the culprits alone are set aside.
func TestCulpritsAreFound(t *testing.T) {
	r := newReceiver(t, func(_ int, c call, w http.ResponseWriter) {
		items := strings.Split(c.body, ",")
		switch {
		case len(items) > 20:
			w.WriteHeader(413)
		case slices.Contains(items, "v13") || slices.Contains(items, "v40"):
			w.WriteHeader(400)
		}
	})
	run := start(t, props("confluent", r.URL, "batch.max.size", "100", "batch.key.pattern", ""))
	run.MustPut(texts(t, 64)...)
	if got := run.Events().Errant[sdk.TopicPartition{Topic: "t"}]; !slices.Equal(got, []int64{13, 40}) {
		t.Errorf("set aside are %v", got)
	}
	var want []string
	for i := range 64 {
		if i != 13 && i != 40 {
			want = append(want, fmt.Sprint("v", i))
		}
	}
	if got := strings.Join(r.bodies(), ","); got != strings.Join(want, ",") {
		t.Errorf("taken are %s", got)
	}
	quiet := start(t, props("confluent", r.URL, "behavior.on.error", "log"))
	quiet.MustPut(texts(t, 64)...)
	if got := quiet.Events().Errant; len(got) > 0 {
		t.Errorf("with behavior.on.error=log %v are set aside", got)
	}
}

// TestFatal is what no retry and no other record can help.
func TestFatal(t *testing.T) {
	for code, want := range map[int]string{401: "credentials", 403: "credentials", 404: "nothing that takes records", 302: "elsewhere"} {
		r := newReceiver(t, func(_ int, _ call, w http.ResponseWriter) { w.WriteHeader(code) })
		run := start(t, props("confluent", r.URL+"/in?secret=hush"))
		_, err := run.Put(texts(t, 3)...)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("HTTP %d: %v", code, err)
		}
		if n := len(run.Events().Errant); n > 0 {
			t.Errorf("HTTP %d: %d records are set aside", code, n)
		}
	}
}

func TestAuthentication(t *testing.T) {
	echo := func(_ int, c call, w http.ResponseWriter) {
		w.WriteHeader(400)
		fmt.Fprintf(w, "what you sent: %s %s", c.header.Get("Authorization"), c.header.Get("X-Key"))
	}
	for _, tt := range []struct {
		name, dialect string
		config        []string
		want          string
	}{
		{"static", "aiven", []string{"http.authorization.type", "static", "http.headers.authorization", "Token hush-1", "http.headers.additional", "X-Key:hush-2", "http.headers.content.type", "a/b"}, "Token hush-1"},
		{"basic", "confluent", []string{"auth.type", "basic", "connection.user", "u", "connection.password", "hush-1", "headers", "X-Key:hush-2|Content-Type:a/b"}, "Basic dTpodXNoLTE="},
	} {
		r := newReceiver(t, echo)
		run := start(t, props(tt.dialect, r.URL, append(tt.config, "errors.tolerance", "all")...))
		run.MustPut(texts(t, 1)...)
		c := r.all()[0]
		if got := c.header.Get("Authorization"); got != tt.want || c.header.Get("X-Key") != "hush-2" || c.header.Get("Content-Type") != "a/b" {
			t.Errorf("%s: headers are %v", tt.name, c.header)
		}
	}
}

// TestTokens gets a token, uses it until it is refused, and gets another. The
// secret and the tokens are in no error.
func TestTokens(t *testing.T) {
	tokens, fail := 0, 0
	r := newReceiver(t, func(_ int, c call, w http.ResponseWriter) {
		switch {
		case c.path == "/token" && fail > 0:
			fail--
			w.WriteHeader(503)
		case c.path == "/token":
			tokens++
			fmt.Fprintf(w, `{"tok":"hush-%d","expires_in":3600}`, tokens)
			if want := "grant_type=client_credentials&scope=s"; c.body != want || c.header.Get("Authorization") != "Basic aWQ6aHVzaC1zZWNyZXQ=" {
				t.Errorf("the request for a token is %q with %q", c.body, c.header.Get("Authorization"))
			}
		case c.header.Get("Authorization") != fmt.Sprintf("Bearer hush-%d", tokens) || tokens == 1 && c.body == "v2":
			w.WriteHeader(401)
			fmt.Fprint(w, "bad token ", c.header.Get("Authorization"))
		case c.body == "v4":
			w.WriteHeader(400)
			fmt.Fprint(w, "bad record with ", c.header.Get("Authorization"), " and hush-secret")
		}
	})
	fail = 2
	run := start(t, props("confluent", r.URL, "auth.type", "OAUTH2", "oauth2.token.url", r.URL+"/token", "oauth2.client.id", "id",
		"oauth2.client.secret", "hush-secret", "oauth2.client.scope", "s", "oauth2.token.property", "tok"))
	errs := insist(t, run, texts(t, 6))
	if len(errs) != 2 || tokens != 2 {
		t.Errorf("%d tokens, errors %v", tokens, errs)
	}
	if got := run.Events().Errant[sdk.TopicPartition{Topic: "t"}]; !slices.Equal(got, []int64{4}) {
		t.Errorf("set aside are %v", got)
	}
	tokens = 50 // what it has is refused for good
	r.answer = func(_ int, c call, w http.ResponseWriter) {
		if c.path != "/token" {
			w.WriteHeader(401)
			fmt.Fprint(w, c.header.Get("Authorization"))
			return
		}
		fmt.Fprint(w, `{"tok":"hush-hush"}`)
	}
	_, err := run.Put(sdktest.LogRecord(t, "t", 0, 9, data.StringSchema, "v9"))
	if err == nil || !strings.Contains(err.Error(), "credentials") || strings.Contains(err.Error(), "hush") {
		t.Errorf("a refused token gives %v", err)
	}
}

func TestTLS(t *testing.T) {
	r := &receiver{}
	r.Server = httptest.NewUnstartedServer(r)
	r.Config.ErrorLog = nil
	r.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	r.StartTLS()
	defer r.Close()
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, props("confluent", r.URL, "https.ssl.truststore.location", ca, "https.ssl.truststore.type", "PEM")).MustPut(texts(t, 1)...)
	start(t, props("aiven", r.URL, "http.ssl.truststore.location", ca)).MustPut(texts(t, 1)...)
	start(t, props("aiven", r.URL, "http.ssl.trust.all.certs", "true")).MustPut(texts(t, 1)...)
	if n := len(r.bodies()); n != 3 {
		t.Errorf("%d records are taken", n)
	}
	if _, err := start(t, props("confluent", r.URL, "max.retries", "0")).Put(texts(t, 1)...); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown certificate gives %v", err)
	}
	for _, config := range []map[string]string{
		props("confluent", r.URL, "https.ssl.truststore.location", "/x/trust.jks", "https.ssl.truststore.type", "JKS"),
		props("aiven", r.URL, "http.ssl.truststore.location", "/x/trust.jks"),
	} {
		if problems := sdktest.Validate(t, connectorOf(config), config); len(problems) != 1 || !strings.Contains(problems[0], "write a PEM file") {
			t.Errorf("a Java store gives %q", problems)
		}
	}
}

func TestRefusedConfigurations(t *testing.T) {
	for want, config := range map[string]map[string]string{
		"name: value":              props("confluent", "http://x", "headers", "nonsense"),
		"look-around":              props("confluent", "http://x", "regex.patterns", "(?=a)", "regex.replacements", "b"),
		"1 patterns":               props("confluent", "http://x", "regex.patterns", "a"),
		"auth.type=BASIC":          props("confluent", "http://x", "auth.type", "BASIC"),
		"OAuth2 needs it":          props("confluent", "http://x", "auth.type", "OAUTH2", "oauth2.client.id", "i", "oauth2.client.secret", "s"),
		"auth.type=SSL":            props("confluent", "http://x", "auth.type", "SSL"),
		"no range":                 props("confluent", "http://x", "retry.on.status.codes", "500-400"),
		"signed JWT":               props("confluent", "http://x", "oauth2.jwt.enabled", "true"),
		"static needs it":          props("aiven", "http://x", "http.authorization.type", "static"),
		"not an address":           props("confluent", "ftp://user:hush@x"),
		"on every worker":          props("confluent", "http://x", "https.ssl.truststore.location", "/does/not/exist.pem"),
		"always checked":           props("confluent", "http://x", "https.host.verifier.enabled", "false"),
		"not the name of a header": props("confluent", "http://x", "idempotency.header", "a b"),
	} {
		problems := sdktest.Validate(t, connectorOf(config), config)
		if text := strings.Join(problems, "; "); !strings.Contains(text, want) || want != "not an address" && strings.Contains(text, "hush") {
			t.Errorf("%q gives %q", want, problems)
		}
	}
}
