package connectapi

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
)

// TestDocumentIsTheRouter holds that every route is in the OpenAPI document,
// with its parameters, and every entry of the document is a route.
func TestDocumentIsTheRouter(t *testing.T) {
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			Summary    string
			Parameters []struct{ Name, In string }
			Responses  map[string]any
		}
	}
	if err := json.Unmarshal(document, &doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.") {
		t.Errorf("openapi is %q", doc.OpenAPI)
	}
	routes := map[string]bool{}
	err := chi.Walk(Routes(&fakeWorker{}, nil, slog.New(slog.DiscardHandler)), func(method, path string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		routes[method+" "+path] = true
		op, ok := doc.Paths[path][strings.ToLower(method)]
		if !ok {
			t.Errorf("%s %s is not in the document", method, path)
			return nil
		}
		if op.Summary == "" || len(op.Responses) == 0 {
			t.Errorf("%s %s has no summary or no responses", method, path)
		}
		in := map[string]bool{}
		for _, p := range op.Parameters {
			in[p.Name] = in[p.Name] || p.In == "path"
		}
		for part := range strings.SplitSeq(path, "/") {
			if name, ok := strings.CutPrefix(part, "{"); ok && !in[strings.TrimSuffix(name, "}")] {
				t.Errorf("%s %s: parameter %s is not in the document", method, path, part)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, ops := range doc.Paths {
		for method := range ops {
			if !routes[strings.ToUpper(method)+" "+path] {
				t.Errorf("%s %s is in the document and is no route", method, path)
			}
		}
	}
}

// TestReferences holds that what the document refers to is in it.
func TestReferences(t *testing.T) {
	var doc map[string]any
	if err := json.Unmarshal(document, &doc); err != nil {
		t.Fatal(err)
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				var at any = doc
				for part := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
					m, _ := at.(map[string]any)
					at = m[part]
				}
				if at == nil {
					t.Errorf("%s is not there", ref)
				}
			}
			for _, x := range v {
				walk(x)
			}
		case []any:
			for _, x := range v {
				walk(x)
			}
		}
	}
	walk(doc)
}

func TestDocumentIsServed(t *testing.T) {
	_, resp, body := call(t, "GET", "/openapi.json", "")
	if resp.StatusCode != 200 || !json.Valid([]byte(body)) || !strings.Contains(body, `"/connectors/{connector}/status"`) {
		t.Errorf("HTTP %d, %.100s", resp.StatusCode, body)
	}
}
