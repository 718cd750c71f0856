package registryapi

import (
	"encoding/json"
	"net/http"

	"github.com/millrace/millrace/rest/reply"
	registry "github.com/millrace/millrace/schema-registry"
)

const (
	levelInRequest = "compatibility"
	levelInAnswer  = "compatibilityLevel"
)

// globalConfig: GET /config
func (a *api) globalConfig(*http.Request) (any, error) {
	return configBody(a.reg.GlobalConfig(), levelInAnswer)
}

// putGlobalConfig: PUT /config. Errors: 42203, 42205, 42210.
func (a *api) putGlobalConfig(r *http.Request) (any, error) {
	ch, err := configChange(r)
	if err != nil {
		return nil, err
	}
	c, err := a.reg.SetGlobalConfig(r.Context(), ch)
	if err != nil {
		return nil, err
	}
	return configBody(c, levelInRequest)
}

// deleteGlobalConfig: DELETE /config, answered with what was set.
// Errors: 42205.
func (a *api) deleteGlobalConfig(r *http.Request) (any, error) {
	c, err := a.reg.DeleteGlobalConfig(r.Context())
	if err != nil {
		return nil, err
	}
	return configBody(c, levelInAnswer)
}

// config: GET /config/{subject}[?defaultToGlobal]. Errors: 40408.
func (a *api) config(r *http.Request) (any, error) {
	subject, err := param(r, "subject")
	if err != nil {
		return nil, err
	}
	c, err := a.reg.Config(subject, flag(r, "defaultToGlobal"))
	if err != nil {
		return nil, err
	}
	return configBody(c, levelInAnswer)
}

// putConfig: PUT /config/{subject}. Errors: 42203, 42205, 42208, 42210.
func (a *api) putConfig(r *http.Request) (any, error) {
	subject, err := param(r, "subject")
	if err != nil {
		return nil, err
	}
	ch, err := configChange(r)
	if err != nil {
		return nil, err
	}
	c, err := a.reg.SetConfig(r.Context(), subject, ch)
	if err != nil {
		return nil, err
	}
	return configBody(c, levelInRequest)
}

// deleteConfig: DELETE /config/{subject}, answered with what was set.
// Errors: 40401, 42205.
func (a *api) deleteConfig(r *http.Request) (any, error) {
	subject, err := param(r, "subject")
	if err != nil {
		return nil, err
	}
	c, err := a.reg.DeleteConfig(r.Context(), subject)
	if err != nil {
		return nil, err
	}
	return configBody(c, levelInAnswer)
}

func configChange(r *http.Request) (registry.ConfigChange, error) {
	var ch registry.ConfigChange
	if err := reply.Decode(r, &ch); err != nil {
		return nil, err
	}
	if ch == nil {
		return nil, errNoBody
	}
	return ch, nil
}

// modeBody is a mode's JSON, in requests and answers.
type modeBody struct {
	Mode *string `json:"mode"`
}

func modeOf(m registry.Mode) modeBody { return modeBody{(*string)(&m)} }

// globalMode: GET /mode
func (a *api) globalMode(*http.Request) (any, error) { return modeOf(a.reg.GlobalMode()), nil }

// putGlobalMode: PUT /mode[?force]. Errors: 42204, 42205.
func (a *api) putGlobalMode(r *http.Request) (any, error) {
	b, err := modeChange(r)
	if err != nil {
		return nil, err
	}
	return b, a.reg.SetGlobalMode(r.Context(), b.text(), flag(r, "force"))
}

// deleteGlobalMode: DELETE /mode, answered with the mode that was.
// Errors: 42205.
func (a *api) deleteGlobalMode(r *http.Request) (any, error) {
	old := a.reg.GlobalMode()
	return modeOf(old), a.reg.SetGlobalMode(r.Context(), "", false)
}

// mode: GET /mode/{subject}[?defaultToGlobal]. Errors: 40409.
func (a *api) mode(r *http.Request) (any, error) {
	subject, err := param(r, "subject")
	if err != nil {
		return nil, err
	}
	m, err := a.reg.Mode(subject, flag(r, "defaultToGlobal"))
	return modeOf(m), err
}

// putMode: PUT /mode/{subject}[?force]. Errors: 42204, 42205, 42208.
func (a *api) putMode(r *http.Request) (any, error) {
	subject, err := param(r, "subject")
	if err != nil {
		return nil, err
	}
	b, err := modeChange(r)
	if err != nil {
		return nil, err
	}
	return b, a.reg.SetMode(r.Context(), subject, b.text(), flag(r, "force"))
}

// deleteMode: DELETE /mode/{subject}[?recursive], answered with the mode that
// was. Errors: 40401, 42205.
func (a *api) deleteMode(r *http.Request) (any, error) {
	subject, err := param(r, "subject")
	if err != nil {
		return nil, err
	}
	m, err := a.reg.DeleteMode(r.Context(), subject, flag(r, "recursive"))
	return modeOf(m), err
}

// modeChange reads a request. A mode that is null unsets it; none at all, or
// an empty one, is no mode.
func modeChange(r *http.Request) (modeBody, error) {
	var raw map[string]json.RawMessage
	if err := reply.Decode(r, &raw); err != nil {
		return modeBody{}, err
	}
	var b modeBody
	text, given := raw["mode"]
	if err := json.Unmarshal(text, &b.Mode); !given || err != nil || b.Mode != nil && *b.Mode == "" {
		return modeBody{}, registry.ErrInvalidMode
	}
	return b, nil
}

func (b modeBody) text() string {
	if b.Mode == nil {
		return ""
	}
	return *b.Mode
}
