package basicauth

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHandler(t *testing.T) {
	h := Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }),
		func(name, password string) bool { return name == "alice" && password == "secret" })
	for _, tt := range []struct {
		method, path, name, password string
		want                         int
	}{
		{"GET", "/connectors", "alice", "secret", http.StatusTeapot},
		{"GET", "/connectors", "alice", "wrong", http.StatusUnauthorized},
		{"GET", "/connectors", "", "", http.StatusUnauthorized},
		{"GET", "/", "", "", http.StatusUnauthorized},
		{"POST", "/connectors/c/tasks", "", "", http.StatusTeapot},
		{"PUT", "/connectors/c/fence", "", "", http.StatusTeapot},
		{"PUT", "/connectors/a%2Fb/fence/", "", "", http.StatusTeapot},
		{"GET", "/connectors/c/tasks", "", "", http.StatusUnauthorized},
		{"POST", "/connectors/tasks", "", "", http.StatusUnauthorized},
		{"POST", "/connectors/c/restart/tasks", "", "", http.StatusUnauthorized},
		{"PUT", "/connectors/c/config", "", "", http.StatusUnauthorized},
	} {
		r := httptest.NewRequest(tt.method, tt.path, nil)
		if tt.name != "" {
			r.SetBasicAuth(tt.name, tt.password)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != tt.want {
			t.Errorf("%s %s as %q: HTTP %d, want %d", tt.method, tt.path, tt.name, w.Code, tt.want)
		}
		if w.Code == http.StatusUnauthorized && (!strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Basic ") || !strings.Contains(w.Body.String(), "User cannot access the resource.")) {
			t.Errorf("%s %s: refused with %v %s", tt.method, tt.path, w.Header(), w.Body)
		}
	}
}
