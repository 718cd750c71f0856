package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/plugins/sdk"
)

// newPlugin is the command by which a worker starts a built-in connector. It
// is of no use to people.
func newPlugin() *cobra.Command {
	return &cobra.Command{
		Use:    "plugin NAME",
		Short:  "Run a built-in connector; started by a worker",
		Hidden: true,
		Args:   exactArgs("NAME"),
		RunE: func(_ *cobra.Command, args []string) error {
			var names []string
			for _, c := range builtins() {
				if c.Name == args[0] {
					return sdk.Run(c)
				}
				names = append(names, c.Name)
			}
			return usagef("no built-in connector is named %q: there are %s", args[0], strings.Join(names, ", "))
		},
	}
}
