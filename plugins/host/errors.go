package host

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/millrace/millrace/plugins/proto"
)

// Class says what may be done about an error of a task.
type Class = proto.Class

// The classes.
const (
	Fatal     = proto.Fatal     // the task cannot go on
	Transient = proto.Transient // the same may work later
	Record    = proto.Record    // one record is at fault
)

// Error is an error that a connector reported, with its class.
type Error = proto.Error

// ErrProtocol is a plugin that sends what has no place in the protocol.
var ErrProtocol = proto.ErrProtocol

// StartReason says why a process could not be used.
type StartReason string

// The reasons.
const (
	NotExecutable StartReason = "cannot be executed"
	DiedAtStart   StartReason = "ended before it was ready"
	Hangs         StartReason = "was not ready in time"
	NoPlugin      StartReason = "does not speak as a plugin does"
	Incompatible  StartReason = "is for another version of the protocol"
)

// StartError is a plugin that could not be started.
type StartError struct {
	Plugin  string
	Command string
	Reason  StartReason
	Detail  string   // what was seen
	Last    []string // what it printed last
	Err     error    // the cause, where there is one
}

// Error says what happened and what to do.
func (e *StartError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "plugin %s (%s) %s", e.Plugin, e.Command, e.Reason)
	if e.Detail != "" {
		b.WriteString(": " + e.Detail)
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	b.WriteString(printed(e.Last))
	b.WriteString("; " + startAdvice[e.Reason])
	return b.String()
}

// Unwrap returns the cause.
func (e *StartError) Unwrap() error { return e.Err }

// SafeToRetry reports whether another try may go better.
func (e *StartError) SafeToRetry() bool { return e.Reason == DiedAtStart || e.Reason == Hangs }

var startAdvice = map[StartReason]string{
	NotExecutable: "check that the file exists, is executable and was built for this system",
	DiedAtStart:   "run it by hand with the argument manifest to see whether it works at all",
	Hangs:         "the machine may be overloaded, or its main function does something else before it serves",
	NoPlugin:      "it must print nothing to stdout and call sdk.Serve: is it a connector plugin?",
	Incompatible:  "build the plugin with the SDK of this worker's version",
}

// ExitError is the end of a task's process.
type ExitError struct {
	Plugin string
	PID    int
	Code   int            // exit status, -1 when a signal ended it
	Signal syscall.Signal // 0 when it exited by itself
	Ran    time.Duration
	// Killed is why the host ended the process, "" when it did not.
	Killed string
	// Last are the lines that it printed last.
	Last []string
}

// Error says how the process ended, what it printed and what to do.
func (e *ExitError) Error() string {
	how := fmt.Sprintf("exited with status %d", e.Code)
	if e.Signal != 0 {
		how = fmt.Sprintf("was ended by signal %d (%v)", int(e.Signal), e.Signal)
	}
	text := fmt.Sprintf("the process of plugin %s (pid %d) %s after %v", e.Plugin, e.PID, how, e.Ran.Round(time.Millisecond))
	if e.Killed != "" {
		text += ": the worker killed it, since " + e.Killed
	}
	return text + printed(e.Last) + e.advice()
}

func (e *ExitError) advice() string {
	switch {
	case e.Killed != "":
		return ""
	case e.Signal == syscall.SIGKILL:
		return "; somebody killed it, or the system did for want of memory: see the system's log"
	case e.Signal == syscall.SIGSEGV || e.Signal == syscall.SIGABRT || e.Code == 2:
		return "; the connector crashed: report the lines above to its author"
	}
	return "; its log tells more"
}

// SafeToRetry reports true: a fresh process may do better.
func (e *ExitError) SafeToRetry() bool { return true }

// printed is what a process printed last, for an error's text: the beginning
// of a panic, if there is one, else the last lines.
func printed(lines []string) string {
	const most = 3
	if len(lines) == 0 {
		return "; it printed nothing"
	}
	shown := lines[max(0, len(lines)-most):]
	for i, l := range lines {
		if strings.HasPrefix(l, "panic: ") || strings.HasPrefix(l, "fatal error: ") {
			shown = lines[i:min(i+most, len(lines))]
			break
		}
	}
	return fmt.Sprintf("; it last printed %q", strings.Join(shown, "\n"))
}

// lost reports whether an error is that of a broken stream rather than one
// that the connector reported.
func lost(err error) bool {
	return errors.As(err, new(*proto.StreamError))
}
