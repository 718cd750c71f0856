package connect

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/millrace/millrace/connect/client"
	"github.com/millrace/millrace/connect/provider"
)

// Kafka Connect's REST extension for basic authentication, and the login module
// whose file of users it reads. Other extensions are Java classes.
const (
	basicAuthExtension = "org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension"
	fileLoginModule    = "org.apache.kafka.connect.rest.basic.auth.extension.PropertyFileLoginModule"
	loginSection       = "KafkaConnect"
)

// maxUsersFile bounds a file of users, in bytes.
const maxUsersFile = 1 << 20

// users are those who may use the REST API, with their passwords.
type users map[string]string

// readUsers reads the users from a file of properties, or from the one that
// Java's login configuration names.
func readUsers(file, loginConfig string) (users, error) {
	if file == "" && loginConfig != "" {
		raw, err := readBounded(loginConfig)
		if err != nil {
			return nil, err
		}
		module, options, err := client.LoginSection(string(raw), loginSection)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", loginConfig, err)
		}
		if module != fileLoginModule {
			return nil, fmt.Errorf("%s: login module %s is a Java class: %s is built in", loginConfig, module, fileLoginModule)
		}
		if file = options["file"]; file == "" {
			return nil, fmt.Errorf("%s: section %s names no file", loginConfig, loginSection)
		}
	}
	if file == "" {
		return nil, fmt.Errorf("%s needs a file of users: name it with rest.basic.auth.file, "+
			"or with -Djava.security.auth.login.config=FILE in KAFKA_OPTS a login configuration that does", basicAuthExtension)
	}
	raw, err := readBounded(file)
	if err != nil {
		return nil, err
	}
	out, err := provider.ParseProperties(string(raw))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(out) == 0 {
		// Differs from Kafka, which then lets everybody in.
		return nil, fmt.Errorf("%s holds no users, of the form NAME=PASSWORD", file)
	}
	return out, nil
}

func readBounded(path string) ([]byte, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if st.Size() > maxUsersFile {
		return nil, &os.PathError{Op: "read", Path: path, Err: errors.New("larger than 1 MiB, which is no file of users")}
	}
	return os.ReadFile(path)
}

// allows reports whether the password is the user's, in a time that says
// nothing about either.
func (u users) allows(name, password string) bool {
	want, known := u[name]
	a, b := sha256.Sum256([]byte(want)), sha256.Sum256([]byte(password))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1 && known
}

// any returns the first user by name.
func (u users) any() (name, password string, ok bool) {
	for _, name := range slices.Sorted(maps.Keys(u)) {
		return name, u[name], true
	}
	return "", "", false
}
