package connectapi

import (
	_ "embed"
	"encoding/json"
	"net/http"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/rest/reply"
)

// document describes this API. A test holds it against the router.
//
//go:embed openapi.json
var document []byte

// openAPI: GET /openapi.json. Kafka Connect publishes its document with its
// documentation only.
func (a *api) openAPI(*http.Request) (any, error) { return json.RawMessage(document), nil }

// tryTransforms: POST /transforms/try. 200 with what became of each sample after
// each step; 400 for a config or a sample that is wrong. Kafka Connect has
// nothing like it.
func (a *api) tryTransforms(r *http.Request) (any, error) {
	var body connector.TrialRequest
	if err := reply.Decode(r, &body); err != nil {
		return nil, err
	}
	records, err := a.worker.TryTransforms(r.Context(), body)
	if err != nil {
		return nil, err
	}
	return map[string]any{"records": records}, nil
}

// loggers: GET /admin/loggers
func (a *api) loggers(r *http.Request) (any, error) { return a.worker.Loggers(r.Context()) }

// logger: GET /admin/loggers/{logger}. 404.
func (a *api) logger(r *http.Request) (any, error) {
	name, err := param(r, "logger")
	if err != nil {
		return nil, err
	}
	return a.worker.Logger(r.Context(), name)
}

// setLogger: PUT /admin/loggers/{logger}[?scope=cluster] (KIP-976). 200 with the
// names of the loggers affected, 204 for the cluster; 400 without a level, 404
// for one that does not exist.
func (a *api) setLogger(r *http.Request) (any, error) {
	name, err := param(r, "logger")
	if err != nil {
		return nil, err
	}
	var body struct {
		Level *string `json:"level"`
	}
	if err := reply.Decode(r, &body); err != nil {
		return nil, err
	}
	if body.Level == nil {
		return nil, connector.Errorf(connector.BadRequest, "Desired 'level' parameter was not specified in request.")
	}
	scope := r.URL.Query().Get("scope")
	if scope != "" && scope != "worker" && scope != "cluster" {
		a.log.Warn("unknown scope of a logger's level, taken for worker", "scope", scope)
	}
	names, err := a.worker.SetLogger(r.Context(), name, *body.Level, scope == "cluster")
	if err != nil || scope == "cluster" {
		return nil, err
	}
	return names, nil
}
