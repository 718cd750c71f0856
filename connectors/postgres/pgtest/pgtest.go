// Package pgtest runs a real PostgreSQL for tests: logical decoding on, a
// directory of its own, loopback only, gone when the test is.
package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// User is the server's superuser, who needs no password.
const User = "millrace"

// Server is a running server. Its methods may be used by several tests at
// once, but for those that stop it.
type Server struct {
	// Host and Port are where the server listens.
	Host string
	Port int

	bin, dir string
	args     []string
	cred     *syscall.Credential
	cmd      *exec.Cmd
	names    atomic.Int64 // databases made
}

// Start starts a server with further settings ("name=value") and stops it at
// the end of the test. It fails the test when PostgreSQL is not installed.
func Start(tb testing.TB, settings ...string) *Server {
	tb.Helper()
	s, err := New(settings...)
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

// New starts a server. Close stops it and removes its files.
func New(settings ...string) (*Server, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	cred, err := credential()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pgtest")
	if err != nil {
		return nil, err
	}
	s := &Server{Host: "127.0.0.1", bin: bin, dir: dir, cred: cred}
	if err := s.create(settings); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := s.Restart(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// Bin is the environment variable that names the directory of the server's
// programs, for tests of another version than the newest that is installed.
const Bin = "PGTEST_BIN"

// binaries finds the directory with initdb and postgres.
func binaries() (string, error) {
	if dir := os.Getenv(Bin); dir != "" {
		return dir, nil
	}
	dirs, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	slices.SortFunc(dirs, func(a, b string) int { return version(b) - version(a) })
	dirs = append(dirs, filepath.SplitList(os.Getenv("PATH"))...)
	for _, d := range dirs {
		_, initdb := os.Stat(filepath.Join(d, "initdb"))
		_, server := os.Stat(filepath.Join(d, "postgres"))
		if initdb == nil && server == nil {
			return d, nil
		}
	}
	return "", errors.New("PostgreSQL's initdb and postgres are neither in /usr/lib/postgresql/*/bin nor in PATH: run make test-deps")
}

func version(dir string) int {
	n, err := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
	if err != nil {
		return 0
	}
	return n
}

// credential returns whom to run the server as: PostgreSQL refuses root.
func credential() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return nil, err
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			return nil, err
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("root cannot run PostgreSQL, and there is neither a user postgres nor nobody")
}

func (s *Server) create(settings []string) error {
	if s.cred != nil {
		if err := os.Chown(s.dir, int(s.cred.Uid), int(s.cred.Gid)); err != nil {
			return err
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.Port = l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return err
	}
	cmd := exec.Command(filepath.Join(s.bin, "initdb"), "-D", filepath.Join(s.dir, "data"), "-U", User, "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	s.args = []string{"-D", filepath.Join(s.dir, "data")}
	for _, v := range append([]string{
		"listen_addresses=127.0.0.1", "port=" + strconv.Itoa(s.Port), "unix_socket_directories=" + s.dir,
		"wal_level=logical", "fsync=off", "max_wal_senders=20", "max_replication_slots=20", "shared_buffers=32MB",
		"autovacuum=off", "log_min_messages=warning",
	}, settings...) {
		s.args = append(s.args, "-c", v)
	}
	return nil
}

// Restart starts the server again after Stop or Kill and waits until it takes
// connections.
func (s *Server) Restart() error {
	log, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close() // the server has its own
	s.cmd = exec.Command(filepath.Join(s.bin, "postgres"), s.args...)
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = s.dir, log, log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred, Pdeathsig: syscall.SIGQUIT}
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		c, err := s.connect(ctx, "postgres")
		if err == nil {
			return c.Close(ctx)
		}
		var status syscall.WaitStatus
		if pid, e := syscall.Wait4(s.cmd.Process.Pid, &status, syscall.WNOHANG, nil); e == nil && pid == s.cmd.Process.Pid {
			s.cmd = nil
			text, err := os.ReadFile(log.Name())
			return errors.Join(fmt.Errorf("postgres ended: %s", text), err)
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("postgres does not answer: %w", err), s.Kill())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Stop ends the server in an orderly way: connections are cut, replication
// clients are waited for.
func (s *Server) Stop() error { return s.end(syscall.SIGINT) }

// Kill ends the server without any order, as a power cut would.
func (s *Server) Kill() error { return s.end(syscall.SIGQUIT) }

func (s *Server) end(sig syscall.Signal) error {
	if s.cmd == nil {
		return nil
	}
	cmd := s.cmd
	s.cmd = nil
	if err := cmd.Process.Signal(sig); err != nil {
		return err
	}
	exited := make(chan struct{})
	go func() {
		// An exit code other than 0 is what SIGQUIT asks for.
		_ = cmd.Wait()
		close(exited)
	}()
	select {
	case <-exited:
		return nil
	case <-time.After(30 * time.Second):
		err := cmd.Process.Kill()
		<-exited
		return errors.Join(errors.New("postgres did not end within 30 s of being asked to"), err)
	}
}

// Close stops the server and removes its files.
func (s *Server) Close() error { return errors.Join(s.Kill(), os.RemoveAll(s.dir)) }

func (s *Server) connect(ctx context.Context, db string) (*pgconn.PgConn, error) {
	return pgconn.Connect(ctx, s.URL(db))
}

// Program returns the path of one of PostgreSQL's programs.
func (s *Server) Program(name string) string { return filepath.Join(s.bin, name) }

// URL returns the address of a database for libpq and pgx.
func (s *Server) URL(db string) string {
	return fmt.Sprintf("postgres://%s@%s:%d/%s?sslmode=disable", User, s.Host, s.Port, db)
}

// Database makes an empty database of a name that no other has.
func (s *Server) Database(tb testing.TB) string {
	tb.Helper()
	name := "db" + strconv.FormatInt(s.names.Add(1), 10)
	s.Exec(tb, "postgres", "CREATE DATABASE "+name)
	return name
}

// Exec runs statements in one connection to a database and returns the rows of
// the last one as text, columns joined by |.
func (s *Server) Exec(tb testing.TB, db string, statements ...string) []string {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := s.connect(ctx, db)
	if err != nil {
		tb.Fatal(err)
	}
	defer c.Close(ctx)
	var rows []string
	for _, sql := range statements {
		results, err := c.Exec(ctx, sql).ReadAll()
		if err != nil {
			tb.Fatalf("%s: %v", sql, err)
		}
		rows = nil
		for _, r := range results {
			for _, row := range r.Rows {
				rows = append(rows, strings.TrimSpace(string(bytes.Join(row, []byte("|")))))
			}
		}
	}
	return rows
}
