package loggers

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
)

func TestLevelsOfNames(t *testing.T) {
	var out bytes.Buffer
	l := New(slog.LevelInfo)
	root := slog.New(l.Handler(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.Level(-1 << 20)})))
	worker := root.With("role", "connect")
	orders, items := worker.With("connector", "orders"), worker.With("connector", "items", "task", 0)
	said := func() string {
		out.Reset()
		for name, log := range map[string]*slog.Logger{"root": root, "connect": worker, "orders": orders, "items": items} {
			log.Debug(name)
			log.Error(name)
		}
		var names []string
		for line := range strings.Lines(out.String()) {
			_, rest, _ := strings.Cut(line, "level=")
			level, rest, _ := strings.Cut(rest, " msg=")
			names = append(names, strings.Fields(rest)[0]+":"+level)
		}
		slices.Sort(names)
		return strings.Join(names, " ")
	}
	if got, want := said(), "connect:ERROR items:ERROR orders:ERROR root:ERROR"; got != want {
		t.Errorf("at first %s, want %s", got, want)
	}
	if got, want := l.Set("connect.orders", slog.LevelDebug), []string{"connect.orders"}; !slices.Equal(got, want) {
		t.Errorf("affected %v, want %v", got, want)
	}
	if got, want := said(), "connect:ERROR items:ERROR orders:DEBUG orders:ERROR root:ERROR"; got != want {
		t.Errorf("with orders at DEBUG %s, want %s", got, want)
	}
	off, _ := Parse("off")
	if got, want := l.Set("connect", off), []string{"connect", "connect.items", "connect.orders"}; !slices.Equal(got, want) {
		t.Errorf("affected %v, want %v", got, want)
	}
	if got, want := said(), "root:ERROR"; got != want {
		t.Errorf("with connect off %s, want %s", got, want)
	}
	if worker.With("connector", "new").Enabled(t.Context(), slog.LevelError) {
		t.Error("a logger made later is not off, as the one above it is")
	}
	if got := l.Set("elsewhere", slog.LevelWarn); !slices.Equal(got, []string{"elsewhere"}) {
		t.Errorf("affected %v, want the namespace itself", got)
	}
	all := l.All()
	if all["root"].Level != "INFO" || all["root"].LastModified != nil || all["connect"].Level != "OFF" || all["connect"].LastModified == nil {
		t.Errorf("levels %+v", all)
	}
	if n := len(l.Set(Root, slog.LevelWarn)); n != len(all) {
		t.Errorf("setting the root affects %d loggers, want all %d", n, len(all))
	}
}

func TestParse(t *testing.T) {
	for _, name := range []string{"OFF", "fatal", "Error", "WARN", "INFO", "DEBUG", "TRACE", "ALL"} {
		level, ok := Parse(name)
		if !ok || !strings.EqualFold(nameOf(level), name) {
			t.Errorf("%s is %v (%v), which prints as %s", name, level, ok, nameOf(level))
		}
	}
	if _, ok := Parse("LOUD"); ok {
		t.Error("LOUD is a level")
	}
}

func TestLoggersAreBounded(t *testing.T) {
	l := New(slog.LevelInfo)
	for i := range maxLoggers + 10 {
		l.named(fmt.Sprint("x", i))
	}
	if n := len(l.All()); n != maxLoggers {
		t.Errorf("%d loggers, want %d", n, maxLoggers)
	}
}
