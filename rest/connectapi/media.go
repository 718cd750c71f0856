package connectapi

import (
	"mime"
	"net/http"
	"strings"
)

// media refuses bodies that are not JSON and clients that do not take JSON, as
// Kafka Connect does. Differs from Kafka: a body without a Content-Type is
// taken for JSON.
func (a *api) media(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.ContentLength != 0 && !isJSON(r.Header.Get("Content-Type")):
			a.handle(func(*http.Request) (any, error) { return nil, errMedia })(w, r)
		case !takesJSON(r.Header.Values("Accept")):
			a.handle(func(*http.Request) (any, error) { return nil, errAccept })(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func isJSON(contentType string) bool {
	if contentType == "" {
		return true
	}
	t, _, err := mime.ParseMediaType(contentType)
	return err == nil && t == "application/json"
}

// takesJSON reports whether an Accept header admits JSON. None admits all.
func takesJSON(accept []string) bool {
	given := false
	for _, h := range accept {
		for part := range strings.SplitSeq(h, ",") {
			given = true
			switch t, _, _ := strings.Cut(strings.TrimSpace(part), ";"); strings.ToLower(t) {
			case "application/json", "application/*", "*/*":
				return true
			}
		}
	}
	return !given
}
