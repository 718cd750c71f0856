// Package reply turns what a handler returns into an HTTP response with a JSON
// body. Handlers return a value and an error and never touch the
// ResponseWriter.
package reply

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// Func is an HTTP handler. A nil value with a nil error answers 204 unless it
// is a Response that says otherwise.
type Func func(*http.Request) (any, error)

// Response is a value with a status other than 200, or with headers.
type Response struct {
	Status  int
	Headers map[string]string
	Body    any // nil writes no body
}

// ErrorTable turns an error into a status and the body to answer with. It logs
// what is ours to mend.
type ErrorTable func(*http.Request, error) (status int, body any)

// Handler adapts h. contentType is sent with every body.
func Handler(contentType string, table ErrorTable, h Func) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := h(r)
		if err != nil {
			status, body := table(r, err)
			write(w, contentType, Response{Status: status, Body: body})
			return
		}
		resp, ok := v.(Response)
		switch {
		case ok:
		case v == nil:
			resp = Response{Status: http.StatusNoContent}
		default:
			resp = Response{Status: http.StatusOK, Body: v}
		}
		write(w, contentType, resp)
	}
}

func write(w http.ResponseWriter, contentType string, resp Response) {
	for k, v := range resp.Headers {
		w.Header().Set(k, v)
	}
	if resp.Body == nil {
		w.WriteHeader(resp.Status)
		return
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(resp.Body); err != nil {
		// A value of ours that has no JSON form: a defect, found by tests.
		http.Error(w, `{"error_code":500,"message":"the response could not be encoded"}`, http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(resp.Status)
	_, _ = w.Write(b.Bytes()) // the client has gone; nobody is left to tell
}

// BodyError says that a request's body cannot be read as what it should be.
type BodyError struct{ err error }

func (e *BodyError) Error() string { return e.err.Error() }
func (e *BodyError) Unwrap() error { return e.err }

// MaxBody bounds a request's body, in bytes.
const MaxBody = 16 << 20

// Decode reads the request's body, at most MaxBody bytes of JSON and nothing
// after it, into v. Errors are of type *BodyError.
func Decode(r *http.Request, v any) error {
	raw, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, MaxBody))
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return &BodyError{fmt.Errorf("the request body is larger than %d bytes", tooLarge.Limit)}
	}
	if err != nil {
		return &BodyError{fmt.Errorf("read the request body: %w", err)}
	}
	if len(bytes.TrimSpace(raw)) == 0 {
		return &BodyError{errors.New("the request has no body; JSON is expected")}
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if err := dec.Decode(v); err != nil {
		return &BodyError{fmt.Errorf("the request body is not the JSON expected: %w", err)}
	}
	if _, err := dec.Token(); err != io.EOF {
		return &BodyError{errors.New("the request body has more after its JSON value")}
	}
	return nil
}
