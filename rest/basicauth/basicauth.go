// Package basicauth lets only known users use an API (RFC 7617).
package basicauth

import (
	"net/http"
	"strings"

	"github.com/millrace/millrace/rest/reply"
)

// refusal is the body of an answer to somebody who is not let in. Differs from
// Kafka Connect, whose answer is no JSON and has no challenge.
type refusal struct {
	Code    int    `json:"error_code"`
	Message string `json:"message"`
}

// Handler passes on the requests of those whom allows lets in. Requests of
// workers to each other, which are signed, pass as well, as in Kafka Connect.
func Handler(next http.Handler, allows func(name, password string) bool) http.Handler {
	refuse := reply.Handler("application/json", nil, func(*http.Request) (any, error) {
		return reply.Response{
			Status: http.StatusUnauthorized, Headers: map[string]string{"WWW-Authenticate": `Basic realm="Kafka Connect", charset="UTF-8"`},
			Body: refusal{http.StatusUnauthorized, "User cannot access the resource."},
		}, nil
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, password, ok := r.BasicAuth()
		if internal(r) || ok && allows(name, password) {
			next.ServeHTTP(w, r)
			return
		}
		refuse(w, r)
	})
}

// internal reports whether a request is one of those that workers sign: POST
// /connectors/NAME/tasks and PUT /connectors/NAME/fence.
func internal(r *http.Request) bool {
	part := strings.Split(strings.Trim(r.URL.EscapedPath(), "/"), "/")
	if len(part) != 3 || part[0] != "connectors" {
		return false
	}
	return r.Method == http.MethodPost && part[2] == "tasks" || r.Method == http.MethodPut && part[2] == "fence"
}
