package postgres

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/millrace/millrace/plugins/sdk"
)

// sessionSettings fix the text forms that the parsers here read.
var sessionSettings = map[string]string{
	"DateStyle": "ISO", "IntervalStyle": "postgres", "TimeZone": "UTC", "bytea_output": "hex",
	"extra_float_digits": "3", "client_encoding": "UTF8", "lc_monetary": "C",
}

// SQLSTATE codes that decide what is done.
const (
	codeActive     = "55006" // object_in_use: another connection has the slot
	codeUndefined  = "42704" // undefined_object: no such slot or publication
	codeNoTable    = "42P01"
	codeNoColumn   = "42703"
	codeDuplicate  = "42710"
	codeTerminated = "57P01"
	codeNoSlot     = "53400" // configuration_limit_exceeded: all slots are in use
)

// connect opens a connection, for replication commands or for queries. The
// password is in no error.
func (c *config) connect(ctx context.Context, replication bool) (*pgconn.PgConn, error) {
	var dsn strings.Builder
	fmt.Fprintf(&dsn, "host=%s port=%d user=%s dbname=%s", quoteDSN(c.host), c.port, quoteDSN(c.user), quoteDSN(c.dbname))
	ssl, certificate, err := derKey(c.ssl)
	if err != nil {
		return nil, sdk.Fatal(err)
	}
	for k, v := range ssl {
		fmt.Fprintf(&dsn, " %s=%s", k, quoteDSN(v))
	}
	for k, v := range c.driver {
		fmt.Fprintf(&dsn, " %s=%s", k, quoteDSN(v))
	}
	cfg, err := pgconn.ParseConfig(dsn.String())
	if err != nil {
		return nil, sdk.Fatal(fmt.Errorf("connection to %s: %w", c.address(), hideDSN(err)))
	}
	if certificate != nil {
		for _, t := range append([]*tls.Config{cfg.TLSConfig}, fallbackTLS(cfg)...) {
			if t != nil {
				t.Certificates = []tls.Certificate{*certificate}
			}
		}
	}
	cfg.Password = c.password
	keepAlive := 15 * time.Second
	if !c.keepAlive {
		keepAlive = -1
	}
	cfg.DialFunc = (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: keepAlive}).DialContext
	for k, v := range sessionSettings {
		cfg.RuntimeParams[k] = v
	}
	cfg.RuntimeParams["application_name"] = c.application()
	if replication {
		cfg.RuntimeParams["replication"] = "database"
	}
	conn, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, classify(fmt.Errorf("connect to %s: %w", c.address(), err), c.restartWait)
	}
	if replication {
		return conn, nil
	}
	statements := append([]string{"SET statement_timeout = " + strconv.FormatInt(c.queryTimeout.Milliseconds(), 10)}, c.statements...)
	if c.readOnly {
		statements = append(statements, "SET default_transaction_read_only = on")
	}
	for _, sql := range statements {
		if err := conn.Exec(ctx, sql).Close(); err != nil {
			closeConn(conn)
			return nil, classify(fmt.Errorf("initial statement on %s: %w", c.address(), err), c.restartWait)
		}
	}
	return conn, nil
}

func fallbackTLS(cfg *pgconn.Config) []*tls.Config {
	var out []*tls.Config
	for _, f := range cfg.Fallbacks {
		out = append(out, f.TLSConfig)
	}
	return out
}

// derKey loads the client's key when it is in the form of Java's driver,
// PKCS#8 in DER (.pk8), which libpq's does not take, and returns the other
// settings.
func derKey(ssl map[string]string) (rest map[string]string, _ *tls.Certificate, err error) {
	path := ssl["sslkey"]
	if path == "" || ssl["sslcert"] == "" {
		return ssl, nil, nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("database.sslkey: %w", err)
	}
	if block, _ := pem.Decode(raw); block != nil {
		return ssl, nil, nil
	}
	key, err := x509.ParsePKCS8PrivateKey(raw)
	if err != nil {
		return nil, nil, fmt.Errorf("database.sslkey: %s is neither PEM nor PKCS#8 without a password: convert it with openssl pkcs8 -inform DER -in KEY -outform PEM -nocrypt", path)
	}
	chain, err := os.ReadFile(ssl["sslcert"])
	if err != nil {
		return nil, nil, fmt.Errorf("database.sslcert: %w", err)
	}
	certificate := &tls.Certificate{PrivateKey: key}
	for block, more := pem.Decode(chain); block != nil; block, more = pem.Decode(more) {
		certificate.Certificate = append(certificate.Certificate, block.Bytes)
	}
	if len(certificate.Certificate) == 0 {
		return nil, nil, fmt.Errorf("database.sslcert: %s has no certificate in PEM", ssl["sslcert"])
	}
	rest = maps.Clone(ssl)
	delete(rest, "sslkey")
	delete(rest, "sslcert")
	delete(rest, "sslpassword")
	return rest, certificate, nil
}

// application is what connections are called in pg_stat_activity.
func (c *config) application() string {
	if c.applicationName != "" {
		return c.applicationName
	}
	return "millrace " + c.slot
}

func (c *config) address() string {
	return fmt.Sprintf("%s:%d/%s", c.host, c.port, c.dbname)
}

func quoteDSN(v string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(v) + "'"
}

// hideDSN keeps the reason of an error about a connection string without the
// string, which may hold a password of a client key.
func hideDSN(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return errors.New("the connection settings cannot be used: check database.sslmode and the files of database.ssl*")
}

// closeConn ends a connection without waiting long for the server.
func closeConn(conn *pgconn.PgConn) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	// The connection is gone either way.
	_ = conn.Close(ctx)
}

// sqlState returns the server's code for an error, "" if it is not the
// server's.
func sqlState(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// classify says whether an error may go away by itself: a lost connection, a
// server that restarts, a lock or slot that somebody else has.
func classify(err error, wait time.Duration) error {
	var known *sdk.Error
	if err == nil || errors.As(err, &known) || errors.Is(err, context.Canceled) {
		return err
	}
	code := sqlState(err)
	switch {
	case code == "", strings.HasPrefix(code, "08"), strings.HasPrefix(code, "53"), strings.HasPrefix(code, "40"),
		strings.HasPrefix(code, "57"), code == codeActive, code == "55P03":
		return sdk.Retry(err, wait)
	}
	return sdk.Fatal(err)
}

// query runs one statement and returns its rows; an element is nil for null.
func query(ctx context.Context, conn *pgconn.PgConn, sql string, args ...string) ([][][]byte, error) {
	var r *pgconn.Result
	if len(args) == 0 {
		results, err := conn.Exec(ctx, sql).ReadAll()
		if err != nil {
			return nil, err
		}
		if len(results) == 0 {
			return nil, nil
		}
		r = results[len(results)-1]
	} else {
		params := make([][]byte, len(args))
		for i, a := range args {
			params[i] = []byte(a)
		}
		r = conn.ExecParams(ctx, sql, params, nil, nil, nil).Read()
	}
	return r.Rows, r.Err
}

// queryText runs a statement that returns one text, "" for no row or null.
func queryText(ctx context.Context, conn *pgconn.PgConn, sql string, args ...string) (string, error) {
	rows, err := query(ctx, conn, sql, args...)
	if err != nil || len(rows) == 0 || len(rows[0]) == 0 {
		return "", err
	}
	return string(rows[0][0]), nil
}

// quoteName quotes an identifier.
func quoteName(parts ...string) string {
	for i, p := range parts {
		parts[i] = `"` + strings.ReplaceAll(p, `"`, `""`) + `"`
	}
	return strings.Join(parts, ".")
}

// quoteText quotes a literal.
func quoteText(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
