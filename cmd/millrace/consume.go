package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// consumeFlags are the options of millrace consume.
type consumeFlags struct {
	group         string
	fromBeginning bool
	count         int64
	exit          bool
	format        string
	keys          bool
}

func newConsume() *cobra.Command {
	var conn logFlags
	var f consumeFlags
	cmd := &cobra.Command{
		Use:   "consume TOPIC",
		Short: "Read records from a topic and print them",
		Long: `Read records from a topic and print them, each on a line of its own, until interrupted.
With -o json each line is an object with all there is to know of the record.`,
		Example: `  millrace consume orders --from-beginning
  millrace consume orders --group checker --count 10 -o json
  millrace consume orders --from-beginning --exit | wc -l`,
		Args: exactArgs("TOPIC"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd.Context(), &conn, args[0], cmd.OutOrStdout())
		},
	}
	conn.add(cmd)
	cmd.Flags().StringVarP(&f.group, "group", "g", "", "consume as a member of this group, which remembers how far it came")
	cmd.Flags().BoolVar(&f.fromBeginning, "from-beginning", false, "start with the oldest record where the group has no offset")
	cmd.Flags().Int64VarP(&f.count, "count", "n", 0, "end after this many records; 0 is no limit")
	cmd.Flags().BoolVarP(&f.exit, "exit", "e", false, "end once everything that was there at the start is printed")
	cmd.Flags().StringVarP(&f.format, "output", "o", "value", "what to print: value or json")
	cmd.Flags().BoolVarP(&f.keys, "keys", "k", false, "print the key and a tab before each value")
	return cmd
}

func (f *consumeFlags) run(ctx context.Context, conn *logFlags, topic string, w io.Writer) error {
	if f.format != "value" && f.format != "json" {
		return usagef("output format %q: must be value or json", f.format)
	}
	if f.exit && f.group != "" {
		return usagef("--exit and --group exclude each other: a group may have read part of the topic already")
	}
	start := kgo.NewOffset().AtEnd()
	if f.fromBeginning || f.exit {
		start = kgo.NewOffset().AtStart()
	}
	opts := []kgo.Opt{kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(start)}
	if f.group != "" {
		opts = append(opts, kgo.ConsumerGroup(f.group))
	}
	client, err := conn.dial(ctx, opts...)
	if err != nil {
		return err
	}
	defer client.Close()
	out := bufio.NewWriter(w)
	err = f.copy(ctx, client, topic, out)
	if ferr := out.Flush(); err == nil {
		err = ferr
	}
	return err
}

// copy prints records until there is a reason to end.
func (f *consumeFlags) copy(ctx context.Context, client *kgo.Client, topic string, out *bufio.Writer) error {
	left, err := f.ends(ctx, client, topic)
	if err != nil || f.exit && len(left) == 0 {
		return err
	}
	var n int64
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil // interrupted, which is how this command ends
		}
		if errs := fetches.Errors(); len(errs) > 0 {
			return fmt.Errorf("consume %s: %w", topic, errs[0].Err)
		}
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			if err := f.print(out, r); err != nil {
				return err
			}
			if n++; n == f.count {
				return nil
			}
			if end, ok := left[r.Partition]; ok && r.Offset+1 >= end {
				delete(left, r.Partition)
			}
		}
		if f.exit && len(left) == 0 {
			return nil
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
}

// ends returns the end offset of each partition that holds anything, when the
// command is to end there.
func (f *consumeFlags) ends(ctx context.Context, client *kgo.Client, topic string) (map[int32]int64, error) {
	if !f.exit {
		return nil, nil
	}
	admin := kadm.NewClient(client)
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("consume %s: list end offsets: %w", topic, err)
	}
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("consume %s: list start offsets: %w", topic, err)
	}
	left := map[int32]int64{}
	for p, e := range ends[topic] {
		if e.Offset > starts[topic][p].Offset {
			left[p] = e.Offset
		}
	}
	return left, nil
}

// printedRecord is a record as -o json prints it. Keys and values that are not
// text are base64.
type printedRecord struct {
	Topic     string          `json:"topic"`
	Partition int32           `json:"partition"`
	Offset    int64           `json:"offset"`
	Timestamp int64           `json:"timestamp"`
	Key       any             `json:"key"`
	Value     any             `json:"value"`
	Headers   []printedHeader `json:"headers,omitempty"`
}

type printedHeader struct {
	Name  string `json:"name"`
	Value any    `json:"value"`
}

func (f *consumeFlags) print(w *bufio.Writer, r *kgo.Record) error {
	if f.format == "json" {
		p := printedRecord{
			Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp.UnixMilli(),
			Key: textOrBytes(r.Key), Value: textOrBytes(r.Value),
		}
		for _, h := range r.Headers {
			p.Headers = append(p.Headers, printedHeader{Name: h.Key, Value: textOrBytes(h.Value)})
		}
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		return enc.Encode(p)
	}
	if f.keys {
		if _, err := fmt.Fprintf(w, "%s\t", r.Key); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%s\n", r.Value)
	return err
}

// textOrBytes returns a string for UTF-8, bytes (base64 in JSON) for anything
// else, and nil for null.
func textOrBytes(b []byte) any {
	switch {
	case b == nil:
		return nil
	case utf8.Valid(b):
		return string(b)
	}
	return b
}
