package registryapi

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"
)

// inContext turns /contexts/NAME/... into the path without, with the context
// put before the subject or, where the path has none, into the query.
func inContext(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rest, ok := strings.CutPrefix(r.URL.EscapedPath(), "/contexts/")
		escaped, path, deeper := strings.Cut(rest, "/")
		name, err := url.PathUnescape(escaped)
		switch {
		case !ok || !deeper || err != nil:
			next.ServeHTTP(w, r)
		case strings.Contains(name, ":"):
			badContext(w)
		default:
			next.ServeHTTP(w, rewritten(r, ":."+strings.TrimPrefix(name, ".")+":", path))
		}
	})
}

func badContext(w http.ResponseWriter) {
	w.Header().Set("Content-Type", mediaV1)
	w.WriteHeader(http.StatusBadRequest)
	_, _ = w.Write([]byte(`{"error_code":400,"message":"a context's name has no colon"}` + "\n")) // the client has gone otherwise
}

// rewritten returns the request for the escaped path as it is meant in a
// context.
func rewritten(r *http.Request, prefix, path string) *http.Request {
	r = r.Clone(r.Context())
	query := r.URL.Query()
	parts := strings.Split(path, "/")
	qualify := func(i int) {
		if !strings.HasPrefix(parts[i], ":.") && !strings.HasPrefix(parts[i], "%3A.") {
			parts[i] = prefix + parts[i]
		}
	}
	subject := slices.Index(parts, "subjects") + 1
	switch {
	case parts[0] == "config" || parts[0] == "mode":
		if len(parts) == 1 {
			parts = append(parts, "")
		}
		qualify(1)
	case parts[0] == "schemas" && len(parts) > 1:
		query.Set("subject", qualified(prefix, query.Get("subject")))
	case path == "schemas" || path == "subjects":
		query.Set("subjectPrefix", qualified(prefix, query.Get("subjectPrefix")))
	case subject > 0 && subject < len(parts):
		qualify(subject)
	}
	r.URL.RawPath = "/" + strings.Join(parts, "/")
	if plain, err := url.PathUnescape(r.URL.RawPath); err == nil {
		r.URL.Path = plain
	}
	r.URL.RawQuery = query.Encode()
	chi.RouteContext(r.Context()).RoutePath = r.URL.RawPath
	return r
}

func qualified(prefix, subject string) string {
	if strings.HasPrefix(subject, ":.") {
		return subject
	}
	return prefix + subject
}
