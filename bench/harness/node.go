// Package harness starts a Millrace server as its users do, as a process, and
// holds what the benchmarks share: measuring, repeating and printing.
package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Addresses are where a node's roles listen.
type Addresses struct {
	Kafka    string `json:"kafka"`
	Connect  string `json:"connect"`
	Registry string `json:"registry"`
}

// Node is a running server process.
type Node struct {
	Addresses
	// StartTime is how long it took from fork to ready.
	StartTime time.Duration
	cmd       *exec.Cmd
	exited    chan error
	log       string
}

// startTimeout bounds the wait for a node to be ready.
const startTimeout = 30 * time.Second

// StartNode runs bin with its state under dir, on ports that it picks itself.
// What it prints is appended to the file beside dir that ends with .log.
func StartNode(ctx context.Context, bin, dir string, args ...string) (*Node, error) {
	ctx, stop := context.WithTimeout(ctx, startTimeout)
	defer stop()
	n := &Node{exited: make(chan error, 1), log: dir + ".log"}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, err
	}
	output, err := os.OpenFile(n.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer output.Close() // the process has its own
	all := append([]string{
		"server", "--data-dir", dir, "--kafka-addr", "127.0.0.1:0", "--connect-addr", "127.0.0.1:0",
		"--registry-addr", "127.0.0.1:0", "--log-level", "warn",
	}, args...)
	n.cmd = exec.Command(bin, all...)
	n.cmd.Stdout, n.cmd.Stderr = output, output
	began := time.Now()
	if err := n.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { n.exited <- n.cmd.Wait() }()
	path := filepath.Join(dir, "addresses.json")
	for {
		raw, err := os.ReadFile(path)
		if err == nil && json.Unmarshal(raw, &n.Addresses) == nil {
			n.StartTime = time.Since(began)
			return n, nil
		}
		select {
		case err := <-n.exited:
			return nil, fmt.Errorf("server ended at start: %w\n%s", err, n.printed())
		case <-ctx.Done():
			n.Kill()
			return nil, fmt.Errorf("server not ready after %s\n%s", startTimeout, n.printed())
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// printedTail is how much of what a node printed an error text has.
const printedTail = 16 << 10

// printed returns the end of what the node has printed.
func (n *Node) printed() []byte {
	raw, err := os.ReadFile(n.log)
	if err != nil {
		return []byte(err.Error())
	}
	return raw[max(0, len(raw)-printedTail):]
}

// Kill ends the node as a power cut would.
func (n *Node) Kill() {
	_ = n.cmd.Process.Kill() // it may have ended by itself
	<-n.exited
}

// Stop ends the node as its operator would, and fails if that took too long or
// it did not exit with 0.
func (n *Node) Stop() error {
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-n.exited:
		return err
	case <-time.After(startTimeout):
		n.Kill()
		return errors.New("server did not stop in time")
	}
}

// RSS returns the resident memory of the node and all its plugin processes, in
// bytes.
func (n *Node) RSS() (int64, error) { return RSS(n.PID()) }

// PID returns the id of the node's process.
func (n *Node) PID() int { return n.cmd.Process.Pid }

// RSS returns the resident memory of a process and all its children, in bytes.
func RSS(pid int) (int64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(raw))
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0, err
	}
	total := pages * int64(os.Getpagesize())
	children, err := Children(pid)
	if err != nil {
		return 0, err
	}
	for _, child := range children {
		if rss, err := RSS(child); err == nil { // else it has ended
			total += rss
		}
	}
	return total, nil
}

// Children returns the ids of the processes that a process has started and that
// have not ended: of a worker, those of its plugins.
func Children(pid int) ([]int, error) {
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return nil, err
	}
	var out []int
	for _, path := range lists {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue // that thread has ended
		}
		for _, f := range strings.Fields(string(raw)) {
			child, err := strconv.Atoi(f)
			if err != nil {
				return nil, err
			}
			out = append(out, child)
		}
	}
	return out, nil
}

// CPU returns the processor time, in seconds, that a process and its children
// have used so far.
func CPU(pid int) (float64, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The name in parentheses may have blanks in it.
	fields := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	const ticks = 100 // of a second, on every Linux
	var total float64
	for _, f := range fields[11:13] { // utime, stime
		n, err := strconv.ParseFloat(f, 64)
		if err != nil {
			return 0, err
		}
		total += n / ticks
	}
	children, err := Children(pid)
	if err != nil {
		return 0, err
	}
	for _, child := range children {
		if t, err := CPU(child); err == nil { // else it has ended
			total += t
		}
	}
	return total, nil
}
