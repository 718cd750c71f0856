package jdbc

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// server is where and how to connect, from connection.url.
type server struct {
	hosts          []string // host:port each
	database       string
	user, password string
	tls            map[string]string // libpq's names
	runtime        map[string]string // session parameters
	connectTimeout time.Duration
	ignored        []string // parameters of the driver that nothing here needs
}

// needless are parameters of the Java driver whose effect is always there, or
// that have none outside of it.
var needless = []string{"reWriteBatchedInserts", "stringtype", "socketTimeout", "loggerLevel", "prepareThreshold", "tcpKeepAlive", "sslfactory"}

// parseURL reads the address of a PostgreSQL database as its Java driver does.
// Errors do not hold the text, which may have a password in it.
func parseURL(text string) (*server, error) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(text), "jdbc:")
	if !ok {
		return nil, errors.New("must be of the form jdbc:postgresql://host:port/database")
	}
	kind, rest, _ := strings.Cut(rest, ":")
	if kind != "postgresql" {
		return nil, fmt.Errorf("only PostgreSQL is written to (jdbc:postgresql://host:port/database), and this is a database of kind %q", kind)
	}
	rest, ok = strings.CutPrefix(rest, "//")
	if !ok {
		return nil, errors.New("the host is missing: jdbc:postgresql://host:port/database")
	}
	rest, query, _ := strings.Cut(rest, "?")
	hosts, database, _ := strings.Cut(rest, "/")
	s := &server{tls: map[string]string{}, runtime: map[string]string{}, connectTimeout: 10 * time.Second}
	for h := range strings.SplitSeq(hosts, ",") {
		addr, err := hostPort(h)
		if err != nil {
			return nil, err
		}
		s.hosts = append(s.hosts, addr)
	}
	var err error
	if s.database, err = url.PathUnescape(database); err != nil {
		return nil, errors.New("the database's name is not valid percent encoding")
	}
	return s, s.parameters(query)
}

func hostPort(h string) (string, error) {
	host, port, err := net.SplitHostPort(h)
	if err != nil {
		host, port = strings.Trim(h, "[]"), "5432"
	}
	if host == "" {
		host = "localhost"
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return "", fmt.Errorf("port %q is not a number from 1 to 65535", port)
	}
	return net.JoinHostPort(host, port), nil
}

func (s *server) parameters(query string) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return errors.New("its parameters are not valid percent encoding")
	}
	for _, k := range slices.Backward(slices.Sorted(maps.Keys(values))) { // sslmode before ssl
		v := values[k]
		known, err := s.parameter(k, v[len(v)-1])
		if err != nil {
			return fmt.Errorf("parameter %s: %w", k, err)
		}
		if !known && !slices.Contains(needless, k) {
			s.ignored = append(s.ignored, k)
		}
	}
	slices.Sort(s.ignored)
	return nil
}

// parameter takes one of the Java driver's parameters.
func (s *server) parameter(name, value string) (known bool, err error) {
	switch name {
	case "user":
		s.user = value
	case "password":
		s.password = value
	case "sslmode":
		s.tls["sslmode"] = strings.ToLower(value)
	case "ssl":
		s.ssl(value)
	case "sslcert", "sslkey", "sslrootcert", "sslpassword":
		s.tls[name] = value
	case "currentSchema":
		s.runtime["search_path"] = value
	case "ApplicationName":
		s.runtime["application_name"] = value
	case "options":
		s.runtime["options"] = value
	case "connectTimeout", "loginTimeout":
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 || n > 3600 {
			return true, fmt.Errorf("%q is not a number of seconds from 0 to 3600", value)
		}
		s.connectTimeout = time.Duration(n) * time.Second
	default:
		return false, nil
	}
	return true, nil
}

// ssl takes the parameter ssl, which sslmode overrides.
// Differs from the Java driver: a value other than true, such as required,
// which the driver reads as false, asks for TLS.
func (s *server) ssl(value string) {
	if s.tls["sslmode"] != "" || strings.EqualFold(value, "false") {
		return
	}
	s.tls["sslmode"] = "require"
	if value == "" || strings.EqualFold(value, "true") {
		s.tls["sslmode"] = "verify-full"
	}
}
