package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// restClient talks JSON to a server's REST API.
type restClient struct {
	url  string
	flag string // that says the address
	who  string // answers there
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 64 << 20

// do sends body as JSON, if there is one, and returns the answer.
func (c *restClient) do(ctx context.Context, method, path string, body any) ([]byte, error) {
	ctx, stop := context.WithTimeout(ctx, 90*time.Second)
	defer stop()
	var payload io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		payload = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.url, "/")+path, payload)
	if err != nil {
		return nil, usagef("--%s %q: %w", c.flag, c.url, err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("no %s answers at %s: %w; is the server running, or should --%s name another address?", c.who, c.url, err, c.flag)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode >= 300 {
		var e struct {
			Message string `json:"message"`
		}
		if json.Unmarshal(raw, &e) == nil && e.Message != "" {
			return nil, fmt.Errorf("%s (HTTP %d)", e.Message, resp.StatusCode)
		}
		return nil, fmt.Errorf("%s %s: HTTP %d: %.200s", method, path, resp.StatusCode, raw)
	}
	return raw, nil
}

// call is do with the answer decoded into out.
func (c *restClient) call(ctx context.Context, method, path string, body, out any) error {
	raw, err := c.do(ctx, method, path, body)
	if err != nil || out == nil || len(raw) == 0 {
		return err
	}
	return json.Unmarshal(raw, out)
}
