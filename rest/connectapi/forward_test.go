package connectapi

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/millrace/millrace/connect/connector"
)

// follower is a worker that serves nothing itself.
type follower struct {
	fakeWorker
	leader string
	caught bool
}

func (f *follower) Create(context.Context, string, connector.Config, connector.TargetState) (connector.Info, error) {
	return connector.Info{}, &connector.Elsewhere{URL: f.leader}
}
func (f *follower) RestartTask(context.Context, connector.TaskID) error {
	return &connector.Elsewhere{URL: f.leader}
}
func (f *follower) CatchUp(context.Context) error {
	f.caught = true
	return nil
}

func serve(t *testing.T, w Worker) string {
	t.Helper()
	srv := httptest.NewServer(Routes(w, nil, slog.New(slog.DiscardHandler)))
	t.Cleanup(srv.Close)
	return srv.URL
}

func send(t *testing.T, method, url, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, strings.TrimSpace(string(raw))
}

func TestForwardRelaysTheAnswer(t *testing.T) {
	leader := &fakeWorker{}
	f := &follower{leader: serve(t, leader) + "/"}
	at := serve(t, f)
	resp, body := send(t, "POST", at+"/connectors", `{"name":"n","config":{"a":"1"}}`)
	if want := `{"name":"n","config":{"a":"1","name":"n"},"tasks":[],"type":"source"}`; resp.StatusCode != 201 || body != want {
		t.Errorf("HTTP %d %s, want 201 %s", resp.StatusCode, body, want)
	}
	if got, want := resp.Header.Get("Location"), at+"/connectors/n"; got != want {
		t.Errorf("Location %q, want %q: the client knows this worker", got, want)
	}
	if !leader.created.Equal(connector.Config{"a": "1", "name": "n"}) || !f.caught {
		t.Errorf("leader created %v, follower caught up: %v", leader.created, f.caught)
	}
	resp, body = send(t, "POST", at+"/connectors", `{"name":"exists","config":{}}`)
	if want := `{"error_code":409,"message":"Connector exists already exists"}`; resp.StatusCode != 409 || body != want {
		t.Errorf("HTTP %d %s, want 409 %s", resp.StatusCode, body, want)
	}
	if resp, body = send(t, "POST", at+"/connectors/a%2Fb/tasks/1/restart", ""); resp.StatusCode != 204 || body != "" || leader.path != "a/b" {
		t.Errorf("HTTP %d %q, asked for %q", resp.StatusCode, body, leader.path)
	}
}

// A request goes over two workers at most, whatever they believe of each
// other.
func TestForwardNeverLoops(t *testing.T) {
	var seen []string
	var a, b follower
	count := func(w Worker) http.Handler {
		h := Routes(w, nil, slog.New(slog.DiscardHandler))
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			seen = append(seen, r.URL.Query().Get("forward"))
			h.ServeHTTP(w, r)
		})
	}
	sa, sb := httptest.NewServer(count(&a)), httptest.NewServer(count(&b))
	defer sa.Close()
	defer sb.Close()
	a.leader, b.leader = sb.URL, sa.URL
	resp, body := send(t, "POST", sa.URL+"/connectors/c/tasks/0/restart?x=1", "")
	want := `{"error_code":409,"message":"Cannot complete request because of a conflicting operation (e.g. worker rebalance)"}`
	if resp.StatusCode != 409 || body != want {
		t.Errorf("HTTP %d %s, want 409 %s", resp.StatusCode, body, want)
	}
	if got := strings.Join(seen, ","); got != ",true,false" {
		t.Errorf("hops carried forward=%q, want none, true, false", got)
	}
}

func TestForwardRefusals(t *testing.T) {
	text := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadGateway)
		_, _ = io.WriteString(w, "<html>")
	}))
	defer text.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for _, tt := range []struct {
		name, leader string
		code         int
		want         string
	}{
		{"no leader", "", 409, "Cannot complete request momentarily due to no known leader URL, likely because a rebalance was underway."},
		{"not JSON", text.URL, 500, "IO Error trying to forward REST request: HTTP 502 with a body that is not JSON"},
		{"nobody there", gone.URL, 500, "IO Error trying to forward REST request: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp, body := send(t, "POST", serve(t, &follower{leader: tt.leader})+"/connectors", `{"name":"n","config":{}}`)
			if resp.StatusCode != tt.code || !strings.Contains(body, tt.want) {
				t.Errorf("HTTP %d %s, want %d with %q", resp.StatusCode, body, tt.code, tt.want)
			}
		})
	}
}

// Of the headers only Authorization goes along.
func TestForwardPassesAuthorizationOn(t *testing.T) {
	var got http.Header
	leader := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		w.WriteHeader(http.StatusNoContent)
	}))
	defer leader.Close()
	send(t, "POST", serve(t, &follower{leader: leader.URL})+"/connectors/c/tasks/0/restart", "", "Authorization", "Basic eDp5", "X-Other", "1")
	if got.Get("Authorization") != "Basic eDp5" || got.Get("X-Other") != "" || got.Get("User-Agent") != "kafka-connect" {
		t.Errorf("leader saw headers %v", got)
	}
}

func TestInternalRequestsKeepTheirBytes(t *testing.T) {
	w := &fakeWorker{}
	at := serve(t, w)
	body := `[ {"b":"1", "a":"2"} ]`
	resp, text := send(t, "POST", at+"/connectors/c/tasks", body, "X-Connect-Authorization", "c2ln", "X-Connect-Request-Signature-Algorithm", "HmacSHA256")
	if resp.StatusCode != 204 || string(w.signed.Body) != body || w.signed.Signature != "c2ln" || w.signed.Algorithm != "HmacSHA256" {
		t.Errorf("HTTP %d %s, worker saw %+v", resp.StatusCode, text, w.signed)
	}
	if !w.created.Equal(connector.Config{"a": "2", "b": "1"}) {
		t.Errorf("tasks %v", w.created)
	}
	if resp, text = send(t, "PUT", at+"/connectors/c/fence", ""); resp.StatusCode != 204 || len(w.signed.Body) != 0 {
		t.Errorf("fence: HTTP %d %s", resp.StatusCode, text)
	}
}

func TestMediaTypes(t *testing.T) {
	at := serve(t, &fakeWorker{})
	for _, tt := range []struct {
		method, path, body, contentType, accept string
		code                                    int
	}{
		{"POST", "/connectors", `{"name":"n","config":{}}`, "application/json; charset=utf-8", "", 201},
		{"POST", "/connectors", `{"name":"n","config":{}}`, "", "", 201},
		{"POST", "/connectors", `{"name":"n","config":{}}`, "application/x-www-form-urlencoded", "", 415},
		{"PUT", "/connectors/a/pause", "", "", "", 202},
		{"GET", "/connectors", "", "", "text/html, */*;q=0.8", 200},
		{"GET", "/connectors", "", "", "application/json", 200},
		{"GET", "/connectors", "", "", "text/plain", 406},
	} {
		headers := []string{}
		if tt.contentType != "" {
			headers = append(headers, "Content-Type", tt.contentType)
		}
		if tt.accept != "" {
			headers = append(headers, "Accept", tt.accept)
		}
		if resp, body := send(t, tt.method, at+tt.path, tt.body, headers...); resp.StatusCode != tt.code {
			t.Errorf("%s %s as %q, accepting %q: HTTP %d %s, want %d", tt.method, tt.path, tt.contentType, tt.accept, resp.StatusCode, body, tt.code)
		}
	}
}
