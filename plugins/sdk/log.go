package sdk

import (
	"context"
	"io"
	"log/slog"
	"os"

	"github.com/millrace/millrace/plugins/proto"
)

// newLogger returns a logger that writes JSON lines, which the worker reads
// and logs as its own with the connector and task. The worker says which level
// it wants.
func newLogger(w io.Writer) *slog.Logger {
	level := slog.LevelInfo
	if text := os.Getenv(proto.EnvLogLevel); text != "" {
		if err := level.UnmarshalText([]byte(text)); err != nil {
			level = slog.LevelInfo // an unknown name costs nobody their logs
		}
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))
}

type loggerKey struct{}

func withLogger(ctx context.Context, log *slog.Logger) context.Context {
	return context.WithValue(ctx, loggerKey{}, log)
}

// Logger returns the logger to use in a call that was given ctx. What it
// writes becomes part of the worker's log, with the connector's name and the
// task's number.
func Logger(ctx context.Context) *slog.Logger {
	if log, ok := ctx.Value(loggerKey{}).(*slog.Logger); ok {
		return log
	}
	return slog.Default()
}

type taskKey struct{}

// TaskID returns the number of the task, from 0, in a call that was given ctx.
func TaskID(ctx context.Context) int {
	id, _ := ctx.Value(taskKey{}).(int)
	return id
}

// withTask makes the context of a task's calls.
func withTask(ctx context.Context, log *slog.Logger, open *proto.OpenTask) context.Context {
	ctx = context.WithValue(withLogger(ctx, log), figuresKey{}, &figures{})
	ctx = context.WithValue(ctx, brokersKey{}, open.Brokers)
	return context.WithValue(ctx, taskKey{}, int(open.Task))
}

type brokersKey struct{}

// Brokers returns the addresses (HOST:PORT) of the log that the worker writes
// to, in a call that was given the context of a source task: for a connector
// that reads the log by itself. It is empty where they are not known, and says
// nothing of credentials, which plugins do not get.
func Brokers(ctx context.Context) []string {
	brokers, _ := ctx.Value(brokersKey{}).([]string)
	return brokers
}
