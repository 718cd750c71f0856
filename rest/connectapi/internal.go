package connectapi

import (
	"bytes"
	"io"
	"net/http"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/connect/signature"
	"github.com/millrace/millrace/rest/reply"
)

// signed reads an internal request, with the bytes that it was signed over.
func signed(r *http.Request) (string, signature.Request, error) {
	name, err := param(r, "connector")
	if err != nil {
		return "", signature.Request{}, err
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, reply.MaxBody))
	if err != nil {
		return "", signature.Request{}, connector.Errorf(connector.BadRequest, "read the request body: %v", err)
	}
	return name, signature.Request{
		Body: body, Signature: r.Header.Get(signature.Header), Algorithm: r.Header.Get(signature.AlgorithmHeader),
	}, nil
}

// putTasks: POST /connectors/{connector}/tasks, by which the worker of a
// connector hands its task configs to the leader. 204; 400, 403, 503 for the
// signature; 409 if this worker does not lead.
func (a *api) putTasks(r *http.Request) (any, error) {
	name, req, err := signed(r)
	if err != nil {
		return nil, err
	}
	var bodies []configBody
	r.Body = io.NopCloser(bytes.NewReader(req.Body))
	if err := reply.Decode(r, &bodies); err != nil {
		return nil, err
	}
	tasks := make([]connector.Config, len(bodies))
	for i := range bodies {
		if tasks[i], err = bodies[i].strict(); err != nil {
			return nil, err
		}
	}
	return nil, a.worker.StoreTasks(r.Context(), name, tasks, req)
}

// fence: PUT /connectors/{connector}/fence, by which a worker that is about to
// start a task has the producers of former tasks ended (KIP-618). As putTasks.
func (a *api) fence(r *http.Request) (any, error) {
	name, req, err := signed(r)
	if err != nil {
		return nil, err
	}
	return nil, a.worker.ServeFence(r.Context(), name, req)
}
