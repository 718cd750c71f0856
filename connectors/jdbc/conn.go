package jdbc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/millrace/millrace/plugins/sdk"
)

// dial opens a connection. The password is in no error.
func (c *config) dial(ctx context.Context) (*pgconn.PgConn, error) {
	s := c.server
	var hosts, ports []string
	for _, h := range s.hosts {
		host, port, err := net.SplitHostPort(h)
		if err != nil {
			return nil, sdk.Fatal(err)
		}
		hosts, ports = append(hosts, host), append(ports, port)
	}
	dsn := "host=" + quoteDSN(strings.Join(hosts, ",")) + " port=" + quoteDSN(strings.Join(ports, ","))
	for k, v := range s.tls {
		dsn += " " + k + "=" + quoteDSN(v)
	}
	if s.user != "" {
		dsn += " user=" + quoteDSN(s.user)
	}
	database := s.database
	if database == "" {
		database = s.user // as the server does
	}
	if database != "" {
		dsn += " dbname=" + quoteDSN(database)
	}
	cfg, err := pgconn.ParseConfig(dsn)
	if err != nil {
		return nil, sdk.Fatal(fmt.Errorf("connect to %s: the settings of connection.url cannot be used: check sslmode and the files of sslcert, sslkey (PEM) and sslrootcert: %w", s.address(), hide(err)))
	}
	cfg.Password, cfg.ConnectTimeout = s.password, s.connectTimeout
	cfg.RuntimeParams["application_name"] = "millrace " + c.name
	for k, v := range s.runtime {
		cfg.RuntimeParams[k] = v
	}
	for k, v := range map[string]string{"DateStyle": "ISO, MDY", "TimeZone": "UTC", "client_encoding": "UTF8"} {
		cfg.RuntimeParams[k] = v
	}
	conn, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, classify(fmt.Errorf("connect to %s: %w", s.address(), err))
	}
	// A task that was frozen in a transaction must not hold its locks for ever.
	if err := exec(ctx, conn, "SET idle_in_transaction_session_timeout = '60s'"); err != nil {
		closeConn(conn)
		return nil, classify(fmt.Errorf("set up the session on %s: %w", s.address(), err))
	}
	return conn, nil
}

// hide keeps the reason of an error about settings without the settings.
func hide(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return errors.New("not understood")
}

func (s *server) address() string { return strings.Join(s.hosts, ",") + "/" + s.database }

func quoteDSN(v string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(v) + "'"
}

// closeConn ends a connection without waiting long for the server.
func closeConn(conn *pgconn.PgConn) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	// The connection is gone either way.
	_ = conn.Close(ctx)
}

// errBad wraps what is wrong with a record, not with the connection or the
// database.
type errBad struct{ err error }

func (e errBad) Error() string { return e.err.Error() }
func (e errBad) Unwrap() error { return e.err }

func bad(format string, args ...any) error { return errBad{fmt.Errorf(format, args...)} }

func sqlState(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// classify tells apart what a record is to blame for (errBad), what may go
// away by itself (sdk.Retry), and what somebody must mend (sdk.Fatal).
func classify(err error) error {
	var known *sdk.Error
	if err == nil || errors.As(err, &known) || errors.As(err, new(errBad)) || errors.Is(err, context.Canceled) {
		return err
	}
	code := sqlState(err)
	class := ""
	if len(code) == 5 {
		class = code[:2]
	}
	switch {
	case code == "", class == "08", class == "53", class == "40", class == "57", class == "58", code == "55P03", code == "55006", code == "25006":
		return sdk.Retry(err, 0)
	case class == "22", class == "23", class == "44", code == "42804", code == "42846", code == "21000", code == "P0001", code == "54000":
		return errBad{err}
	case code == "42501":
		return sdk.Fatal(fmt.Errorf("%w: GRANT the user what is named", err))
	case code == "42P10":
		return sdk.Fatal(fmt.Errorf("%w: the table needs a primary key or unique constraint of exactly the key columns", err))
	case class == "28":
		return sdk.Fatal(fmt.Errorf("%w: check the user and password", err))
	}
	return sdk.Fatal(err)
}

// query runs one statement with parameters as text and returns its rows; an
// element is nil for null.
func query(ctx context.Context, conn *pgconn.PgConn, sql string, args ...[]byte) (rows [][][]byte, affected int64, err error) {
	r := conn.ExecParams(ctx, sql, args, nil, nil, nil).Read()
	return r.Rows, r.CommandTag.RowsAffected(), r.Err
}

// exec runs statements without parameters.
func exec(ctx context.Context, conn *pgconn.PgConn, sql string) error {
	return conn.Exec(ctx, sql).Close()
}
