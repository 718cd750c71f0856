package registryapi

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/sr"
)

const personText = `{"type":"record","name":"Person","fields":[{"name":"name","type":"string"}]}`

// TestFranzGoClient drives the API with a client that knows Confluent's.
func TestFranzGoClient(t *testing.T) {
	cl, err := sr.NewClient(sr.URLs(startServer(t).URL))
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	ss, err := cl.CreateSchema(ctx, "people/é %-value", sr.Schema{Schema: personText})
	if err != nil || ss.ID != 1 || ss.Version != 1 || ss.Subject != "people/é %-value" {
		t.Fatalf("CreateSchema: %+v, %v", ss, err)
	}
	const wider = `{"type":"record","name":"Person","fields":[{"name":"name","type":"string"},{"name":"age","type":"int"}]}`
	if _, err := cl.CreateSchema(ctx, ss.Subject, sr.Schema{Schema: wider}); !isCode(err, 40901) {
		t.Errorf("incompatible schema: %v, want 40901", err)
	}
	if check, err := cl.CheckCompatibility(sr.WithParams(ctx, sr.Verbose), ss.Subject, -1, sr.Schema{Schema: wider}); err != nil || check.Is || len(check.Messages) == 0 {
		t.Errorf("CheckCompatibility: %+v, %v", check, err)
	}
	if set := cl.SetCompatibility(ctx, sr.SetCompatibility{Level: sr.CompatNone}, ss.Subject); set[0].Err != nil || set[0].Level != sr.CompatNone {
		t.Errorf("SetCompatibility: %+v", set)
	}
	if got := cl.Compatibility(ctx, ss.Subject); got[0].Err != nil || got[0].Level != sr.CompatNone {
		t.Errorf("Compatibility: %+v", got)
	}
	if second, err := cl.CreateSchema(ctx, ss.Subject, sr.Schema{Schema: wider}); err != nil || second.ID != 2 || second.Version != 2 {
		t.Errorf("second version: %+v, %v", second, err)
	}
	if found, err := cl.LookupSchema(ctx, ss.Subject, sr.Schema{Schema: personText}); err != nil || found.Version != 1 {
		t.Errorf("LookupSchema: %+v, %v", found, err)
	}
	if s, err := cl.SchemaByID(ctx, 2); err != nil || s.Schema != wider || s.Type != sr.TypeAvro {
		t.Errorf("SchemaByID: %+v, %v", s, err)
	}
	if text, err := cl.SchemaTextByID(ctx, 1); err != nil || text != personText {
		t.Errorf("SchemaTextByID: %s, %v", text, err)
	}
	if got, err := cl.Subjects(ctx); err != nil || !slices.Equal(got, []string{ss.Subject}) {
		t.Errorf("Subjects: %q, %v", got, err)
	}
	if all, err := cl.AllSchemas(ctx); err != nil || len(all) != 2 {
		t.Errorf("AllSchemas: %+v, %v", all, err)
	}
	if m := cl.SetMode(ctx, sr.ModeReadOnly, ss.Subject); m[0].Err != nil || m[0].Mode != sr.ModeReadOnly {
		t.Errorf("SetMode: %+v", m)
	}
	if m := cl.ResetMode(ctx, ss.Subject); m[0].Err != nil || m[0].Mode != sr.ModeReadOnly {
		t.Errorf("ResetMode: %+v", m)
	}
	if gone, err := cl.DeleteSubject(ctx, ss.Subject, sr.SoftDelete); err != nil || !slices.Equal(gone, []int{1, 2}) {
		t.Errorf("DeleteSubject, softly: %v, %v", gone, err)
	}
	if gone, err := cl.DeleteSubject(ctx, ss.Subject, sr.HardDelete); err != nil || !slices.Equal(gone, []int{1, 2}) {
		t.Errorf("DeleteSubject: %v, %v", gone, err)
	}
	if _, err := cl.SchemaByID(ctx, 1); !isCode(err, 40403) {
		t.Errorf("SchemaByID of a deleted one: %v, want 40403", err)
	}
}

func isCode(err error, code int) bool {
	var e *sr.ResponseError
	return errors.As(err, &e) && e.ErrorCode == code
}

func TestContentTypes(t *testing.T) {
	srv := startServer(t)
	for _, tt := range []struct {
		name, contentType, accept string
		status                    int
		answer                    string
	}{
		{"none", "", "", 200, mediaV1},
		{"anything", mediaJSON, "*/*", 200, mediaV1},
		{"plain JSON", "application/json; charset=utf-8", "application/json", 200, mediaJSON},
		{"several", mediaAny, "application/vnd.schemaregistry.v1+json, application/vnd.schemaregistry+json, application/json", 200, mediaV1},
		{"weighed", "application/octet-stream", "application/vnd.schemaregistry.v1+json;q=0.1, application/json", 200, mediaJSON},
		{"not ours", "text/xml", "", 415, mediaV1},
		{"not what we have", mediaV1, "text/html", 406, mediaV1},
		{"JSON refused", mediaV1, "application/*, application/json;q=0", 200, mediaV1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), "POST", srv.URL+"/subjects/s/versions", strings.NewReader(`{"schema":"\"int\""}`))
			if err != nil {
				t.Fatal(err)
			}
			if tt.contentType != "" {
				req.Header.Set("Content-Type", tt.contentType)
			}
			if tt.accept != "" {
				req.Header.Set("Accept", tt.accept)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != tt.status || resp.Header.Get("Content-Type") != tt.answer {
				t.Errorf("%d %s, want %d %s", resp.StatusCode, resp.Header.Get("Content-Type"), tt.status, tt.answer)
			}
		})
	}
}

func TestTooLargeAndTooDeep(t *testing.T) {
	srv := startServer(t)
	post := func(schema string) (int, string) {
		return call(t, "POST", srv.URL+"/subjects/s/versions", `{"schema":`+strconv.Quote(schema)+`}`)
	}
	large := `{"type":"fixed","name":"F","size":1,"doc":"` + strings.Repeat("x", 1<<20) + `"}`
	if status, body := post(large); status != 422 || !strings.Contains(body, "42209") || len(body) > 500 {
		t.Errorf("large: %d %.200s", status, body)
	}
	deep := strings.Repeat(`{"type":"array","items":`, 300) + `"int"` + strings.Repeat("}", 300)
	if status, body := post(deep); status != 422 || !strings.Contains(body, "42201") || !strings.Contains(body, "offset") {
		t.Errorf("deep: %d %.200s", status, body)
	}
}

// BenchmarkByID is a client that reads one schema again and again over a
// connection that it keeps.
func BenchmarkByID(b *testing.B) {
	srv := startServer(b)
	call(b, "POST", srv.URL+"/subjects/s/versions", `{"schema":`+strconv.Quote(personText)+`}`)
	b.ReportAllocs()
	for b.Loop() {
		resp, err := http.Get(srv.URL + "/schemas/ids/1")
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			b.Fatal(err)
		}
		resp.Body.Close()
	}
}
