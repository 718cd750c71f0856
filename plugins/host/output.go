package host

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// The bounds on what a plugin may print.
const (
	maxLine   = 32 << 10 // bytes of a line; the rest of it is dropped
	lastLines = 40       // kept for errors
	lastLine  = 1 << 10  // bytes of a kept line
	lineBurst = 500      // lines logged at once
	lineRate  = 100      // lines logged per second after that
)

// output takes what a process prints, line by line, into the worker's log. A
// line of JSON with a message is logged at its own level with its attributes;
// anything else is kept as it is. It is safe for concurrent use.
type output struct {
	log *slog.Logger

	mu      sync.Mutex // guards below
	last    []string   // a ring once it is full
	next    int
	tokens  float64
	refill  time.Time
	dropped int
}

func newOutput(log *slog.Logger, now time.Time) *output {
	return &output{log: log, tokens: lineBurst, refill: now}
}

// line takes one line without its end.
func (o *output) line(now time.Time, text []byte) {
	text = bytes.TrimRight(text, "\r")
	if len(bytes.TrimSpace(text)) == 0 {
		return
	}
	e := parseEntry(text)
	o.mu.Lock()
	o.keep(e.summary())
	pass, dropped := o.pass(now)
	o.mu.Unlock()
	if dropped > 0 {
		o.log.Warn("plugin prints too much, lines were dropped", "lines", dropped)
	}
	if pass {
		o.log.LogAttrs(context.Background(), e.level, e.message, e.attrs...)
	}
}

// pass takes a token from the bucket. dropped is the number of lines that
// found none before, told once.
func (o *output) pass(now time.Time) (ok bool, dropped int) {
	o.tokens = min(o.tokens+now.Sub(o.refill).Seconds()*lineRate, lineBurst)
	o.refill = now
	if o.tokens < 1 {
		o.dropped++
		return false, 0
	}
	o.tokens--
	dropped, o.dropped = o.dropped, 0
	return true, dropped
}

func (o *output) keep(line string) {
	if len(line) > lastLine {
		line = strings.ToValidUTF8(line[:lastLine], "") + "..."
	}
	if len(o.last) < lastLines {
		o.last = append(o.last, line)
		return
	}
	o.last[o.next] = line
	o.next = (o.next + 1) % lastLines
}

// lines returns the lines printed last, oldest first.
func (o *output) lines() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append(slices.Clone(o.last[o.next:]), o.last[:o.next]...)
}

// entry is a line as a log entry.
type entry struct {
	level   slog.Level
	message string
	attrs   []slog.Attr
}

// plainMessage is the message of lines that are not log entries.
const plainMessage = "plugin printed"

// parseEntry reads a line that slog's JSONHandler wrote, or wraps any other.
func parseEntry(line []byte) entry {
	if line[0] == '{' {
		var fields map[string]any
		d := json.NewDecoder(bytes.NewReader(line))
		d.UseNumber() // as it was written
		if err := d.Decode(&fields); err == nil {
			if e, ok := jsonEntry(fields); ok {
				return e
			}
		}
	}
	text := strings.ToValidUTF8(string(line), "\uFFFD")
	e := entry{slog.LevelInfo, plainMessage, []slog.Attr{slog.String("line", text)}}
	if strings.HasPrefix(text, "panic: ") || strings.HasPrefix(text, "fatal error: ") {
		e.level = slog.LevelError
	}
	return e
}

func jsonEntry(fields map[string]any) (entry, bool) {
	e := entry{level: slog.LevelInfo}
	var ok bool
	if e.message, ok = fields[slog.MessageKey].(string); !ok {
		return e, false
	}
	if level, ok := fields[slog.LevelKey].(string); ok {
		if err := e.level.UnmarshalText([]byte(level)); err != nil {
			e.level = slog.LevelInfo // a level of somebody else's making
		}
	}
	for _, k := range slices.Sorted(maps.Keys(fields)) {
		switch k {
		case slog.MessageKey, slog.LevelKey, slog.TimeKey, "connector", "task":
			// The worker's own say these.
		default:
			e.attrs = append(e.attrs, slog.Any(k, fields[k]))
		}
	}
	return e, true
}

// summary is the entry as a line for people.
func (e entry) summary() string {
	if e.message == plainMessage {
		return e.attrs[0].Value.String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%v %s", e.level, e.message)
	for _, a := range e.attrs {
		fmt.Fprintf(&b, " %s=%v", a.Key, a.Value)
	}
	return b.String()
}

// lineWriter cuts a stream into lines. Each stream has its own; it is used by
// one goroutine.
type lineWriter struct {
	out *output
	buf []byte
}

// Write implements io.Writer. It never fails.
func (w *lineWriter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		line, rest, ended := bytes.Cut(p, []byte("\n"))
		if room := maxLine - len(w.buf); len(line) > room {
			line = line[:room]
		}
		w.buf = append(w.buf, line...)
		if p = rest; ended {
			w.flush()
		}
	}
	return n, nil
}

// flush ends the current line.
func (w *lineWriter) flush() {
	if len(w.buf) > 0 {
		w.out.line(time.Now(), w.buf)
	}
	w.buf = w.buf[:0]
}
