package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
)

// logFlags say which cluster a command talks to.
type logFlags struct{ servers string }

func (f *logFlags) add(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVarP(&f.servers, "bootstrap-servers", "b", envOr("MILLRACE_BOOTSTRAP_SERVERS", "127.0.0.1:9092"),
		"brokers to start from, HOST:PORT separated by commas")
}

func envOr(key, otherwise string) string {
	if v := os.Getenv(key); v != "" {
		return v
	}
	return otherwise
}

// dial makes a client and checks that a broker answers, so that a wrong
// address is told at once and not after retries without end.
func (f *logFlags) dial(ctx context.Context, opts ...kgo.Opt) (*kgo.Client, error) {
	seeds := strings.Split(f.servers, ",")
	opts = append([]kgo.Opt{kgo.SeedBrokers(seeds...), kgo.ClientID("millrace-cli")}, opts...)
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithTimeout(ctx, 5*time.Second)
	defer stop()
	if err := client.Ping(ctx); err != nil {
		client.Close()
		return nil, fmt.Errorf("no broker answers at %s: %w; is the server running, or should --bootstrap-servers name another address?", f.servers, err)
	}
	return client, nil
}
