package worker

import (
	"testing"

	"github.com/millrace/millrace/connect/connector"
)

func TestScrub(t *testing.T) {
	cfg := connector.Config{"password": "hunter2", "key": "hunter2-and-more", "pin": "123", "class": "PostgresConnector", "weak": "postgres", "user": "sa-user", "same": "sa-user", "host": "db"}
	secret := func(key string) bool {
		switch key {
		case "password", "key", "pin", "weak", "same":
			return true
		}
		return false
	}
	for text, want := range map[string]string{
		`auth "hunter2" failed`:              `auth "[hidden]" failed`,
		"url://u:hunter2@db/x?p=hunter2":     "url://u:[hidden]@db/x?p=[hidden]",
		"hunter2-and-more or hunter2":        "[hidden] or [hidden]",
		"io.debezium.postgresql on postgres": "io.debezium.postgresql on [hidden]",
		"xhunter2 hunter22 hunter2é":         "xhunter2 hunter22 hunter2é",
		"code 123 of sa-user":                "code 123 of sa-user",
		"":                                   "",
	} {
		if got := scrub(cfg, secret, text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}
