package connectapi

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/rest/reply"
)

// server: GET /
func (a *api) server(r *http.Request) (any, error) { return a.worker.ServerInfo(r.Context()) }

// list: GET /connectors[?expand=status&expand=info]. An unknown expansion is
// ignored, as Kafka Connect does.
func (a *api) list(r *http.Request) (any, error) {
	var status, info bool
	for _, e := range r.URL.Query()["expand"] {
		status = status || e == "status"
		info = info || e == "info"
	}
	if status || info {
		return a.worker.Expand(r.Context(), status, info)
	}
	return a.worker.Connectors(r.Context())
}

// create: POST /connectors. 201, 400 invalid, 409 exists.
func (a *api) create(r *http.Request) (any, error) {
	var body createBody
	if err := reply.Decode(r, &body); err != nil {
		return nil, err
	}
	cfg, err := body.Config.strict()
	if err != nil {
		return nil, err
	}
	initial, err := initialState(body.InitialState)
	if err != nil {
		return nil, err
	}
	name := strings.TrimSpace(body.Name)
	if cfg, err = named(cfg, name); err != nil {
		return nil, err
	}
	info, err := a.worker.Create(r.Context(), name, cfg, initial)
	if err != nil {
		return nil, err
	}
	return created(r, info), nil
}

func initialState(s string) (connector.TargetState, error) {
	switch strings.ToUpper(s) {
	case "":
		return "", nil
	case "RUNNING":
		return connector.TargetStarted, nil
	case "PAUSED":
		return connector.TargetPaused, nil
	case "STOPPED":
		return connector.TargetStopped, nil
	}
	return "", connector.Errorf(connector.BadRequest, "initial_state is %q: must be RUNNING, PAUSED or STOPPED", s)
}

// named returns the config with its name in it. A config that names another
// connector than the request does is refused.
func named(cfg connector.Config, name string) (connector.Config, error) {
	inside, ok := cfg["name"]
	if ok && inside != name {
		return nil, connector.Errorf(connector.BadRequest,
			"Connector name configuration (%s) doesn't match connector name in the URL (%s)", inside, name)
	}
	if ok {
		return cfg, nil
	}
	cfg = cfg.Clone()
	cfg["name"] = name
	return cfg, nil
}

func created(r *http.Request, info connector.Info) reply.Response {
	return reply.Response{
		Status:  http.StatusCreated,
		Headers: map[string]string{"Location": location(r, "/connectors/"+url.PathEscape(info.Name))},
		Body:    info,
	}
}

// withName adapts a handler that needs only the connector's name.
func withName[T any](r *http.Request, f func(context.Context, string) (T, error)) (any, error) {
	name, err := param(r, "connector")
	if err != nil {
		return nil, err
	}
	return f(r.Context(), name)
}

// info: GET /connectors/{connector}
func (a *api) info(r *http.Request) (any, error) { return withName(r, a.worker.Info) }

// delete: DELETE /connectors/{connector}. 204, 404.
func (a *api) delete(r *http.Request) (any, error) {
	name, err := param(r, "connector")
	if err != nil {
		return nil, err
	}
	return nil, a.worker.Delete(r.Context(), name)
}

// config: GET /connectors/{connector}/config
func (a *api) config(r *http.Request) (any, error) {
	return withName(r, func(ctx context.Context, name string) (connector.Config, error) {
		info, err := a.worker.Info(ctx, name)
		return info.Config, err
	})
}

// putConfig: PUT /connectors/{connector}/config. 201 created, 200 replaced. With
// dryRun=true nothing is changed, and 200 tells what would be.
func (a *api) putConfig(r *http.Request) (any, error) {
	name, cfg, err := configRequest(r)
	if err != nil {
		return nil, err
	}
	strict, err := cfg.strict()
	if err != nil {
		return nil, err
	}
	if strict, err = named(strict, name); err != nil {
		return nil, err
	}
	if flag(r, "dryRun") {
		return a.worker.Preview(r.Context(), name, strict)
	}
	info, isNew, err := a.worker.Put(r.Context(), name, strict)
	if err != nil {
		return nil, err
	}
	if isNew {
		return created(r, info), nil
	}
	return info, nil
}

// patchConfig: PATCH /connectors/{connector}/config (KIP-477). A null removes
// its key. Differs from Kafka: a patch that changes the name is refused, where
// Kafka Connect stores a config that contradicts its own key.
func (a *api) patchConfig(r *http.Request) (any, error) {
	name, cfg, err := configRequest(r)
	if err != nil {
		return nil, err
	}
	if inside, ok := cfg.config["name"]; ok && inside != name {
		_, err := named(cfg.config, name)
		return nil, err
	}
	return a.worker.Patch(r.Context(), name, cfg.config, cfg.nulls)
}

func configRequest(r *http.Request) (string, configBody, error) {
	var cfg configBody
	name, err := param(r, "connector")
	if err == nil {
		err = reply.Decode(r, &cfg)
	}
	return name, cfg, err
}

// status: GET /connectors/{connector}/status. forward=false asks for what this
// worker knows by itself.
func (a *api) status(r *http.Request) (any, error) {
	return withName(r, func(ctx context.Context, name string) (connector.StateInfo, error) {
		st, err := a.worker.Status(ctx, name)
		if err != nil {
			return st, err
		}
		processes, err := a.worker.Processes(ctx, name, everywhere(r))
		for i := range st.Tasks {
			if p, ok := processes[st.Tasks[i].ID]; ok {
				st.Tasks[i].Process = &p
			}
		}
		return st, err
	})
}

// everywhere reports whether other workers may be asked.
func everywhere(r *http.Request) bool { return !r.URL.Query().Has("forward") || flag(r, "forward") }

// history: GET /connectors/{connector}/history. 404.
func (a *api) history(r *http.Request) (any, error) { return withName(r, a.worker.History) }

// tasks: GET /connectors/{connector}/tasks
func (a *api) tasks(r *http.Request) (any, error) { return withName(r, a.worker.Tasks) }

// topics: GET /connectors/{connector}/topics. An unknown connector has none.
func (a *api) topics(r *http.Request) (any, error) {
	return withName(r, func(ctx context.Context, name string) (map[string]map[string][]string, error) {
		topics, err := a.worker.Topics(ctx, name)
		return map[string]map[string][]string{name: {"topics": topics}}, err
	})
}

// resetTopics: PUT /connectors/{connector}/topics/reset. 202, 403.
func (a *api) resetTopics(r *http.Request) (any, error) {
	name, err := param(r, "connector")
	if err != nil {
		return nil, err
	}
	if err := a.worker.ResetTopics(r.Context(), name); err != nil {
		return nil, err
	}
	return reply.Response{Status: http.StatusAccepted}, nil
}

// offsets: GET /connectors/{connector}/offsets (KIP-875)
func (a *api) offsets(r *http.Request) (any, error) { return withName(r, a.worker.Offsets) }

// alterOffsets: PATCH /connectors/{connector}/offsets. 400 unless stopped.
func (a *api) alterOffsets(r *http.Request) (any, error) {
	name, err := param(r, "connector")
	if err != nil {
		return nil, err
	}
	var body connector.Offsets
	if err := reply.Decode(r, &body); err != nil {
		return nil, err
	}
	return a.worker.AlterOffsets(r.Context(), name, body.Offsets)
}

// resetOffsets: DELETE /connectors/{connector}/offsets. 400 unless stopped.
func (a *api) resetOffsets(r *http.Request) (any, error) { return withName(r, a.worker.ResetOffsets) }

// taskStatus: GET /connectors/{connector}/tasks/{task}/status
func (a *api) taskStatus(r *http.Request) (any, error) {
	id, err := taskParam(r)
	if err != nil {
		return nil, err
	}
	st, err := a.worker.TaskStatus(r.Context(), id)
	if err != nil {
		return nil, err
	}
	processes, err := a.worker.Processes(r.Context(), id.Connector, everywhere(r))
	if p, ok := processes[id.Task]; ok {
		st.Process = &p
	}
	return st, err
}

// restartTask: POST /connectors/{connector}/tasks/{task}/restart. 204, 404.
func (a *api) restartTask(r *http.Request) (any, error) {
	id, err := taskParam(r)
	if err != nil {
		return nil, err
	}
	return nil, a.worker.RestartTask(r.Context(), id)
}

// restart: POST /connectors/{connector}/restart[?includeTasks][&onlyFailed].
// Without flags 204 once the connector object has restarted; with one 202 and
// the plan (KIP-745).
func (a *api) restart(r *http.Request) (any, error) {
	name, err := param(r, "connector")
	if err != nil {
		return nil, err
	}
	req := connector.RestartRequest{
		Connector: name, IncludeTasks: flag(r, "includeTasks"), OnlyFailed: flag(r, "onlyFailed"),
	}
	plan, err := a.worker.Restart(r.Context(), req)
	if err != nil || !req.IncludeTasks && !req.OnlyFailed {
		return nil, err
	}
	return reply.Response{Status: http.StatusAccepted, Body: plan}, nil
}

// target: PUT /connectors/{connector}/{pause,resume,stop}
func (a *api) target(state connector.TargetState, status int) reply.Func {
	return func(r *http.Request) (any, error) {
		name, err := param(r, "connector")
		if err != nil {
			return nil, err
		}
		if err := a.worker.SetTarget(r.Context(), name, state); err != nil {
			return nil, err
		}
		return reply.Response{Status: status}, nil
	}
}

// plugins: GET /connector-plugins[?connectorsOnly=false]
func (a *api) plugins(r *http.Request) (any, error) {
	only := r.URL.Query().Get("connectorsOnly")
	return a.worker.Plugins(r.Context(), only == "" || strings.EqualFold(only, "true"))
}

// pluginConfig: GET /connector-plugins/{plugin}/config[?version=]. 404, 400 if
// there is no such version (KIP-891).
func (a *api) pluginConfig(r *http.Request) (any, error) {
	plugin, err := param(r, "plugin")
	if err != nil {
		return nil, err
	}
	return a.worker.PluginConfig(r.Context(), plugin, r.URL.Query().Get("version"))
}

// validate: PUT /connector-plugins/{plugin}/config/validate. 200 even with
// errors in the config.
func (a *api) validate(r *http.Request) (any, error) {
	plugin, err := param(r, "plugin")
	if err != nil {
		return nil, err
	}
	var cfg configBody
	if err := reply.Decode(r, &cfg); err != nil {
		return nil, err
	}
	strict, err := cfg.strict()
	if err != nil {
		return nil, err
	}
	return a.worker.Validate(r.Context(), plugin, strict)
}
