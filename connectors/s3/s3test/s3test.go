// Package s3test runs a real S3 server, versitygw, for tests: a process of its
// own on a loopback port with a directory of its own, gone when the test is.
package s3test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// The server's only account.
const (
	AccessKey = "testkey"
	Secret    = "testsecret"
	Region    = "us-east-1"
)

// Server is a running server. Its methods may be used by several tests at once.
type Server struct {
	// URL is the server's address.
	URL string
	// Client speaks to it.
	Client *s3.Client

	dir string
	cmd *exec.Cmd
}

// Start starts a server and stops it at the end of the test.
func Start(tb testing.TB) *Server {
	tb.Helper()
	s, err := New()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// attempts is how many ports are tried: one that was free may be taken before
// the server has it.
const attempts = 5

// New starts a server. Close stops it and removes its files.
func New() (*Server, error) {
	program, err := Program()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "s3test")
	if err != nil {
		return nil, err
	}
	for range attempts {
		var s *Server
		if s, err = start(program, dir); err == nil {
			return s, nil
		}
	}
	return nil, errors.Join(err, os.RemoveAll(dir))
}

// PID returns the id of the server's process.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Program builds the server where that has not been done. What it is made of
// comes from the module cache or its proxy; make test-deps fetches it.
func Program() (string, error) {
	_, self, _, ok := runtime.Caller(0)
	if !ok {
		return "", errors.New("the source of the tests cannot be found")
	}
	root := filepath.Join(filepath.Dir(self), "..", "..", "..")
	module := filepath.Join(root, "bench", "s3server")
	program := filepath.Join(root, ".cache", "versitygw")
	built, err := os.Stat(program)
	if err == nil {
		if pinned, err := os.Stat(filepath.Join(module, "go.mod")); err != nil || !pinned.ModTime().After(built.ModTime()) {
			return program, err
		}
	}
	return program, build(module, program)
}

func build(module, program string) error {
	if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
		return err
	}
	// Several test programs may do this at once: each builds its own, and the
	// last takes the name.
	temp, err := os.CreateTemp(filepath.Dir(program), "versitygw-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp.Name()) }() // it has another name when all went well
	if err := temp.Close(); err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-C", module, "-o", temp.Name(), "github.com/versity/versitygw/cmd/versitygw")
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the S3 server of the tests: run make test-deps where the Go module proxy can be reached: %w\n%s", err, out)
	}
	return os.Rename(temp.Name(), program)
}

func start(program, dir string) (*Server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	data := filepath.Join(dir, "data")
	if err := os.MkdirAll(data, 0o755); err != nil {
		return nil, err
	}
	s := &Server{URL: "http://" + address, dir: dir}
	s.cmd = exec.Command(program, "--port", address, "--quiet", "--health", "/health", "posix", "--sidecar", dir, data)
	s.cmd.Env = []string{"ROOT_ACCESS_KEY_ID=" + AccessKey, "ROOT_SECRET_ACCESS_KEY=" + Secret, "HOME=" + dir}
	log := filepath.Join(dir, "log")
	out, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer out.Close()                     // the process has its own
	s.cmd.Stdout, s.cmd.Stderr = out, out // a file, so that no goroutine copies
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	if err := s.ready(); err != nil {
		said, readErr := os.ReadFile(log)
		return nil, fmt.Errorf("%w\n%s", errors.Join(err, readErr, s.stop()), said)
	}
	s.Client = s3.New(s3.Options{
		Region: Region, BaseEndpoint: aws.String(s.URL), UsePathStyle: true,
		Credentials:                credentials.NewStaticCredentialsProvider(AccessKey, Secret, ""),
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired, ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	})
	return s, nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// startTimeout is how long the server may take to answer.
const startTimeout = 20 * time.Second

func (s *Server) ready() error {
	ctx, stop := context.WithTimeout(context.Background(), startTimeout)
	defer stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/health", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			if err := resp.Body.Close(); err != nil {
				return err
			}
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the S3 server of the tests does not answer: %w", context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// stop ends the process.
func (s *Server) stop() error {
	err := s.cmd.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(10*time.Second, func() { _ = s.cmd.Process.Kill() })
	defer kill.Stop()
	waitErr := s.cmd.Wait()
	if exit := (*exec.ExitError)(nil); errors.As(waitErr, &exit) {
		waitErr = nil // it ends with the signal's status
	}
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	return errors.Join(err, waitErr)
}

// Kill ends the server as a power cut would. What it has stays, for Restart.
func (s *Server) Kill() error {
	if err := s.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	err := s.cmd.Wait()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return nil // it ended with the signal's status
	}
	return err
}

// Restart starts a server that was killed on what it has, at another address.
// Nothing else may use the Server meanwhile.
func (s *Server) Restart() error {
	program, err := Program()
	if err != nil {
		return err
	}
	for range attempts {
		var again *Server
		if again, err = start(program, s.dir); err == nil {
			*s = *again
			return nil
		}
	}
	return err
}

// Close stops the server and removes its files.
func (s *Server) Close() error {
	http.DefaultClient.CloseIdleConnections()
	return errors.Join(s.stop(), os.RemoveAll(s.dir))
}

// Bucket makes a bucket.
func (s *Server) Bucket(tb testing.TB, name string) string {
	tb.Helper()
	if _, err := s.Client.CreateBucket(tb.Context(), &s3.CreateBucketInput{Bucket: &name}); err != nil {
		tb.Fatalf("make bucket %s: %v", name, err)
	}
	return name
}
