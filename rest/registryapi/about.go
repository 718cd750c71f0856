package registryapi

import (
	"embed"
	"encoding/json"
	"net/http"
)

// clusterID: GET /v1/metadata/id, which names the clusters that the registry is
// part of.
func (a *api) clusterID(*http.Request) (any, error) {
	return map[string]any{"id": "", "scope": map[string]any{
		"path":     []string{},
		"clusters": map[string]string{"kafka-cluster": a.reg.ClusterID(), "schema-registry-cluster": a.reg.GroupID()},
	}}, nil
}

// version1: GET /v1/metadata/version
func (a *api) version1(*http.Request) (any, error) {
	return map[string]string{"version": a.build.Version, "commitId": a.build.Commit}, nil
}

//go:embed openapi.json
var documents embed.FS

// openAPI: GET /openapi.json, the description of this API.
func openAPI(*http.Request) (any, error) {
	raw, err := documents.ReadFile("openapi.json")
	return json.RawMessage(raw), err
}
