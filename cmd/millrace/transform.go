package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/connect/connector"
	"github.com/millrace/millrace/connect/converter"
	"github.com/millrace/millrace/connect/transform"
	"github.com/millrace/millrace/connect/trial"
	"github.com/millrace/millrace/plugins/data"
)

func newTransform() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "transform",
		Short: "Try single message transforms on sample records",
	}
	cmd.AddCommand(newTransformTry())
	return cmd
}

// tryFlags are the options of millrace transform try.
type tryFlags struct {
	client connectClient
	topic  string
	last   int
	config string
	input  string
	format string
	kind   string
}

func newTransformTry() *cobra.Command {
	var f tryFlags
	cmd := &cobra.Command{
		Use:   "try --config FILE [--input FILE | --topic TOPIC]",
		Short: "Run a connector's transforms over sample records and show what each step does",
		Long: `Run the transforms and predicates of a connector's config over sample records, and show each
record before and after every step. Nothing is created. No server is needed, unless --topic asks a
worker for the last records of a topic, which the config's converters read.

Records are read one a line, as JSON:

  {"topic":"orders","partition":0,"timestamp":1700000000000,
   "keySchema":null,"key":"k1",
   "valueSchema":{"type":"struct","fields":[{"field":"id","type":"int32"}],"optional":false},"value":{"id":1},
   "headers":[{"key":"h","schema":{"type":"string","optional":false},"value":"x"}]}

What is left out is null. Schemas are written as JsonConverter writes them. Bytes are base64, a Decimal
is {"decimal":"12.340"}, dates and times are their integer, maps whose keys are no text are arrays of
pairs, NaN and the infinities are text.

With -o json each line of the output answers a line of the input: the record, null if it was dropped,
or {"error":TEXT,"at":"config"} or {"error":TEXT,"at":"apply"}.`,
		Example: `  millrace transform try --config orders-sink.json --input samples.jsonl
  millrace transform try --config - --input samples.jsonl -o json <orders-sink.json
  millrace transform try --config orders-sink.json --topic orders --last 3`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVarP(&f.config, "config", "f", "", "the connector's config, JSON; - is standard input")
	f.client.add(cmd)
	cmd.Flags().StringVarP(&f.topic, "topic", "t", "", "instead of --input: the topic whose last records are the samples")
	cmd.Flags().IntVar(&f.last, "last", 5, "how many of the topic's records, at most 1000")
	cmd.Flags().StringVarP(&f.input, "input", "i", "-", "the records; - is standard input")
	cmd.Flags().StringVarP(&f.format, "output", "o", "text", "text: every step, to be read; json: the outcome of each record, a line each")
	cmd.Flags().StringVar(&f.kind, "kind", "", "source or sink; by default as the config's connector.class and topics say")
	return cmd
}

func (f *tryFlags) run(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	switch {
	case f.config == "":
		return usagef("--config is missing: name the file with the connector's config")
	case f.topic != "" && f.input != "-":
		return usagef("--topic and --input exclude each other")
	case f.config == "-" && f.input == "-" && f.topic == "":
		return usagef("--config and --input cannot both be standard input")
	case f.format != "text" && f.format != "json":
		return usagef("output format %q: must be text or json", f.format)
	}
	name, raw, err := readConfigFile(f.config, stdin)
	if err != nil {
		return err
	}
	config, err := texts(raw)
	if err != nil {
		return err
	}
	kind, err := f.kindOf(config)
	if err != nil {
		return err
	}
	if f.topic != "" {
		if stdin, err = f.fetch(ctx, config); err != nil {
			return err
		}
	}
	in := stdin
	if f.input != "-" {
		file, err := os.Open(f.input)
		if err != nil {
			return err
		}
		defer file.Close()
		in = file
	}
	out := bufio.NewWriter(stdout)
	t, configErr := trial.New(config, transform.Options{Kind: kind, ParseValue: converter.ParseValue})
	switch {
	case f.format == "json":
		err = tryJSON(t, configErr, in, out)
	case configErr != nil:
		return fmt.Errorf("the config of %s: %w", orElse(name, f.config), configErr)
	default:
		err = trySteps(t, in, out)
	}
	return errors.Join(err, out.Flush())
}

// fetch asks a worker for the last records of the topic.
func (f *tryFlags) fetch(ctx context.Context, config map[string]string) (io.Reader, error) {
	asked := connector.TrialRequest{Config: config, Topic: f.topic, Last: f.last}
	var answer struct {
		Records []connector.TrialRecord `json:"records"`
	}
	if err := f.client.call(ctx, http.MethodPost, "/transforms/try", asked, &answer); err != nil {
		return nil, err
	}
	var lines bytes.Buffer
	for _, r := range answer.Records {
		lines.Write(append(r.Before, '\n'))
	}
	return &lines, nil
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// texts turns a config's values into texts, as the REST API does.
func texts(raw map[string]any) (map[string]string, error) {
	out := make(map[string]string, len(raw))
	for k, v := range raw {
		switch v := v.(type) {
		case nil:
		case string:
			out[k] = v
		case json.Number:
			out[k] = v.String()
		case bool:
			out[k] = fmt.Sprint(v)
		default:
			return nil, fmt.Errorf("%s: must be a text, a number or true or false", k)
		}
	}
	return out, nil
}

// kindOf returns which way the records of a config go.
func (f *tryFlags) kindOf(config map[string]string) (transform.Kind, error) {
	switch kind := transform.Kind(strings.ToLower(f.kind)); kind {
	case transform.Source, transform.Sink:
		return kind, nil
	case "":
	default:
		return "", usagef("--kind %q: must be source or sink", f.kind)
	}
	if config["topics"] != "" || config["topics.regex"] != "" || strings.Contains(config["connector.class"], "Sink") {
		return transform.Sink, nil
	}
	return transform.Source, nil
}

// eachLine reads records, skipping empty lines.
func eachLine(in io.Reader, f func(data.Record) error) error {
	r := bufio.NewScanner(in)
	r.Buffer(nil, trial.MaxRecordBytes)
	for n := 1; r.Scan(); n++ {
		line := bytes.TrimSpace(r.Bytes())
		if len(line) == 0 {
			continue
		}
		rec, err := trial.ParseRecord(line)
		if err == nil {
			err = f(rec)
		}
		if err != nil {
			return fmt.Errorf("input line %d: %w", n, err)
		}
	}
	return r.Err()
}

// failure is what -o json says of a record that has no outcome.
type failure struct {
	Error string `json:"error"`
	At    string `json:"at"`
}

func tryJSON(t *trial.Trial, configErr error, in io.Reader, out *bufio.Writer) error {
	answer := func(rec data.Record) ([]byte, error) {
		if configErr != nil {
			return json.Marshal(failure{configErr.Error(), "config"})
		}
		keep, err := t.Apply(&rec)
		switch {
		case err != nil:
			return json.Marshal(failure{err.Error(), "apply"})
		case !keep:
			return []byte("null"), nil
		}
		return trial.AppendRecord(nil, &rec)
	}
	return eachLine(in, func(rec data.Record) error {
		line, err := answer(rec)
		if err != nil {
			return err
		}
		_, err = out.Write(append(line, '\n'))
		return err
	})
}

func trySteps(t *trial.Trial, in io.Reader, out *bufio.Writer) error {
	n := 0
	return eachLine(in, func(rec data.Record) error {
		n++
		before, err := trial.AppendRecord(nil, &rec)
		if err != nil {
			return err
		}
		steps, err := t.Steps(rec)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "record %d\n  before\n    %s\n", n, before)
		for i, s := range steps {
			fmt.Fprintf(out, "  %d. %s (%s)\n", i+1, s.Alias, s.Class)
			switch {
			case s.Err != nil:
				fmt.Fprintf(out, "    fails: %v\n", s.Err)
			case s.Record == nil:
				fmt.Fprintln(out, "    dropped")
			case !s.Changed:
				fmt.Fprintln(out, "    unchanged")
			default:
				after, err := trial.AppendRecord(nil, s.Record)
				if err != nil {
					return err
				}
				fmt.Fprintf(out, "    %s\n", after)
			}
		}
		return nil
	})
}
