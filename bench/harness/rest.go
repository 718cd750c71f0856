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

// Worker is the address, HOST:PORT, of a Connect worker's REST API: Kafka
// Connect's or Millrace's.
type Worker string

// call answers with the body of what a worker says.
func (w Worker) call(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	ctx, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+string(w)+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, raw)
	}
	return raw, err
}

// Put creates a connector or gives it another config.
func (w Worker) Put(ctx context.Context, name string, config map[string]string) error {
	body, err := json.Marshal(config)
	if err != nil {
		return err
	}
	_, err = w.call(ctx, http.MethodPut, "/connectors/"+name+"/config", body)
	return err
}

// Delete removes a connector.
func (w Worker) Delete(ctx context.Context, name string) error {
	_, err := w.call(ctx, http.MethodDelete, "/connectors/"+name, nil)
	return err
}

// Stop ends the tasks of a connector and keeps its config and offsets.
func (w Worker) Stop(ctx context.Context, name string) error {
	_, err := w.call(ctx, http.MethodPut, "/connectors/"+name+"/stop", nil)
	return err
}

// Status returns the JSON of a connector's status, or why there is none.
func (w Worker) Status(ctx context.Context, name string) string {
	raw, err := w.call(ctx, http.MethodGet, "/connectors/"+name+"/status", nil)
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

// State returns the state of a connector's first task, "" if it has none.
func (w Worker) State(ctx context.Context, name string) (string, error) {
	raw, err := w.call(ctx, http.MethodGet, "/connectors/"+name+"/status", nil)
	if err != nil {
		return "", err
	}
	var status struct {
		Tasks []struct {
			State string `json:"state"`
		} `json:"tasks"`
	}
	if err := json.Unmarshal(raw, &status); err != nil || len(status.Tasks) == 0 {
		return "", err
	}
	return status.Tasks[0].State, nil
}

// Offset is a stored position of a source connector.
type Offset struct {
	Partition map[string]any             `json:"partition"`
	Offset    map[string]json.RawMessage `json:"offset"`
}

// Offsets returns the stored positions of a source connector.
func (w Worker) Offsets(ctx context.Context, name string) ([]Offset, error) {
	raw, err := w.call(ctx, http.MethodGet, "/connectors/"+name+"/offsets", nil)
	if err != nil {
		return nil, err
	}
	var out struct {
		Offsets []Offset `json:"offsets"`
	}
	err = json.Unmarshal(raw, &out)
	return out.Offsets, err
}
