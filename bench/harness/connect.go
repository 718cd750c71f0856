package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// CreateConnector posts a connector config to the node.
func (n *Node) CreateConnector(ctx context.Context, name string, config map[string]string) error {
	body, err := json.Marshal(map[string]any{"name": name, "config": config})
	if err != nil {
		return err
	}
	return n.call(ctx, http.MethodPost, "/connectors", body)
}

// DeleteConnector removes a connector.
func (n *Node) DeleteConnector(ctx context.Context, name string) error {
	return n.call(ctx, http.MethodDelete, "/connectors/"+name, nil)
}

func (n *Node) call(ctx context.Context, method, path string, body []byte) error {
	ctx, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+n.Connect+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, raw)
	}
	return err
}

// Status returns the JSON of a connector's status, for error texts.
func (n *Node) Status(ctx context.Context, name string) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.Connect+"/connectors/"+name+"/status", nil)
	if err != nil {
		return err.Error()
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	raw, _ := io.ReadAll(resp.Body) // only for an error text
	return string(raw)
}
