package host

import (
	"log/slog"
	"strings"
	"testing"
	"time"
)

// printTo feeds chunks of output to a log and returns what it says.
func printTo(t *testing.T, chunks ...string) (log string, last []string) {
	t.Helper()
	var b strings.Builder
	level := &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}
	out := newOutput(slog.New(slog.NewTextHandler(&b, level)), time.Now())
	w := &lineWriter{out: out}
	for _, c := range chunks {
		if n, err := w.Write([]byte(c)); n != len(c) || err != nil {
			t.Fatalf("write took %d of %d bytes, error %v", n, len(c), err)
		}
	}
	w.flush()
	return b.String(), out.lines()
}

func TestOutputLines(t *testing.T) {
	for _, tt := range []struct {
		name   string
		chunks []string
		log    string
		last   string
	}{
		{"plain", []string{"hello\n"}, "level=INFO msg=\"plugin printed\" line=hello\n", "hello"},
		{"in pieces", []string{"he", "llo\nwor", "ld"}, "level=INFO msg=\"plugin printed\" line=hello\nlevel=INFO msg=\"plugin printed\" line=world\n", "hello|world"},
		{"carriage return", []string{"a\r\n"}, "level=INFO msg=\"plugin printed\" line=a\n", "a"},
		{"empty lines", []string{"\n \n\r\n"}, "", ""},
		{"panic", []string{"panic: no\n"}, "level=ERROR msg=\"plugin printed\" line=\"panic: no\"\n", "panic: no"},
		{"not UTF-8", []string{"a\xffb\n"}, "level=INFO msg=\"plugin printed\" line=\"a\uFFFDb\"\n", "a\uFFFDb"},
		{"JSON at its level", []string{`{"time":"x","level":"WARN","msg":"disk is full","free":12345678901,"a":true}` + "\n"},
			"level=WARN msg=\"disk is full\" a=true free=12345678901\n", "WARN disk is full a=true free=12345678901"},
		{"JSON does not say who it is", []string{`{"msg":"m","connector":"other","task":9}` + "\n"}, "level=INFO msg=m\n", "INFO m"},
		{"unknown level", []string{`{"level":"LOUD","msg":"m"}`}, "level=INFO msg=m\n", "INFO m"},
		{"JSON without a message", []string{`{"x":1}`}, "level=INFO msg=\"plugin printed\" line=\"{\\\"x\\\":1}\"\n", `{"x":1}`},
		{"broken JSON", []string{`{"msg":`}, "level=INFO msg=\"plugin printed\" line=\"{\\\"msg\\\":\"\n", `{"msg":`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			log, last := printTo(t, tt.chunks...)
			if log != tt.log {
				t.Errorf("log is\n%q\nwant\n%q", log, tt.log)
			}
			if got := strings.Join(last, "|"); got != tt.last {
				t.Errorf("last lines are %q, want %q", got, tt.last)
			}
		})
	}
}

func TestOutputIsBounded(t *testing.T) {
	log, last := printTo(t, strings.Repeat("x", 10*maxLine), "\nshort\n")
	if len(log) > maxLine+200 || !strings.Contains(log, "line=short") {
		t.Errorf("a long line makes %d bytes of log", len(log))
	}
	if len(last) != 2 || len(last[0]) > lastLine+3 {
		t.Errorf("it is kept with %d bytes", len(last[0]))
	}
	log, last = printTo(t, strings.Repeat("line\n", 10000))
	if n := strings.Count(log, "\n"); n < lineBurst || n > lineBurst+200 {
		t.Errorf("10000 lines at once are logged as %d", n)
	}
	if len(last) != lastLines {
		t.Errorf("%d lines are kept, want %d", len(last), lastLines)
	}
}

func TestDroppedLinesAreTold(t *testing.T) {
	var b strings.Builder
	now := time.Unix(0, 0)
	out := newOutput(slog.New(slog.NewTextHandler(&b, nil)), now)
	for range lineBurst + 7 {
		out.line(now, []byte("x"))
	}
	out.line(now.Add(time.Second), []byte("y"))
	if !strings.Contains(b.String(), "lines were dropped") || !strings.Contains(b.String(), "lines=7") {
		t.Errorf("log is\n%s", b.String())
	}
}

func TestOutputReachesTheWorkersLog(t *testing.T) {
	h, log := newHost(t, Config{})
	s := openSource(t, h, SourceSpec{Connector: "c", Config: map[string]string{"mode": "print"}})
	eventually(t, "the long line", func() bool { return strings.Contains(log.String(), "longlong") })
	for _, want := range []string{
		`msg="plugin printed" plugin=count connector=c task=0 line="this went to stdout"`,
		`line="plain words"`,
		`level=WARN msg="disk is nearly full" plugin=count connector=c task=0 free=12345678`,
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %s:\n%.2000s", want, log)
		}
	}
	if strings.Contains(log.String(), "spoofed") {
		t.Error("a plugin says for whom it logs")
	}
	if out := strings.Join(s.Output(), "\n"); !strings.Contains(out, "plain words") {
		t.Errorf("its last lines are %q", out)
	}
	closeQuietly(t, s.Close)
}

func FuzzOutput(f *testing.F) {
	f.Add([]byte("a\n{\"msg\":\"m\"}\n"), 3)
	f.Fuzz(func(t *testing.T, text []byte, cut int) {
		cut = min(max(cut, 0), len(text))
		whole, _ := printTo(t, string(text))
		pieces, _ := printTo(t, string(text[:cut]), string(text[cut:]))
		if whole != pieces {
			t.Errorf("printed at once it is\n%q\nin two pieces\n%q", whole, pieces)
		}
	})
}
