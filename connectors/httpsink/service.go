package httpsink

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// service is the HTTP service that records are sent to.
type service struct {
	set     *settings
	client  *http.Client
	secrets *strings.Replacer // takes secrets out of what is shown
	token   token
}

// The bounds on answers: what is read of one so that the connection can be used
// again, and what of it is shown in an error.
const (
	maxAnswer = 64 << 10
	maxShown  = 500
	maxStore  = 1 << 20
)

func newService(set *settings) (*service, error) {
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: set.trustAll}
	if err := set.trust.certificates(tlsConfig); err != nil {
		return nil, err
	}
	if err := set.keys.pair(tlsConfig); err != nil {
		return nil, err
	}
	transport := &http.Transport{
		TLSClientConfig: tlsConfig, ForceAttemptHTTP2: true, MaxIdleConns: 4, IdleConnTimeout: 90 * time.Second,
		DialContext:         (&net.Dialer{Timeout: set.connectTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: set.connectTimeout, MaxResponseHeaderBytes: 256 << 10,
	}
	if set.proxy != nil {
		transport.Proxy = http.ProxyURL(set.proxy)
	}
	s := &service{set: set, client: &http.Client{
		Transport: transport, Timeout: set.timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	s.hide()
	return s, nil
}

// hide collects what must not be shown, whatever a service says of it.
func (s *service) hide() {
	hidden := []string{s.set.authorization, s.set.password, s.set.token.secret, s.token.text}
	for _, h := range s.set.headers {
		switch strings.ToLower(h.name) {
		case "content-type", "accept", "user-agent":
		default:
			hidden = append(hidden, h.value)
		}
	}
	var pairs []string
	for _, h := range hidden {
		if len(h) > 2 {
			pairs = append(pairs, h, "[hidden]")
		}
	}
	s.secrets = strings.NewReplacer(pairs...)
}

// java reports whether a store is one of Java's.
func (s store) java() bool {
	kind := strings.ToUpper(s.kind)
	for _, end := range []string{".jks", ".p12", ".pfx", ".keystore", ".truststore"} {
		if strings.HasSuffix(strings.ToLower(s.path), end) && kind == "" {
			return true
		}
	}
	return kind == "JKS" || kind == "PKCS12"
}

// read returns the PEM of a store, nil if none is named.
func (s store) read() ([]byte, error) {
	if s.path == "" {
		return nil, nil
	}
	if s.java() {
		return nil, &keyError{s.key, errors.New("Java's key and trust stores are not read by this connector: write a PEM file, as with keytool -exportcert -rfc for certificates, or openssl pkcs12 -nodes for a certificate and its key")}
	}
	f, err := os.Open(s.path)
	if err != nil {
		return nil, &keyError{s.key, fmt.Errorf("%w: the file must be on every worker", err)}
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxStore))
	if err != nil {
		return nil, &keyError{s.key, err}
	}
	return b, nil
}

func (s store) certificates(c *tls.Config) error {
	pem, err := s.read()
	if err != nil || pem == nil {
		return err
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return &keyError{s.key, fmt.Errorf("%s holds no PEM certificate", s.path)}
	}
	return nil
}

func (s store) pair(c *tls.Config) error {
	pem, err := s.read()
	if err != nil || pem == nil {
		return err
	}
	pair, err := tls.X509KeyPair(pem, pem)
	if err != nil {
		return &keyError{s.key, fmt.Errorf("%s holds no PEM certificate and key without a password: %w", s.path, err)}
	}
	c.Certificates = []tls.Certificate{pair}
	return nil
}

// transient is what passes. after is the wait that the service asks for, 0 if
// none.
type transient struct {
	err   error
	after time.Duration
}

func (e *transient) Error() string { return e.err.Error() }
func (e *transient) Unwrap() error { return e.err }

// refusal is an answer that says that a request is bad.
type refusal struct {
	status int
	text   string
}

func (e *refusal) Error() string { return e.text }

// request is what one HTTP request is made of.
type request struct {
	method, url, id string
	body            []byte
	json            bool
}

// send sends a request, with a new token once if the old one is refused. It
// returns nil, a *transient, a *refusal, or an error that is fatal.
func (s *service) send(ctx context.Context, r *request) error {
	for try := 0; ; try++ {
		resp, err := s.try(ctx, r)
		if err != nil {
			return err
		}
		err = s.judge(r, resp)
		if err != nil && resp.StatusCode == http.StatusUnauthorized && s.set.auth == oauth2Auth && try == 0 {
			s.token = token{}
			continue
		}
		return err
	}
}

func (s *service) try(ctx context.Context, r *request) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, r.url, bytes.NewReader(r.body))
	if err != nil {
		return nil, &refusal{0, "the address that the record makes is none"}
	}
	kind := "text/plain; charset=utf-8"
	if r.json {
		kind = "application/json"
	}
	if len(r.body) > 0 {
		req.Header.Set("Content-Type", kind)
	}
	req.Header.Set("User-Agent", "millrace-http-sink/"+Version)
	for _, h := range s.set.headers {
		req.Header.Set(h.name, h.value)
		if strings.EqualFold(h.name, "Host") {
			req.Host = h.value
		}
	}
	if s.set.idempotency != "" {
		req.Header.Set(s.set.idempotency, r.id)
	}
	switch s.set.auth {
	case staticAuth:
		req.Header.Set("Authorization", s.set.authorization)
	case basicAuth:
		req.SetBasicAuth(s.set.user, s.set.password)
	case oauth2Auth:
		if now := time.Now(); !s.token.usable(now) {
			if s.token, err = s.set.token.fetch(ctx, s.client, now); err != nil {
				return nil, err
			}
			s.hide()
		}
		req.Header.Set("Authorization", "Bearer "+s.token.text)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, &transient{err: fmt.Errorf("%s: %w", s.where(r), plain(err))}
	}
	return resp, nil
}

// where names a request without what may be secret in its address.
func (s *service) where(r *request) string {
	u, err := url.Parse(r.url)
	if err != nil {
		return r.method
	}
	return s.secrets.Replace(r.method + " " + u.Scheme + "://" + u.Host + u.Path)
}

// judge turns an answer into nil or an error, and reads the rest of it.
func (s *service) judge(r *request, resp *http.Response) error {
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	status := resp.StatusCode
	switch {
	case status/100 == 2:
		return nil // whatever became of the rest of the answer
	case err != nil:
		return &transient{err: fmt.Errorf("%s: read the answer of HTTP %d: %w", s.where(r), status, plain(err))}
	}
	text := fmt.Sprintf("%s: HTTP %d", s.where(r), status)
	if shown := strings.TrimSpace(strings.ToValidUTF8(string(body[:min(len(body), maxShown)]), "")); shown != "" {
		text += ": " + s.secrets.Replace(shown)
	}
	switch {
	case s.set.retryOn(status):
		return &transient{errors.New(text), retryAfter(resp.Header, time.Now())}
	case status/100 == 3:
		return fmt.Errorf("%s: the service is elsewhere: set %s to where it is", text, s.set.urlKey)
	case status == 401 || status == 403 || status == 407:
		return fmt.Errorf("%s: the credentials of the connector are refused", text)
	case (status == 404 || status == 405) && !strings.Contains(s.set.url, "${"):
		return fmt.Errorf("%s: there is nothing that takes records: check %s", text, s.set.urlKey)
	case status == 404 && r.method == http.MethodDelete:
		return nil // it is gone
	}
	return &refusal{status, text}
}

// maxWait bounds what a service may ask for.
const maxWait = 10 * time.Minute

// retryAfter reads the header of that name: seconds, or a date.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if text == "" {
		return 0
	}
	wait := time.Duration(0)
	if seconds, err := strconv.Atoi(text); err == nil {
		wait = time.Duration(min(max(seconds, 0), 86400)) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), maxWait)
}

// plain is an error of the client without the address, in which there may be a
// secret.
func plain(err error) error {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		return u.Err
	}
	return err
}
