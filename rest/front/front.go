// Package front answers the requests that a server gets most of on the
// connection itself, and leaves everything else to net/http. What net/http does
// for every request, a goroutine that watches for the client's end among it,
// costs more than such an answer.
package front

import (
	"net/http"
)

// Answer returns the answer to GET path, asked without a query, and its
// Content-Type. accept is the Accept header, "" if there is none. A nil body
// means that the request is for others, which is what any doubt leads to. It is
// called from many goroutines; none of them changes the body.
type Answer func(path, accept string) (contentType string, body []byte)

// Handler answers what answer knows, with status 200, and passes the rest on.
func Handler(answer Answer, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		accept, given := r.Header["Accept"]
		if !given {
			accept = []string{""}
		}
		if r.Method != http.MethodGet || r.URL.RawQuery != "" || len(accept) != 1 || given && accept[0] == "" {
			next.ServeHTTP(w, r)
			return
		}
		contentType, body := answer(r.URL.Path, accept[0])
		if body == nil {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(body) // the client has gone otherwise; nobody is left to tell
	})
}
