// Command millrace is the whole product in one binary: the server with its
// roles, the plugins it runs as subprocesses of itself, and the command line
// for working with either.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	fmt.Fprintln(os.Stderr, "millrace: "+err.Error())
	code := exitCode(err)
	if code == exitUsage {
		fmt.Fprintln(os.Stderr, "Run 'millrace --help', or any command with --help, for how to use it.")
	}
	return code
}

// exitCode says whose fault an error is.
func exitCode(err error) int {
	var usage *usageError
	if errors.As(err, &usage) || strings.HasPrefix(err.Error(), "unknown command") {
		return exitUsage
	}
	return exitFailed
}

// usageError is a command line that cannot be carried out as it stands.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "millrace",
		Short: "Kafka-compatible log, Connect workers and schema registry in one binary",
		Long: `Millrace moves data between systems: a log that speaks the Kafka protocol, Connect
workers that run source and sink connectors, and a schema registry, in one binary.

Start a server:           millrace server
Create a connector:       millrace connector create -f connector.json
Look at what it wrote:    millrace consume orders --from-beginning`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.AddCommand(newServer(), newTopic(), newProduce(), newConsume(), newConnector(), newConnect(), newTransform(), newSchema(), newVersion(), newPlugin())
	return root
}

// exactArgs is cobra.ExactArgs with an error that names the arguments.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != len(names) {
			return usagef("want %d argument(s): %s; got %d", len(names), strings.Join(names, " "), len(args))
		}
		return nil
	}
}
