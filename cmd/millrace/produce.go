package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
)

// maxLine bounds one record read from standard input, in bytes.
const maxLine = 16 << 20

func newProduce() *cobra.Command {
	var conn logFlags
	var separator string
	var headers map[string]string
	cmd := &cobra.Command{
		Use:   "produce TOPIC",
		Short: "Write records to a topic, one for each line of standard input",
		Long: `Write records to a topic, one for each line of standard input. The command ends when the
input does and every record is acknowledged.`,
		Example: `  echo hello | millrace produce greetings
  printf 'k1:v1\nk2:v2\n' | millrace produce orders --key-separator :`,
		Args: exactArgs("TOPIC"),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := conn.dial(cmd.Context(), kgo.DefaultProduceTopic(args[0]), kgo.AllowAutoTopicCreation(),
				kgo.UnknownTopicRetries(3))
			if err != nil {
				return err
			}
			defer client.Close()
			n, err := produceLines(cmd.Context(), client, cmd.InOrStdin(), separator, headers)
			if err != nil {
				return fmt.Errorf("produce to %s: %w (%d records were acknowledged)", args[0], err, n)
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%d records written to %s\n", n, args[0])
			return nil
		},
	}
	conn.add(cmd)
	cmd.Flags().StringVarP(&separator, "key-separator", "K", "", "split each line into key and value at the first occurrence")
	cmd.Flags().StringToStringVarP(&headers, "header", "H", nil, "header for every record, NAME=VALUE; may be given more than once")
	return cmd
}

// produceLines returns how many records were acknowledged.
func produceLines(ctx context.Context, client *kgo.Client, in io.Reader, separator string, headers map[string]string) (int64, error) {
	var acked atomic.Int64
	failed := make(chan error, 1)
	var hs []kgo.RecordHeader
	for k, v := range headers {
		hs = append(hs, kgo.RecordHeader{Key: k, Value: []byte(v)})
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		r := &kgo.Record{Value: []byte(lines.Text()), Headers: hs}
		if separator != "" {
			key, value, ok := strings.Cut(lines.Text(), separator)
			if !ok {
				return acked.Load(), fmt.Errorf("line %q has no key separator %q", lines.Text(), separator)
			}
			r.Key, r.Value = []byte(key), []byte(value)
		}
		client.Produce(ctx, r, func(_ *kgo.Record, err error) {
			if err == nil {
				acked.Add(1)
				return
			}
			select {
			case failed <- err:
			default:
			}
		})
		select {
		case err := <-failed:
			return acked.Load(), err
		default:
		}
	}
	err := errors.Join(lines.Err(), client.Flush(ctx))
	select {
	case first := <-failed:
		err = errors.Join(err, first)
	default:
	}
	return acked.Load(), err
}
