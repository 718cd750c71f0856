package sdk

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/millrace/millrace/plugins/proto"
)

// manifest is what a worker reads beside an executable.
type manifest struct {
	Name          string   `json:"name"`
	Kind          string   `json:"kind"`
	Version       string   `json:"version"`
	Protocol      int      `json:"protocol"`
	Classes       []string `json:"classes"`
	Abilities     []string `json:"abilities"`
	Documentation string   `json:"documentation,omitempty"`
}

// writeManifest prints one manifest, or a list of them.
func writeManifest(w io.Writer, connectors []Connector) error {
	if err := check(connectors); err != nil {
		return fmt.Errorf("plugin: %w", err)
	}
	var list []manifest
	for i := range connectors {
		c := &connectors[i]
		m := manifest{
			Name: c.Name, Kind: "source", Version: c.Version, Protocol: proto.ProtocolVersion,
			Classes: c.Classes, Abilities: append([]string{}, c.abilities()...), Documentation: c.Documentation,
		}
		if c.Sink != nil {
			m.Kind = "sink"
		}
		list = append(list, m)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	if len(list) == 1 {
		return e.Encode(list[0])
	}
	return e.Encode(list)
}
