package logtail

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/connectors/logtail/line"
	"github.com/millrace/millrace/connectors/logtail/parse"
	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/sdk"
)

var positive = []configdef.Rule{configdef.AtLeast(1)}

// fileKeys say which files are followed, and how.
func fileKeys() sdk.ConfigDef {
	return sdk.ConfigDef{
		{Name: "include", Type: sdk.List, Required: true, Rules: []configdef.Rule{configdef.NonEmpty()}, Importance: configdef.High,
			Doc: "Files to follow: patterns with *, ?, [a-z], and ** for any number of directories."},
		{Name: "exclude", Type: sdk.List, Default: "", Doc: "Files not to follow, of those included."},
		{Name: "topic", Type: sdk.String, Required: true, Rules: []configdef.Rule{configdef.NonEmpty()}, Importance: configdef.High,
			Doc: "Topic to write to. ${file.name} and ${dir} stand for the name of the file and of its directory."},
		{Name: "key", Type: sdk.String, Default: "none", Rules: []configdef.Rule{configdef.OneOf("none", "file.path", "host")}, Doc: "Key of records."},
		{Name: "host.id", Type: sdk.String, Default: "", Doc: "Name of this host in offsets, keys and headers. The host's own when empty."},
		{Name: "start.at", Type: sdk.String, Default: "end", Rules: []configdef.Rule{configdef.OneOf("end", "beginning")},
			Doc: "Where files that are there at the very first start are read from. Later ones are read from their beginning."},
		{Name: "discovery.interval.ms", Type: sdk.Int, Default: 1000, Rules: positive, Doc: "How often files are looked for, unless that takes more than one part in 200 of the time."},
		{Name: "fingerprint.strategy", Type: sdk.String, Default: "checksum", Rules: []configdef.Rule{configdef.OneOf("checksum", "inode")},
			Doc: "What tells a file that was renamed or copied: what it holds, or its inode alone."},
		{Name: "fingerprint.bytes", Type: sdk.Int, Default: 1024, Rules: []configdef.Rule{configdef.AtLeast(16), configdef.AtMost(1 << 20)}, Doc: "How many first bytes tell files apart, beside the last ones that were read."},
		{Name: "fingerprint.skip.bytes", Type: sdk.Int, Default: 0, Unsupported: "the beginning of a file is compared from its first byte, and so are the last bytes that were read: set fingerprint.bytes to more than a header that files have in common",
			Doc: "How many bytes before those that tell files apart."},
		{Name: "placement", Type: sdk.String, Default: "", Unsupported: "one task reads the files of the host that it runs on: make a connector for each host, with a host.id of its own, and run it there", Doc: "On which workers files are read."},
		{Name: "max.read.bytes", Type: sdk.Int, Default: 256 << 10, Rules: []configdef.Rule{configdef.AtLeast(1024), configdef.AtMost(16 << 20)}, Doc: "How much of one file is read before it is the next one's turn."},
		{Name: "max.open.files", Type: sdk.Int, Default: 1024, Rules: positive, Doc: "How many files are held open."},
		{Name: "rotate.wait.ms", Type: sdk.Int, Default: 5000, Rules: []configdef.Rule{configdef.AtLeast(0)}, Doc: "How long a file that was renamed or removed is still followed after its end."},
		{Name: "ignore.older.ms", Type: sdk.Long, Default: -1, Doc: "Files that were not written to for so long when they are found are left alone; -1 for none."},
		{Name: "delete.after.ms", Type: sdk.Long, Default: -1, Doc: "Files are deleted when all that they hold is in the log with its offset and they were not written to for so long; -1 for never. Needs start.at=beginning."},
		{Name: "forget.after.ms", Type: sdk.Long, Default: 86400000, Rules: positive, Doc: "How long the offset of a file is kept that is not found any more."},
		{Name: "compression", Type: sdk.String, Default: "auto", Rules: []configdef.Rule{configdef.OneOf("auto", "none", "gzip", "zstd")},
			Doc: "Which compressed files are read uncompressed, each known by its first bytes: auto for gzip and zstd. Others are read as they stand."},
	}
}

// lineKeys say what a line is.
func lineKeys() sdk.ConfigDef {
	return sdk.ConfigDef{
		{Name: "encoding", Type: sdk.String, Default: "utf-8", Check: checkEncoding,
			Doc: "Encoding of the files by its IANA name: utf-8, utf-16 (by the byte order mark), utf-16le, utf-16be, iso-8859-1, windows-1252, shift_jis and others."},
		{Name: "line.delimiter", Type: sdk.String, Default: `\n`, Doc: `What ends a line, with the escapes \n, \r, \t and \xHH. A carriage return before \n is not part of the line.`},
		{Name: "max.line.bytes", Type: sdk.Int, Default: 1 << 20, Rules: []configdef.Rule{configdef.AtLeast(1), configdef.AtMost(32 << 20)}, Doc: "The longest line in the file's encoding, and the longest group of lines."},
		{Name: "long.line", Type: sdk.String, Default: "truncate", Rules: []configdef.Rule{configdef.OneOf("truncate", "skip", "split", "fail")}, Doc: "What becomes of longer ones."},
		{Name: "flush.partial.ms", Type: sdk.Long, Default: -1, Doc: "After how long without growth a last line without an end is sent; -1 for never."},
	}
}

// groupKeys say which lines are one record.
func groupKeys() sdk.ConfigDef {
	return sdk.ConfigDef{
		{Name: "multiline.start.pattern", Type: sdk.String, Default: "", Check: checkPattern, Doc: "Regular expression of the first line of a group; any line if it is empty. Groups become one record."},
		{Name: "multiline.condition.pattern", Type: sdk.String, Default: "", Check: checkPattern, Doc: "Regular expression that decides, by mode, which lines follow in the group. If it is empty, all up to the next first line do."},
		{Name: "multiline.mode", Type: sdk.String, Default: "continue_through", Doc: "continue_through: while lines match; continue_past: and one more; halt_before: until one matches; halt_with: that included.",
			Rules: []configdef.Rule{configdef.OneOf("continue_through", "continue_past", "halt_before", "halt_with")}},
		{Name: "multiline.timeout.ms", Type: sdk.Int, Default: 1000, Rules: positive, Doc: "How long an unfinished group waits for its next line."},
		{Name: "multiline.max.lines", Type: sdk.Int, Default: 500, Rules: positive, Doc: "The most lines of a group."},
	}
}

// parserKeys say what a record's value is.
func parserKeys() sdk.ConfigDef {
	return sdk.ConfigDef{
		{Name: "parser", Type: sdk.String, Default: parse.None, Rules: []configdef.Rule{configdef.OneOf(parse.Kinds()...)}, Importance: configdef.High, Doc: "What the lines are. none sends them as text."},
		{Name: "parser.fields", Type: sdk.List, Default: "", Doc: "Fields of the value as NAME, NAME:TYPE or, where one must be there, NAME:TYPE!. Types: string, boolean, int32, int64, double, timestamp, date, decimal(SCALE). " +
			"For json a.b is the member b of a; for csv and tsv these are the columns; for regex and grok they give groups types."},
		{Name: "parser.rest.field", Type: sdk.String, Default: "", Doc: "Field, a map of text, for what parser.fields does not name, with json and logfmt. Without it that is left out."},
		{Name: "parser.schema", Type: sdk.String, Default: "", Doc: "For json, in the place of parser.fields: the schema of the value, as Avro or as Connect's JSON."},
		{Name: "parser.schema.name", Type: sdk.String, Default: "", Doc: "Name of the value's schema."},
		{Name: "parser.pattern", Type: sdk.String, Default: "", Doc: "For regex: an expression with named groups, as in (?P<level>[A-Z]+). For grok one that may refer to patterns as %{LOGLEVEL:level} or %{NUMBER:took:float}."},
		{Name: "parser.definitions", Type: sdk.String, Default: "", Doc: "For grok: patterns of one's own to refer to, one a line: a name, a blank and an expression."},
		{Name: "parser.separator", Type: sdk.String, Default: "", Doc: "For csv: what parts values, a comma where it is empty."},
		{Name: "parser.quote", Type: sdk.String, Default: "", Doc: "For csv: what encloses values, a double quote where it is empty."},
		{Name: "parser.time.field", Type: sdk.String, Default: "", Doc: "Field, a timestamp, that becomes the timestamp of the record."},
		{Name: "parser.time.format", Type: sdk.String, Default: "", Doc: "Format of timestamps and dates: iso8601, clf, syslog, unix, unix_ms, rfc1123, or fields as %Y-%m-%d %H:%M:%S. iso8601 where it is empty."},
		{Name: "parser.on.error", Type: sdk.String, Default: rawLine, Rules: []configdef.Rule{configdef.OneOf(rawLine, deadLine, dropLine, failTask)},
			Doc: "What becomes of lines that the parser refuses: raw sends them as text with the header parse.error, dlq does so to parser.error.topic, drop leaves them out, fail ends the task."},
		{Name: "parser.error.topic", Type: sdk.String, Default: "", Doc: "Topic for lines that the parser refuses, with parser.on.error=dlq."},
	}
}

func checkPattern(v any) error {
	s, _ := v.(string)
	_, err := regexp.Compile(s)
	return err
}

func checkEncoding(v any) error {
	s, _ := v.(string)
	_, err := line.FindEncoding(s)
	return err
}

func parserConfig(cfg sdk.Config) parse.Config {
	separator, _ := cfg.Original("parser.separator") // blanks are separators, too
	return parse.Config{
		Kind: cfg.String("parser"), Fields: cfg.List("parser.fields"), Rest: cfg.String("parser.rest.field"), Schema: cfg.String("parser.schema"),
		SchemaName: cfg.String("parser.schema.name"), Pattern: cfg.String("parser.pattern"), Definitions: cfg.String("parser.definitions"), Separator: unescaped(separator),
		Quote: cfg.String("parser.quote"), TimeField: cfg.String("parser.time.field"), TimeFormat: cfg.String("parser.time.format"),
	}
}

// unescaped replaces escapes as \t, where there are any.
func unescaped(s string) string {
	if text, err := strconv.Unquote(`"` + strings.ReplaceAll(s, `"`, `\"`) + `"`); err == nil {
		return text
	}
	return s
}

// newSettings converts a configuration whose keys each passed their own rules,
// and reports what else is wrong with it.
func newSettings(cfg sdk.Config) (settings, []sdk.Problem) {
	var problems []sdk.Problem
	bad := func(key string, err error) {
		if err != nil {
			problems = append(problems, sdk.Problem{Key: key, Text: fmt.Sprintf("Invalid value for configuration %s: %v", key, err)})
		}
	}
	s := settings{
		topic: cfg.String("topic"), keyMode: cfg.String("key"), host: cfg.String("host.id"),
		every: cfg.Millis("discovery.interval.ms"), maxRead: cfg.Int("max.read.bytes"), maxOpen: cfg.Int("max.open.files"),
		rotateWait: cfg.Millis("rotate.wait.ms"), forgetAfter: cfg.Millis("forget.after.ms"), ignoreOlder: max(0, cfg.Millis("ignore.older.ms")),
		flushPartial: cfg.Millis("flush.partial.ms"), deleteAfter: cfg.Millis("delete.after.ms"), fingerprint: cfg.Int("fingerprint.bytes"),
		byInode: cfg.String("fingerprint.strategy") == "inode", onError: cfg.String("parser.on.error"), deadTopic: cfg.String("parser.error.topic"),
	}
	compressed := cfg.String("compression")
	s.decompress = map[compression]bool{gzipped: compressed == "auto" || compressed == "gzip", zstandard: compressed == "auto" || compressed == "zstd"}
	for _, list := range []struct {
		key  string
		into *[]glob
	}{{"include", &s.include}, {"exclude", &s.exclude}} {
		for _, p := range cfg.List(list.key) {
			g, err := compileGlob(p)
			bad(list.key, err)
			*list.into = append(*list.into, g)
		}
	}
	if s.deleteAfter >= 0 && cfg.String("start.at") != "beginning" {
		bad("delete.after.ms", errors.New("files would be deleted that were never read: set start.at=beginning"))
	}
	bad("line.delimiter", s.cut(cfg))
	bad("multiline.start.pattern", s.group(cfg))
	_, err := parse.New(parserConfig(cfg))
	if problem := (*parse.Problem)(nil); errors.As(err, &problem) {
		bad(problem.Key, problem.Err)
	}
	if (s.onError == deadLine) != (s.deadTopic != "") {
		bad("parser.error.topic", errors.New("parser.on.error=dlq and the topic for it are set together"))
	}
	return s, problems
}

// cut sets what lines are.
func (s *settings) cut(cfg sdk.Config) error {
	enc, err := line.FindEncoding(cfg.String("encoding"))
	if err != nil {
		return nil // its own check says so
	}
	text, ok := cfg.Original("line.delimiter")
	if !ok {
		text = `\n`
	}
	text = unescaped(text)
	if text == "" || len(text) > 64 {
		return errors.New("it is from 1 to 64 bytes long")
	}
	delimiter, err := enc.Encode(text)
	if err != nil {
		return err
	}
	policies := map[string]line.Policy{"truncate": line.Truncate, "skip": line.Skip, "split": line.Split, "fail": line.Fail}
	most := cfg.Int("max.line.bytes")
	s.encoding, s.delimiter, s.trim = enc, text, text == "\n"
	s.cutter = line.Cutter{
		Delimiter: delimiter, Unit: enc.Unit(), Max: max(enc.Unit(), most-most%enc.Unit()), Long: policies[cfg.String("long.line")], UTF8: enc.UTF8(),
	}
	return nil
}

// group sets which lines are one record.
func (s *settings) group(cfg sdk.Config) error {
	start, condition := cfg.String("multiline.start.pattern"), cfg.String("multiline.condition.pattern")
	kind := cfg.String("parser")
	container := slices.Contains([]string{parse.CRI, parse.Docker}, kind)
	g := &line.Grouping{Mode: cfg.String("multiline.mode"), Timeout: cfg.Millis("multiline.timeout.ms"), MaxLines: cfg.Int("multiline.max.lines")}
	switch {
	case container && (start != "" || condition != ""):
		return fmt.Errorf("parser=%s puts the pieces of messages together; further groups cannot be made of them", kind)
	case container:
		g.Partial = parse.Partial(kind)
		g.Timeout = max(g.Timeout, 5*time.Second) // the rest of a message comes soon
	case start == "" && condition == "":
		return nil
	default:
		if start != "" {
			g.Start = regexp.MustCompile(start) // its own check has compiled it
		}
		if condition != "" {
			g.Condition = regexp.MustCompile(condition)
		} else {
			g.Condition, g.Mode = g.Start, "halt_before"
		}
	}
	s.grouping = g
	return nil
}
