package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/plugins/sdk"
)

// newPlugin is the command by which a worker starts a built-in connector, which
// is of no use to people, with those about plugins that are.
func newPlugin() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plugin",
		Short: "Write connector plugins",
		Long: `Write connector plugins. With the name of a built-in connector instead of a command it runs that
one, which only a worker does.`,
		Args: exactArgs("NAME"),
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
	cmd.AddCommand(newPluginNew())
	return cmd
}
