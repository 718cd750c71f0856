package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

func newTopic() *cobra.Command {
	var conn logFlags
	cmd := &cobra.Command{
		Use:   "topic",
		Short: "List, create, describe and delete topics",
		Example: `  millrace topic create orders --partitions 3 --config retention.ms=86400000
  millrace topic list -o json
  millrace topic describe orders`,
	}
	conn.add(cmd)
	cmd.AddCommand(newTopicList(&conn), newTopicCreate(&conn), newTopicDescribe(&conn), newTopicDelete(&conn))
	return cmd
}

// withAdmin runs f with a client for administration.
func withAdmin(ctx context.Context, conn *logFlags, f func(*kadm.Client) error) error {
	client, err := conn.dial(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	return f(kadm.NewClient(client))
}

// topicRow is a topic as list prints it. Records is the span of offsets that
// its partitions hold, which may count more than the records in it.
type topicRow struct {
	Name        string `json:"name"`
	Partitions  int    `json:"partitions"`
	Replication int    `json:"replicationFactor"`
	Records     int64  `json:"records"`
	Internal    bool   `json:"internal"`
}

func newTopicList(conn *logFlags) *cobra.Command {
	var out output
	var internal bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List topics",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withAdmin(cmd.Context(), conn, func(a *kadm.Client) error {
				rows, err := listTopics(cmd.Context(), a, internal)
				if err != nil {
					return err
				}
				return out.print(cmd.OutOrStdout(), rows, func(t *table) {
					t.row("NAME", "PARTITIONS", "REPLICATION", "RECORDS")
					for _, r := range rows {
						t.row(r.Name, r.Partitions, r.Replication, r.Records)
					}
				})
			})
		},
	}
	cmd.Flags().BoolVar(&internal, "internal", false, "list the log's own topics as well")
	out.addFlag(cmd)
	return cmd
}

func listTopics(ctx context.Context, a *kadm.Client, internal bool) ([]topicRow, error) {
	topics, err := a.ListTopicsWithInternal(ctx)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	starts, err := a.ListStartOffsets(ctx)
	if err != nil {
		return nil, fmt.Errorf("list start offsets: %w", err)
	}
	ends, err := a.ListEndOffsets(ctx)
	if err != nil {
		return nil, fmt.Errorf("list end offsets: %w", err)
	}
	rows := []topicRow{}
	for _, t := range topics.Sorted() {
		if t.IsInternal && !internal {
			continue
		}
		r := topicRow{Name: t.Topic, Partitions: len(t.Partitions), Replication: t.Partitions.NumReplicas(), Internal: t.IsInternal}
		for p, end := range ends[t.Topic] {
			r.Records += end.Offset - starts[t.Topic][p].Offset
		}
		rows = append(rows, r)
	}
	return rows, nil
}

func newTopicCreate(conn *logFlags) *cobra.Command {
	var partitions int32
	var replication int16
	var configs map[string]string
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a topic",
		Args:  exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withAdmin(cmd.Context(), conn, func(a *kadm.Client) error {
				values := map[string]*string{}
				for k, v := range configs {
					values[k] = &v
				}
				resp, err := a.CreateTopic(cmd.Context(), partitions, replication, values, args[0])
				if err == nil {
					err = resp.Err
				}
				if err != nil {
					if resp.ErrMessage != "" {
						return fmt.Errorf("create topic %s: %w: %s", args[0], err, resp.ErrMessage)
					}
					return fmt.Errorf("create topic %s: %w", args[0], err)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "topic %s created\n", args[0])
				return nil
			})
		},
	}
	cmd.Flags().Int32VarP(&partitions, "partitions", "p", -1, "number of partitions; -1 is the broker's default")
	cmd.Flags().Int16VarP(&replication, "replication-factor", "r", -1, "copies of each partition; -1 is the broker's default")
	cmd.Flags().StringToStringVarP(&configs, "config", "c", nil, "topic config, KEY=VALUE; may be given more than once")
	return cmd
}

// topicDetail is a topic as describe prints it.
type topicDetail struct {
	Name       string            `json:"name"`
	ID         string            `json:"id"`
	Partitions []partitionDetail `json:"partitions"`
	Configs    map[string]string `json:"configs"` // those that differ from the default
}

type partitionDetail struct {
	Partition int32   `json:"partition"`
	Leader    int32   `json:"leader"`
	Replicas  []int32 `json:"replicas"`
	ISR       []int32 `json:"isr"`
	Start     int64   `json:"startOffset"`
	End       int64   `json:"endOffset"`
}

func newTopicDescribe(conn *logFlags) *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:   "describe NAME",
		Short: "Show a topic's partitions, offsets and configs",
		Args:  exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withAdmin(cmd.Context(), conn, func(a *kadm.Client) error {
				d, err := describeTopic(cmd.Context(), a, args[0])
				if err != nil {
					return fmt.Errorf("describe topic %s: %w", args[0], err)
				}
				return out.print(cmd.OutOrStdout(), d, d.table)
			})
		},
	}
	out.addFlag(cmd)
	return cmd
}

func (d topicDetail) table(t *table) {
	t.row("TOPIC", d.Name)
	t.row("ID", d.ID)
	for _, k := range sortedKeys(d.Configs) {
		t.row("CONFIG", k+"="+d.Configs[k])
	}
	t.line("")
	t.row("PARTITION", "LEADER", "REPLICAS", "ISR", "START", "END")
	for _, p := range d.Partitions {
		t.row(p.Partition, p.Leader, ints(p.Replicas), ints(p.ISR), p.Start, p.End)
	}
}

func ints(ns []int32) string {
	s := make([]string, len(ns))
	for i, n := range ns {
		s[i] = fmt.Sprint(n)
	}
	return strings.Join(s, ",")
}

func describeTopic(ctx context.Context, a *kadm.Client, name string) (topicDetail, error) {
	topics, err := a.ListTopicsWithInternal(ctx, name)
	if err != nil {
		return topicDetail{}, err
	}
	t, ok := topics[name]
	if !ok || t.Err != nil {
		return topicDetail{}, t.Err
	}
	starts, err := a.ListStartOffsets(ctx, name)
	if err != nil {
		return topicDetail{}, err
	}
	ends, err := a.ListEndOffsets(ctx, name)
	if err != nil {
		return topicDetail{}, err
	}
	d := topicDetail{Name: name, ID: t.ID.String(), Configs: map[string]string{}}
	for _, p := range t.Partitions.Sorted() {
		d.Partitions = append(d.Partitions, partitionDetail{
			Partition: p.Partition, Leader: p.Leader, Replicas: p.Replicas, ISR: p.ISR,
			Start: starts[name][p.Partition].Offset, End: ends[name][p.Partition].Offset,
		})
	}
	rcs, err := a.DescribeTopicConfigs(ctx, name)
	if err != nil {
		return topicDetail{}, err
	}
	for _, rc := range rcs {
		for _, c := range rc.Configs {
			if c.Source.String() == "DYNAMIC_TOPIC_CONFIG" {
				d.Configs[c.Key] = c.MaybeValue()
			}
		}
	}
	return d, nil
}

func newTopicDelete(conn *logFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "delete NAME",
		Short: "Delete a topic and all its records",
		Args:  exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withAdmin(cmd.Context(), conn, func(a *kadm.Client) error {
				resp, err := a.DeleteTopic(cmd.Context(), args[0])
				if err == nil {
					err = resp.Err
				}
				if err != nil {
					return fmt.Errorf("delete topic %s: %w", args[0], err)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "topic %s deleted\n", args[0])
				return nil
			})
		},
	}
}
