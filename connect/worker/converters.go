package worker

import (
	"fmt"
	"strings"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/connect/converter"
	"github.com/millrace/millrace/connect/task"
	"github.com/millrace/millrace/plugins/configdef"
)

// converterChoice is a converter that a config names, and where: with its own
// keys if the connector names it, with the worker's if the worker does. The
// two are never mixed, as in Kafka Connect.
type converterChoice struct {
	key   string // "value.converter"
	class string
	props map[string]string
	own   bool // the connector names it
}

func (w *Worker) choose(side converter.Side, cfg connector.Config) converterChoice {
	c := converterChoice{key: string(side) + ".converter", own: true}
	from := map[string]string(cfg)
	if c.class = strings.TrimSpace(cfg[c.key]); c.class == "" {
		c.own, from = false, w.cfg.Defaults
		c.class = from[c.key]
	}
	c.props = under(from, c.key+".")
	delete(c.props, "plugin.version") // the runtime's key, not the converter's
	return c
}

// under returns the keys with a prefix, without it.
func under(props map[string]string, prefix string) map[string]string {
	out := map[string]string{}
	for k, v := range props {
		if rest, ok := strings.CutPrefix(k, prefix); ok {
			out[rest] = v
		}
	}
	return out
}

// lookup finds the class of a choice and completes its properties.
func (w *Worker) lookup(c *converterChoice) (converter.Class, error) {
	class, ok := converter.Lookup(c.class)
	if !ok {
		return converter.Class{}, configdef.Problem{Key: c.key, Text: fmt.Sprintf(
			"Invalid value %s for configuration %s: Class %s could not be found.", c.class, c.key, c.class)}
	}
	if prefix, needs := class.RegistryPrefix(); needs && c.props[prefix+"schema.registry.url"] == "" && w.cfg.RegistryURL != "" {
		c.props[prefix+"schema.registry.url"] = w.cfg.RegistryURL
	}
	return class, nil
}

func (w *Worker) newConverter(side converter.Side, cfg connector.Config) (converter.Converter, error) {
	c := w.choose(side, cfg)
	class, err := w.lookup(&c)
	if err != nil {
		return nil, err
	}
	s := converter.Settings{Side: side, Props: c.props}
	prefix, _ := class.RegistryPrefix()
	client, err := w.regs.get(under(c.props, prefix))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.key, err)
	}
	if client != nil {
		s.Registry = client
	}
	conv, err := class.New(s)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.key, err)
	}
	return conv, nil
}

func (w *Worker) converters(cfg connector.Config) (task.Converters, error) {
	var out task.Converters
	for side, into := range map[converter.Side]*converter.Converter{
		converter.Key: &out.Key, converter.Value: &out.Value, converter.Header: &out.Header,
	} {
		c, err := w.newConverter(side, cfg)
		if err != nil {
			return out, err
		}
		*into = c
	}
	return out, nil
}

// validateConverter adds the entries of a converter that the connector names.
func (w *Worker) validateConverter(b *infoBuilder, side converter.Side, cfg connector.Config) {
	c := w.choose(side, cfg)
	class, err := w.lookup(&c)
	if err != nil {
		b.problem(cfg, configdef.Problem{Key: c.key, Text: err.Error()})
		return
	}
	if !c.own {
		return
	}
	for _, in := range class.Def.Validate(c.props) {
		def, value := *in.Definition, *in.Value
		def.Name, value.Name = c.key+"."+def.Name, c.key+"."+value.Name
		b.add(configdef.Info{Definition: &def, Value: &value})
	}
	if _, err := w.newConverter(side, cfg); err != nil {
		for _, in := range class.Def.Validate(c.props) {
			if len(in.Value.Errors) > 0 {
				return // told above, at its key
			}
		}
		b.problem(cfg, configdef.Problem{Key: c.key, Text: fmt.Sprintf("Invalid value %s for configuration %s: %v", c.class, c.key, err)})
	}
}
