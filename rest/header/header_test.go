package header

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

var teapot = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })

func TestCORS(t *testing.T) {
	for _, tt := range []struct {
		name                  string
		cors                  CORS
		method, origin, asked string
		code                  int
		allowed, methods      string
	}{
		{"off", CORS{}, "GET", "http://ui", "", 418, "", ""},
		{"no browser", CORS{Origins: []string{"*"}}, "GET", "", "", 418, "", ""},
		{"any", CORS{Origins: []string{"*"}}, "GET", "http://ui", "", 418, "http://ui", ""},
		{"named", CORS{Origins: []string{"http://other", "http://ui"}}, "PUT", "http://ui", "", 418, "http://ui", ""},
		{"not named", CORS{Origins: []string{"http://other"}}, "GET", "http://ui", "", 418, "", ""},
		{"question", CORS{Origins: []string{"*"}}, "OPTIONS", "http://ui", "POST", 204, "http://ui", "GET,POST,HEAD"},
		{"question about more", CORS{Origins: []string{"*"}}, "OPTIONS", "http://ui", "PUT", 204, "http://ui", ""},
		{"more is allowed", CORS{Origins: []string{"*"}, Methods: []string{"GET", "PUT"}}, "OPTIONS", "http://ui", "PUT", 204, "http://ui", "GET,PUT"},
		{"no question", CORS{Origins: []string{"*"}}, "OPTIONS", "http://ui", "", 418, "http://ui", ""},
	} {
		r := httptest.NewRequest(tt.method, "/connectors", nil)
		for name, value := range map[string]string{"Origin": tt.origin, "Access-Control-Request-Method": tt.asked} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		w := httptest.NewRecorder()
		tt.cors.Handler(teapot).ServeHTTP(w, r)
		if h := w.Header(); w.Code != tt.code || h.Get("Access-Control-Allow-Origin") != tt.allowed || h.Get("Access-Control-Allow-Methods") != tt.methods {
			t.Errorf("%s: HTTP %d, %v", tt.name, w.Code, h)
		}
	}
}

func TestRules(t *testing.T) {
	rules, err := ParseRules(`set X-One: 1, "add Cache-Control: no-cache, no-store",add X-Two:a, add X-Two: b, setDate Expires: 31536000000`)
	if err != nil || len(rules) != 5 {
		t.Fatalf("%v, %v", rules, err)
	}
	w := httptest.NewRecorder()
	Handler(teapot, rules).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	h := w.Header()
	if h.Get("X-One") != "1" || h.Get("Cache-Control") != "no-cache, no-store" || strings.Join(h["X-Two"], "|") != "a|b" {
		t.Errorf("headers are %v", h)
	}
	if at, err := http.ParseTime(h.Get("Expires")); err != nil || time.Until(at) < 364*24*time.Hour {
		t.Errorf("it expires at %v, %v", at, err)
	}
	for _, text := range []string{"", "  "} {
		if rules, err := ParseRules(text); err != nil || len(rules) != 0 {
			t.Errorf("%q: %v, %v", text, rules, err)
		}
	}
	for _, text := range []string{"add X", "X: 1", "drop X: 1", "set : 1", "setDate X: soon", `"set X: 1`, "set A B: 1"} {
		if _, err := ParseRules(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func FuzzParseRules(f *testing.F) {
	f.Add(`add X: 1, "set Y: a,b"`)
	f.Fuzz(func(t *testing.T, text string) {
		rules, err := ParseRules(text)
		if err != nil {
			return
		}
		Handler(teapot, rules).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	})
}
