// Package logtail follows log files: many of them, through rotation and
// truncation, from where the last task stopped.
package logtail

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"time"

	"github.com/millrace/millrace/plugins/configdef"
	"github.com/millrace/millrace/plugins/sdk"
)

// Version is the version that the connector reports.
const Version = "1.0.0"

// Connectors returns the source.
func Connectors() []sdk.Connector {
	return []sdk.Connector{{
		Name: "log-tail", Version: Version,
		Classes:       []string{"io.millrace.LogTailSource", "LogTailSource", "LogTail"},
		Documentation: "connectors/logtail/README.md",
		Source:        Source{},
	}}
}

// Source follows files on the worker's host.
type Source struct{}

const notYet = "lines are sent as they are: use transforms, or parse them where they are read"

// ConfigDef defines the keys.
func (Source) ConfigDef() sdk.ConfigDef {
	positive := []configdef.Rule{configdef.AtLeast(1)}
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
		{Name: "discovery.interval.ms", Type: sdk.Int, Default: 1000, Rules: positive, Doc: "How often files are looked for."},
		{Name: "fingerprint.strategy", Type: sdk.String, Default: "checksum", Rules: []configdef.Rule{configdef.OneOf("checksum", "inode")},
			Doc: "What tells a file that was renamed or copied: its first bytes, or its inode alone."},
		{Name: "fingerprint.bytes", Type: sdk.Int, Default: 1024, Rules: []configdef.Rule{configdef.AtLeast(16), configdef.AtMost(1 << 20)}, Doc: "How many first bytes."},
		{Name: "max.line.bytes", Type: sdk.Int, Default: 1 << 20, Rules: []configdef.Rule{configdef.AtLeast(1), configdef.AtMost(32 << 20)}, Doc: "The longest line, and the longest group of lines."},
		{Name: "long.line", Type: sdk.String, Default: "truncate", Rules: []configdef.Rule{configdef.OneOf("truncate", "skip", "split")}, Doc: "What becomes of longer ones."},
		{Name: "max.read.bytes", Type: sdk.Int, Default: 256 << 10, Rules: []configdef.Rule{configdef.AtLeast(1024), configdef.AtMost(16 << 20)}, Doc: "How much of one file is read before it is the next one's turn."},
		{Name: "max.open.files", Type: sdk.Int, Default: 1024, Rules: positive, Doc: "How many files are held open."},
		{Name: "rotate.wait.ms", Type: sdk.Int, Default: 5000, Rules: []configdef.Rule{configdef.AtLeast(0)}, Doc: "How long a file that was renamed or removed is still followed after its end."},
		{Name: "forget.after.ms", Type: sdk.Long, Default: 86400000, Rules: positive, Doc: "How long the offset of a file is kept that is not found any more."},
		{Name: "multiline.start.pattern", Type: sdk.String, Default: "", Check: checkPattern, Doc: "Regular expression of the first line of a group. Groups become one record."},
		{Name: "multiline.condition.pattern", Type: sdk.String, Default: "", Check: checkPattern, Doc: "Regular expression that decides, by mode, which lines follow in the group."},
		{Name: "multiline.mode", Type: sdk.String, Default: "continue_through", Doc: "continue_through: while lines match; continue_past: and one more; halt_before: until one matches; halt_with: that included.",
			Rules: []configdef.Rule{configdef.OneOf("continue_through", "continue_past", "halt_before", "halt_with")}},
		{Name: "multiline.timeout.ms", Type: sdk.Int, Default: 1000, Rules: positive, Doc: "How long an unfinished group waits for its next line."},
		{Name: "multiline.max.lines", Type: sdk.Int, Default: 500, Rules: positive, Doc: "The most lines of a group."},
		{Name: "parser", Type: sdk.String, Default: "none", Unsupported: notYet, Doc: "Not supported: " + notYet},
		{Name: "encoding", Type: sdk.String, Default: "utf-8", Unsupported: "only UTF-8 is read; other bytes are replaced by U+FFFD", Doc: "Encoding of the files."},
		{Name: "compression", Type: sdk.String, Default: "none", Unsupported: "compressed files are not read: exclude them", Doc: "Compression of the files."},
	}
}

func checkPattern(v any) error {
	s, _ := v.(string)
	_, err := regexp.Compile(s)
	return err
}

// Validate checks keys that only mean something together.
func (Source) Validate(_ context.Context, cfg sdk.Config) []sdk.Problem {
	var out []sdk.Problem
	if (cfg.String("multiline.start.pattern") == "") != (cfg.String("multiline.condition.pattern") == "") {
		out = append(out, sdk.Problem{Key: "multiline.start.pattern", Text: "multiline.start.pattern and multiline.condition.pattern are set together or not at all"})
	}
	for _, key := range []string{"include", "exclude"} {
		for _, p := range cfg.List(key) {
			if _, err := compileGlob(p); err != nil {
				out = append(out, sdk.Problem{Key: key, Text: err.Error()})
			}
		}
	}
	return out
}

// ExactlyOnce says that a task continues right after the offset it starts
// from: files that are only appended to are read exactly once.
func (Source) ExactlyOnce(sdk.Config) bool { return true }

// Open reads the stored offsets of all files of this host.
func (s Source) Open(ctx context.Context, cfg sdk.Config, offsets sdk.OffsetReader) (sdk.Task, error) {
	if problems := s.Validate(ctx, cfg); len(problems) > 0 {
		errs := make([]error, len(problems))
		for i, p := range problems {
			errs[i] = p
		}
		return nil, sdk.Fatal(errors.Join(errs...))
	}
	t := &task{
		log: sdk.Logger(ctx), topic: cfg.String("topic"), keyMode: cfg.String("key"), host: cfg.String("host.id"),
		every: cfg.Millis("discovery.interval.ms"), maxRead: cfg.Int("max.read.bytes"), maxOpen: cfg.Int("max.open.files"),
		rotateWait: cfg.Millis("rotate.wait.ms"), forgetAfter: cfg.Millis("forget.after.ms"),
		fingerprint: cfg.Int("fingerprint.bytes"), byInode: cfg.String("fingerprint.strategy") == "inode",
		lines: lineRules{max: cfg.Int("max.line.bytes"), long: cfg.String("long.line")},
	}
	if p := cfg.String("multiline.start.pattern"); p != "" {
		t.group = &groupRules{
			start: regexp.MustCompile(p), condition: regexp.MustCompile(cfg.String("multiline.condition.pattern")),
			mode: cfg.String("multiline.mode"), timeout: cfg.Millis("multiline.timeout.ms"), maxLines: cfg.Int("multiline.max.lines"),
		}
	}
	for _, p := range cfg.List("include") {
		g, err := compileGlob(p)
		if err != nil {
			return nil, sdk.Fatal(err)
		}
		t.include = append(t.include, g)
	}
	for _, p := range cfg.List("exclude") {
		g, err := compileGlob(p)
		if err != nil {
			return nil, sdk.Fatal(err)
		}
		t.exclude = append(t.exclude, g)
	}
	if t.host == "" {
		name, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("name of the host: %w: set host.id", err)
		}
		t.host = name
	}
	if err := t.load(ctx, offsets); err != nil {
		return nil, err
	}
	t.atEnd = cfg.String("start.at") == "end" && !t.indexed
	t.watch()
	return t, nil
}

const idlePoll = 250 * time.Millisecond
