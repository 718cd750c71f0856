// Package signature signs the requests that workers send each other, and
// verifies them, as Kafka Connect does (KIP-507).
package signature

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash"
	"maps"
	"slices"
)

// The headers of a signed request. The first is base64 of the MAC over the
// body's bytes; an empty body has the MAC of no bytes.
const (
	Header          = "X-Connect-Authorization"
	AlgorithmHeader = "X-Connect-Request-Signature-Algorithm"
)

// algorithm is a MAC by Java's name for it.
type algorithm struct {
	hash    func() hash.Hash
	keyBits int // of a key whose size is not set, Java's default
}

// algorithms are those that both sides have. Java's HmacMD5 is left out.
var algorithms = map[string]algorithm{
	"HmacSHA1":       {sha1.New, 512},
	"HmacSHA224":     {sha256.New224, 224},
	"HmacSHA256":     {sha256.New, 256},
	"HmacSHA384":     {sha512.New384, 384},
	"HmacSHA512":     {sha512.New, 512},
	"HmacSHA512/224": {sha512.New512_224, 224},
	"HmacSHA512/256": {sha512.New512_256, 256},
}

// Algorithms returns the names of all, sorted.
func Algorithms() []string { return slices.Sorted(maps.Keys(algorithms)) }

// Request is what a request says of its signature.
type Request struct {
	Body      []byte
	Signature string // Header's value
	Algorithm string // AlgorithmHeader's value
}

// Sign returns the value of Header for a body.
func Sign(name string, key, body []byte) (string, error) {
	a, ok := algorithms[name]
	if !ok {
		return "", fmt.Errorf("signature algorithm %s is unknown; known are %v", name, Algorithms())
	}
	mac := hmac.New(a.hash, key)
	mac.Write(body)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil)), nil
}

// Valid reports whether a request is signed with the key.
func (r Request) Valid(key []byte) bool {
	got, err := base64.StdEncoding.DecodeString(r.Signature)
	if err != nil {
		return false
	}
	a, ok := algorithms[r.Algorithm]
	if !ok {
		return false
	}
	mac := hmac.New(a.hash, key)
	mac.Write(r.Body)
	return hmac.Equal(got, mac.Sum(nil))
}

// KeyBytes returns the length of a key for an algorithm; bits of 0 is its
// default.
func KeyBytes(name string, bits int) (int, error) {
	a, ok := algorithms[name]
	if !ok {
		return 0, fmt.Errorf("key generation algorithm %s is unknown; known are %v", name, Algorithms())
	}
	if bits == 0 {
		bits = a.keyBits
	}
	if bits < 40 || bits > 8192 {
		return 0, fmt.Errorf("a key of %d bits: must be from 40 to 8192", bits)
	}
	return (bits + 7) / 8, nil
}

// NewKey returns a random key.
func NewKey(name string, bits int) ([]byte, error) {
	n, err := KeyBytes(name, bits)
	if err != nil {
		return nil, err
	}
	key := make([]byte, n)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	return key, nil
}
