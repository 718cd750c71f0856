package connectapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/rest/reply"
)

// forwardTimeout bounds a request to another worker.
const forwardTimeout = 90 * time.Second

// newForwardClient returns the client that reaches other workers. Redirects
// are answered as they are: a worker never sends one.
func newForwardClient(transport http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     transport,
		Timeout:       forwardTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// anywhere adapts a handler that not every worker can serve: a request that
// another must serve is sent on to it, and its answer relayed. At most two
// workers are asked one after the other: the leader, and the one that it names.
func (a *api) anywhere(h reply.Func) http.HandlerFunc {
	return a.handle(func(r *http.Request) (any, error) {
		body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, reply.MaxBody))
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, connector.Errorf(connector.BadRequest, "the request body is larger than %d bytes", tooLarge.Limit)
		}
		if err != nil {
			return nil, connector.Errorf(connector.BadRequest, "read the request body: %v", err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		v, err := h(r)
		var other *connector.Elsewhere
		if !errors.As(err, &other) {
			return v, err
		}
		return a.forward(r, other.URL, body)
	})
}

// forward sends a request on. A request that was sent on once may be sent on
// once more; one sent on twice is refused, since only a rebalance under way can
// be the cause.
func (a *api) forward(r *http.Request, base string, body []byte) (any, error) {
	query := r.URL.Query()
	again := !query.Has("forward")
	if !again && !flag(r, "forward") {
		return nil, connector.Errorf(connector.Conflict, "Cannot complete request because of a conflicting operation (e.g. worker rebalance)")
	}
	if base == "" {
		return nil, connector.Errorf(connector.Conflict, "%v", (&connector.Elsewhere{}).Error())
	}
	query.Set("forward", fmt.Sprint(again))
	target := strings.TrimSuffix(base, "/") + r.URL.EscapedPath() + "?" + query.Encode()
	req, err := http.NewRequestWithContext(r.Context(), r.Method, target, bytes.NewReader(body))
	if err != nil {
		return nil, forwardError(err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "kafka-connect")
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	if auth := r.Header.Get("Authorization"); auth != "" {
		req.Header.Set("Authorization", auth)
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, forwardError(err)
	}
	defer resp.Body.Close()
	out, err := relay(r, resp)
	if err == nil && resp.StatusCode < 300 {
		// Whoever asks here next should see what was done there.
		if err := a.worker.CatchUp(r.Context()); err != nil {
			a.log.Warn("config topic not read after a forwarded request", "path", r.URL.Path, "err", err)
		}
	}
	return out, err
}

// relay turns another worker's answer into this one's.
func relay(r *http.Request, resp *http.Response) (any, error) {
	raw, err := io.ReadAll(io.LimitReader(resp.Body, reply.MaxBody+1))
	if err != nil {
		return nil, forwardError(err)
	}
	out := reply.Response{Status: resp.StatusCode}
	if len(bytes.TrimSpace(raw)) > 0 {
		if !json.Valid(raw) {
			return nil, forwardError(fmt.Errorf("HTTP %d with a body that is not JSON", resp.StatusCode))
		}
		out.Body = json.RawMessage(raw)
	} else if resp.StatusCode >= 300 {
		return nil, forwardError(fmt.Errorf("HTTP %d without a body", resp.StatusCode))
	}
	if at, err := url.Parse(resp.Header.Get("Location")); err == nil && at.Path != "" {
		out.Headers = map[string]string{"Location": location(r, at.EscapedPath())}
	}
	return out, nil
}

func forwardError(err error) error {
	return fmt.Errorf("IO Error trying to forward REST request: %w", err)
}

// location makes a path of this API absolute, as the client reaches it.
func location(r *http.Request, path string) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host + path
}
