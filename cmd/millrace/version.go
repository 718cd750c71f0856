package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set at link time for releases.
var version = "0.1.0-dev"

// buildInfo says what this binary is.
type buildInfo struct {
	Version string `json:"version" yaml:"version"`
	Commit  string `json:"commit" yaml:"commit"`
	Go      string `json:"go" yaml:"go"`
}

func readBuildInfo() buildInfo {
	out := buildInfo{Version: version, Commit: "unknown", Go: runtime.Version()}
	if bi, ok := debug.ReadBuildInfo(); ok {
		for _, s := range bi.Settings {
			if s.Key == "vcs.revision" {
				out.Commit = s.Value
			}
		}
	}
	return out
}

func newVersion() *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := readBuildInfo()
			return out.print(cmd.OutOrStdout(), v, func(t *table) {
				t.line(fmt.Sprintf("millrace %s (commit %s, %s)", v.Version, v.Commit, v.Go))
			})
		},
	}
	out.addFlag(cmd)
	return cmd
}
