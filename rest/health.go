package rest

import (
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/millrace/millrace/rest/reply"
)

// Health tells how a node is. Its functions are called for each request and
// must not block.
type Health struct {
	// Ready reports whether the node serves all of its roles.
	Ready func() bool
	// Fault returns why the node cannot go on, nil while it can.
	Fault func() error
}

// health is the answer of GET /health (KIP-1017).
type health struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

// mount adds GET /health, with Kafka Connect's body, and /healthz and /readyz
// for probes that look at the status only. /healthz is about being alive: it
// fails only for a fault that a restart may mend.
func (h Health) mount(r chi.Router) {
	handle := func(f reply.Func) http.HandlerFunc { return reply.Handler("application/json", nil, f) }
	r.Get("/health", handle(func(*http.Request) (any, error) { return h.state(), nil }))
	r.Get("/readyz", handle(func(*http.Request) (any, error) { return h.state(), nil }))
	r.Get("/healthz", handle(func(*http.Request) (any, error) {
		s := h.state()
		if s.Status == http.StatusServiceUnavailable {
			s.Status = http.StatusOK
		}
		return s, nil
	}))
}

func (h Health) state() reply.Response {
	if err := h.Fault(); err != nil {
		return reply.Response{Status: http.StatusInternalServerError, Body: health{"unhealthy", err.Error()}}
	}
	if !h.Ready() {
		return reply.Response{Status: http.StatusServiceUnavailable, Body: health{"starting", "Worker is still starting up."}}
	}
	return reply.Response{Status: http.StatusOK, Body: health{"healthy", "Worker has completed startup and is ready to handle requests."}}
}
