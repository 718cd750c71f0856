package signature

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"testing"
)

// The MACs of RFC 4231, test case 2.
func TestSign(t *testing.T) {
	key, body := []byte("Jefe"), []byte("what do ya want for nothing?")
	for name, mac := range map[string]string{
		"HmacSHA224": "a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44",
		"HmacSHA256": "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
	} {
		raw, err := hex.DecodeString(mac)
		if err != nil {
			t.Fatal(err)
		}
		want := base64.StdEncoding.EncodeToString(raw)
		got, err := Sign(name, key, body)
		if err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
	if _, err := Sign("HmacMD4", key, body); err == nil {
		t.Error("unknown algorithm accepted")
	}
}

func TestValid(t *testing.T) {
	key := []byte("secret")
	sig, err := Sign("HmacSHA256", key, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		r    Request
		key  []byte
		want bool
	}{
		{"empty body", Request{nil, sig, "HmacSHA256"}, key, true},
		{"other body", Request{[]byte("x"), sig, "HmacSHA256"}, key, false},
		{"other key", Request{nil, sig, "HmacSHA256"}, []byte("guess"), false},
		{"other algorithm", Request{nil, sig, "HmacSHA512"}, key, false},
		{"unknown algorithm", Request{nil, sig, "none"}, key, false},
		{"not base64", Request{nil, "%%%", "HmacSHA256"}, key, false},
		{"no signature", Request{nil, "", "HmacSHA256"}, key, false},
	} {
		if got := tt.r.Valid(tt.key); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestNewKey(t *testing.T) {
	a, err := NewKey("HmacSHA256", 0)
	if err != nil || len(a) != 32 {
		t.Fatalf("%d bytes, %v; want 32", len(a), err)
	}
	b, err := NewKey("HmacSHA256", 512)
	if err != nil || len(b) != 64 || bytes.Equal(a, b[:32]) {
		t.Errorf("%d bytes, %v; want 64 others", len(b), err)
	}
	if _, err := NewKey("HmacSHA256", 1<<20); err == nil {
		t.Error("a key of a megabit accepted")
	}
}
