package spooldir

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"

	"github.com/millrace/millrace/connectors/textfield"
	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/data"
	"github.com/millrace/millrace/plugins/sdk"
)

const noEffect = "Accepted and without effect: "

func oneOf(choices ...string) []configdef.Rule { return []configdef.Rule{configdef.OneOf(choices...)} }

// commonKeys are those of every kind.
func commonKeys() sdk.ConfigDef {
	atLeast := func(n float64) []configdef.Rule { return []configdef.Rule{configdef.AtLeast(n)} }
	return sdk.ConfigDef{
		{Name: "topic", Type: sdk.String, Required: true, Rules: []configdef.Rule{configdef.NonEmpty()}, Importance: configdef.High, Doc: "Topic to write to."},
		{Name: "input.path", Type: sdk.String, Required: true, Rules: []configdef.Rule{configdef.NonEmpty()}, Importance: configdef.High, Doc: "Directory that files are put into."},
		{Name: "input.file.pattern", Type: sdk.String, Required: true, Check: checkPattern, Importance: configdef.High, Doc: "Regular expression that the whole name of a file must match."},
		{Name: "finished.path", Type: sdk.String, Default: "", Importance: configdef.High, Doc: "Directory for files whose records are all durable, with cleanup.policy MOVE and MOVEBYDATE."},
		{Name: "error.path", Type: sdk.String, Required: true, Importance: configdef.High, Doc: "Directory for files that cannot be read, with halt.on.error=false."},
		{Name: "halt.on.error", Type: sdk.Boolean, Default: true, Doc: "Whether a file that cannot be read ends the task. Else it goes to error.path, what was read of it before is kept, and the next file is read."},
		{Name: "cleanup.policy", Type: sdk.String, Default: "MOVE", Rules: []configdef.Rule{configdef.OneOfFold("NONE", "DELETE", "MOVE", "MOVEBYDATE")},
			Doc: "What becomes of a file when all its records and their offset are durable. MOVEBYDATE moves into a directory by the date of the file below finished.path."},
		{Name: "cleanup.policy.maintain.relative.path", Type: sdk.Boolean, Default: false, Doc: "Whether files of subdirectories are moved into the same ones."},
		{Name: "input.path.walk.recursively", Type: sdk.Boolean, Default: false, Doc: "Whether files of subdirectories are read."},
		{Name: "file.minimum.age.ms", Type: sdk.Long, Default: 0, Rules: atLeast(0), Doc: "How long a file must not have been written to. Put files there under another name and rename them, or set this."},
		{Name: "processing.file.extension", Type: sdk.String, Default: ".PROCESSING", Doc: "Files of this extension are not read: other software marks files that it works on by them. None are made here."},
		{Name: "files.sort.attributes", Type: sdk.List, Default: "NameAsc", Rules: oneOf("NameAsc", "NameDesc", "LengthAsc", "LengthDesc", "LastModifiedAsc", "LastModifiedDesc"),
			Doc: "The order in which files are read."},
		{Name: "batch.size", Type: sdk.Int, Default: 1000, Rules: atLeast(1), Doc: "The most records to hand over at once."},
		{Name: "empty.poll.wait.ms", Type: sdk.Long, Default: 500, Rules: atLeast(1), Doc: "How long to wait before looking for files again."},
		{Name: "task.partitioner", Type: sdk.String, Default: "ByName", Rules: oneOf("ByName"), Doc: "How files are shared among tasks."},
		{Name: "task.count", Type: sdk.Int, Default: 1, Rules: atLeast(1), Doc: "How many tasks share the files. The connector sets it."},
		{Name: "task.index", Type: sdk.Int, Default: 0, Rules: atLeast(0), Doc: "Which of them this is. The connector sets it."},
		{Name: "file.buffer.size.bytes", Type: sdk.Int, Default: 131072, Rules: atLeast(1), Doc: noEffect + "buffers grow as needed."},
		{Name: "timestamp.mode", Type: sdk.String, Default: "PROCESS_TIME", Rules: []configdef.Rule{configdef.OneOfFold("PROCESS_TIME", "FILE_TIME", "FIELD")}, Doc: "The timestamp of records: the time of reading, of the file, or timestamp.field."},
		{Name: "timestamp.field", Type: sdk.String, Default: "", Doc: "A field of type Timestamp, with timestamp.mode=FIELD."},
	}
}

// schemaKeys say what records are where files do not.
func schemaKeys() sdk.ConfigDef {
	return sdk.ConfigDef{
		{Name: "key.schema", Type: sdk.String, Default: "", Doc: "Schema of keys as JSON, as the connector's documentation has it; its fields are those of the value."},
		{Name: "value.schema", Type: sdk.String, Default: "", Doc: "Schema of values as JSON."},
		{Name: "schema.generation.enabled", Type: sdk.Boolean, Default: false, Doc: "Whether schemas are made from the files where they are not given."},
		{Name: "schema.generation.key.fields", Type: sdk.List, Default: "", Doc: "Fields of the value that make the key of a generated schema."},
		{Name: "schema.generation.key.name", Type: sdk.String, Default: "com.github.jcustenborder.kafka.connect.model.Key", Doc: "Name of the generated schema of keys."},
		{Name: "schema.generation.value.name", Type: sdk.String, Default: "com.github.jcustenborder.kafka.connect.model.Value", Doc: "Name of the generated schema of values."},
		{Name: "schema.generation.types", Type: sdk.String, Default: "string", Rules: oneOf("string", "infer"),
			Doc: "Types in generated schemas: string for all, as kafka-connect-spooldir has it for CSV, or what all values of the file are: boolean, long, double, date, timestamp or string. JSON is always inferred."},
		{Name: "parser.timestamp.date.formats", Type: sdk.List, Default: "yyyy-MM-dd'T'HH:mm:ss,yyyy-MM-dd' 'HH:mm:ss", Check: checkFormats, Doc: "Formats of Timestamp and Date fields, in Java's SimpleDateFormat. ISO 8601 is always read."},
		{Name: "parser.timestamp.timezone", Type: sdk.String, Default: "UTC", Rules: oneOf("UTC"), Doc: "Zone of times that do not have one."},
	}
}

// csvKeys say how values are parted.
func csvKeys() sdk.ConfigDef {
	character := []configdef.Rule{configdef.AtLeast(0), configdef.AtMost(127)}
	return sdk.ConfigDef{
		{Name: "csv.first.row.as.header", Type: sdk.Boolean, Default: false, Doc: "Whether the first row names the columns."},
		{Name: "csv.separator.char", Type: sdk.Int, Default: 44, Rules: character, Doc: "What parts values, as a number: 44 is a comma, 9 a tab, 59 a semicolon."},
		{Name: "csv.quote.char", Type: sdk.Int, Default: 34, Rules: character, Doc: "What encloses values, as a number; 0 for nothing."},
		{Name: "csv.escape.char", Type: sdk.Int, Default: 92, Rules: character, Doc: "What stands before a quote within quotes, as a number; 0 for nothing. A quote may also be doubled."},
		{Name: "csv.rfc.4180.parser.enabled", Type: sdk.Boolean, Default: false, Doc: "Whether quotes are doubled only, and csv.escape.char is text."},
		{Name: "csv.skip.lines", Type: sdk.Int, Default: 0, Rules: []configdef.Rule{configdef.AtLeast(0)}, Doc: "Lines to pass over at the beginning of a file."},
		{Name: "csv.ignore.leading.whitespace", Type: sdk.Boolean, Default: true, Doc: "Whether blanks before a value are left out."},
		{Name: "csv.ignore.quotations", Type: sdk.Boolean, Default: false, Doc: "Whether quotes are text."},
		{Name: "csv.keep.carriage.return", Type: sdk.Boolean, Default: false, Doc: "Whether a carriage return at the end of a line is text."},
		{Name: "csv.null.field.indicator", Type: sdk.String, Default: "NEITHER", Rules: []configdef.Rule{configdef.OneOfFold("NEITHER", "EMPTY_SEPARATORS", "EMPTY_QUOTES", "BOTH")}, Doc: "Which empty strings are nulls: none, those without quotes, those with, or both. Other types have no empty values."},
		{Name: "csv.case.sensitive.field.names", Type: sdk.Boolean, Default: false, Doc: "Whether names in the header are those of value.schema in the same case only."},
		{Name: "csv.file.charset", Type: sdk.String, Default: "UTF-8", Check: checkCharset, Doc: "Encoding of the files."},
		{Name: "csv.strict.quotes", Type: sdk.Boolean, Default: false, Unsupported: "values outside of quotes are always read", Doc: "Whether only what is in quotes is read."},
		{Name: "csv.verify.reader", Type: sdk.Boolean, Default: true, Doc: noEffect + "readers are always checked."},
	}
}

func checkPattern(v any) error {
	s, _ := v.(string)
	if _, err := regexp.Compile("^(?:" + s + ")$"); err != nil {
		return fmt.Errorf("%w; look-around, references back and possessive quantifiers do not exist here", err)
	}
	return nil
}

func checkCharset(v any) error {
	s, _ := v.(string)
	_, err := findCharset(s)
	return err
}

func findCharset(name string) (encoding.Encoding, error) {
	e, err := htmlindex.Get(name)
	if err != nil {
		return nil, fmt.Errorf("%q is no encoding that is known here: use UTF-8, ISO-8859-1, windows-1252, UTF-16LE or another", name)
	}
	return e, nil
}

func checkFormats(v any) error {
	list, _ := v.([]string)
	_, err := compileFormats(list)
	return err
}

// javaFields are the letters of SimpleDateFormat that times are read by.
var javaFields = map[string]string{
	"yyyy": "%Y", "yy": "%y", "MM": "%m", "M": "%m", "MMM": "%b", "MMMM": "%b", "dd": "%d", "d": "%d", "HH": "%H", "H": "%H", "hh": "%I", "h": "%I",
	"mm": "%M", "m": "%M", "ss": "%S", "s": "%S", "SSS": "%f", "SSSSSS": "%f", "SSSSSSSSS": "%f", "a": "%p", "Z": "%z", "z": "%Z", "X": "%z", "XX": "%z", "XXX": "%z",
	"EEE": "%a", "D": "%j", "DDD": "%j",
}

// compileFormats reads formats of SimpleDateFormat.
func compileFormats(list []string) ([]*textfield.TimePattern, error) {
	var out []*textfield.TimePattern
	for _, format := range list {
		var b strings.Builder
		for i := 0; i < len(format); {
			c := format[i]
			n := 1
			switch {
			case c == '\'':
				end := strings.IndexByte(format[i+1:], '\'')
				if end < 0 {
					return nil, fmt.Errorf("%q: a quote does not end", format)
				}
				b.WriteString(strings.ReplaceAll(format[i+1:i+1+end], "%", "%%"))
				n = end + 2
			case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
				for i+n < len(format) && format[i+n] == c {
					n++
				}
				field, ok := javaFields[format[i:i+n]]
				if !ok {
					return nil, fmt.Errorf("%q: %q is no part of a time that is read here", format, format[i:i+n])
				}
				b.WriteString(field)
			default:
				b.WriteString(strings.ReplaceAll(string(c), "%", "%%"))
			}
			i += n
		}
		p, err := textfield.CompileTime(b.String())
		if err != nil {
			return nil, fmt.Errorf("%q: %w", format, err)
		}
		out = append(out, p)
	}
	return out, nil
}

// settings are a checked configuration.
type settings struct {
	kind                    kind
	topic                   string
	input, finished, failed string
	pattern                 *regexp.Regexp
	halt, recursive         bool
	cleanup                 string
	relative                bool
	age, wait               time.Duration
	marker                  string
	order                   []string
	batch                   int
	tasks, index            int
	timestamp, timeField    string
	keySchema, valueSchema  *data.Schema
	generate                *generation
	csv                     csvOptions
	formats                 []*textfield.TimePattern
}

// generation says how schemas are made from files.
type generation struct {
	keyFields      []string
	keyName, value string
	infer          bool
}

func newSettings(k kind, cfg sdk.Config) (settings, []sdk.Problem) {
	var problems []sdk.Problem
	bad := func(key string, err error) {
		if err != nil {
			problems = append(problems, sdk.Problem{Key: key, Text: fmt.Sprintf("Invalid value for configuration %s: %v", key, err)})
		}
	}
	c := settings{
		kind: k, topic: cfg.String("topic"), input: filepath.Clean(cfg.String("input.path")), finished: cfg.String("finished.path"), failed: cfg.String("error.path"),
		pattern: regexp.MustCompile("^(?:" + cfg.String("input.file.pattern") + ")$"), // its own check has compiled it
		halt:    cfg.Bool("halt.on.error"), recursive: cfg.Bool("input.path.walk.recursively"), cleanup: strings.ToUpper(cfg.String("cleanup.policy")),
		relative: cfg.Bool("cleanup.policy.maintain.relative.path"), age: cfg.Millis("file.minimum.age.ms"), wait: cfg.Millis("empty.poll.wait.ms"),
		marker: cfg.String("processing.file.extension"), order: cfg.List("files.sort.attributes"), batch: cfg.Int("batch.size"),
		tasks: cfg.Int("task.count"), index: cfg.Int("task.index"), timestamp: strings.ToUpper(cfg.String("timestamp.mode")), timeField: cfg.String("timestamp.field"),
	}
	switch moves := strings.HasPrefix(c.cleanup, "MOVE"); {
	case moves && c.finished == "":
		bad("finished.path", fmt.Errorf("cleanup.policy=%s moves files there: name a directory", c.cleanup))
	case !moves:
		c.finished = ""
	case filepath.Clean(c.finished) == c.input:
		bad("finished.path", errors.New("it is input.path: files would be found again"))
	}
	if c.failed != "" && filepath.Clean(c.failed) == c.input {
		bad("error.path", errors.New("it is input.path: files would be found again"))
	}
	if (c.timestamp == "FIELD") != (c.timeField != "") {
		bad("timestamp.field", errors.New("timestamp.mode=FIELD and the name of the field are set together"))
	}
	if k == csvFiles || k == jsonFiles {
		c.schemas(cfg, bad)
	}
	if k == csvFiles {
		c.csv = newCSVOptions(cfg)
	}
	return c, problems
}

// schemas sets what the schemas of records are.
func (c *settings) schemas(cfg sdk.Config, bad func(string, error)) {
	var err error
	if text := cfg.String("value.schema"); text != "" {
		c.valueSchema, err = parseSchema(text)
		bad("value.schema", err)
	}
	if text := cfg.String("key.schema"); text != "" {
		c.keySchema, err = parseSchema(text)
		bad("key.schema", err)
	}
	if cfg.Bool("schema.generation.enabled") {
		c.generate = &generation{
			keyFields: cfg.List("schema.generation.key.fields"), keyName: cfg.String("schema.generation.key.name"), value: cfg.String("schema.generation.value.name"),
			infer: c.kind == jsonFiles || cfg.String("schema.generation.types") == "infer",
		}
	} else if c.valueSchema == nil {
		bad("value.schema", errors.New("give the schema of values, or set schema.generation.enabled"))
	}
	if c.keySchema != nil && c.valueSchema != nil {
		_, err := newKeyMaker(c.valueSchema, c.keySchema)
		bad("key.schema", err)
	}
	c.formats, err = compileFormats(cfg.List("parser.timestamp.date.formats"))
	bad("parser.timestamp.date.formats", err)
}
