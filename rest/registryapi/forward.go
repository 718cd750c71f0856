package registryapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/millrace/millrace/rest/reply"
	registry "github.com/millrace/millrace/schema-registry"
)

// forwarded marks a request that a registry sends to the one it takes for the
// primary, as Confluent's do: it is not passed on again.
const forwarded = "X-Forward"

// Bounds of a forwarded request.
const (
	forwardTimeout = 60 * time.Second
	maxAnswer      = 64 << 20
)

// forwardedHeaders are those that go with a request.
var forwardedHeaders = []string{"Content-Type", "Accept", "Authorization"}

var forwardClient = &http.Client{Timeout: forwardTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: 100, IdleConnTimeout: time.Minute}}

// write is handle for what changes something: where another registry is the
// primary, it is asked instead.
func (a *api) write(h reply.Func) http.HandlerFunc {
	return a.handle(func(r *http.Request) (any, error) {
		if err := a.reg.Ready(); err != nil {
			return nil, err
		}
		body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, reply.MaxBody+1)) // reply.Decode will refuse what is over
		var tooLarge *http.MaxBytesError
		if err != nil && !errors.As(err, &tooLarge) {
			return nil, fmt.Errorf("read the request body: %w", err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		v, err := h(r)
		var refusal *registry.Error
		if !errors.As(err, &refusal) || refusal.Kind != registry.NotPrimary {
			return v, err
		}
		if r.Header.Get(forwarded) != "" {
			return nil, registry.ErrForward(errors.New("it came from a registry that took this one for the primary: try again"))
		}
		return a.forward(r, refusal.Primary, body)
	})
}

// forward sends a request to the primary, and answers what it answers once that
// can be read here too.
func (a *api) forward(r *http.Request, primary string, body []byte) (any, error) {
	req, err := http.NewRequestWithContext(r.Context(), r.Method, primary+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return nil, registry.ErrForward(err)
	}
	for _, name := range forwardedHeaders {
		if v := r.Header.Values(name); v != nil {
			req.Header[name] = v
		}
	}
	req.Header.Set(forwarded, "true")
	resp, err := forwardClient.Do(req)
	if err != nil {
		return nil, registry.ErrForward(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, registry.ErrForward(err)
	}
	out := reply.Response{Status: resp.StatusCode}
	if len(raw) > 0 {
		if !json.Valid(raw) {
			return nil, registry.ErrForward(fmt.Errorf("%s answered with what is no JSON (HTTP %d)", primary, resp.StatusCode))
		}
		out.Body = json.RawMessage(raw)
	}
	a.reg.Fresh(r.Context())
	return out, nil
}
