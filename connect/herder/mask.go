package herder

import (
	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/plugins/configdef"
)

// unmask puts the stored secrets in the place of the masks that answers show
// for them, so that a config that was read can be changed and put back. before
// is what is stored, nil if nothing is.
func (h *Herder) unmask(cfg, before connector.Config) (connector.Config, error) {
	var out connector.Config
	var secret func(string) bool
	for k, v := range cfg {
		if v != configdef.Hidden {
			continue
		}
		if secret == nil {
			secret, out = h.cfg.Worker.Secret(cfg), cfg.Clone()
		}
		if !secret(k) {
			continue // to this key it is a value as any other
		}
		stored, ok := before[k]
		if !ok {
			return nil, connector.Errorf(connector.BadRequest,
				"%s is %s, which stands for a stored secret, and none is stored under this key: give the value itself", k, configdef.Hidden)
		}
		out[k] = stored
	}
	if out == nil {
		return cfg, nil
	}
	return out, nil
}

// stored returns the config that a connector has now, nil if there is none.
func (h *Herder) stored(name string) connector.Config {
	cfg, _ := h.configs.Snapshot().Connector(name)
	return cfg
}
