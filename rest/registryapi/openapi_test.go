package registryapi

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	registry "github.com/millrace/millrace/schema-registry"
)

// document is what the tests want to know of openapi.json.
type document struct {
	Paths map[string]map[string]struct {
		OperationID string `json:"operationId"`
		Parameters  []struct {
			Ref string `json:"$ref"`
		}
		Responses map[string]struct{ Description string }
	}
	Components struct {
		Parameters map[string]struct{ Name, In string }
		Schemas    map[string]json.RawMessage
	}
}

func readDocument(t *testing.T) (document, string) {
	t.Helper()
	raw, err := documents.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var doc document
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	return doc, string(raw)
}

func routes(t *testing.T) []string {
	t.Helper()
	reg, err := registry.New(registry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	walk := func(method, path string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		out = append(out, method+" "+path)
		return nil
	}
	if err := chi.Walk(Routes(reg, slog.New(slog.DiscardHandler), Build{}), walk); err != nil {
		t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

// Every route is in the document, and everything in it is served.
func TestDocumentedRoutes(t *testing.T) {
	doc, raw := readDocument(t)
	var documented []string
	for path, ops := range doc.Paths {
		for method, op := range ops {
			documented = append(documented, strings.ToUpper(method)+" "+path)
			for _, p := range op.Parameters {
				name := strings.TrimPrefix(p.Ref, "#/components/parameters/")
				c, ok := doc.Components.Parameters[name]
				if !ok || c.In == "path" && !strings.Contains(path, "{"+c.Name+"}") {
					t.Errorf("%s %s has the parameter %s, which is nowhere", method, path, p.Ref)
				}
			}
		}
	}
	slices.Sort(documented)
	if served := routes(t); !slices.Equal(served, documented) {
		t.Errorf("served and not documented, or the reverse:\n%s", firstDifference(strings.Join(served, "\n"), strings.Join(documented, "\n")))
	}
	for _, ref := range regexp.MustCompile(`#/components/schemas/(\w+)`).FindAllStringSubmatch(raw, -1) {
		if doc.Components.Schemas[ref[1]] == nil {
			t.Errorf("the schema %s is nowhere", ref[1])
		}
	}
}

// The comment of each handler names its codes; so must the document, and no
// others.
func TestDocumentedErrors(t *testing.T) {
	doc, _ := readDocument(t)
	comments := handlerComments(t)
	code := regexp.MustCompile(`\b4\d{4}\b`)
	for path, ops := range doc.Paths {
		for method, op := range ops {
			var documented []string
			for _, r := range op.Responses {
				documented = append(documented, code.FindAllString(r.Description, -1)...)
			}
			slices.Sort(documented)
			told := code.FindAllString(comments[op.OperationID], -1)
			slices.Sort(told)
			if !slices.Equal(documented, slices.Compact(told)) {
				t.Errorf("%s %s: the document has %v, the comment of %s %v", method, path, documented, op.OperationID, told)
			}
		}
	}
}

// handlerComments are the comments before functions that name a route.
func handlerComments(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile(`(?m)((?:^//.*\n)+)^func (?:\(a \*api\) )?(\w+)\(`)
	out := map[string]string{}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range block.FindAllStringSubmatch(string(raw), -1) {
			out[m[2]] = m[1]
		}
	}
	return out
}

// Every route has a conversation in which it succeeds and one in which it
// fails, unless it cannot.
func TestEveryRouteIsTalkedTo(t *testing.T) {
	cannotFail := map[string]bool{
		"GET /": true, "POST /": true, "GET /openapi.json": true, "GET /subjects": true, "GET /schemas": true, "GET /schemas/types": true,
		"GET /schemas/guids/{guid}/ids": true, "GET /config": true, "GET /mode": true, "GET /contexts": true,
		"GET /v1/metadata/id": true, "GET /v1/metadata/version": true,
		"DELETE /mode": true, // but with mode.mutability=false; see TestFixedModes
	}
	router := Routes(mustRegistry(t), slog.New(slog.DiscardHandler), Build{})
	succeeded, failed := map[string]bool{}, map[string]bool{}
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	answer := regexp.MustCompile(`(?m)^(GET|POST|PUT|DELETE) (\S+).*\n(\d{3}) `)
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range answer.FindAllStringSubmatch(string(raw), -1) {
			rctx := chi.NewRouteContext()
			path, _, _ := strings.Cut(m[2], "?")
			if !router.Match(rctx, m[1], path) {
				continue
			}
			route := m[1] + " " + rctx.RoutePattern()
			if m[3][0] == '2' {
				succeeded[route] = true
			} else {
				failed[route] = true
			}
		}
	}
	for _, route := range routes(t) {
		if !succeeded[route] && route != "GET /openapi.json" && route != "GET /v1/metadata/id" {
			t.Errorf("%s succeeds in no conversation", route)
		}
		if !failed[route] && !cannotFail[route] {
			t.Errorf("%s fails in no conversation", route)
		}
	}
	if len(succeeded) == 0 {
		t.Error(fmt.Sprint("no conversations: ", slices.Collect(maps.Keys(failed))))
	}
}

func mustRegistry(t *testing.T) *registry.Registry {
	t.Helper()
	reg, err := registry.New(registry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return reg
}
