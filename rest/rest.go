// Package rest runs Millrace's HTTP servers: it mounts the APIs on their
// listeners, logs requests and stops gracefully.
package rest

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/millrace/millrace/rest/front"
)

// Timeouts of a server. A request may take as long as Kafka Connect lets it,
// 90 seconds, and then a little for its answer.
const (
	requestTimeout = 90 * time.Second
	headerTimeout  = 10 * time.Second
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 64 << 10
	graceTimeout   = 10 * time.Second
)

// Config is what a server is made of.
type Config struct {
	Listener net.Listener
	// API answers every path that Health and Metrics do not.
	API    http.Handler
	Health Health
	// Known, if it is not nil, answers what can be answered before routing and
	// logging. It is left out when every request is logged.
	Known front.Answer
	// Metrics serves /metrics if it is not nil.
	Metrics http.Handler
	Logger  *slog.Logger
}

// Serve answers requests until ctx ends, then lets those under way finish for
// a while, and returns.
func Serve(ctx context.Context, cfg Config) error {
	listener := cfg.Listener
	if cfg.Logger.Enabled(ctx, slog.LevelDebug) { // every request is to be in the log
		cfg.Known = nil
	}
	if cfg.Known != nil {
		listener = front.Listen(listener, cfg.Known, front.Timeouts{Header: headerTimeout, Idle: idleTimeout, Write: graceTimeout})
	}
	srv := &http.Server{
		Handler:           handler(cfg),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      requestTimeout + headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	gctx, stop := context.WithTimeout(context.WithoutCancel(ctx), graceTimeout)
	defer stop()
	err := srv.Shutdown(gctx)
	if errors.Is(err, context.DeadlineExceeded) {
		cfg.Logger.Warn("requests cut off at shutdown")
		err = srv.Close()
	}
	<-failed
	return err
}

// handler is the routes, behind what answers without them.
func handler(cfg Config) http.Handler {
	if cfg.Known == nil {
		return routes(cfg)
	}
	return front.Handler(cfg.Known, routes(cfg))
}

func routes(cfg Config) http.Handler {
	r := chi.NewRouter()
	r.Use(logged(cfg.Logger), deadline)
	cfg.Health.mount(r)
	if cfg.Metrics != nil {
		r.Method(http.MethodGet, "/metrics", cfg.Metrics)
	}
	r.Mount("/", cfg.API)
	return r
}

// deadline gives every request's context an end.
func deadline(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, stop := context.WithTimeoutCause(r.Context(), requestTimeout, errRequestTimeout)
		defer stop()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

var errRequestTimeout = errors.New("the request took longer than 90 seconds")

// logged writes a line for each request at level debug, without its query,
// which may hold what is not for logs.
func logged(log *slog.Logger) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
			began := time.Now()
			next.ServeHTTP(ww, r)
			log.Debug("request", "method", r.Method, "path", r.URL.Path, "status", ww.Status(), "bytes", ww.BytesWritten(), "took", time.Since(began))
		})
	}
}
