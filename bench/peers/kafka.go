// Package peers starts the programs that Millrace is measured against and
// tested beside, from the files that fetch.sh brings.
package peers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// startTimeout bounds the wait for a peer to answer.
const startTimeout = 90 * time.Second

// Process is a running peer.
type Process struct {
	// Addr is where it answers: HOST:PORT.
	Addr string
	// StartTime is from the start of its process to its first answer.
	StartTime time.Duration

	cmd    *exec.Cmd
	exited chan error
	output *bytes.Buffer
}

// PID returns the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Stop ends the process as its operator would, and kills it if it does not
// end in time.
func (p *Process) Stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.exited: // Java answers SIGTERM with status 143
		return nil
	case <-time.After(startTimeout):
		_ = p.cmd.Process.Kill() // it may have ended by itself
		<-p.exited
		return fmt.Errorf("peer at %s did not stop in time", p.Addr)
	}
}

// Kill ends the process as a power cut would.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.exited
}

// java starts a class of the peers' library and waits until answers says yes.
func java(ctx context.Context, lib, class, addr, logConfig string, heap []string, args []string, answers func(context.Context) bool) (*Process, error) {
	ctx, stop := context.WithTimeout(ctx, startTimeout)
	defer stop()
	p := &Process{Addr: addr, exited: make(chan error, 1), output: &bytes.Buffer{}}
	all := append(append([]string{}, heap...), "-Dlog4j2.configurationFile="+logConfig, "-cp", filepath.Join(lib, "*"), class)
	p.cmd = exec.Command("java", append(all, args...)...)
	p.cmd.Stdout, p.cmd.Stderr = p.output, p.output
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	began := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { p.exited <- p.cmd.Wait() }()
	for !answers(ctx) {
		select {
		case err := <-p.exited:
			return nil, fmt.Errorf("%s ended at start: %w\n%s", class, err, p.output)
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("%s did not answer in %s", class, startTimeout), p.Stop())
		case <-time.After(5 * time.Millisecond):
		}
	}
	p.StartTime = time.Since(began)
	return p, nil
}

const logging = `Configuration:
  Appenders:
    Console: {name: STDOUT, PatternLayout: {pattern: "%d %p %c %m%n"}}
  Loggers:
    Root: {level: WARN, AppenderRef: {ref: STDOUT}}
`

// StartKafka runs one Apache Kafka node, broker and controller, with its state
// under dir. lib is the folder of its jars. Its settings are Kafka's own, but
// for the replication of internal topics and the first rebalance's delay.
func StartKafka(ctx context.Context, lib, dir string) (*Process, error) {
	if jars, err := filepath.Glob(filepath.Join(lib, "kafka_2.13-*.jar")); err != nil || len(jars) == 0 {
		return nil, fmt.Errorf("no Kafka in %s: run bench/peers/fetch.sh", lib)
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	addr, controller := ports[0], ports[1]
	properties := strings.Join([]string{
		"process.roles=broker,controller", "node.id=1",
		"controller.quorum.voters=1@" + controller,
		"listeners=PLAINTEXT://" + addr + ",CONTROLLER://" + controller,
		"advertised.listeners=PLAINTEXT://" + addr,
		"controller.listener.names=CONTROLLER",
		"listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
		"inter.broker.listener.name=PLAINTEXT",
		"log.dirs=" + filepath.Join(dir, "data"),
		"offsets.topic.replication.factor=1",
		"transaction.state.log.replication.factor=1", "transaction.state.log.min.isr=1",
		"share.coordinator.state.topic.replication.factor=1", "share.coordinator.state.topic.min.isr=1",
		"group.initial.rebalance.delay.ms=0",
	}, "\n") + "\n"
	config, logs := filepath.Join(dir, "server.properties"), filepath.Join(dir, "log4j2.yaml")
	if err := errors.Join(os.WriteFile(config, []byte(properties), 0o644), os.WriteFile(logs, []byte(logging), 0o644)); err != nil {
		return nil, err
	}
	format := exec.CommandContext(ctx, "java", "-Dlog4j2.configurationFile="+logs, "-cp", filepath.Join(lib, "*"),
		"kafka.tools.StorageTool", "format", "-t", "bWlsbHJhY2UtYmVuY2gwMA", "-c", config)
	if out, err := format.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("format Kafka's storage: %w\n%s", err, out)
	}
	return java(ctx, lib, "kafka.Kafka", addr, logs, []string{"-Xms1G", "-Xmx1G"}, []string{config}, func(ctx context.Context) bool {
		return Acknowledges(ctx, addr)
	})
}

// Acknowledges reports whether the log at addr takes a record right now, on a
// topic of its own.
func Acknowledges(ctx context.Context, addr string) bool {
	if c, err := net.Dial("tcp", addr); err != nil {
		return false // a client would back off for longer than the start takes
	} else if err := c.Close(); err != nil {
		return false
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.AllowAutoTopicCreation(), kgo.DefaultProduceTopic("first-record"),
		kgo.RetryBackoffFn(func(int) time.Duration { return 5 * time.Millisecond }), kgo.MetadataMinAge(10*time.Millisecond))
	if err != nil {
		return false
	}
	defer client.Close()
	return client.ProduceSync(ctx, kgo.StringRecord("first")).FirstErr() == nil
}

func freePorts(n int) ([]string, error) {
	var addrs []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		addrs = append(addrs, l.Addr().String())
	}
	return addrs, nil
}
