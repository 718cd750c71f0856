package main

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/bench/harness"
)

// variant is a way through the runtime.
type variant struct {
	name   string
	what   string
	form   string // of the records
	config map[string]string
}

const (
	stringConverter = "org.apache.kafka.connect.storage.StringConverter"
	avroConverter   = "io.confluent.connect.avro.AvroConverter"
	jsonConverter   = "org.apache.kafka.connect.json.JsonConverter"
)

// steps is a chain of three transforms that all open the row.
func steps(config map[string]string) map[string]string {
	out := maps.Clone(config)
	maps.Copy(out, map[string]string{
		"transforms":           "mask,rename,insert",
		"transforms.mask.type": "org.apache.kafka.connect.transforms.MaskField$Value", "transforms.mask.fields": "kind",
		"transforms.rename.type": "org.apache.kafka.connect.transforms.ReplaceField$Value", "transforms.rename.renames": "amount:total", "transforms.rename.exclude": "open",
		"transforms.insert.type": "org.apache.kafka.connect.transforms.InsertField$Value", "transforms.insert.static.field": "origin", "transforms.insert.static.value": "bench",
	})
	return out
}

var (
	text = map[string]string{"value.converter": stringConverter}
	avro = map[string]string{"value.converter": avroConverter}
	json = map[string]string{"value.converter": jsonConverter, "value.converter.schemas.enable": "false"}
)

var variants = []variant{
	{"text", "texts of 200 B, StringConverter, no transforms", "text", text},
	{"Avro", "rows of 200 B and five fields, AvroConverter, no transforms", "row", avro},
	{"Avro, 3 SMTs", "the same; MaskField, ReplaceField, InsertField", "row", steps(avro)},
	{"JSON", "rows of 200 B and five fields, JsonConverter without schemas, no transforms", "row", json},
	{"JSON, 3 SMTs", "the same; MaskField, ReplaceField, InsertField", "row", steps(json)},
}

// benchSource measures records from a plugin's process into the log.
func benchSource(ctx context.Context, o options, r *harness.Report) error {
	for _, v := range variants {
		settings := fmt.Sprintf("%d %s; exactly once, one task, one partition, log in the same process", o.records, v.what)
		if err := r.Twice("source, "+v.name, settings, "records/s", func() (rate float64, err error) {
			err = withNode(ctx, o, func(n *harness.Node) error {
				rate, err = load(ctx, o, n, v.form, v.config)
				return err
			})
			return rate, err
		}); err != nil {
			return err
		}
	}
	return nil
}

// load has a source write the records, and returns how many a second.
func load(ctx context.Context, o options, n *harness.Node, form string, config map[string]string) (float64, error) {
	all := map[string]string{"connector.class": "bench.LoadSource", "topic": "load", "form": form, "records": fmt.Sprint(o.records)}
	maps.Copy(all, config)
	if err := n.CreateConnector(ctx, "load", all); err != nil {
		return 0, err
	}
	return pace(ctx, n, "kafka_connect_source_task_source_record_poll_total", "load", o.records)
}

// benchSink measures records from the log into a plugin's process.
func benchSink(ctx context.Context, o options, r *harness.Report) error {
	for _, v := range variants {
		settings := fmt.Sprintf("%d %s; one task, one partition, log in the same process", o.records, v.what)
		written := map[string]string{}
		for k, value := range v.config { // the log holds what no transform has touched
			if !strings.HasPrefix(k, "transforms") {
				written[k] = value
			}
		}
		if err := r.Twice("sink, "+v.name, settings, "records/s", func() (rate float64, err error) {
			err = withNode(ctx, o, func(n *harness.Node) error {
				if _, err := load(ctx, o, n, v.form, written); err != nil {
					return err
				}
				if err := n.DeleteConnector(ctx, "load"); err != nil {
					return err
				}
				config := map[string]string{"connector.class": "bench.LoadSink", "topics": "load"}
				maps.Copy(config, v.config)
				if err := n.CreateConnector(ctx, "drain", config); err != nil {
					return err
				}
				rate, err = pace(ctx, n, "kafka_connect_sink_task_sink_record_send_total", "drain", o.records)
				return err
			})
			return rate, err
		}); err != nil {
			return err
		}
	}
	return nil
}

// paceTimeout bounds a measurement.
const paceTimeout = 10 * time.Minute

// pace waits until a task's counter is at want, and returns its pace between a
// tenth of that and all.
func pace(ctx context.Context, n *harness.Node, metric, connector string, want int64) (float64, error) {
	var began time.Time
	var from float64
	for deadline := time.Now().Add(paceTimeout); ; {
		v, err := counter(ctx, n, metric, connector)
		if err != nil {
			return 0, err
		}
		now := time.Now()
		if began.IsZero() && v >= float64(want)/10 {
			began, from = now, v
		}
		if v >= float64(want) {
			return (v - from) / now.Sub(began).Seconds(), nil
		}
		if now.After(deadline) || ctx.Err() != nil {
			return 0, fmt.Errorf("%.0f of %d records after %s; connector: %s", v, want, paceTimeout, n.Status(ctx, connector))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// counter reads a metric of task 0 of a connector, 0 while there is none.
func counter(ctx context.Context, n *harness.Node, metric, connector string) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.Connect+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	prefix := fmt.Sprintf("%s{connector=%q,task=\"0\"} ", metric, connector)
	for s := bufio.NewScanner(resp.Body); s.Scan(); {
		if text, ok := strings.CutPrefix(s.Text(), prefix); ok {
			return strconv.ParseFloat(text, 64)
		}
	}
	return 0, nil
}
