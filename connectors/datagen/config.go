package datagen

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/millrace/millrace/connectors/datagen/generate"
	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/sdk"
)

// taskKey is set by Plan in the configuration of a task: its number.
const taskKey = "task.id"

// maxSchemaFile bounds a file of a schema in bytes.
const maxSchemaFile = 1 << 20

func keys() sdk.ConfigDef {
	return sdk.ConfigDef{
		{Name: "kafka.topic", Type: sdk.String, Required: true, Rules: []configdef.Rule{configdef.NonEmpty()}, Importance: configdef.High, Group: "Data",
			Doc: "Topic to write to."},
		{Name: "quickstart", Type: sdk.String, Default: "", Check: checkQuickstart, Importance: configdef.High, Group: "Data",
			Recommend: recommend, Doc: "Name of a data set that is built in. One of quickstart, schema.string and schema.filename is needed."},
		{Name: "schema.string", Type: sdk.String, Default: "", Check: checkSchema, Importance: configdef.High, Group: "Data",
			Doc: "Avro schema of a record, whose arg.properties say what values look like."},
		{Name: "schema.filename", Type: sdk.String, Default: "", Check: checkFile, Importance: configdef.High, Group: "Data",
			Doc: "File of such a schema, on the workers."},
		{Name: "schema.keyfield", Type: sdk.String, Default: "", Importance: configdef.High, Group: "Data",
			Doc: "Field whose value is the key of the record. Quickstarts have one."},
		{Name: "max.interval", Type: sdk.Long, Default: 500, Importance: configdef.High, Group: "Rate",
			Doc: "Longest time in milliseconds between two records of a task, of which each waits a random part. From 0 down, records come as fast as they can."},
		{Name: "iterations", Type: sdk.Int, Default: -1, Importance: configdef.High, Group: "Rate",
			Doc: "How many records a task makes before it fails, or what on.complete says. No limit from 0 down."},
		{Name: "on.complete", Type: sdk.String, Default: "fail", Rules: []configdef.Rule{configdef.OneOf("fail", "idle")}, Importance: configdef.Low, Group: "Rate",
			Doc: "What a task does after its iterations: fail, as Confluent's, or stay and make no more."},
		{Name: "random.seed", Type: sdk.Long, Importance: configdef.Low, Group: "Data",
			Doc: "Seed of the random values. The same seed makes the same records; without one they differ from start to start."},
	}
}

func recommend(sdk.Config) ([]string, bool) { return names(), true }

func names() []string {
	out := make([]string, len(quickstarts))
	for i, q := range quickstarts {
		out[i] = q.name
	}
	return out
}

func checkQuickstart(v any) error {
	s, _ := v.(string)
	if _, ok := find(s); s != "" && !ok {
		return fmt.Errorf("it must be one of %s", strings.Join(names(), ", "))
	}
	return nil
}

func checkSchema(v any) error {
	s, _ := v.(string)
	if s == "" {
		return nil
	}
	_, err := generate.New(s, "")
	return err
}

func checkFile(v any) error {
	s, _ := v.(string)
	if s == "" {
		return nil
	}
	text, err := readSchema(s)
	if err != nil {
		return err
	}
	return checkSchema(text)
}

func readSchema(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("%w: the file must be on every worker", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSchemaFile+1))
	if err == nil && len(b) > maxSchemaFile {
		err = fmt.Errorf("%s has more than %d bytes", path, maxSchemaFile)
	}
	return string(b), err
}

// config is a checked configuration.
type config struct {
	topic      string
	generator  *generate.Generator
	interval   time.Duration
	iterations int64 // 0 for no limit
	idle       bool
	seed       int64
	seeded     bool
	task       int64
}

// newConfig converts a configuration whose keys each passed their own checks.
func newConfig(cfg sdk.Config) (*config, []sdk.Problem) {
	c := &config{
		topic: cfg.String("kafka.topic"), interval: cfg.Millis("max.interval"), iterations: max(0, cfg.Int64("iterations")),
		idle: cfg.String("on.complete") == "idle", seed: cfg.Int64("random.seed"), seeded: !cfg.IsNull("random.seed"),
	}
	var problems []sdk.Problem
	bad := func(key, format string, args ...any) {
		problems = append(problems, sdk.Problem{Key: key, Text: fmt.Sprintf("Invalid value for configuration %s: ", key) + fmt.Sprintf(format, args...)})
	}
	var given []string
	for _, k := range []string{"quickstart", "schema.string", "schema.filename"} {
		if cfg.String(k) != "" {
			given = append(given, k)
		}
	}
	switch {
	case len(given) == 0:
		bad("quickstart", "one of quickstart, schema.string and schema.filename is needed")
		return nil, problems
	case len(given) > 1:
		for _, k := range given {
			bad(k, "only one of %s may be set", strings.Join(given, " and "))
		}
		return nil, problems
	}
	if text, ok := cfg.Original(taskKey); ok {
		if _, err := fmt.Sscan(text, &c.task); err != nil {
			bad(taskKey, "%q is no number: the worker sets it", text)
		}
	}
	text, key, err := schemaOf(cfg)
	if err == nil {
		c.generator, err = generate.New(text, key)
	}
	switch {
	case err != nil && cfg.String("schema.keyfield") != "":
		bad("schema.keyfield", "%v", err)
	case err != nil:
		bad(given[0], "%v", err)
	}
	return c, problems
}

func schemaOf(cfg sdk.Config) (text, key string, err error) {
	key = cfg.String("schema.keyfield")
	if name := cfg.String("quickstart"); name != "" {
		q, _ := find(name)
		if key == "" {
			key = q.key
		}
		text, err = q.schema()
		return text, key, err
	}
	if text = cfg.String("schema.string"); text != "" {
		return text, key, nil
	}
	text, err = readSchema(cfg.String("schema.filename"))
	return text, key, err
}
