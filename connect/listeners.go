package connect

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/millrace/millrace/connect/client"
	"github.com/millrace/millrace/plugins/configdef"
)

// Listener is an address that a worker's REST API is to listen on.
type Listener struct {
	Secure bool   // HTTPS
	Addr   string // HOST:PORT
	Key    string // the setting that says so
}

// Listeners returns the addresses that a worker's settings name for its REST
// API, none if they name none.
func Listeners(props map[string]string) ([]Listener, error) {
	var out []Listener
	for text := range strings.SplitSeq(props["listeners"], ",") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		scheme, addr, _ := strings.Cut(text, "://")
		addr = strings.TrimSuffix(addr, "/")
		_, _, err := net.SplitHostPort(addr)
		if scheme = strings.ToLower(scheme); err != nil || scheme != "http" && scheme != "https" {
			return nil, fmt.Errorf("listeners: %q is not of the form http://HOST:PORT or https://HOST:PORT", text)
		}
		out = append(out, Listener{Secure: scheme == "https", Addr: addr, Key: "listeners"})
	}
	if port := props["rest.port"]; len(out) == 0 && port != "" {
		out = append(out, Listener{Addr: net.JoinHostPort(props["rest.host.name"], port), Key: "rest.port"})
	}
	return out, nil
}

// api is what the REST API of this worker and of others needs: how it listens,
// who may ask, and how others are asked.
type api struct {
	scheme string      // by which others reach this one
	tls    *tls.Config // of HTTPS listeners, nil without any
	users  users       // nil if anybody may ask
	client *http.Client
}

// newAPI reads the settings about the REST API.
func newAPI(s settings, loginConfig string) (api, []configdef.Problem) {
	listeners, err := Listeners(s.props)
	if err != nil {
		return api{}, []configdef.Problem{{Key: "listeners", Text: err.Error()}}
	}
	a := api{scheme: strings.ToLower(s.String("rest.advertised.listener"))}
	var problems, more []configdef.Problem
	secure := func(l Listener) bool { return l.Secure }
	if slices.ContainsFunc(listeners, secure) {
		a.tls, problems = client.ServerTLS(s.props)
	}
	plain := len(listeners) == 0 || slices.ContainsFunc(listeners, func(l Listener) bool { return !l.Secure })
	if a.scheme == "" {
		if a.scheme = "http"; !plain {
			a.scheme = "https"
		}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil // workers reach each other directly
	if a.scheme == "https" {
		transport.TLSClientConfig, more = client.RequestTLS(s.props)
	}
	problems = append(problems, more...)
	if slices.Contains(s.List("rest.extension.classes"), basicAuthExtension) {
		var err error
		if a.users, err = readUsers(s.String("rest.basic.auth.file"), loginConfig); err != nil {
			problems = append(problems, configdef.Problem{Key: "rest.extension.classes", Text: fmt.Sprintf("rest.extension.classes: %v", err)})
		}
	}
	a.client = &http.Client{Transport: &asWorker{transport, a.users}}
	return a, problems
}

// asWorker sends requests to other workers. Those without a name of their own
// go out under one that all workers of the cluster know.
type asWorker struct {
	http.RoundTripper
	users users
}

// RoundTrip implements http.RoundTripper.
func (t *asWorker) RoundTrip(r *http.Request) (*http.Response, error) {
	if name, password, ok := t.users.any(); ok && r.Header.Get("Authorization") == "" {
		r = r.Clone(r.Context())
		r.SetBasicAuth(name, password)
	}
	return t.RoundTripper.RoundTrip(r)
}

// TLS returns the settings of the worker's HTTPS listeners, nil if it has none.
func (c *Connect) TLS() *tls.Config { return c.api.tls }

// Allows reports whether a user may use the REST API; nil if anybody may.
func (c *Connect) Allows() func(name, password string) bool {
	if c.api.users == nil {
		return nil
	}
	return c.api.users.allows
}

// Transport reaches the REST API of other workers.
func (c *Connect) Transport() http.RoundTripper { return c.api.client.Transport }
