package registryapi

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/broker/brokertest"
	"github.com/millrace/millrace/rest/front"
	registry "github.com/millrace/millrace/schema-registry"
)

// What is answered at once is what would have been answered otherwise, at any
// time of a schema's life.
func TestKnownAnswersAreTheSame(t *testing.T) {
	c := brokertest.Start(t)
	reg := startRegistry(t, registry.Config{ClientOpts: []kgo.Opt{kgo.SeedBrokers(c.Addr())}})
	slow := Routes(reg, slog.New(slog.DiscardHandler), Build{})
	fast := front.Handler(Known(reg), slow)
	answer := func(h http.Handler, method, path, accept string) string {
		r := httptest.NewRequest(method, path, nil)
		if accept != "" {
			r.Header.Set("Accept", accept)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		body, _ := io.ReadAll(w.Body)
		return w.Result().Status + " " + w.Header().Get("Content-Type") + " " + string(body)
	}
	same := func(when string) {
		t.Helper()
		for _, path := range []string{"/schemas/ids/1", "/schemas/ids/1?subject=s", "/schemas/ids/9", "/schemas/ids/x", "/schemas/ids/1/schema", "/subjects"} {
			for _, accept := range []string{"", "*/*", mediaV1, mediaJSON, mediaV1 + ";q=0.1, " + mediaJSON, "text/html"} {
				for range 2 {
					if got, want := answer(fast, "GET", path, accept), answer(slow, "GET", path, accept); got != want {
						t.Errorf("%s: GET %s as %q: %s, want %s", when, path, accept, got, want)
					}
				}
			}
		}
		if got, want := answer(fast, "PUT", "/schemas/ids/1", ""), answer(slow, "PUT", "/schemas/ids/1", ""); got != want {
			t.Errorf("%s: PUT: %s, want %s", when, got, want)
		}
	}
	same("before")
	for _, subject := range []string{"s", "a"} {
		if _, err := reg.Register(t.Context(), subject, registry.Draft{Text: `"int"`}, registry.RegisterOptions{}); err != nil {
			t.Fatal(err)
		}
		same("registered as " + subject)
	}
	for _, subject := range []string{"a", "s"} {
		for _, permanent := range []bool{false, true} {
			if _, err := reg.DeleteSubject(t.Context(), subject, permanent); err != nil {
				t.Fatal(err)
			}
			same("deleted " + subject)
		}
	}
}
