package registryapi

import (
	"errors"
	"net/http"

	"github.com/go-chi/chi/v5/middleware"

	"github.com/millrace/millrace/rest/reply"
	registry "github.com/millrace/millrace/schema-registry"
)

// codes are Confluent's codes for the registry's refusals. The status is the
// first three digits.
var codes = map[registry.Kind]int{
	registry.SubjectNotFound:       40401,
	registry.VersionNotFound:       40402,
	registry.SchemaNotFound:        40403,
	registry.SubjectSoftDeleted:    40404,
	registry.SubjectNotSoftDeleted: 40405,
	registry.VersionSoftDeleted:    40406,
	registry.VersionNotSoftDeleted: 40407,
	registry.NoSubjectConfig:       40408,
	registry.NoSubjectMode:         40409,
	registry.Incompatible:          40901,
	registry.InvalidSchema:         42201,
	registry.InvalidVersion:        42202,
	registry.InvalidLevel:          42203,
	registry.InvalidMode:           42204,
	registry.NotPermitted:          42205,
	registry.ReferenceExists:       42206,
	registry.IDMismatch:            42207,
	registry.InvalidSubject:        42208,
	registry.SchemaTooLarge:        42209,
	registry.InvalidRuleSet:        42210,
	registry.ContextNotEmpty:       42211,
	registry.ForwardFailed:         50003,
	registry.NotElected:            50004,
	registry.NotPrimary:            50003, // seen by callers in this process only
	registry.StoreFailed:           50001,
	registry.Timeout:               50002,
	registry.NotReady:              503,
}

// statuses are the codes of errors that are about HTTP or a request's form.
var statuses = map[error]int{
	errNoRoute:       http.StatusNotFound,
	errNoMethod:      http.StatusMethodNotAllowed,
	errNotAcceptable: http.StatusNotAcceptable,
	errMediaType:     http.StatusUnsupportedMediaType,
	errNoBody:        http.StatusUnprocessableEntity,
}

// errorBody is the JSON of every error.
type errorBody struct {
	Code    int    `json:"error_code"`
	Message string `json:"message"`
}

// errorReply is the one table from errors to answers.
func (a *api) errorReply(r *http.Request, err error) (int, any) {
	code := http.StatusInternalServerError
	var refusal *registry.Error
	var body *reply.BodyError
	switch {
	case errors.As(err, &refusal):
		code = codes[refusal.Kind]
	case errors.As(err, &body):
		code = http.StatusBadRequest
	case statuses[err] != 0:
		code = statuses[err]
	}
	status := code
	for status > 999 {
		status /= 10
	}
	if status == http.StatusInternalServerError {
		a.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "request", middleware.GetReqID(r.Context()), "err", err)
	}
	return status, errorBody{code, err.Error()}
}
