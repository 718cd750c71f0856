package postgres

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDriverSettings(t *testing.T) {
	w := newWorker(t, shared(t), map[string]string{
		"database.options": "-c work_mem=77kB", "database.ApplicationName": "orders cdc", "database.connectTimeout": "5",
		"database.currentSchema": "elsewhere", "database.targetServerType": "primary", "database.initial.statements": "SET enable_seqscan = off",
	})
	w.props["database.hostname"] = "127.0.0.1,127.0.0.1"
	c, problems := newConfig(w.config())
	if problems != nil {
		t.Fatal(problems)
	}
	conn, err := c.connect(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn(conn)
	for setting, want := range map[string]string{"work_mem": "77kB", "application_name": "orders cdc", "search_path": "elsewhere", "enable_seqscan": "off", "TimeZone": "UTC"} {
		if got, err := queryText(t.Context(), conn, "SHOW "+setting); err != nil || got != want {
			t.Errorf("%s is %q, %v, want %q", setting, got, err, want)
		}
	}
	w.props["database.targetServerType"] = "secondary"
	if c, problems = newConfig(w.config()); problems != nil {
		t.Fatal(problems)
	}
	if conn, err := c.connect(t.Context(), false); err == nil {
		closeConn(conn)
		t.Error("a primary was taken for a secondary")
	}
}

// TestClientKeyOfJava loads a key as Java's driver has it.
func TestClientKeyOfJava(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := func(name string, b []byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	chain := file("cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
	for _, tt := range []struct {
		name, key, cert string
		loaded          bool
		problem         string
	}{
		{"DER", file("key.pk8", der), chain, true, ""},
		{"PEM is left to libpq's rules", file("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), chain, false, ""},
		{"no key", "", chain, false, ""},
		{"with a password or broken", file("broken.pk8", der[:20]), chain, false, "openssl pkcs8"},
		{"missing", filepath.Join(dir, "none"), chain, false, "database.sslkey"},
		{"no certificate", file("key2.pk8", der), file("empty.pem", nil), false, "database.sslcert"},
	} {
		ssl := map[string]string{"sslmode": "verify-full", "sslkey": tt.key, "sslcert": tt.cert}
		rest, got, err := derKey(ssl)
		switch {
		case tt.problem != "":
			if err == nil || !strings.Contains(err.Error(), tt.problem) {
				t.Errorf("%s: error is %v, want %q", tt.name, err, tt.problem)
			}
		case err != nil || (got != nil) != tt.loaded:
			t.Errorf("%s: %v, %v", tt.name, got, err)
		case tt.loaded && (len(got.Certificate) != 1 || rest["sslkey"] != "" || rest["sslmode"] != "verify-full" || ssl["sslkey"] == ""):
			t.Errorf("%s: certificates %d, other settings %v", tt.name, len(got.Certificate), rest)
		}
	}
}
