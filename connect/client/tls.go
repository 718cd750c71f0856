package client

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/plugins/configdef"
)

// versions are the TLS versions by Java's names.
var versions = map[string]uint16{"TLSv1.2": tls.VersionTLS12, "TLSv1.3": tls.VersionTLS13}

func checkVersions(v any) error {
	names, _ := v.([]string)
	known := 0
	for _, n := range names {
		switch n {
		case "TLSv1.2", "TLSv1.3":
			known++
		case "TLSv1", "TLSv1.1": // what is older is not spoken, whoever allows it
		default:
			return fmt.Errorf("%q is not a version of TLS: TLSv1.2 and TLSv1.3 are", n)
		}
	}
	if known == 0 {
		return fmt.Errorf("none of TLSv1.2 and TLSv1.3 is enabled, and nothing older is spoken")
	}
	return nil
}

// suite returns a cipher suite by its name, which Java and Go share.
func suite(name string) (uint16, error) {
	for _, s := range tls.CipherSuites() {
		if s.Name == name {
			return s.ID, nil
		}
	}
	return 0, fmt.Errorf("cipher suite %q is unknown or unsafe", name)
}

func checkSuites(v any) error {
	names, _ := v.([]string)
	for _, n := range names {
		if _, err := suite(n); err != nil {
			return err
		}
	}
	return nil
}

// tlsOf makes the TLS settings and reads the stores.
func tlsOf(cfg configdef.Config) (*tls.Config, []configdef.Problem) {
	out := &tls.Config{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS13}
	enabled := cfg.List("ssl.enabled.protocols")
	if !slices.Contains(enabled, "TLSv1.2") {
		out.MinVersion = tls.VersionTLS13
	}
	if v, ok := versions[cfg.String("ssl.protocol")]; !slices.Contains(enabled, "TLSv1.3") || ok && v == tls.VersionTLS12 {
		out.MaxVersion = tls.VersionTLS12
	}
	for _, n := range cfg.List("ssl.cipher.suites") {
		if id, err := suite(n); err == nil { // checked when it was parsed
			out.CipherSuites = append(out.CipherSuites, id)
		}
	}
	var problems []configdef.Problem
	roots, p := rootsOf(cfg)
	if p != nil {
		problems = append(problems, *p)
	}
	out.RootCAs = roots
	cert, p := certificateOf(cfg)
	if p != nil {
		problems = append(problems, *p)
	}
	if cert != nil {
		out.Certificates = []tls.Certificate{*cert}
	}
	if strings.TrimSpace(cfg.String("ssl.endpoint.identification.algorithm")) == "" {
		out.InsecureSkipVerify = true // of the name: the chain is verified below
		out.VerifyConnection = func(s tls.ConnectionState) error { return verifyChain(s, roots) }
	}
	return out, problems
}

// verifyChain verifies a broker's certificate but for its name.
func verifyChain(s tls.ConnectionState, roots *x509.CertPool) error {
	if len(s.PeerCertificates) == 0 {
		return fmt.Errorf("the broker shows no certificate")
	}
	between := x509.NewCertPool()
	for _, c := range s.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
	return err
}

// rootsOf reads the certificates that brokers are trusted by, nil for the
// machine's.
func rootsOf(cfg configdef.Config) (*x509.CertPool, *configdef.Problem) {
	key, raw := "ssl.truststore.certificates", []byte(cfg.String("ssl.truststore.certificates"))
	if path := cfg.String("ssl.truststore.location"); path != "" {
		key = "ssl.truststore.location"
		var err error
		if raw, err = readFile(path); err != nil {
			p := problem(key, "%v", err)
			return nil, &p
		}
	}
	if len(raw) == 0 {
		return nil, nil
	}
	certs, err := trusted(raw, cfg.String("ssl.truststore.password"))
	if err != nil {
		p := problem(key, "%v", err)
		return nil, &p
	}
	pool := x509.NewCertPool()
	for _, c := range certs {
		pool.AddCert(c)
	}
	return pool, nil
}

// certificateOf reads the client's own certificate, nil if it has none.
func certificateOf(cfg configdef.Config) (*tls.Certificate, *configdef.Problem) {
	key, raw := "ssl.keystore.key", []byte(nil)
	if k := cfg.String("ssl.keystore.key"); k != "" {
		raw = []byte(k + "\n" + cfg.String("ssl.keystore.certificate.chain"))
	}
	if path := cfg.String("ssl.keystore.location"); path != "" {
		key = "ssl.keystore.location"
		var err error
		if raw, err = readFile(path); err != nil {
			p := problem(key, "%v", err)
			return nil, &p
		}
	}
	if len(raw) == 0 {
		return nil, nil
	}
	cert, err := keyPair(raw, cfg.String("ssl.keystore.password"), cfg.String("ssl.key.password"))
	if err != nil {
		p := problem(key, "%v", err)
		return nil, &p
	}
	return cert, nil
}
