package client

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
	"software.sslmate.com/src/go-pkcs12"
)

// form is what a store's first bytes say it is, whatever its type is said to
// be: Java reads JKS and PKCS12 under each other's name too.
type form int

const (
	formPEM form = iota
	formJKS
	formPKCS12
)

func formOf(raw []byte) form {
	switch {
	case bytes.HasPrefix(raw, []byte{0xfe, 0xed, 0xfe, 0xed}):
		return formJKS
	case len(raw) > 0 && raw[0] == 0x30:
		return formPKCS12
	}
	return formPEM
}

// trusted returns the certificates of a trust store.
func trusted(raw []byte, password string) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	var err error
	switch formOf(raw) {
	case formJKS:
		certs, err = trustedJKS(raw, password)
	case formPKCS12:
		if certs, err = pkcs12.DecodeTrustStore(raw, password); err != nil {
			err = fmt.Errorf("PKCS12 trust store: %w", err)
		}
	default:
		certs, err = certificates(raw)
	}
	if err == nil && len(certs) == 0 {
		err = errors.New("the trust store holds no certificate")
	}
	return certs, err
}

func openJKS(raw []byte, password string) (keystore.KeyStore, error) {
	ks := keystore.New()
	if err := ks.Load(bytes.NewReader(raw), []byte(password)); err != nil {
		return ks, fmt.Errorf("JKS store: %w; is its password right?", err)
	}
	return ks, nil
}

func trustedJKS(raw []byte, password string) ([]*x509.Certificate, error) {
	ks, err := openJKS(raw, password)
	if err != nil {
		return nil, err
	}
	var out []*x509.Certificate
	for _, alias := range ks.Aliases() {
		if !ks.IsTrustedCertificateEntry(alias) {
			continue
		}
		e, err := ks.GetTrustedCertificateEntry(alias)
		if err != nil {
			return nil, fmt.Errorf("JKS store: entry %s: %w", alias, err)
		}
		c, err := x509.ParseCertificate(e.Certificate.Content)
		if err != nil {
			return nil, fmt.Errorf("JKS store: entry %s: %w", alias, err)
		}
		out = append(out, c)
	}
	return out, nil
}

// certificates returns those of a PEM text.
func certificates(raw []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for {
		var block *pem.Block
		block, raw = pem.Decode(raw)
		if block == nil {
			return out, nil
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
}

// keyPair returns a key store's key with its certificates. The key's own
// password defaults to the store's.
func keyPair(raw []byte, password, keyPassword string) (*tls.Certificate, error) {
	if keyPassword == "" {
		keyPassword = password
	}
	switch formOf(raw) {
	case formJKS:
		return keyPairJKS(raw, password, keyPassword)
	case formPKCS12:
		key, leaf, chain, err := pkcs12.DecodeChain(raw, password)
		if err != nil {
			return nil, fmt.Errorf("PKCS12 key store: %w", err)
		}
		out := &tls.Certificate{PrivateKey: key, Leaf: leaf, Certificate: [][]byte{leaf.Raw}}
		for _, c := range chain {
			out.Certificate = append(out.Certificate, c.Raw)
		}
		return out, nil
	}
	return keyPairPEM(raw)
}

func keyPairJKS(raw []byte, password, keyPassword string) (*tls.Certificate, error) {
	ks, err := openJKS(raw, password)
	if err != nil {
		return nil, err
	}
	for _, alias := range ks.Aliases() {
		if !ks.IsPrivateKeyEntry(alias) {
			continue
		}
		e, err := ks.GetPrivateKeyEntry(alias, []byte(keyPassword))
		if err != nil {
			return nil, fmt.Errorf("JKS store: key %s: %w; is ssl.key.password right?", alias, err)
		}
		key, err := x509.ParsePKCS8PrivateKey(e.PrivateKey)
		if err != nil {
			return nil, fmt.Errorf("JKS store: key %s: %w", alias, err)
		}
		out := &tls.Certificate{PrivateKey: key}
		for _, c := range e.CertificateChain {
			out.Certificate = append(out.Certificate, c.Content)
		}
		return out, nil
	}
	return nil, errors.New("the JKS store holds no private key")
}

// keyPairPEM reads a key and its certificates from one text, in any order.
func keyPairPEM(raw []byte) (*tls.Certificate, error) {
	for rest := raw; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" {
			return nil, errors.New("the PEM key is encrypted, which Millrace does not read; store it as PKCS12, or decrypted with the file's mode 0600")
		}
	}
	cert, err := tls.X509KeyPair(raw, raw)
	if err != nil {
		return nil, fmt.Errorf("PEM key store: %w", err)
	}
	return &cert, nil
}
