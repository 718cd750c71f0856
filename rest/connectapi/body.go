package connectapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sort"

	"github.com/millrace/millrace/connect/connector"
)

// configBody is a connector config as it comes in a request. Connect's configs
// are maps of strings, but people write numbers and booleans, and Kafka
// Connect's JSON reader turns those into their source text; so does this. A
// null is kept apart: it is no value, and validation says so.
type configBody struct {
	config connector.Config
	nulls  []string // keys whose value is null, sorted
}

// UnmarshalJSON refuses objects and arrays as values.
func (c *configBody) UnmarshalJSON(b []byte) error {
	if bytes.Equal(b, []byte("null")) {
		return nil
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		return err
	}
	c.config = make(connector.Config, len(raw))
	for k, v := range raw {
		switch v[0] {
		case '{', '[':
			return fmt.Errorf("config %q: the value must be a string, a number or a boolean", k)
		case '"':
			var s string
			if err := json.Unmarshal(v, &s); err != nil {
				return err
			}
			c.config[k] = s
		case 'n':
			c.nulls = append(c.nulls, k)
		default:
			c.config[k] = string(v)
		}
	}
	sort.Strings(c.nulls)
	return nil
}

// strict returns the config, or the refusal of its first null.
func (c *configBody) strict() (connector.Config, error) {
	if c.config == nil {
		return nil, connector.Errorf(connector.BadRequest, "the request has no connector config")
	}
	if len(c.nulls) > 0 {
		return nil, connector.Errorf(connector.BadRequest,
			"Connector configuration is invalid and contains the following %d error(s):%s", len(c.nulls), c.nullText())
	}
	return c.config, nil
}

func (c *configBody) nullText() string {
	var b bytes.Buffer
	for _, k := range c.nulls {
		fmt.Fprintf(&b, "\nInvalid value null for configuration %s: Null value can not be supplied as the configuration value.", k)
	}
	return b.String()
}

// createBody is the body of POST /connectors.
type createBody struct {
	Name         string     `json:"name"`
	Config       configBody `json:"config"`
	InitialState string     `json:"initial_state"`
}
