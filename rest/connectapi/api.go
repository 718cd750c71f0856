// Package connectapi serves Kafka Connect's REST API over a Connect worker.
package connectapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/connect/signature"
	"github.com/millrace/millrace/rest/reply"
)

// Worker is what the API needs of a Connect worker. Methods are called from
// many goroutines at once. A *connector.Error is answered with the status of
// its fault, any other error with 500 and its text.
type Worker interface {
	ServerInfo(ctx context.Context) (connector.ServerInfo, error)
	Connectors(ctx context.Context) ([]string, error)
	Expand(ctx context.Context, status, info bool) (map[string]connector.Expanded, error)
	Create(ctx context.Context, name string, cfg connector.Config, initial connector.TargetState) (connector.Info, error)
	// Put creates or replaces, and says which.
	Put(ctx context.Context, name string, cfg connector.Config) (info connector.Info, created bool, err error)
	// Patch sets the keys of set and removes those of remove.
	Patch(ctx context.Context, name string, set connector.Config, remove []string) (connector.Info, error)
	Delete(ctx context.Context, name string) error
	Info(ctx context.Context, name string) (connector.Info, error)
	Status(ctx context.Context, name string) (connector.StateInfo, error)
	// Processes returns the figures of tasks' processes by the number of the
	// task: those here, or also those of other workers.
	Processes(ctx context.Context, name string, everywhere bool) (map[int]connector.Process, error)
	History(ctx context.Context, name string) (connector.History, error)
	// Preview tells what Put would change.
	Preview(ctx context.Context, name string, cfg connector.Config) (connector.Preview, error)
	TaskStatus(ctx context.Context, id connector.TaskID) (connector.TaskState, error)
	Tasks(ctx context.Context, name string) ([]connector.TaskInfo, error)
	Topics(ctx context.Context, name string) ([]string, error)
	Offsets(ctx context.Context, name string) (connector.Offsets, error)
	AlterOffsets(ctx context.Context, name string, entries []connector.OffsetEntry) (connector.Message, error)
	ResetOffsets(ctx context.Context, name string) (connector.Message, error)
	// Restart carries out a request without flags at once; any other it plans
	// and returns the plan.
	Restart(ctx context.Context, req connector.RestartRequest) (connector.StateInfo, error)
	RestartTask(ctx context.Context, id connector.TaskID) error
	SetTarget(ctx context.Context, name string, state connector.TargetState) error
	Plugins(ctx context.Context, connectorsOnly bool) ([]connector.PluginInfo, error)
	// PluginConfig describes the newest version that the requirement allows.
	PluginConfig(ctx context.Context, plugin, version string) (any, error)
	// Validate answers with Kafka Connect's ConfigInfos.
	Validate(ctx context.Context, plugin string, cfg connector.Config) (any, error)
	// TryTransforms runs a connector's transforms over samples.
	TryTransforms(ctx context.Context, r connector.TrialRequest) ([]connector.TrialRecord, error)
	// ResetTopics forgets the topics that a connector has touched.
	ResetTopics(ctx context.Context, name string) error
	// Loggers answers with the levels of this worker's loggers by name, Logger
	// with one of them.
	Loggers(ctx context.Context) (any, error)
	Logger(ctx context.Context, name string) (any, error)
	// SetLogger sets the level of all loggers whose name begins so, on this
	// worker, and returns their names, or on all workers of the cluster.
	SetLogger(ctx context.Context, namespace, level string, cluster bool) ([]string, error)
	// StoreTasks and ServeFence are what workers ask of their leader. They
	// check the signature.
	StoreTasks(ctx context.Context, name string, tasks []connector.Config, r signature.Request) error
	ServeFence(ctx context.Context, name string, r signature.Request) error
	// CatchUp waits until the worker has read all that is in the config topic.
	CatchUp(ctx context.Context) error
}

type api struct {
	worker Worker
	client *http.Client // reaches other workers
	log    *slog.Logger
}

// Routes is the API's whole surface: the router serves it and tests hold the
// documentation against it. others reaches other workers, nil by plain HTTP.
func Routes(w Worker, others http.RoundTripper, log *slog.Logger) chi.Router {
	a := &api{worker: w, client: newForwardClient(others), log: log}
	r := chi.NewRouter()
	r.Use(middleware.StripSlashes) // /connectors/ is /connectors
	r.Use(a.media)
	r.NotFound(a.handle(func(*http.Request) (any, error) { return nil, errNoRoute }))
	r.MethodNotAllowed(a.handle(func(*http.Request) (any, error) { return nil, errNoMethod }))
	r.Get("/", a.handle(a.server))
	r.Get("/connectors", a.handle(a.list))
	r.Post("/connectors", a.anywhere(a.create))
	r.Get("/connectors/{connector}", a.handle(a.info))
	r.Delete("/connectors/{connector}", a.anywhere(a.delete))
	r.Get("/connectors/{connector}/config", a.handle(a.config))
	r.Put("/connectors/{connector}/config", a.anywhere(a.putConfig))
	r.Patch("/connectors/{connector}/config", a.anywhere(a.patchConfig))
	r.Get("/connectors/{connector}/status", a.handle(a.status))
	r.Get("/connectors/{connector}/history", a.handle(a.history))
	r.Get("/connectors/{connector}/tasks", a.handle(a.tasks))
	r.Post("/connectors/{connector}/tasks", a.handle(a.putTasks))
	r.Put("/connectors/{connector}/fence", a.handle(a.fence))
	r.Get("/connectors/{connector}/tasks/{task}/status", a.handle(a.taskStatus))
	r.Post("/connectors/{connector}/tasks/{task}/restart", a.anywhere(a.restartTask))
	r.Post("/connectors/{connector}/restart", a.anywhere(a.restart))
	r.Put("/connectors/{connector}/pause", a.handle(a.target(connector.TargetPaused, http.StatusAccepted)))
	r.Put("/connectors/{connector}/resume", a.handle(a.target(connector.TargetStarted, http.StatusAccepted)))
	r.Put("/connectors/{connector}/stop", a.anywhere(a.target(connector.TargetStopped, http.StatusNoContent)))
	r.Get("/connectors/{connector}/topics", a.handle(a.topics))
	r.Put("/connectors/{connector}/topics/reset", a.handle(a.resetTopics))
	r.Get("/connectors/{connector}/offsets", a.handle(a.offsets))
	r.Patch("/connectors/{connector}/offsets", a.anywhere(a.alterOffsets))
	r.Delete("/connectors/{connector}/offsets", a.anywhere(a.resetOffsets))
	r.Get("/connector-plugins", a.handle(a.plugins))
	r.Get("/connector-plugins/{plugin}/config", a.handle(a.pluginConfig))
	r.Put("/connector-plugins/{plugin}/config/validate", a.handle(a.validate))
	r.Post("/transforms/try", a.handle(a.tryTransforms))
	r.Get("/admin/loggers", a.handle(a.loggers))
	r.Get("/admin/loggers/{logger}", a.handle(a.logger))
	r.Put("/admin/loggers/{logger}", a.handle(a.setLogger))
	r.Get("/openapi.json", a.handle(a.openAPI))
	return r
}

func (a *api) handle(h reply.Func) http.HandlerFunc {
	return reply.Handler("application/json", a.errorReply, h)
}

var (
	errNoRoute  = errors.New("HTTP 404 Not Found")
	errNoMethod = errors.New("HTTP 405 Method Not Allowed")
	errAccept   = errors.New("HTTP 406 Not Acceptable")
	errMedia    = errors.New("HTTP 415 Unsupported Media Type")
)

var statuses = map[connector.Fault]int{
	connector.BadRequest:  http.StatusBadRequest,
	connector.NotFound:    http.StatusNotFound,
	connector.Conflict:    http.StatusConflict,
	connector.Unavailable: http.StatusServiceUnavailable,
	connector.Forbidden:   http.StatusForbidden,
}

// errorBody is the JSON of every error that Kafka Connect's API answers.
type errorBody struct {
	Code    int    `json:"error_code"`
	Message string `json:"message"`
}

// errorReply is the one table from errors to answers. Differs from Kafka:
// malformed JSON is 400, not 500.
func (a *api) errorReply(r *http.Request, err error) (int, any) {
	status := http.StatusInternalServerError
	var refusal *connector.Error
	var body *reply.BodyError
	var elsewhere *connector.Elsewhere
	switch {
	case errors.As(err, &refusal):
		status = statuses[refusal.Fault]
	case errors.As(err, &body):
		status = http.StatusBadRequest
	case errors.Is(err, errNoRoute):
		status = http.StatusNotFound
	case errors.Is(err, errNoMethod):
		status = http.StatusMethodNotAllowed
	case errors.Is(err, errAccept):
		status = http.StatusNotAcceptable
	case errors.Is(err, errMedia):
		status = http.StatusUnsupportedMediaType
	case errors.As(err, &elsewhere): // of an internal request, which is not sent on
		status = http.StatusConflict
	default:
		a.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "err", err)
	}
	return status, errorBody{Code: status, Message: err.Error()}
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
		return "", connector.Errorf(connector.BadRequest, "%q is not a valid path segment: %s", v, err)
	}
	return name, nil
}

func taskParam(r *http.Request) (connector.TaskID, error) {
	name, err := param(r, "connector")
	if err != nil {
		return connector.TaskID{}, err
	}
	n, err := strconv.Atoi(chi.URLParam(r, "task"))
	if err != nil || n < 0 { // Kafka Connect's path parameter is an integer: anything else is no resource
		return connector.TaskID{}, errNoRoute
	}
	return connector.TaskID{Connector: name, Task: n}, nil
}

// flag reads a boolean query parameter as Java does: "true" in any case, and
// anything else is false.
func flag(r *http.Request, key string) bool {
	return strings.EqualFold(r.URL.Query().Get(key), "true")
}
