// Package httpsink sends records to HTTP services, under the configurations of
// Confluent's and of Aiven's HTTP sink connectors.
package httpsink

import (
	"context"
	"errors"

	"github.com/millrace/millrace/plugins/sdk"
)

// Version is the version that both connectors report.
const Version = "1.0.0"

// Connectors returns the two sinks, which differ in their configuration alone.
func Connectors() []sdk.Connector {
	return []sdk.Connector{
		{
			Name: "http-sink", Version: Version,
			Classes:       []string{"io.confluent.connect.http.HttpSinkConnector", "HttpSinkConnector", "HttpSink"},
			Documentation: "connectors/httpsink/README.md",
			Sink:          Sink{confluent},
		},
		{
			Name: "http-sink-aiven", Version: Version,
			Classes:       []string{"io.aiven.kafka.connect.http.HttpSinkConnector", "AivenHttpSink"},
			Documentation: "connectors/httpsink/README.md",
			Sink:          Sink{aiven},
		},
	}
}

// dialect is a vendor's configuration.
type dialect struct {
	keys     func() sdk.ConfigDef
	settings func(*parser) *settings
}

// Sink is one of the connectors.
type Sink struct{ dialect dialect }

// ConfigDef defines the vendor's keys.
func (s Sink) ConfigDef() sdk.ConfigDef { return s.dialect.keys() }

// Validate checks keys against each other, and that stores of keys can be read.
func (s Sink) Validate(_ context.Context, cfg sdk.Config) []sdk.Problem {
	_, _, problems := s.parse(cfg)
	return problems
}

func (s Sink) parse(cfg sdk.Config) (*settings, *service, []sdk.Problem) {
	p := &parser{cfg: cfg}
	set := s.dialect.settings(p)
	if len(p.problems) > 0 {
		return nil, nil, p.problems
	}
	svc, err := newService(set)
	if key := (*keyError)(nil); errors.As(err, &key) {
		p.bad(key.key, key.err)
	} else if err != nil {
		p.bad(set.urlKey, err)
	}
	return set, svc, p.problems
}

// Open starts a task. The service is not asked for anything yet.
func (s Sink) Open(ctx context.Context, cfg sdk.Config, control sdk.Control) (sdk.SinkTask, error) {
	set, svc, problems := s.parse(cfg)
	if len(problems) > 0 {
		return nil, sdk.Fatal(problems[0])
	}
	log := sdk.Logger(ctx)
	if set.trustAll {
		log.Warn("certificates of the service are not checked", "key", set.trustAllKey)
	}
	return &task{settings: set, service: svc, control: control, log: log, sent: make(sdk.Offsets)}, nil
}
