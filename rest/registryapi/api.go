// Package registryapi serves Confluent's Schema Registry REST API over a
// registry.
package registryapi

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/millrace/millrace/rest/reply"
	registry "github.com/millrace/millrace/schema-registry"
)

type api struct {
	reg   *registry.Registry
	log   *slog.Logger
	build Build
}

// Build says which program serves the API.
type Build struct{ Version, Commit string }

// Routes is the API's whole surface: the router serves it and tests hold the
// documentation against it. Until the registry is ready, everything but / is
// answered with 503.
func Routes(reg *registry.Registry, log *slog.Logger, build Build) chi.Router {
	a := &api{reg: reg, log: log, build: build}
	r := chi.NewRouter()
	r.Use(middleware.StripSlashes, inContext)
	r.NotFound(a.handle(func(*http.Request) (any, error) { return nil, errNoRoute }))
	r.MethodNotAllowed(a.handle(func(*http.Request) (any, error) { return nil, errNoMethod }))
	r.Get("/", a.handle(root))
	r.Post("/", a.handle(root))
	a.subjects(r)
	a.schemas(r)
	r.Post("/compatibility/subjects/{subject}/versions", a.on(a.compatibleWithAll))
	r.Post("/compatibility/subjects/{subject}/versions/{version}", a.on(a.compatible))
	r.Get("/config", a.on(a.globalConfig))
	r.Put("/config", a.write(a.putGlobalConfig))
	r.Delete("/config", a.write(a.deleteGlobalConfig))
	r.Get("/config/{subject}", a.on(a.config))
	r.Put("/config/{subject}", a.write(a.putConfig))
	r.Delete("/config/{subject}", a.write(a.deleteConfig))
	r.Get("/mode", a.on(a.globalMode))
	r.Put("/mode", a.write(a.putGlobalMode))
	r.Delete("/mode", a.write(a.deleteGlobalMode))
	r.Get("/mode/{subject}", a.on(a.mode))
	r.Put("/mode/{subject}", a.write(a.putMode))
	r.Delete("/mode/{subject}", a.write(a.deleteMode))
	r.Get("/contexts", a.on(a.contexts))
	r.Delete("/contexts/{context}", a.write(a.deleteContext))
	r.Get("/v1/metadata/id", a.on(a.clusterID))
	r.Get("/v1/metadata/version", a.handle(a.version1))
	r.Get("/openapi.json", a.handle(openAPI))
	return r
}

func (a *api) subjects(r chi.Router) {
	r.Get("/subjects", a.on(a.listSubjects))
	r.Post("/subjects/{subject}", a.on(a.lookup))
	r.Delete("/subjects/{subject}", a.write(a.deleteSubject))
	r.Get("/subjects/{subject}/metadata", a.on(a.latestWithMetadata))
	r.Get("/subjects/{subject}/versions", a.on(a.listVersions))
	r.Post("/subjects/{subject}/versions", a.write(a.register))
	r.Get("/subjects/{subject}/versions/{version}", a.on(a.version))
	r.Delete("/subjects/{subject}/versions/{version}", a.write(a.deleteVersion))
	r.Get("/subjects/{subject}/versions/{version}/schema", a.text(a.versionText))
	r.Get("/subjects/{subject}/versions/{version}/referencedby", a.on(a.referencedBy))
	r.Post("/subjects/{subject}/versions/{version}/tags", a.write(a.retag))
}

func (a *api) schemas(r chi.Router) {
	r.Get("/schemas", a.on(a.listSchemas))
	r.Get("/schemas/types", a.on(a.types))
	r.Get("/schemas/ids/{id}", a.fixed(a.byID))
	r.Get("/schemas/ids/{id}/schema", a.text(a.idText))
	r.Get("/schemas/ids/{id}/subjects", a.on(a.idSubjects))
	r.Get("/schemas/ids/{id}/versions", a.on(a.idVersions))
	r.Get("/schemas/guids/{guid}", a.fixed(a.byGUID))
	r.Get("/schemas/guids/{guid}/ids", a.on(a.guidIDs))
}

func root(*http.Request) (any, error) { return struct{}{}, nil }

// handle is for what works before the registry does.
func (a *api) handle(h reply.Func) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		contentType, err := negotiate(r)
		serve := h
		if err != nil {
			contentType, serve = mediaV1, func(*http.Request) (any, error) { return nil, err }
		}
		reply.Handler(contentType, a.errorReply, serve)(w, r)
	}
}

// on is handle for what reads what may change: all that was acknowledged by any
// registry before is seen.
func (a *api) on(h reply.Func) http.HandlerFunc {
	return a.handle(func(r *http.Request) (any, error) {
		if err := a.reg.Ready(); err != nil {
			return nil, err
		}
		a.reg.Fresh(r.Context())
		return h(r)
	})
}

// fixed is handle for what reads what cannot change once it is there. Only what
// is not there is looked for once more.
func (a *api) fixed(h reply.Func) http.HandlerFunc {
	return a.handle(func(r *http.Request) (any, error) {
		if err := a.reg.Ready(); err != nil {
			return nil, err
		}
		v, err := h(r)
		var refusal *registry.Error
		if errors.As(err, &refusal) && refusal.Kind == registry.SchemaNotFound {
			a.reg.Fresh(r.Context())
			return h(r)
		}
		return v, err
	})
}

// text answers with a schema's text as it is, which need not be JSON.
func (a *api) text(h func(*http.Request) (string, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var text string
		a.on(func(r *http.Request) (any, error) {
			var err error
			text, err = h(r)
			return nil, err
		})(&textWriter{ResponseWriter: w, text: &text}, r)
	}
}

// textWriter puts a text in place of "no content".
type textWriter struct {
	http.ResponseWriter
	text *string
}

// WriteHeader writes the text after the header if all went well.
func (w *textWriter) WriteHeader(status int) {
	if status != http.StatusNoContent {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", mediaV1)
	w.ResponseWriter.WriteHeader(http.StatusOK)
	_, _ = w.ResponseWriter.Write([]byte(*w.text)) // the client has gone; nobody is left to tell
}

// param returns a path parameter. chi matches on the escaped path when there
// is one, so a name with a slash or a percent sign arrives escaped.
func param(r *http.Request, key string) (string, error) {
	v := chi.URLParam(r, key)
	if r.URL.RawPath == "" {
		return v, nil
	}
	name, err := url.PathUnescape(v)
	if err != nil {
		return "", errNoRoute
	}
	return name, nil
}

// subject returns the subject that a path means: the one named, or the one that
// it is an alias of.
func (a *api) subject(r *http.Request) (string, error) {
	name, err := param(r, "subject")
	return a.reg.Alias(name), err
}

// queried is subject for the query's parameter, "" without.
func (a *api) queried(r *http.Request) string {
	name := r.URL.Query().Get("subject")
	if name == "" {
		return ""
	}
	return a.reg.Alias(name)
}

// subjectVersion returns the two path parameters.
func (a *api) subjectVersion(r *http.Request) (string, int, error) {
	subject, err := a.subject(r)
	if err != nil {
		return "", 0, err
	}
	text, err := param(r, "version")
	if err != nil {
		return "", 0, err
	}
	v, err := registry.ParseVersion(text)
	return subject, v, err
}

// idParam returns an id. What is no number is no path of the API.
func idParam(r *http.Request) (int, error) {
	id, err := strconv.ParseInt(chi.URLParam(r, "id"), 10, 32)
	if err != nil {
		return 0, errNoRoute
	}
	return int(id), nil
}

// flag reads a boolean query parameter; anything but "true" is false.
func flag(r *http.Request, key string) bool {
	return strings.EqualFold(r.URL.Query().Get(key), "true")
}

// page cuts a list by the parameters offset and limit. most is the limit that
// holds when none, or a greater one, is given; 0 for no limit.
func page[T any](r *http.Request, all []T, most int) []T {
	offset, limit := number(r, "offset"), number(r, "limit")
	if limit <= 0 || most > 0 && limit > most {
		limit = most
	}
	all = all[min(max(offset, 0), len(all)):]
	if limit > 0 {
		all = all[:min(limit, len(all))]
	}
	if all == nil {
		return []T{}
	}
	return all
}

func number(r *http.Request, key string) int {
	n, err := strconv.ParseInt(r.URL.Query().Get(key), 10, 32)
	if err != nil {
		return 0
	}
	return int(n)
}

var (
	errNoRoute       = errors.New("HTTP 404 Not Found")
	errNoMethod      = errors.New("HTTP 405 Method Not Allowed")
	errNotAcceptable = errors.New("HTTP 406 Not Acceptable")
	errMediaType     = errors.New("HTTP 415 Unsupported Media Type")
	errNoBody        = errors.New("the request body is null; a JSON object is expected")
)
