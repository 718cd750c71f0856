package registryapi

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	registry "github.com/millrace/millrace/schema-registry"
)

func TestEveryKindHasACode(t *testing.T) {
	seen := map[int]registry.Kind{}
	for k := registry.SubjectNotFound; k <= registry.NotReady; k++ {
		code := codes[k]
		if other, twice := seen[code]; code == 0 || twice && k != registry.ForwardFailed && k != registry.NotPrimary {
			t.Errorf("kind %d has code %d, which kind %d has too", k, code, other)
		}
		seen[code] = k
	}
	if len(codes) != int(registry.NotReady) {
		t.Errorf("%d codes for %d kinds", len(codes), registry.NotReady)
	}
}

func TestErrorReply(t *testing.T) {
	a := &api{log: slog.New(slog.DiscardHandler)}
	for _, tt := range []struct {
		err    error
		status int
	}{
		{registry.ErrInvalidMode, 422},
		{fmt.Errorf("wrapped: %w", registry.ErrInvalidMode), 422},
		{errNoRoute, 404}, {errNoMethod, 405}, {errNotAcceptable, 406}, {errMediaType, 415}, {errNoBody, 422},
		{context.Canceled, 500},
	} {
		status, body := a.errorReply(httptest.NewRequest("GET", "/", nil), tt.err)
		if status != tt.status || body.(errorBody).Message != tt.err.Error() {
			t.Errorf("%v: %d %v, want %d", tt.err, status, body, tt.status)
		}
	}
}

// Before its topic is read, a registry must not deny schemas that it may have.
func TestNotReady(t *testing.T) {
	reg, err := registry.New(registry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	routes := Routes(reg, slog.New(slog.DiscardHandler), Build{})
	err = chi.Walk(routes, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		path := strings.NewReplacer("{subject}", "s", "{version}", "1", "{id}", "1", "{guid}", "x").Replace(route)
		w := httptest.NewRecorder()
		routes.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader("{}")))
		want := http.StatusServiceUnavailable
		if route == "/" || route == "/openapi.json" || route == "/v1/metadata/version" {
			want = http.StatusOK
		}
		if w.Code != want {
			t.Errorf("%s %s: %d %.200s, want %d", method, route, w.Code, w.Body, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// With mode.mutability=false nobody changes modes.
func TestFixedModes(t *testing.T) {
	srv := startWith(t, registry.Config{FixedModes: true})
	for _, req := range []string{"PUT /mode", "DELETE /mode", "PUT /mode/s", "DELETE /mode/s"} {
		method, path, _ := strings.Cut(req, " ")
		if status, body := call(t, method, srv.URL+path, `{"mode":"READONLY"}`); status != 422 || !strings.Contains(body, "42205") {
			t.Errorf("%s: %d %s", req, status, body)
		}
	}
	status, body := call(t, "GET", srv.URL+"/v1/metadata/id", "")
	if status != 200 || !strings.Contains(body, `"schema-registry-cluster":"schema-registry"`) || strings.Contains(body, `"kafka-cluster":""`) {
		t.Errorf("GET /v1/metadata/id: %d %s", status, body)
	}
}
